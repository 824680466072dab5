//! What exists, to be compared before and after.

use crate::{Failure, Verdict, ensure_eq};
use alloc::vec::Vec;
use libvas::layout::{AccountInfo, MachineInfo, MappingInfo, SpaceInfo, SubtreeInfo};
use libvas::{Cap, Enterable, Error, Mapped, Subtree, program};

/// What exists on the machine, and what the program's account is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Objects by kind, free memory, kernel heap.
    pub machine: MachineInfo,
    /// The program's account.
    pub account: AccountInfo,
}

impl Census {
    /// Counts.
    ///
    /// # Errors
    /// `MissingRight` if the program was not given the machine.
    pub fn take() -> Result<Census, Error> {
        let machine = program().machine().ok_or(Error::MissingRight)?.info()?;
        Ok(Census { machine, account: program().account().info()? })
    }

    /// The same, with what the kernel heap holds counted as free memory: how much that is can depend on which threads
    /// were at work at the same time.
    pub fn settled(mut self) -> Census {
        self.machine.free_bytes += core::mem::take(&mut self.machine.heap_held_bytes);
        self
    }
}

/// Does something a few times, so that what is kept for reuse is there, and then `cycles` times: nothing that the
/// machine and the program's account count may be different afterwards.
///
/// # Errors
/// What the cycles fail with, and a failure if something is different.
#[track_caller]
pub fn leaves_nothing<E>(cycles: u64, mut cycle: impl FnMut(u64) -> Result<(), E>) -> Verdict
where
    Failure: From<E>,
{
    (0..cycles.min(10)).try_for_each(&mut cycle)?;
    let before = Census::take()?.settled();
    (0..cycles).try_for_each(&mut cycle)?;
    ensure_eq!(Census::take()?.settled(), before);
    Ok(())
}

/// All that can be told of a space or subtree from outside, but for what is shared with others: attached tables can
/// grow under it, as those of the program do with its heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    info: Info,
    mappings: Vec<MappingInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Info {
    Space(SpaceInfo),
    Subtree(SubtreeInfo),
}

impl Snapshot {
    /// Looks at a space or a view.
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`).
    pub fn of<T: Enterable + Mapped>(space: &Cap<T>) -> Result<Snapshot, Error> {
        let info = SpaceInfo { shared_table_bytes: 0, ..space.info()? };
        Ok(Snapshot { info: Info::Space(info), mappings: space.mappings(0).collect::<Result<_, _>>()? })
    }

    /// Looks at a subtree.
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`).
    pub fn of_subtree(subtree: &Cap<Subtree>) -> Result<Snapshot, Error> {
        let info = Info::Subtree(subtree.info()?);
        Ok(Snapshot { info, mappings: subtree.mappings(0).collect::<Result<_, _>>()? })
    }
}
