//! A thread's registers: the memory that traps save them to, and which thread's they are.

use alloc::boxed::Box;
use core::arch::{asm, naked_asm};
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use super::percpu;

/// PSTATE of user mode: EL0, AArch64, no exception masked but FIQ, which nothing is configured as: one that comes all the
/// same would come again and again (DDI 0487, C5.2.18 "SPSR_EL1"). All else that a program can set in PSTATE (the
/// condition flags, DIT, SSBS, TCO, BTYPE) is its own business; it cannot set what would change its privilege or have the
/// return fail, so what an exception saved is fit to return with.
const USER_PSTATE: u64 = 1 << 6;
/// Length of the instruction `svc`, bytes.
const CALL_BYTES: u64 = 4;

/// The registers that every trap saves. `vectors.rs` knows the layout.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Registers {
    /// x0 to x30.
    pub(super) general: [u64; 31],
    /// SP_EL0.
    pub(super) stack_pointer: u64,
    /// ELR_EL1.
    pub(super) instruction_pointer: u64,
    /// SPSR_EL1.
    pub(super) flags: u64,
    /// TPIDR_EL0.
    pub(super) thread_pointer: u64,
    /// Keeps the size a multiple of 16 bytes.
    padding: u64,
}

impl Registers {
    /// The number of the system call: x8.
    pub fn call_number(&self) -> u64 {
        self.general[8]
    }

    /// The arguments of the system call: x0 to x5.
    pub fn call_arguments(&self) -> [u64; 6] {
        core::array::from_fn(|index| self.general[index])
    }

    /// Sets the result of the system call: x0 and x1.
    pub fn set_result(&mut self, status: u64, value: u64) {
        self.general[0] = status;
        self.general[1] = value;
    }

    /// Where the thread goes on.
    pub fn instruction_pointer(&self) -> u64 {
        self.instruction_pointer
    }

    /// Its stack pointer.
    pub fn stack_pointer(&self) -> u64 {
        self.stack_pointer
    }

    /// Makes the thread go on elsewhere, with two function arguments (x0 and x1) and a fresh PSTATE; all other registers
    /// stay.
    pub fn set_entry(&mut self, instruction_pointer: u64, stack_pointer: u64, arguments: [u64; 2]) {
        self.instruction_pointer = instruction_pointer;
        self.stack_pointer = stack_pointer;
        self.flags = USER_PSTATE;
        self.general[..2].copy_from_slice(&arguments);
    }

    /// The thread pointer, TPIDR_EL0.
    pub fn thread_pointer(&self) -> u64 {
        self.thread_pointer
    }

    /// Sets the thread pointer; the register follows when the thread next returns to user mode.
    pub fn set_thread_pointer(&mut self, value: u64) {
        self.thread_pointer = value;
    }

    const fn user() -> Registers {
        Registers {
            general: [0; 31],
            stack_pointer: 0,
            instruction_pointer: 0,
            flags: USER_PSTATE,
            thread_pointer: 0,
            padding: 0,
        }
    }
}

impl fmt::Display for Registers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, value) in self.general.iter().enumerate() {
            let margin = if number < 10 { " " } else { "" };
            write!(formatter, " {margin}x{number} {value:016x}{}", if number % 4 == 3 { "\n" } else { "" })?;
        }
        write!(
            formatter,
            "  sp {:016x}\n  ip {:016x} psr {:016x} tls {:016x}",
            self.stack_pointer, self.instruction_pointer, self.flags, self.thread_pointer
        )
    }
}

/// The vector registers, which the compiled kernel never touches.
#[repr(C, align(16))]
struct VectorState {
    /// q0 to q31.
    registers: [[u64; 2]; 32],
    /// FPCR: rounding mode and enabled exceptions; zero at the start.
    control: u64,
    /// FPSR: cumulative exceptions; zero at the start.
    status: u64,
}

