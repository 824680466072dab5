//! What exists, to be compared before and after.

use alloc::vec::Vec;
use libvas::layout::{AccountInfo, MachineInfo, MappingInfo, SpaceInfo};
use libvas::{Cap, Error, Space, program};

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
}

/// All that can be told of a space from outside, but for what is shared with others: attached tables can grow under
/// it, as those of the program do with its heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    info: SpaceInfo,
    mappings: Vec<MappingInfo>,
}

impl Snapshot {
    /// Looks at a space.
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`).
    pub fn of(space: &Cap<Space>) -> Result<Snapshot, Error> {
        let info = SpaceInfo { shared_table_bytes: 0, ..space.info()? };
        Ok(Snapshot { info, mappings: space.mappings(0).collect::<Result<_, _>>()? })
    }
}
