//! Sending threads to bare functions: by a start, a jump or a fallback.

use alloc::boxed::Box;
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::{Cap, Enterable, Error, TOP_SLOT_BYTES, Thread, thread};

/// A function that a thread can be sent to; it gets two words and never returns.
type Landing = extern "C" fn(u64, u64) -> !;

/// A stack of 16 KiB on the heap, which is in every space of the program. It must outlive the thread that is sent
/// there, so it is only ever lent for good.
#[derive(Debug)]
pub struct SpareStack(&'static mut [u128; 1024]);

impl SpareStack {
    /// A new stack. Its memory stays taken until the program ends.
    #[allow(clippy::new_without_default, reason = "it takes memory for good, which is nothing to do by default")]
    pub fn new() -> SpareStack {
        SpareStack(Box::leak(Box::new([0; 1024])))
    }

    /// Where the stack pointer stands when a function begins there.
    pub fn top(&self) -> u64 {
        (&raw const *self.0).expose_provenance() as u64 + size_of::<[u128; 1024]>() as u64 - STACK_ENTRY_BIAS_BYTES
    }
}

/// Starts a thread that was made by hand at a function, on a stack of its own.
///
/// # Errors
/// As `Cap::<Thread>::start`.
pub fn start_at(thread: &Cap<Thread>, landing: Landing, stack: SpareStack, argument: u64) -> Result<(), Error> {
    // SAFETY: the function is this program's, and the stack is given away to that thread for good.
    unsafe { thread.start(landing as *const () as usize as u64, stack.top(), argument) }
}

/// Starts a thread that was made by hand at a function, on a stack that its space has of its own.
///
/// # Errors
/// As `Cap::<Thread>::start`; `BadAddress` for a stack pointer that lies in the program's own memory.
pub fn start_on(thread: &Cap<Thread>, landing: Landing, stack_pointer: u64) -> Result<(), Error> {
    if stack_pointer < TOP_SLOT_BYTES {
        return Err(Error::BadAddress);
    }
    // SAFETY: the function is this program's. Above the program subtree there is no Rust object that the thread
    // could damage; if there is no memory at all, it faults.
    unsafe { thread.start(landing as *const () as usize as u64, stack_pointer, 0) }
}

/// Sends the calling thread to a function, on another stack in another space; comes back only if that is refused.
pub fn jump_to(space: &Cap<impl Enterable>, landing: Landing, stack: SpareStack, argument: u64) -> Error {
    // SAFETY: as in `start_at`. What is on the stack left behind is never used again: the function does not return,
    // and whoever joins the thread learns that it gave no result.
    unsafe { space.jump(landing as *const () as usize as u64, stack.top(), argument) }
}

/// Makes a function what the calling thread falls back to.
///
/// # Errors
/// As `thread::set_fallback`.
pub fn set_fallback(space: &Cap<impl Enterable>, landing: Landing, stack: SpareStack) -> Result<(), Error> {
    // SAFETY: as in `jump_to`, at whatever moment.
    unsafe { thread::set_fallback(space, landing as *const () as usize as u64, stack.top()) }
}
