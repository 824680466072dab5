//! Threads that run a closure.

use crate::raw::STACK_ENTRY_BIAS_BYTES;
use crate::stack::{self, Header, Stack};
use crate::thread::{self, Thread};
use crate::{Cap, Enterable, Space, program};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr;
use tessera_abi::layout::program::STACK_BYTES;
use tessera_abi::{Error, Handle};

/// Starts a thread on a closure, in the space that the calling thread started in.
///
/// ```no_run
/// use libvas::thread;
///
/// let thread = thread::spawn(|| (1..=4).product::<u64>())?;
/// assert_eq!(thread.join()?, 24);
/// # Ok::<(), libvas::Error>(())
/// ```
///
/// # Errors
/// As [`Builder::spawn`].
pub fn spawn<F, T>(body: F) -> Result<JoinHandle<T>, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(body)
}

/// Starts a thread on a closure, in `space`, which must hold the program subtree ([`crate::Program::new_space`]):
/// in another it faults at its first instruction, and joining it gives `Faulted`.
///
/// # Errors
/// As [`Builder::spawn`].
pub fn spawn_in<F, T>(space: &Cap<impl Enterable>, body: F) -> Result<JoinHandle<T>, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().space(space).spawn(body)
}

/// How a thread is to be started: its space, priority, stack and name.
///
/// ```no_run
/// use libvas::{program, thread};
///
/// let space = program().new_space()?;
/// let thread = thread::Builder::new().space(&space).priority(1).name("worker").spawn(|| ())?;
/// thread.join()?;
/// # Ok::<(), libvas::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Builder<'a> {
    space: Option<Handle>,
    priority: Option<u64>,
    cpus: Option<u64>,
    stack_bytes: u64,
    name: &'a str,
}

impl Default for Builder<'_> {
    fn default() -> Self {
        Builder { space: None, priority: None, cpus: None, stack_bytes: STACK_BYTES, name: "" }
    }
}

impl<'a> Builder<'a> {
    /// A thread in the caller's own first space, of the caller's first priority, with 64 KiB of stack, unnamed.
    pub fn new() -> Builder<'a> {
        Builder::default()
    }

    /// Starts it in this space.
    pub fn space(self, space: &'a Cap<impl Enterable>) -> Builder<'a> {
        Builder { space: Some(space.handle()), ..self }
    }

    /// Gives it this priority: 0 to 31, at most the caller's own.
    pub fn priority(self, priority: u64) -> Builder<'a> {
        Builder { priority: Some(priority), ..self }
    }

    /// Lets it run on these CPUs only: bit n for CPU n.
    pub fn cpus(self, cpus: u64) -> Builder<'a> {
        Builder { cpus: Some(cpus), ..self }
    }

    /// Gives it a stack of this size in bytes, rounded up to pages; below 2 MiB.
    pub fn stack_bytes(self, stack_bytes: u64) -> Builder<'a> {
        Builder { stack_bytes, ..self }
    }

    /// Names it: at most 32 bytes.
    pub fn name(self, name: &'a str) -> Builder<'a> {
        Builder { name, ..self }
    }

    /// Starts it.
    ///
    /// A thread that is stopped within this call may leave behind what it was making, until the program ends: one of
    /// the 1024 stacks, a thread that never starts, a slot of the capability table.
    ///
    /// # Errors
    /// `BadArgument` for a priority, a set of CPUs or a stack size out of range or a closure that needs more than half
    /// of the stack, `BadText` for a long name, `LimitReached` beyond 1024 threads, `MissingRight` (`SWITCH`) for the
    /// space, `AccountExhausted`, `OutOfMemory`, `TableFull`.
    pub fn spawn<F, T>(self, body: F) -> Result<JoinHandle<T>, Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (thread, priority) = self.make_thread()?;
        let home = self.space.unwrap_or_else(stack::home).bits();
        let own = thread.handle().bits();
        let stack = Stack::new(self.stack_bytes, Header { home, priority, thread: own, is_within: 0 })?;
        let packet = Packet::place(&stack, body)?;
        let entry = run::<F, T> as *const () as usize as u64;
        let stack_pointer = packet as u64 - STACK_ENTRY_BIAS_BYTES;
        // SAFETY: `run` is this program's code and the stack below the packet is mapped and given to this thread.
        let started = unsafe { thread.start(entry, stack_pointer, packet as u64) };
        if let Err(error) = started {
            // SAFETY: no thread has begun, so the packet is still this thread's, and is not used again.
            unsafe { packet.drop_in_place() };
            return Err(error);
        }
        // SAFETY: the packet is on the stack, which lives on in the join handle.
        let result = unsafe { &raw mut (*packet).result };
        let parts = Parts { result: result.expose_provenance(), thread, _stack: stack };
        Ok(JoinHandle { parts: ManuallyDrop::new(parts), result: PhantomData })
    }

    /// Makes the thread; gives its priority too.
    fn make_thread(&self) -> Result<(Cap<Thread>, u64), Error> {
        if let Some(priority) = self.priority {
            return Ok((self.make_thread_of(priority)?, priority));
        }
        let priority = stack::first_priority()?;
        match self.make_thread_of(priority) {
            // The first thread's may have been lowered since.
            Err(Error::BadArgument) if stack::header().is_none() => {
                let priority = stack::ask_first_priority()?;
                Ok((self.make_thread_of(priority)?, priority))
            }
            made => Ok((made?, priority)),
        }
    }

    fn make_thread_of(&self, priority: u64) -> Result<Cap<Thread>, Error> {
        // Lent, whoever owns it: this thread its home space, or the caller the one it named.
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(self.space.unwrap_or_else(stack::home)));
        let thread = Thread::new(program().account(), program().table(), &*space, priority)?;
        if !self.name.is_empty() {
            thread.set_name(self.name)?;
        }
        if let Some(cpus) = self.cpus {
            thread.set_affinity(cpus)?;
        }
        Ok(thread)
    }
}