/// All saved state of a thread.
#[repr(C)]
pub(super) struct SavedState {
    /// Saved and loaded at every trap.
    pub(super) registers: Registers,
    /// Saved and loaded when the current thread changes.
    vectors: VectorState,
}

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
    pub fn new() -> ThreadContext {
        let vectors = VectorState { registers: [[0; 2]; 32], control: 0, status: 0 };
        let state = Box::new(SavedState { registers: Registers::user(), vectors });
        ThreadContext { state: NonNull::from(Box::leak(state)) }
    }

    /// Makes the vector registers, floating-point control and status included, what a new thread finds in them. The thread
    /// is current nowhere: else the CPU would keep its own.
    pub fn reset_floating_point(&mut self) {
        // SAFETY: the pointer is to a live allocation of our own, and no CPU uses it.
        unsafe { self.state.as_mut().vectors = VectorState { registers: [[0; 2]; 32], control: 0, status: 0 } }
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

/// Makes a context the current one: traps save into it, and the return to user mode resumes it.
pub fn resume_context(context: &ThreadContext) {
    let next = context.state.as_ptr();
    let previous = percpu::current().context.swap(next, Ordering::Relaxed);
    if ptr::eq(previous, next) {
        return;
    }
    save_previous(previous);
    // SAFETY: `next` is alive and its vector registers are nowhere else: they were saved when it was left.
    unsafe { load_vectors(&raw const (*next).vectors) };
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
        // SAFETY: a context is left before it is dropped (`drop` checks), so the state is alive, and the vector
        // registers still hold this thread's values because the kernel does not use them.
        unsafe { save_vectors(&raw mut (*previous).vectors) };
    }
}

/// Ends `kernel_main` on a CPU: goes to user mode with the context that `resume_context` named last.
///
/// # Panics
/// If it named none.
pub fn enter_user() -> ! {
    let block = percpu::current();
    assert!(!block.context.load(Ordering::Relaxed).is_null(), "no context to enter user mode with");
    // SAFETY: nothing on the kernel stack is needed any more, as this function does not return; the entry code
    // expects the stack pointer of an empty stack whenever the CPU is in user mode.
    unsafe {
        asm!(
            "mov sp, {top}",
            "b {go}",
            top = in(reg) block.stack_top.load(Ordering::Relaxed),
            go = sym super::vectors::return_to_user,
            options(noreturn)
        )
    }
}

/// Writes q0 to q31, FPCR and FPSR to memory.
///
/// # Safety
/// 1. The pointer is valid for writing.
#[unsafe(naked)]
unsafe extern "C" fn save_vectors(to: *mut VectorState) {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "stp q0, q1, [x0, #0]",
        "stp q2, q3, [x0, #32]",
        "stp q4, q5, [x0, #64]",
        "stp q6, q7, [x0, #96]",
        "stp q8, q9, [x0, #128]",
        "stp q10, q11, [x0, #160]",
        "stp q12, q13, [x0, #192]",
        "stp q14, q15, [x0, #224]",
        "stp q16, q17, [x0, #256]",
        "stp q18, q19, [x0, #288]",
        "stp q20, q21, [x0, #320]",
        "stp q22, q23, [x0, #352]",
        "stp q24, q25, [x0, #384]",
        "stp q26, q27, [x0, #416]",
        "stp q28, q29, [x0, #448]",
        "stp q30, q31, [x0, #480]",
        "mrs x1, fpcr",
        "mrs x2, fpsr",
        "add x0, x0, #512",
        "stp x1, x2, [x0]",
        "ret",
    )
}

/// Loads q0 to q31, FPCR and FPSR from memory.
///
/// # Safety
/// 1. The pointer is valid for reading.
/// 2. Nobody needs the values that the registers hold.
#[unsafe(naked)]
unsafe extern "C" fn load_vectors(from: *const VectorState) {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "ldp q0, q1, [x0, #0]",
        "ldp q2, q3, [x0, #32]",
        "ldp q4, q5, [x0, #64]",
        "ldp q6, q7, [x0, #96]",
        "ldp q8, q9, [x0, #128]",
        "ldp q10, q11, [x0, #160]",
        "ldp q12, q13, [x0, #192]",
        "ldp q14, q15, [x0, #224]",
        "ldp q16, q17, [x0, #256]",
        "ldp q18, q19, [x0, #288]",
        "ldp q20, q21, [x0, #320]",
        "ldp q22, q23, [x0, #352]",
        "ldp q24, q25, [x0, #384]",
        "ldp q26, q27, [x0, #416]",
        "ldp q28, q29, [x0, #448]",
        "ldp q30, q31, [x0, #480]",
        "add x0, x0, #512",
        "ldp x1, x2, [x0]",
        "msr fpcr, x1",
        "msr fpsr, x2",
        "ret",
    )
}
