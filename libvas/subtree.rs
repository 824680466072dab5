//! Subtrees: page tables built once and shared by many spaces.

use crate::Cap;
use crate::call::{fill_in, perform};
use crate::{Account, Space};
use tessera_abi::layout::SubtreeInfo;
use tessera_abi::{Call, Error, Handle, Rights};

/// The page tables below one top-level entry, 512 GiB. Attaching it to a space costs one entry, whatever it holds.
///
/// It is mapped into like a space ([`Cap::map`]), and every space that it is attached to sees the change at once.
#[derive(Debug)]
pub enum Subtree {}

/// The level of a top-level entry, the one level that subtrees have so far.
const TOP_LEVEL: u64 = 3;

impl Subtree {
    /// Makes an empty subtree.
    ///
    /// ```no_run
    /// use libvas::{Rights, Segment, Space, Subtree, program};
    ///
    /// let account = program().account();
    /// let library = Subtree::new(account)?;
    /// library.map(0x1000, &Segment::new(account, 0x1000)?, 0..0x1000, Rights::READ)?;
    /// let space = Space::new(account)?;
    /// space.attach(library.info()?.alignment_bytes, &library, Rights::READ)?;
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE`), `AccountExhausted`, `OutOfMemory`, `TableFull`.
    pub fn new(account: &Cap<Account>) -> Result<Cap<Subtree>, Error> {
        let bits = perform(Call::SubtreeCreate { account: account.handle(), level: TOP_LEVEL })?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }
}

impl Cap<Subtree> {
    /// Level, alignment, table bytes, number of spaces that share it.
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`).
    pub fn info(&self) -> Result<SubtreeInfo, Error> {
        let subtree = self.handle();
        fill_in(|buffer| Call::SubtreeInfo { subtree, buffer }).map(|(info, _)| info)
    }
}

impl Cap<Space> {
    /// Attaches a subtree at `address`, a multiple of its alignment. `bounds` limit what its mappings allow in
    /// this space; unlike a mapping's rights they may hold both `WRITE` and `EXECUTE`.
    ///
    /// # Errors
    /// `MissingRight` (`MAP` here, each of `bounds` on the subtree), `BadArgument` (no `READ`), `Misaligned`,
    /// `BadAddress`, `Overlap`, `AccountExhausted`, `OutOfMemory`.
    pub fn attach(&self, address: u64, subtree: &Cap<Subtree>, bounds: Rights) -> Result<(), Error> {
        let call = Call::SubtreeAttach { space: self.handle(), subtree: subtree.handle(), address, bounds };
        perform(call).map(|_| ())
    }

    /// Takes the attachment at `address` out of the space.
    ///
    /// # Errors
    /// `MissingRight` (`MAP`), `Misaligned`, `BadAddress`, `NotMapped`.
    pub fn detach(&self, address: u64) -> Result<(), Error> {
        perform(Call::SubtreeDetach { space: self.handle(), address }).map(|_| ())
    }

    /// Attaches a subtree at `address` on one CPU only: a core window. Threads on other CPUs find nothing there, or
    /// what was attached for their CPU. The subtree can be attached nowhere else, so its changes concern one CPU.
    ///
    /// # Errors
    /// As [`Cap::attach`]; `BadArgument` for a CPU that is not running, `BadState` if the subtree is attached already.
    pub fn attach_core(&self, address: u64, subtree: &Cap<Subtree>, bounds: Rights, cpu: u64) -> Result<(), Error> {
        let (space, subtree) = (self.handle(), subtree.handle());
        perform(Call::SubtreeAttachCore { space, subtree, address, bounds, cpu }).map(|_| ())
    }

    /// Takes the core window at `address` of one CPU out of the space.
    ///
    /// # Errors
    /// As [`Cap::detach`]; `BadArgument` for a CPU that is not running.
    pub fn detach_core(&self, address: u64, cpu: u64) -> Result<(), Error> {
        perform(Call::SubtreeDetachCore { space: self.handle(), address, cpu }).map(|_| ())
    }
}