/// What a thread is given and what it leaves, at the top of its stack.
struct Packet<F, T> {
    body: Option<F>,
    result: Option<T>,
}

impl<F: FnOnce() -> T, T> Packet<F, T> {
    /// Writes a packet to the top of a stack.
    fn place(stack: &Stack, body: F) -> Result<*mut Packet<F, T>, Error> {
        let size_bytes = size_of::<Packet<F, T>>() as u64;
        let alignment = align_of::<Packet<F, T>>().max(16) as u64;
        if size_bytes + alignment > stack.length_bytes() / 2 {
            return Err(Error::BadArgument);
        }
        let address = (stack.top() - size_bytes) & !(alignment - 1);
        let packet: *mut Packet<F, T> = ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: the place is aligned and inside the stack, which is mapped and which no thread uses yet.
        unsafe { packet.write(Packet { body: Some(body), result: None }) };
        Ok(packet)
    }
}

/// Where a spawned thread begins.
extern "C" fn run<F: FnOnce() -> T, T>(packet: *mut Packet<F, T>) -> ! {
    // SAFETY: until this thread has ended, nobody else touches the packet, which lies above its stack.
    let packet = unsafe { &mut *packet };
    packet.result = packet.body.take().map(|body| body());
    thread::exit(0)
}

/// The right to wait for a spawned thread and take its result. Dropping it lets the thread run on; thread and
/// stack, one of 1024, then stay until the program ends; so they do if whoever holds the handle is stopped.
#[derive(Debug)]
pub struct JoinHandle<T> {
    parts: ManuallyDrop<Parts>,
    result: PhantomData<fn() -> T>,
}

#[derive(Debug)]
struct Parts {
    /// The address of the packet's `result`.
    result: usize,
    // Declared before the stack, so that it is gone before the ground under it is.
    thread: Cap<Thread>,
    _stack: Stack,
}

impl<T> JoinHandle<T> {
    /// Waits until the thread has ended and returns what its closure did.
    ///
    /// # Errors
    /// `Faulted` if it stopped by a fault; `Gone` if it ended otherwise without a result: by a panic, by
    /// [`thread::exit`], or because it was stopped. `Deadlock` from the thread itself.
    ///
    /// In all these cases the stack is unmapped, and nothing that was on it has been dropped; of what the thread
    /// owned on the heap nothing comes back.
    pub fn join(mut self) -> Result<T, Error> {
        // SAFETY: taken once: `self` is consumed, and dropping a `ManuallyDrop` does nothing.
        let parts = unsafe { ManuallyDrop::take(&mut self.parts) };
        let ended = parts.thread.join();
        if let Err(error) = ended
            && !matches!(error, Error::Faulted | Error::Gone)
        {
            // The thread may still run: its stack must stay.
            core::mem::forget(parts);
            return Err(error);
        }
        ended?;
        let result: *mut Option<T> = ptr::with_exposed_provenance_mut(parts.result);
        // SAFETY: the thread has ended, so the packet on its stack, still mapped, is this thread's alone.
        unsafe { (*result).take() }.ok_or(Error::Gone)
    }

    /// The thread itself, for its priority, state or end.
    pub fn thread(&self) -> &Cap<Thread> {
        &self.parts.thread
    }
}
