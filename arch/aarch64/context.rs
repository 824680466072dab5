//! Whose registers the CPU holds: which thread's state a trap saves into, and exchanging what traps leave alone.
//!
//! A thread that has not used the vector registers yet has nothing in them to be saved: while it runs, user mode is kept from
//! them, and they hold what a new thread finds, not what another left. Its first use traps, and they are its own from then
//! on. Between threads that use them they are exchanged when the thread changes, not later.

use alloc::boxed::Box;
use core::ptr::{self, NonNull};
use core::sync::atomic::{Ordering, compiler_fence};

use super::percpu::{self, PerCpu};
use super::registers::{CALL_BYTES, Registers, SavedState, USER_PSTATE};
use super::{call_entry, floating};

/// A thread's saved state, in memory of its own that does not move.
#[derive(Debug)]
pub struct ThreadContext {
    state: NonNull<SavedState>,
}

// SAFETY: the state is owned by this value alone; the entry code of the CPU on which it is current writes to it
// only while that CPU is in user mode, when no reference from `registers` or `registers_mut` is alive there.
unsafe impl Send for ThreadContext {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for ThreadContext {}

impl ThreadContext {
    /// The block of kernel heap that a context takes.
    pub const LAYOUT: core::alloc::Layout = core::alloc::Layout::new::<SavedState>();

    /// A fresh user-mode state: all registers zero, interrupts enabled.
    #[allow(clippy::new_without_default, reason = "making one allocates; nobody should get it by accident")]
    #[inline(never)]
    pub fn new() -> ThreadContext {
        // Made where it stays, but for the vector registers, which nobody reads before they were written.
        let mut state = Box::<SavedState>::new_uninit();
        let place = state.as_mut_ptr();
        // SAFETY: the block is as large as a state; what is not written here need not be.
        let mut state = unsafe {
            clear(&raw mut (*place).registers);
            state.assume_init()
        };
        (state.registers.flags, state.registers.is_floating_new) = (USER_PSTATE, true);
        ThreadContext { state: NonNull::from(Box::leak(state)) }
    }

    /// All that is saved. The context is not current, or the CPU's own registers do not matter.
    pub(super) fn state(&self) -> &SavedState {
        // SAFETY: as in `registers`.
        unsafe { self.state.as_ref() }
    }

    /// The same, to change.
    pub(super) fn state_mut(&mut self) -> &mut SavedState {
        // SAFETY: as in `registers_mut`.
        unsafe { self.state.as_mut() }
    }

    /// Makes the vector registers, floating-point control and status included, what a new thread finds in them. The thread
    /// is current nowhere: else the CPU would keep its own.
    pub fn reset_floating_point(&mut self) {
        debug_assert!(!percpu::is_current_anywhere(self.state.as_ptr()), "a current context's registers are the CPU's");
        // SAFETY: the pointer is to a live allocation of our own, and no CPU uses it.
        let state = unsafe { self.state.as_mut() };
        if state.registers.is_guest {
            // Whose system calls come in otherwise is never new.
            state.floating.write(floating::FIRST.clone());
        } else {
            state.registers.is_floating_new = true;
        }
    }

    /// Whether traps of the calling CPU save here.
    pub(super) fn is_current_here(&self) -> bool {
        ptr::eq(percpu::current().context.load(Ordering::Relaxed), self.state.as_ptr())
    }

    /// The general registers.
    pub fn registers(&self) -> &Registers {
        // SAFETY: the pointer is to a live allocation of our own, and kernel code runs with the thread stopped.
        unsafe { &self.state.as_ref().registers }
    }

