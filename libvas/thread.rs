//! Threads: the kernel objects, and what a thread does about itself. [`spawn`] starts one on a closure.

use crate::call::{fill_in, perform, perform_unchecked};
use crate::{Account, Cap, CapTable, Enterable, stack};
use tessera_abi::layout::ThreadInfo;
use tessera_abi::{Call, Error, Handle};

pub use crate::clock::sleep;
pub use crate::spawn::{Builder, JoinHandle, spawn, spawn_in};
pub use tessera_abi::layout::ThreadState;

/// A thread of execution.
#[derive(Debug)]
pub enum Thread {}

impl Thread {
    /// Makes a thread that has not started: it will use the handles of `table` and begin in `space`. Priority is
    /// 0 to 31, at most the caller's own.
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE`, `CONTROL`, `SWITCH`), `BadArgument`, `AccountExhausted`, `OutOfMemory`,
    /// `TableFull`.
    pub fn new(
        account: &Cap<Account>,
        table: &Cap<CapTable>,
        space: &Cap<impl Enterable>,
        priority: u64,
    ) -> Result<Cap<Thread>, Error> {
        let (account, table, space) = (account.handle(), table.handle(), space.handle());
        let bits = perform(Call::ThreadCreate { account, table, space, priority })?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }
}

impl Cap<Thread> {
    /// Starts a new thread at `instruction_pointer` with `stack_pointer` and one function argument.
    ///
    /// # Errors
    /// `MissingRight` (`REGISTERS`), `BadAddress`, `BadState` if it was started before.
    ///
    /// # Safety
    /// If the space that it starts in holds this program: code that may run there lies at `instruction_pointer`,
    /// and a stack that nobody else uses below `stack_pointer`, aligned as
    /// [`crate::raw::STACK_ENTRY_BIAS_BYTES`] says.
    pub unsafe fn start(&self, instruction_pointer: u64, stack_pointer: u64, argument: u64) -> Result<(), Error> {
        let call = Call::ThreadStart { thread: self.handle(), instruction_pointer, stack_pointer, argument };
        // SAFETY: the caller's promise is the same.
        unsafe { perform_unchecked(call) }.map(|_| ())
    }

    /// Waits until the thread has ended; returns its exit code.
    ///
    /// # Errors
    /// `MissingRight` (`WAIT`), `Deadlock` for the caller itself, `LimitReached` behind more than 1,024 threads that
    /// wait for each other in a row, `Faulted` if it stopped by a fault, `Gone` if it was stopped or destroyed.
    pub fn join(&self) -> Result<u64, Error> {
        perform(Call::ThreadJoin { thread: self.handle() })
    }

    /// State, priority, space, last instruction pointer.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn info(&self) -> Result<ThreadInfo, Error> {
        let thread = self.handle();
        fill_in(|buffer| Call::ThreadInfo { thread, buffer }).map(|(info, _)| info)
    }

    /// Ends the thread wherever it is, between any two instructions; joiners get `Gone`. One that has ended stays as
    /// it is. When the call returns, the thread runs no more.
    ///
    /// The same goes for a thread that faults, panics or exits with something in hand:
    ///
    /// * **The others go on.** They allocate, print, spawn, join, open windows: nothing in libvas and `rt` waits for
    ///   a thread that has ended.
    /// * **What it had stays taken** until the program ends, since nothing on its stack is dropped: memory on the heap,
    ///   capabilities, a [`Window`](crate::Window), and what it was just taking or giving back (a block of memory,
    ///   one of the 256 windows, one of the 1024 stacks). Whoever stops threads that open windows or spawn runs
    ///   out of these in the end.
    /// * **A [`Mutex`](crate::sync::Mutex) that it was in** shows its value to nobody any more: `lock` panics, and
    ///   `lock_or_renew` goes on with a new value. Locks of other crates wait for ever.
    /// * **Its stack is unmapped** when it is joined. Nothing safe can point there from another thread; unsafe code that
    ///   counts on a destructor to run before a stack goes (pinned values, scopes) must not be in a thread that is
    ///   stopped.
    ///
    /// To lose none of this, let the thread look at an [`AtomicBool`](core::sync::atomic::AtomicBool) now and then, and
    /// return; then join it.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn stop(&self) -> Result<(), Error> {
        perform(Call::ThreadStop { thread: self.handle() }).map(|_| ())
    }

    /// Sets the priority, 0 to 31, at most the caller's own; returns the old one.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`), `BadArgument`.
    pub fn set_priority(&self, priority: u64) -> Result<u64, Error> {
        perform(Call::ThreadSetPriority { thread: self.handle(), priority })
    }

    /// Sets on which CPUs the thread may run: bit n of `cpus` for CPU n. It moves when it next enters the kernel.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`), `BadArgument` if no running CPU is among them, `WrongCpu` if it is in a space that
    /// is local to a CPU not among them.
    pub fn set_affinity(&self, cpus: u64) -> Result<(), Error> {
        perform(Call::ThreadSetAffinity { thread: self.handle(), cpus }).map(|_| ())
    }
}

/// Ends the calling thread. Nothing on its stack is dropped; see [`Cap::<Thread>::stop`](Cap::stop) for what that
/// means to the others.
///
/// # Panics
/// On a host without a kernel, where nothing ends it.
pub fn exit(code: u64) -> ! {
    let refused = perform(Call::ThreadExit { code });
    panic!("nothing ended the thread: {refused:?}");
}

/// Runs `body`, unless the calling thread is running one here already; says whether it ran. For panic handlers, whose
/// message may panic.
///
/// Threads on stacks that libvas did not make count as one: if several are here at once, only the first runs its body, and
/// none after one has ended within its own.
pub fn unless_nested(body: impl FnOnce()) -> bool {
    stack::unless_nested(body)
}

/// Lets other threads of the same priority run first.
pub fn yield_now() {
    // The call has no errors.
    let _ = perform(Call::YieldNow {});
}

/// Sets the calling thread's thread pointer (x86_64 FS base, aarch64 TPIDR_EL0); gives what it was. libvas itself has no use for it,
/// and keeps it across gate calls.
///
/// # Errors
/// `BadAddress` if it is no user address.
pub fn set_pointer(value: u64) -> Result<u64, Error> {
    perform(Call::ThreadSetPointer { value })
}

/// Sets where the calling thread lands if its space is destroyed under it: `space`, at `instruction_pointer`, with
/// `stack_pointer`, and a number of `FallbackReason` as first function argument.
///
/// # Errors
/// `MissingRight` (`SWITCH`), `BadAddress`.
///
/// # Safety
/// As for [`Cap::<Space>::jump`], at whatever moment the space goes.
pub unsafe fn set_fallback(
    space: &Cap<impl Enterable>,
    instruction_pointer: u64,
    stack_pointer: u64,
) -> Result<(), Error> {
    let call = Call::ThreadSetFallback { space: space.handle(), instruction_pointer, stack_pointer };
    // SAFETY: the caller's promise is the same.
    unsafe { perform_unchecked(call) }.map(|_| ())
}

/// Takes the calling thread's fallback away.
pub fn clear_fallback() {
    let call = Call::ThreadSetFallback { space: Handle::NONE, instruction_pointer: 0, stack_pointer: 0 };
    // SAFETY: the null handle sends the thread nowhere. The call has no errors then.
    let _ = unsafe { perform_unchecked(call) };
}
