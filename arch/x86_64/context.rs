//! Whose registers the CPU holds: which thread's state a trap saves into, and exchanging what traps leave alone.

extern crate alloc;

use alloc::boxed::Box;
use core::mem::offset_of;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{Ordering, compiler_fence};

use x86_64::VirtAddr as MachineAddress;
use x86_64::registers::model_specific::FsBase;

use super::percpu::this;
use super::registers::{
    CALL_BYTES, CALL_MARK, FIRST_FLAGS, GUEST_CALL_MARK, IS_FLOATING_NEW, IS_GUEST, Registers, State,
};
use super::{call_entry, floating, gdt};

impl Registers {
    /// The thread pointer: the FS base.
    pub fn thread_pointer(&self) -> u64 {
        if self.is_current() { gdt::user_bases()[0] } else { self.bases[0] }
    }

    /// Sets the thread pointer; also in the CPU if the context is current.
    ///
    /// # Panics
    /// If the value is not canonical: the caller must have checked that it is a user address.
    pub fn set_thread_pointer(&mut self, value: u64) {
        let address = MachineAddress::try_new(value).expect("a thread pointer is a user address");
        self.bases[0] = value;
        if self.is_current() {
            FsBase::write(address);
        }
    }

    fn is_current(&self) -> bool {
        // Registers are the first field of a state.
        core::ptr::addr_eq(this().current.get(), self)
    }
}

/// Everything of a thread that lives in CPU registers.
///
/// Data segment selectors are no part of it: a program may load the few that exist, but finds null again after
/// another thread has run, or a handler.
pub struct ThreadContext {
    state: NonNull<State>,
}

// SAFETY: a context owns its state; nothing in it belongs to the CPU it was made on. A current context is used by
// the one CPU on which it is current, which `resume_context` and the owner's locks see to.
unsafe impl Send for ThreadContext {}

impl ThreadContext {
    /// The block of kernel heap that a context takes.
    pub const LAYOUT: core::alloc::Layout = core::alloc::Layout::new::<State>();

    /// A context in its first state: all registers zero, user mode, interrupts on, floating point as the ABI wants it.
    #[inline(never)]
    pub fn new() -> ThreadContext {
        // Made where it stays, but for the floating point, which nobody reads before it was written.
        let mut state = Box::<State>::new_uninit();
        let place = state.as_mut_ptr();
        // SAFETY: the block is as large as a state; what is not written here need not be.
        let mut state = unsafe {
            clear(&raw mut (*place).registers);
            (&raw mut (*place).marks).write(IS_FLOATING_NEW);
            (&raw mut (*place).steps).write(false);
            state.assume_init()
        };
        let frame = &mut state.registers.frame;
        (frame.cs, frame.ss, frame.rflags) = (u64::from(gdt::USER_CODE), u64::from(gdt::USER_DATA), FIRST_FLAGS);
        ThreadContext { state: NonNull::from(Box::leak(state)) }
    }

    /// All that is saved. The context is not current, or the CPU's own registers do not matter.
    pub(super) fn state(&self) -> &State {
        // SAFETY: as for `registers`.
        unsafe { self.state.as_ref() }
    }

    /// The same, to be changed.
    pub(super) fn state_mut(&mut self) -> &mut State {
        // SAFETY: as for `registers_mut`.
        unsafe { self.state.as_mut() }
    }

    /// The general registers, as of the last entry into the kernel.
    pub fn registers(&self) -> &Registers {
        // SAFETY: the state lives as long as the context. The entry code writes it only between a return to
        // user mode and the next trap, when no kernel code runs on this CPU, hence none holds the reference.
        unsafe { &self.state.as_ref().registers }
    }

    /// Makes the floating-point and SIMD registers, their control words included, what a new thread finds in them. The
    /// context is not current: else the CPU would keep its own.
    pub fn reset_floating_point(&mut self) {
        debug_assert!(this().current.get() != self.state.as_ptr(), "a current context's registers are the CPU's");
        // SAFETY: as for `registers_mut`.
        unsafe { self.state.as_mut().marks |= IS_FLOATING_NEW }
    }

    /// The general registers, to be changed.
    pub fn registers_mut(&mut self) -> &mut Registers {
        // SAFETY: as for `registers`; the exclusive borrow of the context makes this one exclusive.
        unsafe { &mut self.state.as_mut().registers }
    }
}

impl Default for ThreadContext {
    fn default() -> ThreadContext {
        ThreadContext::new()
    }
}

impl Drop for ThreadContext {
    /// # Panics
    /// If the context is current on this CPU: the entry code would go on writing to freed memory. What other CPUs have is
    /// theirs to look at; the owner has left the context there.
    fn drop(&mut self) {
        assert!(this().current.get() != self.state.as_ptr(), "a current context was dropped");
        // SAFETY: the state came from a box, and no CPU saves into it any more, as just checked for this one.
        drop(unsafe { Box::from_raw(self.state.as_ptr()) });
    }
}

/// Makes registers all zero. In pieces: for one that is so long the compiler would call a routine that takes longer.
///
/// # Safety
/// 1. The place is valid for writing.
#[inline(always)]
unsafe fn clear(place: *mut Registers) {
    const PIECES: usize = 3;
    const WORDS: usize = size_of::<Registers>() / 8 / PIECES;
    const { assert!(WORDS * PIECES * 8 == size_of::<Registers>(), "pieces are alike") };
    for piece in 0..PIECES {
        // SAFETY: the caller's promise; all pieces together are as long as the registers.
        unsafe { place.cast::<[u64; WORDS]>().add(piece).write([0; WORDS]) };
        compiler_fence(Ordering::SeqCst);
    }
}

