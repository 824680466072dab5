//! Subtrees: page tables built once and shared by many spaces.

use crate::call::{fill_in, perform};
use crate::{Account, Cap, Machine, Mappable, Space};
use tessera_abi::layout::SubtreeInfo;
use tessera_abi::{Call, Error, Handle, Rights};

/// The page tables below one entry. Attaching it to a space costs that entry, whatever it holds.
///
/// It is mapped into like a space ([`Cap::map`]), and every space that it is attached to sees the change at once. A
/// subtree can be attached to one of a higher level as well; one that lies in another holds no third.
#[derive(Debug)]
pub enum Subtree {}

/// Which entry a subtree hangs from, and so how much address space it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 2 MiB: one page of tables.
    TwoMib = 1,
    /// 1 GiB.
    OneGib = 2,
    /// One entry of a root table, 512 GiB. Attaching takes no other table.
    Top = 3,
}

impl Level {
    /// The address space that a subtree of this level fills, and the alignment it is attached at, bytes.
    pub const fn size_bytes(self) -> u64 {
        tessera_abi::PAGE_BYTES << (9 * self as u32)
    }
}

/// Of `subtree_attach`'s flags: the attachment keeps its bounds in views.
const WINDOW: u64 = 1;

impl Subtree {
    /// Makes an empty subtree of the top level.
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
        Subtree::with_level(account, Level::Top)
    }

    /// Makes an empty subtree for finer sharing.
    ///
    /// # Errors
    /// As [`Subtree::new`].
    pub fn with_level(account: &Cap<Account>, level: Level) -> Result<Cap<Subtree>, Error> {
        let bits = perform(Call::SubtreeCreate { account: account.handle(), level: level as u64 })?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }

    /// Makes a subtree that begins with all that another one has mapped. Whichever of the two is written to, wherever it is attached,
    /// the other does not see it ([`crate::Space::clone_of`]). It is attached nowhere yet, and not sealed.
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE` on the account; `INSPECT`, `MAP` and `READ` on the subtree), `AccountExhausted`, `OutOfMemory`,
    /// `TableFull`; `BadArgument` for an account that is neither the one that pays for it nor split off from that; `BadState` if it is
    /// public, or something is attached to it; `LimitReached` if more is lent there than is looked for.
    pub fn clone_of(account: &Cap<Account>, subtree: &Cap<Subtree>) -> Result<Cap<Subtree>, Error> {
        clone(account, subtree, 0)
    }

    /// The same, of which what it begins with may only be read, but for what was pinned ([`Cap::pin`]).
    ///
    /// # Errors
    /// As [`Subtree::clone_of`].
    pub fn read_only_clone_of(account: &Cap<Account>, subtree: &Cap<Subtree>) -> Result<Cap<Subtree>, Error> {
        clone(account, subtree, 1)
    }

    /// The same as [`Subtree::clone_of`] if all of it is the clone's for good: nothing is mapped by a capability that can be taken back.
    ///
    /// # Errors
    /// As there, and `BadState` if something is.
    pub fn kept_clone_of(account: &Cap<Account>, subtree: &Cap<Subtree>) -> Result<Cap<Subtree>, Error> {
        clone(account, subtree, 2)
    }
}

fn clone(account: &Cap<Account>, subtree: &Cap<Subtree>, flags: u64) -> Result<Cap<Subtree>, Error> {
    let bits = perform(Call::SubtreeClone { account: account.handle(), subtree: subtree.handle(), flags })?;
    Ok(Cap::from_handle(Handle::from_bits(bits)))
}

impl Cap<Subtree> {
    /// Level, alignment, size, table bytes, number of places where it is attached.
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`).
    pub fn info(&self) -> Result<SubtreeInfo, Error> {
        let subtree = self.handle();
        fill_in(|buffer| Call::SubtreeInfo { subtree, buffer }).map(|(info, _)| info)
    }

    /// Freezes what is mapped and attached in it, for good. Memory that is writable stays so.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn seal(&self) -> Result<(), Error> {
        perform(Call::SubtreeSeal { subtree: self.handle() }).map(|_| ())
    }

    /// Takes it out of every place where it is attached or public, sealed subtrees included; returns how many there
    /// were. No CPU uses a translation of it there any more then.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn withdraw(&self) -> Result<u64, Error> {
        perform(Call::SubtreeWithdraw { subtree: self.handle() })
    }
}