    /// The general registers, to change.
    pub fn registers_mut(&mut self) -> &mut Registers {
        // SAFETY: as in `registers`; `&mut self` makes the reference unique.
        unsafe { &mut self.state.as_mut().registers }
    }
}

impl Drop for ThreadContext {
    /// # Panics
    /// If the context is current on a CPU: the entry code would go on writing to freed memory.
    fn drop(&mut self) {
        assert!(!percpu::is_current_anywhere(self.state.as_ptr()), "a current context was dropped");
        // SAFETY: the pointer came from `Box::leak` in `new` and is given back once, here.
        drop(unsafe { Box::from_raw(self.state.as_ptr()) });
    }
}

/// Makes registers all zero. In pieces: for one that is so long the compiler would call a routine that takes longer.
///
/// # Safety
/// 1. The place is valid for writing.
#[inline(always)]
unsafe fn clear(place: *mut Registers) {
    const PIECES: usize = 6;
    const WORDS: usize = size_of::<Registers>() / 8 / PIECES;
    const { assert!(WORDS * PIECES * 8 == size_of::<Registers>(), "pieces are alike") };
    for piece in 0..PIECES {
        // SAFETY: the caller's promise; all pieces together are as long as the registers.
        unsafe { place.cast::<[u64; WORDS]>().add(piece).write([0; WORDS]) };
        compiler_fence(Ordering::SeqCst);
    }
}

/// Makes a context the current one: traps save into it, and the return to user mode resumes it.
#[inline(always)]
pub fn resume_context(context: &ThreadContext) {
    let (block, next) = (percpu::current(), context.state.as_ptr());
    let previous = block.context.load(Ordering::Relaxed);
    if ptr::eq(previous, next) {
        return;
    }
    // Only this CPU writes it: no need to do both at one stroke.
    block.context.store(next, Ordering::Relaxed);
    save_previous(previous);
    load_floating(block, next);
}

/// The same for a context with whose registers a handler begins: as those of a new thread, but for the general ones and the thread pointer,
/// which `begin_handler` sets. What is saved in it means nothing. The one in the place of which it comes is current.
#[inline(always)]
pub fn begin_context(context: &mut ThreadContext, old: &mut ThreadContext) {
    debug_assert!(old.is_current_here(), "a handler begins in the place of a thread");
    let block = percpu::current();
    context.registers_mut().is_floating_new = true;
    block.context.store(context.state.as_ptr(), Ordering::Relaxed);
    // Only who has used the vector registers has leave to.
    if block.grants_floating.load(Ordering::Relaxed) {
        save_used(old.state.as_ptr());
        load_first();
    }
}

/// The same in the place of a context whose registers mean nothing from here on, and whose system calls come in as a thread's: nothing
/// of it is saved.
#[inline(always)]
pub fn resume_over(context: &ThreadContext) {
    let (block, next) = (percpu::current(), context.state.as_ptr());
    block.context.store(next, Ordering::Relaxed);
    load_floating(block, next);
}

/// Sees to a thread's first use of the vector registers; gives whether that is why it came into the kernel.
pub(super) fn begin_floating_point() -> bool {
    let block = percpu::current();
    // SAFETY: the exception came from user mode, so there is a current context, which nobody else refers to now.
    let registers = unsafe { &mut (*block.context.load(Ordering::Relaxed)).registers };
    if !registers.is_floating_new {
        return false;
    }
    registers.is_floating_new = false;
    block.grants_floating.store(true, Ordering::Relaxed);
    floating::grant(true);
    true
}

/// Makes the vector registers those of a context that is resumed; the ones of the context before are saved.
#[inline(always)]
fn load_floating(block: &PerCpu, next: *const SavedState) {
    // SAFETY: the state is alive, as its owner calls.
    let is_new = unsafe { (*next).registers.is_floating_new };
    let was_granted = block.grants_floating.load(Ordering::Relaxed);
    // Between two threads of which neither uses them, nothing is to be done.
    if !is_new {
        load_own(next, was_granted);
    } else if was_granted {
        load_first();
    }
}

/// The same where the next one has used them. Out of line, as what follows is, so that those who use none pay nothing for it.
#[inline(never)]
fn load_own(next: *const SavedState, was_granted: bool) {
    // SAFETY: what is not new was saved when it was left, and is nowhere else.
    unsafe { floating::load((&raw const (*next).floating).cast()) };
    if !was_granted {
        percpu::current().grants_floating.store(true, Ordering::Relaxed);
        floating::grant(true);
    }
    // SAFETY: the state is alive, as in `load_floating`.
    let (is_guest, steps) = unsafe { ((*next).registers.is_guest, (*next).registers.steps) };
    if is_guest {
        call_entry::choose(true, steps);
    }
}

/// The same where the one before has used them, and the next one has not. A guest's are never new.
#[inline(never)]
fn load_first() {
    // SAFETY: a static is there for ever, and what the registers held was saved, or is needed by nobody.
    unsafe { floating::load(&raw const floating::FIRST) };
    percpu::current().grants_floating.store(false, Ordering::Relaxed);
    floating::grant(false);
}

/// Leaves the current context, if any: there is none until `resume_context` names one.
pub fn leave_context() {
    save_previous(percpu::current().context.swap(ptr::null_mut(), Ordering::Relaxed));
}

/// Takes the current context, which came in by a system call, back to before the call instruction: it makes the call
/// again when it goes on, with the arguments as they were, unless `set_result` was called.
///
/// # Panics
/// If there is no current context.
pub fn restart_call() {
    let current = NonNull::new(percpu::current().context.load(Ordering::Relaxed)).expect("no call to restart");
    // SAFETY: the current context is alive (`drop` checks), and its thread is stopped in this call on this CPU; no
    // reference to its registers is held across a call into here.
    unsafe { (*current.as_ptr()).registers.instruction_pointer -= CALL_BYTES };
}

fn save_previous(previous: *mut SavedState) {
    if !previous.is_null() {
        // SAFETY: a context is left before it is dropped (`drop` checks), so the state is alive.
        if !unsafe { (*previous).registers.is_floating_new } {
            save_used(previous);
        }
    }
}

/// Saves vector registers that were used; if they are a guest's, system calls are a thread's from here on.
#[inline(never)]
fn save_used(previous: *mut SavedState) {
    // SAFETY: as in `save_previous`, and the registers still hold this thread's values, because the kernel does not use them.
    unsafe { floating::save((&raw mut (*previous).floating).cast()) };
    // SAFETY: the same.
    if unsafe { (*previous).registers.is_guest } {
        call_entry::choose(false, false);
    }
}