/// Makes traps save into `context` from now on, and the return to user mode resume it.
///
/// The registers that the entry code leaves alone (floating point, FS and GS base) are exchanged at once.
#[inline(always)]
pub fn resume_context(context: &ThreadContext) {
    let cpu = this();
    let (current, next) = (cpu.current.get(), context.state.as_ptr());
    if current == next {
        return;
    }
    let old = save_floating(current);
    // SAFETY: the state is alive, and no CPU uses it: the kernel runs a thread on one CPU at a time.
    let state = unsafe { &*next };
    let old_marks = old.as_ref().map_or(0, |old| old.marks);
    if state.marks | old_marks == 0 {
        // SAFETY: what is not new was saved when it was left, or is a guest's.
        unsafe { state.floating.assume_init_ref() }.load();
    } else if old_marks == 0 {
        load_marked(state);
    } else {
        exchange_marked(current, state);
    }
    // Canonical, as read from a current context or by `set_thread_pointer`: else it would be a fault of the kernel here.
    gdt::exchange_user_segments(cpu, state.registers.bases, old.map(|old| &mut old.registers.bases));
    cpu.current.set(next);
    cpu.set_frame_end(frame_end(next));
}

/// The same for a context with whose registers a handler begins: as those of a new thread, bases included, but for the general ones, which
/// `begin_handler` sets. What is saved in it means nothing. The one in the place of which it comes is current.
#[inline(always)]
pub fn begin_context(context: &mut ThreadContext, old: &mut ThreadContext) {
    let (cpu, next, old) = (this(), context.state.as_ptr(), old.state_mut());
    debug_assert!(cpu.current.get() == &raw mut *old, "a handler begins in the place of a thread");
    cpu.current.set(next);
    cpu.set_frame_end(frame_end(next));
    // Guests have contexts of their own, so it was none's.
    context.state_mut().marks = IS_FLOATING_NEW;
    floating::save(&mut old.floating);
    floating::FIRST.load();
    if old.marks != 0 {
        leave_out_of_line(&mut old.marks);
    }
    gdt::exchange_user_segments(cpu, [0; 2], Some(&mut old.registers.bases));
}

/// Where the registers of a state end.
#[inline(always)]
fn frame_end(state: *const State) -> u64 {
    state.addr() as u64 + offset_of!(State, floating) as u64
}

#[cold]
#[inline(never)]
fn leave_out_of_line(marks: &mut u8) {
    leave_marked(marks);
}

/// The same in the place of a context whose registers mean nothing from here on, and whose system calls come in as a thread's: nothing
/// of it is saved.
#[inline(always)]
pub fn resume_over(context: &ThreadContext) {
    let (cpu, next) = (this(), context.state.as_ptr());
    // SAFETY: as in `resume_context`.
    let state = unsafe { &*next };
    cpu.current.set(next);
    cpu.set_frame_end(frame_end(next));
    if state.marks == 0 {
        // SAFETY: what is not new was saved when it was left.
        unsafe { state.floating.assume_init_ref() }.load();
    } else {
        load_marked(state);
    }
    gdt::set_user_segments(cpu, state.registers.bases);
}

/// Does what the marks of the state before ask for, and loads the floating point of this one.
#[cold]
#[inline(never)]
fn exchange_marked(current: *mut State, state: &State) {
    // SAFETY: it has marks, so it is there, and as in `save_floating`.
    leave_marked(unsafe { &mut (*current).marks });
    load_marked(state);
}

/// Loads the floating point of a state, and does what its marks ask for.
#[inline(never)]
fn load_marked(state: &State) {
    if state.marks & IS_FLOATING_NEW != 0 {
        floating::FIRST.load();
    } else {
        // SAFETY: as in `resume_context`; a guest's has been there from the beginning.
        unsafe { state.floating.assume_init_ref() }.load();
    }
    if state.marks & IS_GUEST != 0 {
        call_entry::choose(true);
    }
}

/// Takes the current context back to before the system call by which it came in, so that it makes the call again,
/// with its arguments as they were if no result was set.
///
/// # Panics
/// If there is no current context, or it came in otherwise.
pub fn restart_call() {
    let current = this().current.get();
    assert!(!current.is_null(), "no thread made a call");
    // SAFETY: as in `save_floating`.
    let frame = unsafe { &mut (*current).registers.frame };
    assert!(matches!(frame.vector, CALL_MARK | GUEST_CALL_MARK), "the thread did not come in by a call");
    frame.rip -= CALL_BYTES;
}

/// Leaves the CPU without a current context; what it held in registers is saved.
pub fn leave_context() {
    if let Some(state) = save_floating(this().current.get()) {
        leave_marked(&mut state.marks);
        state.registers.bases = gdt::user_bases();
    }
    forget_current();
}

/// Saves the floating point of a state that is current, if there is one; gives it, for its bases, and for what its marks ask for.
#[inline(always)]
fn save_floating(current: *mut State) -> Option<&'static mut State> {
    if current.is_null() {
        return None;
    }
    // SAFETY: the current context's state is alive (its drop looks) and only this CPU uses it; the
    // kernel holds no reference to it across this call, as it reaches it through the context's owner. The place is used
    // before this CPU lets the context go.
    let state = unsafe { &mut *current };
    floating::save(&mut state.floating);
    Some(state)
}

/// Does what the marks of a state ask for that is left, after its floating point was saved.
#[inline(always)]
fn leave_marked(marks: &mut u8) {
    *marks &= !IS_FLOATING_NEW;
    if *marks & IS_GUEST != 0 {
        call_entry::choose(false);
    }
}

fn forget_current() {
    let cpu = this();
    cpu.current.set(null_mut());
    // A trap from user mode cannot come now. If it did, pushing there would fault and be reported.
    cpu.set_frame_end(0);
}