impl Cap<Machine> {
    /// Makes a top-level subtree public: every space, present and future, shows it at `address`, with global
    /// translations that survive every switch. `bounds` are `READ`, or `READ` and `EXECUTE`. It stays public until it is
    /// withdrawn, or the last capability to it goes.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL` here, each of `bounds` on the subtree), `BadArgument` (no `READ`, or `WRITE`),
    /// `Misaligned`, `BadAddress`, `WrongLevel`, `BadState` if it is attached or public already or holds subtrees,
    /// `Overlap` if any space has something there.
    pub fn publish(&self, subtree: &Cap<Subtree>, address: u64, bounds: Rights) -> Result<(), Error> {
        let (machine, subtree) = (self.handle(), subtree.handle());
        perform(Call::SubtreePublish { machine, subtree, address, bounds }).map(|_| ())
    }
}

impl<T: Mappable> Cap<T> {
    /// Attaches a subtree at `address`, a multiple of its alignment, to this space or to this subtree of a higher
    /// level. `bounds` limit what its mappings allow here; unlike a mapping's rights they may hold both `WRITE` and
    /// `EXECUTE`.
    ///
    /// # Errors
    /// `MissingRight` (`MAP` here, each of `bounds` on the subtree), `BadArgument` (no `READ`), `Misaligned`,
    /// `BadAddress`, `Overlap`, `WrongLevel` if this is a subtree whose level is not higher, `TooDeep` if the subtree
    /// holds others, or this one lies in another, `Sealed`, `BadState` for a public subtree or one with a core
    /// window, `AccountExhausted`, `OutOfMemory`. Nothing has changed then.
    pub fn attach(&self, address: u64, subtree: &Cap<Subtree>, bounds: Rights) -> Result<(), Error> {
        attach(self.handle(), subtree.handle(), address, bounds, 0)
    }

    /// Takes the attachment that begins at `address` out.
    ///
    /// # Errors
    /// `MissingRight` (`MAP`), `Misaligned`, `BadAddress`, `NotMapped`, `Sealed`.
    pub fn detach(&self, address: u64) -> Result<(), Error> {
        perform(Call::SubtreeDetach { target: self.handle(), address }).map(|_| ())
    }
}

impl Cap<Space> {
    /// Puts a clone of a subtree in the place of the one that is attached at `address`: for clones of spaces that are to have
    /// what is attached for themselves as well. The clone's cost is the account's.
    ///
    /// ```no_run
    /// use libvas::{Rights, Space, Subtree, program};
    ///
    /// let (account, library) = (program().account(), Subtree::new(program().account())?);
    /// let address = library.info()?.alignment_bytes;
    /// let space = program().new_space()?;
    /// space.attach(address, &library, Rights::READ_WRITE)?;
    /// let clone = Space::clone_of(account, &space)?;
    /// let own = clone.attach_clone(address, account, &library, Rights::READ_WRITE)?;
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Subtree::clone_of`], [`Cap::detach`] and [`Cap::attach`]; nothing is attached there if the last is refused.
    pub fn attach_clone(
        &self,
        address: u64,
        account: &Cap<Account>,
        subtree: &Cap<Subtree>,
        bounds: Rights,
    ) -> Result<Cap<Subtree>, Error> {
        let clone = Subtree::clone_of(account, subtree)?;
        self.detach(address)?;
        self.attach(address, &clone, bounds)?;
        Ok(clone)
    }

    /// Attaches a subtree of the top level as a *window*: views of this space show it with these same bounds, however
    /// narrow their own are. Meant for what a thread needs wherever it is: its program and stacks.
    ///
    /// # Errors
    /// As [`Cap::attach`]; `BadArgument` for a subtree of another level.
    pub fn attach_window(&self, address: u64, subtree: &Cap<Subtree>, bounds: Rights) -> Result<(), Error> {
        attach(self.handle(), subtree.handle(), address, bounds, WINDOW)
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

fn attach(target: Handle, subtree: Handle, address: u64, bounds: Rights, flags: u64) -> Result<(), Error> {
    perform(Call::SubtreeAttach { target, subtree, address, bounds, flags }).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn sizes_are_those_of_the_tables() {
        let sizes = [Level::TwoMib, Level::OneGib, Level::Top].map(Level::size_bytes);
        assert_eq!(sizes, [2 << 20, 1 << 30, 512 << 30]);
        assert_eq!(Level::Top.size_bytes(), tessera_abi::TOP_SLOT_BYTES);
    }
}
