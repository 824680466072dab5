//! Address spaces as objects: made, entered, looked into.

use crate::call::{fill_in, perform, perform_short, perform_unchecked};
use crate::capability::Object;
use crate::{Account, Cap, View, stack};
use tessera_abi::layout::SpaceInfo;
use tessera_abi::{Call, Error, Handle};

/// An address space. It exists without threads, and every operation works whether or not one runs in it.
///
/// What a thread sees after a switch: everything in the program subtree stays (code, statics, heap, every
/// thread's stack), so Rust values can be used and closures can run. Everything else is the new space's own:
/// memory mapped elsewhere in the old space is gone or something else. [`crate::Place`] reaches it by value.
#[derive(Debug)]
pub enum Space {}

impl Space {
    /// Makes a bare space: empty, without the program, so that no closure can run in it. See
    /// [`crate::Program::new_space`] for one that has the program.
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE`), `AccountExhausted`, `OutOfMemory`, `TableFull`.
    pub fn new(account: &Cap<Account>) -> Result<Cap<Space>, Error> {
        let bits = perform(Call::SpaceCreate { account: account.handle() })?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }

    /// Makes a bare space that can be entered on one CPU only, so that changing it never interrupts another.
    ///
    /// # Errors
    /// As [`Space::new`]; `BadArgument` for a CPU that is not running.
    pub fn new_local(account: &Cap<Account>, cpu: u64) -> Result<Cap<Space>, Error> {
        let bits = perform(Call::SpaceCreateLocal { account: account.handle(), cpu })?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }

    /// Makes a space that begins with all that another one has mapped. Whichever of the two is written to, the other does not see it:
    /// a page is copied at the first write to it. What is attached is the same in both, the program among it.
    ///
    /// It takes as long however much is mapped. The account is the one that pays for the space, or was split off from that: then it
    /// pays for what the clone is written to. What others lend is lent to the clone as well, and core windows are the source's alone.
    ///
    /// ```no_run
    /// use libvas::{Place, Rights, Segment, Space, program};
    ///
    /// const HERE: u64 = 0x100_0000_0000;
    ///
    /// let space = program().new_space()?;
    /// space.map(HERE, &Segment::new(program().account(), 0x1000)?, 0..0x1000, Rights::READ_WRITE)?;
    /// let place = Place::<u64>::new(HERE)?;
    /// space.enter(|| place.set(7))?;
    /// let clone = Space::clone_of(program().account(), &space)?;
    /// space.enter(|| place.set(8))?;
    /// assert_eq!(clone.enter(|| place.get())?, 7);
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE` on the account, `INSPECT` and `MAP` on the space), `AccountExhausted`, `OutOfMemory`, `TableFull`;
    /// `BadArgument` for any other account; `BadState` if it has subtrees attached below its top level, or lockable segments;
    /// `LimitReached` if more than 16 subtrees are attached, or more is lent than is looked for (see the call).
    pub fn clone_of(account: &Cap<Account>, space: &Cap<Space>) -> Result<Cap<Space>, Error> {
        clone(account, space, 0)
    }

    /// The same, of which what it begins with may only be read, but for what was pinned ([`Cap::pin`]) and for subtrees that were
    /// attached as a window.
    ///
    /// # Errors
    /// As [`Space::clone_of`].
    pub fn read_only_clone_of(account: &Cap<Account>, space: &Cap<Space>) -> Result<Cap<Space>, Error> {
        clone(account, space, 1)
    }
}

fn clone(account: &Cap<Account>, space: &Cap<Space>, flags: u64) -> Result<Cap<Space>, Error> {
    let bits = perform(Call::SpaceClone { account: account.handle(), space: space.handle(), flags })?;
    Ok(Cap::from_handle(Handle::from_bits(bits)))
}

/// What a thread can be in: a [`Space`] or a [`View`] of one.
pub trait Enterable: Object {}

impl Enterable for Space {}
impl Enterable for View {}

impl<T: Enterable> Cap<T> {
    /// Runs a closure inside the space and comes back.
    ///
    /// Closures may be nested; each returns to the space it came from. The capability by which the thread entered
    /// that one must still exist then.
    ///
    /// ```no_run
    /// let space = libvas::program().new_space()?;
    /// let mut log = Vec::new();
    /// let sum = space.enter(|| {
    ///     log.push("inside"); // the heap is in the program subtree, and so is `log` itself
    ///     2 + 2
    /// })?;
    /// assert_eq!((sum, log.len()), (4, 1));
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`SWITCH`), `NotShared` if the space lacks the program subtree, `WrongCpu` if it is local to
    /// another CPU, `Deadlock` if the thread would wait for itself to have its locks ([`Segment::new_lockable`](crate::Segment));
    /// the closure has not run then.
    ///
    /// # Panics
    /// If the way back is gone: the closure gave up the capability to the space that it came from; or that has locks, and the
    /// thread would wait for itself to have them again.
    #[inline]
    pub fn enter<R>(&self, body: impl FnOnce() -> R) -> Result<R, Error> {
        let way_back = WayBack(self.switch()?);
        let result = body();
        drop(way_back);
        Ok(result)
    }

    /// Switches the calling thread into the space; it goes on at the next instruction there.
    ///
    /// Who enters a space in which lockable segments are mapped waits for their locks.
    ///
    /// Returns the handle by which the thread had entered the space it left, or [`Handle::NONE`] if that is the
    /// space that it started in. The bare operation, for measuring and for schedulers; [`Cap::enter`] is easier.
    ///
    /// # Errors
    /// `MissingRight` (`SWITCH`), `NotShared`, `WrongCpu`; with locks `Deadlock`, `AccountExhausted`, `OutOfMemory`.
    #[inline(always)]
    pub fn switch(&self) -> Result<Handle, Error> {
        perform_short(Call::SpaceSwitch { space: self.handle() }).map(Handle::from_bits)
    }

    /// Sends the calling thread to `instruction_pointer` in the space, with `stack_pointer` and, as the first two
    /// function arguments, `argument` and the handle of the space it came from. Returns only if that was refused.
    ///
    /// # Errors
    /// `MissingRight` (`SWITCH`), `BadAddress`; with locks those of [`Cap::switch`].
    ///
    /// # Safety
    /// 1. Code that may run there lies at `instruction_pointer`, and a stack of its own below `stack_pointer`.
    /// 2. What the thread leaves behind on its old stack, borrowed values above all, is never relied on again, or
    ///    the code there jumps back.
    pub unsafe fn jump(&self, instruction_pointer: u64, stack_pointer: u64, argument: u64) -> Error {
        let call = Call::SpaceJump { space: self.handle(), instruction_pointer, stack_pointer, argument };
        // SAFETY: the caller's promise is the same.
        unsafe { perform_unchecked(call) }.err().unwrap_or(Error::BadCall)
    }

    /// Table bytes, mapped bytes, tag, number of threads inside.
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`).
    pub fn info(&self) -> Result<SpaceInfo, Error> {
        let space = self.handle();
        fill_in(|buffer| Call::SpaceInfo { space, buffer }).map(|(info, _)| info)
    }

    /// Copies the space's memory from `address` on into `bytes`, whether or not a thread runs there.
    ///
    /// # Errors
    /// `MissingRight` (`INSPECT`), `BadAddress` if it is not all readable there.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let buffer = bytes.as_mut_ptr().expose_provenance() as u64;
        let call = Call::MemoryRead { space: self.handle(), address, buffer, length_bytes: bytes.len() as u64 };
        // SAFETY: the kernel writes to `bytes` only, which is borrowed for that.
        unsafe { perform_unchecked(call) }.map(|_| ())
    }
}

impl Cap<Space> {
    /// Copies `bytes` into the space's memory from `address` on, whether or not a thread runs there.
    ///
    /// # Errors
    /// `MissingRight` (`MAP`), `BadAddress` if it is not all writable there.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        let buffer = bytes.as_ptr().expose_provenance() as u64;
        let call = Call::MemoryWrite { space: self.handle(), address, buffer, length_bytes: bytes.len() as u64 };
        perform(call).map(|_| ())
    }
}

/// Switches back when dropped, to the space that was entered by this handle.
pub(crate) struct WayBack(pub(crate) Handle);

impl Drop for WayBack {
    #[inline]
    fn drop(&mut self) {
        let space = if self.0 == Handle::NONE { stack::home() } else { self.0 };
        // Going on in the wrong space would let code see memory that is not its own: better to stop.
        if let Err(error) = perform_short(Call::SpaceSwitch { space }) {
            panic!("the way back from a space is gone: {error}");
        }
    }
}
