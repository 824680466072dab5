//! The exception vectors (DDI 0487, D1.3.1.5) and the assembly that leads to Rust and back.
//!
//! While a CPU is in user mode its SP_EL1 is that of an empty kernel stack (`stacks.rs`). Every entry runs with all
//! exceptions masked (the hardware sets PSTATE.DAIF), so the bytes just below the stack pointer are a place
//! to put a register without moving it.

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::Ordering;

use super::percpu::{self, PerCpu};
use super::registers::{Registers, SavedState, USER_PSTATE};
use super::syndrome::CLASS_SHIFT;
use super::trap;
use crate::{UserPlace, upcall};
use tessera_abi::syscall::number;

/// `ESR_EL1.EC` of an SVC instruction in AArch64 state.
const CLASS_SYSTEM_CALL: u64 = 0x15;
/// The number of `space_switch`, whose fast path begins here.
const SPACE_SWITCH: u64 = number::space_switch;

// The assembly below compares with zero for the one and subtracts for the other; and one comparison tells the last three calls from
// all others.
const _: () = assert!(number::null == 0 && SPACE_SWITCH == 1);
const _: () = assert!(number::gate_return == number::gate_call + 1 && number::guest_run == number::gate_return + 1);
// `kernel_fast_switch` and `kernel_quick_call` give two words back in x0 and x1, as the procedure call standard has it.
const _: () = assert!(size_of::<crate::CallResult>() == 16);
// A place is given back in two registers, the instruction pointer first.
const _: () = assert!(size_of::<UserPlace>() == 16 && offset_of!(UserPlace, instruction_pointer) == 0);
const _: () = assert!(offset_of!(SavedState, registers) == 0 && size_of::<Registers>().is_multiple_of(16));
// `stp x30, ...` and `stp elr, spsr` each store two neighbours.
const _: () = assert!(offset_of!(Registers, stack_pointer) == 248 && offset_of!(Registers, flags) == 264);

unsafe extern "C" {
    /// The vector table, for VBAR_EL1.
    static exception_vectors: [u8; 2048];

    /// Resumes the current context of this CPU, whose block x17 points to. Entered by a branch, with SP_EL1 that of an empty kernel
    /// stack.
    fn return_by_block() -> !;
}

/// Points this CPU at the vector table.
pub(super) fn install_vectors() {
    let table = (&raw const exception_vectors).addr();
    // SAFETY: the table is complete and aligned to 2048 bytes, and `percpu::install` ran on this CPU.
    unsafe {
        asm!("msr vbar_el1, {}", "isb", in(reg) table, options(nostack, preserves_flags));
    }
}

/// Ends `kernel_main` on a CPU: goes to user mode with the context that `resume_context` named last.
///
/// # Panics
/// If it named none.
pub fn enter_user() -> ! {
    assert!(!percpu::current().context.load(Ordering::Relaxed).is_null(), "no context to enter user mode with");
    resume_user()
}

/// The same where there is one for certain. If there were none, loading its registers would fault and be reported.
#[inline(always)]
pub fn resume_user() -> ! {
    let block = percpu::current();
    // SAFETY: nothing on the kernel stack is needed any more, as this function does not return; the entry code
    // expects the stack pointer of an empty stack whenever the CPU is in user mode.
    unsafe {
        asm!(
            "mov sp, {top}",
            "b {go}",
            top = in(reg) block.stack_top.load(Ordering::Relaxed),
            in("x17") block,
            go = sym return_by_block,
            options(noreturn)
        )
    }
}

// Sixteen entries of 128 bytes: four kinds (synchronous, IRQ, FIQ, SError) from each of four origins: this level
// with SP_EL0 (never used), this level (a bug of the kernel), AArch64 user mode, AArch32 user mode (never used).
global_asm!(
    ".pushsection .text.vectors, \"ax\"",
    // The kind of exception goes to x17, whose value is kept below the stack pointer.
    ".macro ENTER_FROM_USER kind",
    "    str x17, [sp, #-16]",
    "    mov x17, #\\kind",
    "    b save_and_dispatch",
    ".endm",
    ".macro ENTER_FROM_KERNEL kind",
    "    .balign 128",
    "    msr tpidrro_el0, x17",
    "    mov x17, #\\kind",
    "    b report_kernel_exception",
    ".endm",
    // The thread goes on where x0 and x1 say; in registers that functions lose there is nothing then but a result in x0 and x1.
    ".macro LEAVE_BY_GATE result, second",
    "    mov x4, #{user_state}",
    "    msr elr_el1, x0",
    "    msr sp_el0, x1",
    "    msr spsr_el1, x4",
    "    \\result",
    "    \\second",
    "    ldp x2, x3, [sp, #64]",
    "    ldp x4, x5, [sp, #64]",
    "    ldp x6, x7, [sp, #64]",
    "    ldp x8, x9, [sp, #64]",
    "    ldp x10, x11, [sp, #64]",
    "    ldp x12, x13, [sp, #64]",
    "    ldp x14, x15, [sp, #64]",
    "    ldp x16, x17, [sp, #64]",
    "    ldp x18, x30, [sp], #64",
    ".endm",
    ".balign 2048",
    ".global exception_vectors",
    "exception_vectors:",
    "    ENTER_FROM_KERNEL 0",
    "    ENTER_FROM_KERNEL 1",
    "    ENTER_FROM_KERNEL 2",
    "    ENTER_FROM_KERNEL 3",
    "    ENTER_FROM_KERNEL 0",
    "    ENTER_FROM_KERNEL 1",
    "    ENTER_FROM_KERNEL 2",
    "    ENTER_FROM_KERNEL 3",
    "    .balign 128",
    // Synchronous from user mode. The null call ends here: x0 and x1 zero, x17 zero by the subtraction.
    "    str x17, [sp, #-16]",
    "    mrs x17, esr_el1",
    "    ubfx x17, x17, #{class_shift}, #6",
    "    sub x17, x17, #{system_call}",
    "    cbnz x17, 1f",
    "    cbnz x8, 2f",
    "    mov x0, xzr",
    "    mov x1, xzr",
    "    eret",
    "1:  b save_and_ask_of_fault",
    // `space_switch`: x0 is the handle. The Rust function may clobber x0 to x18 and x30 by the procedure call
    // standard; the ABI lets x0 to x17 be lost, so x18 and x30 are kept, and x0 for the common path. What the kernel
    // left in the others is wiped, by loading the zeros above the empty stack.
    "2:  sub x17, x8, #{space_switch}",
    "    cbnz x17, call_quickly",
    "    stp x18, x30, [sp, #-32]!",
    "    str x0, [sp, #16]",
    "    mrs x1, elr_el1",
    "    mrs x2, sp_el0",
    "    bl {switch}",
    "    ldp x2, x3, [sp, #32]",
    "    ldp x4, x5, [sp, #32]",
    "    ldp x6, x7, [sp, #32]",
    "    ldp x8, x9, [sp, #32]",
    "    ldp x10, x11, [sp, #32]",
    "    ldp x12, x13, [sp, #32]",
    "    ldp x14, x15, [sp, #32]",
    "    ldp x16, x17, [sp, #32]",
    "    cmn x0, #1",
    "    b.eq switch_commonly",
    "    ldp x18, x30, [sp], #32",
    "    eret",
    // No speculation past the return. With these two the entry's 32 instructions are full.
    "    dsb nsh",
    "    isb",
    // An error of the assembler if the entry grew too long.
    "    .org exception_vectors + 0x480",
    "    ENTER_FROM_USER 1",
    "    .balign 128",
    "    ENTER_FROM_USER 2",
    "    .balign 128",
    "    ENTER_FROM_USER 3",
    "    ENTER_FROM_KERNEL 0",
    "    ENTER_FROM_KERNEL 1",
    "    ENTER_FROM_KERNEL 2",
    "    ENTER_FROM_KERNEL 3",
    "    .balign 128",
    // While a guest runs, these serve: its system calls are not the kernel's, whatever they are.
    "    .balign 2048",
    ".global guest_vectors",
    "guest_vectors:",
    "    .rept 2",
    "    ENTER_FROM_KERNEL 0",
    "    ENTER_FROM_KERNEL 1",
    "    ENTER_FROM_KERNEL 2",
    "    ENTER_FROM_KERNEL 3",
    "    .endr",
    "    .balign 128",
    "    str x17, [sp, #-16]",
    "    mrs x17, esr_el1",
    "    ubfx x17, x17, #{class_shift}, #6",
    "    sub x17, x17, #{system_call}",
    "    cbnz x17, 1f",
    "    b leave_guest",
    "1:  b save_and_ask_of_fault",
    "    .balign 128",
    "    ENTER_FROM_USER 1",
    "    .balign 128",
    "    ENTER_FROM_USER 2",
    "    .balign 128",
    "    ENTER_FROM_USER 3",
    "    ENTER_FROM_KERNEL 0",
    "    ENTER_FROM_KERNEL 1",
    "    ENTER_FROM_KERNEL 2",
    "    ENTER_FROM_KERNEL 3",
    "    .balign 128",
    // Other calls, straight to the kernel: it keeps what a function keeps, the rest is wiped, as for the switch. The words
    // of arguments lie in the stack in their order.
    "call_quickly:",
    "    cmp x8, #{gate_call}",
    "    b.hs call_gate",
    "    sub x17, x8, #{yield_number}",
    "    cbz x17, 5f",
    "    stp x18, x30, [sp, #-80]!",
    "    stp x0, x1, [sp, #16]",
    "    stp x2, x3, [sp, #32]",
    "    stp x4, x5, [sp, #48]",
    "    str x8, [sp, #64]",
    "    add x0, sp, #16",
    "    mov x1, x8",
    "    bl {quick_call}",
    "    cmn x0, #1",
    "    b.eq 3f",
    "    ldp x2, x3, [sp, #80]",
    "    ldp x4, x5, [sp, #80]",
    "    ldp x6, x7, [sp, #80]",
    "    ldp x8, x9, [sp, #80]",
    "    ldp x10, x11, [sp, #80]",
    "    ldp x12, x13, [sp, #80]",
    "    ldp x14, x15, [sp, #80]",
    "    ldp x16, x17, [sp, #80]",
    "    ldp x18, x30, [sp], #80",
    "    tbnz x0, #63, 4f",
    "    eret",
    "    dsb nsh",
    "    isb",
    // The call as it came.
    "3:  ldp x0, x1, [sp, #16]",
    "    ldp x2, x3, [sp, #32]",
    "    ldp x4, x5, [sp, #48]",
    "    ldp x6, x7, [sp, #80]",
    "    ldp x9, x10, [sp, #80]",
    "    ldp x11, x12, [sp, #80]",
    "    ldp x13, x14, [sp, #80]",
    "    ldp x15, x16, [sp, #80]",
    "    ldr x8, [sp, #64]",
    "    ldp x18, x30, [sp], #80",
    "    str xzr, [sp, #-16]",
    "    b call_commonly",
    // The call is done, its result in x0 and x1, but something came of it that wants the thread's registers saved.
    "4:  and x0, x0, #0x7fffffffffffffff",
    "    str xzr, [sp, #-16]",
    "    mov x17, #{finish}",
    "    b save_and_dispatch",
    // `yield_now`: saved at once, with the call's result.
    "5:  mov x0, xzr",
    "    mov x1, xzr",
    "    b save_and_yield",
    // `gate_call`, `gate_return`, `guest_run`, and numbers of no call. The words that cross stay where they are, in registers that
    // functions keep.
    "call_gate:",
    "    b.ne return_from_gate",
    "    orr x17, x2, x1, lsr #1",
    "    cbnz x17, call_along",
    "    stp x18, x30, [sp, #-64]!",
    "    stp x0, x1, [sp, #16]",
    "    mrs x2, sp_el0",
    "    mrs x3, elr_el1",
    "    add x1, sp, #32",
    "    bl {gate_path_call}",
    "    tbnz x0, #63, 7f",
    "    LEAVE_BY_GATE \"ldr x0, [sp, #32]\", \"mov x1, xzr\"",
    "    eret",
    "    dsb nsh",
    "    isb",
    "7:  ldp x0, x1, [sp, #16]",
    "    mov x8, #{gate_call}",
    "5:  ldp x2, x3, [sp, #64]",
    "    ldp x4, x5, [sp, #64]",
    "    ldp x6, x7, [sp, #64]",
    "    ldp x9, x10, [sp, #64]",
    "    ldp x11, x12, [sp, #64]",
    "    ldp x13, x14, [sp, #64]",
    "    ldp x15, x16, [sp, #64]",
    "    ldp x18, x30, [sp], #64",
    ".global call_as_it_came",
    "call_as_it_came:",
    "    str xzr, [sp, #-16]",
    "    b call_commonly",
    "10: cmp x8, #{guest_run}",
    "    b.eq run_guest",
    "    b call_as_it_came",
    "return_from_gate:",
    "    cmp x8, #{gate_return}",
    "    b.ne 10b",
    "    cbnz x0, return_along",
    "    stp x18, x30, [sp, #-64]!",
    "    mov x6, x20",
    "    bl {gate_path_return}",
    "    tbnz x0, #63, 8f",
    "    LEAVE_BY_GATE \"ldp x0, x1, [sp, #64]\"",
    "    eret",
    "    dsb nsh",
    "    isb",
    // Either it is for the common path, or it has returned and something came of it.
    "8:  cmn x0, #1",
    "    b.ne 9f",
    "    mov x0, xzr",
    "    mov x1, xzr",
    "    mov x8, #{gate_return}",
    "    b 5b",
    "9:  and x0, x0, #0x7fffffffffffffff",
    "    LEAVE_BY_GATE \"ldp x0, x1, [sp, #64]\"",
    "    str xzr, [sp, #-16]",
    "    mov x17, #{finish}",
    "    b save_and_dispatch",
    // With a capability that goes along, or flags: the words of arguments lie in the stack in their order.
    "call_along:",
    "    stp x18, x30, [sp, #-64]!",
    "    stp x0, x1, [sp, #16]",
    "    stp x2, x3, [sp, #32]",
    "    add x0, sp, #16",
    "    mrs x1, sp_el0",
    "    mrs x2, elr_el1",
    "    bl {gate_call_along}",
    "    mov x8, #{gate_call}",
    "    tbnz x0, #63, 7f",
    "    LEAVE_BY_GATE \"ldr x0, [sp, #16]\", \"ldr x1, [sp, #24]\"",
    "    eret",
    "    dsb nsh",
    "    isb",
    // The call as it came.
    "7:  ldp x0, x1, [sp, #16]",
    "    ldp x2, x3, [sp, #32]",
    "    ldp x4, x5, [sp, #64]",
    "    ldp x6, x7, [sp, #64]",
    "    ldp x9, x10, [sp, #64]",
    "    ldp x11, x12, [sp, #64]",
    "    ldp x13, x14, [sp, #64]",
    "    ldp x15, x16, [sp, #64]",
    "    ldp x18, x30, [sp], #64",
    "    str xzr, [sp, #-16]",
    "    b call_commonly",
    "return_along:",
    "    stp x18, x30, [sp, #-64]!",
    "    stp x0, x1, [sp, #16]",
    "    stp x2, x3, [sp, #32]",
    "    add x0, sp, #16",
    "    bl {gate_return_along}",
    "    mov x8, #{gate_return}",
    "    tbnz x0, #63, 7b",
    "    LEAVE_BY_GATE \"mov x0, xzr\", \"ldr x1, [sp, #16]\"",
    "    eret",
    "    dsb nsh",
    "    isb",
    // The fast path of `space_switch` left it to the common path: there may be locks to be taken or given up; if not, the call
    // again, as it came.
    "switch_commonly:",
    "    ldr x0, [sp, #16]",
    "    mrs x1, elr_el1",
    "    mrs x2, sp_el0",
    "    bl {switch_with_locks}",
    "    ldp x2, x3, [sp, #32]",
    "    ldp x4, x5, [sp, #32]",
    "    ldp x6, x7, [sp, #32]",
    "    ldp x8, x9, [sp, #32]",
    "    ldp x10, x11, [sp, #32]",
    "    ldp x12, x13, [sp, #32]",
    "    ldp x14, x15, [sp, #32]",
    "    ldp x16, x17, [sp, #32]",
    "    cmn x0, #1",
    "    b.eq 1f",
    "    ldp x18, x30, [sp], #32",
    "    eret",
    "    dsb nsh",
    "    isb",
    "1:  ldr x0, [sp, #16]",
    "    mov x1, xzr",
    "    mov x8, #{space_switch}",
    "    ldp x18, x30, [sp], #32",
    "    str x17, [sp, #-16]",
    "call_commonly:",
    "    mov x17, #{call}",
    "    b save_and_dispatch",
    ".popsection",
    class_shift = const CLASS_SHIFT,
    system_call = const CLASS_SYSTEM_CALL,
    space_switch = const SPACE_SWITCH,
    yield_number = const number::yield_now,
    call = const trap::CALL,
    finish = const trap::FINISH,
    switch = sym upcall::kernel_fast_switch,
    switch_with_locks = sym upcall::kernel_switch_with_locks,
    quick_call = sym upcall::kernel_quick_call,
    gate_call = const number::gate_call,
    gate_return = const number::gate_return,
    guest_run = const number::guest_run,
    gate_path_call = sym upcall::kernel_gate_call,
    gate_call_along = sym upcall::kernel_gate_call_along,
    gate_return_along = sym upcall::kernel_gate_return_along,
    gate_path_return = sym upcall::kernel_gate_return,
    user_state = const USER_PSTATE,
);

// The common path. x17 is the kind of exception; the user's x17 is below the stack pointer.
global_asm!(
    ".pushsection .text.vectors, \"ax\"",
    // The kind is in x0 then.
    ".macro SAVE_REGISTERS",
    "    str x17, [sp, #-8]",
    "    mrs x17, tpidr_el1",
    "    ldr x17, [x17, #{context}]",
    "    stp x0, x1, [x17, #0]",
    "    stp x2, x3, [x17, #16]",
    "    ldp x2, x0, [sp, #-16]",
    "    SAVE_OTHERS",
    ".endm",
    // The same without one.
    ".macro SAVE_WITHOUT_KIND",
    "    mrs x17, tpidr_el1",
    "    ldr x17, [x17, #{context}]",
    "    stp x0, x1, [x17, #0]",
    "    stp x2, x3, [x17, #16]",
    "    ldr x2, [sp, #-16]",
    "    SAVE_OTHERS",
    ".endm",
    // The user's x17 is in x2.
    ".macro SAVE_OTHERS",
    "    stp x4, x5, [x17, #32]",
    "    stp x6, x7, [x17, #48]",
    "    stp x8, x9, [x17, #64]",
    "    stp x10, x11, [x17, #80]",
    "    stp x12, x13, [x17, #96]",
    "    stp x14, x15, [x17, #112]",
    "    stp x16, x2, [x17, #128]",
    "    stp x18, x19, [x17, #144]",
    "    stp x20, x21, [x17, #160]",
    "    stp x22, x23, [x17, #176]",
    "    stp x24, x25, [x17, #192]",
    "    stp x26, x27, [x17, #208]",
    "    stp x28, x29, [x17, #224]",
    "    mrs x1, sp_el0",
    "    stp x30, x1, [x17, #240]",
    "    mrs x2, elr_el1",
    "    mrs x3, spsr_el1",
    "    stp x2, x3, [x17, #256]",
    "    mrs x4, tpidr_el0",
    "    str x4, [x17, #{thread_pointer}]",
    // The frame chain of the kernel ends here.
    "    mov x29, xzr",
    ".endm",
    // The thread that goes on after `yield_now` may be another.
    "save_and_yield:",
    "    SAVE_WITHOUT_KIND",
    "    bl {yield_now}",
    "    b return_to_user",
    // A call of a thread whose handler is asked of it: mostly that is done at once.
    ".global save_and_ask",
    "save_and_ask:",
    "    SAVE_WITHOUT_KIND",
    "    b ask_of_call",
    "save_and_ask_of_fault:",
    "    SAVE_WITHOUT_KIND",
    "    b ask_of_fault",
    ".global save_and_dispatch",
    "save_and_dispatch:",
    "    SAVE_REGISTERS",
    "    bl {dispatch}",
    ".global return_to_user",
    "return_to_user:",
    "    mrs x17, tpidr_el1",
    ".global return_by_block",
    "return_by_block:",
    "    ldr x17, [x17, #{context}]",
    "    ldp x0, x1, [x17, #256]",
    "    msr elr_el1, x0",
    "    msr spsr_el1, x1",
    "    ldr x2, [x17, #{thread_pointer}]",
    "    msr tpidr_el0, x2",
    "    ldp x30, x3, [x17, #240]",
    "    msr sp_el0, x3",
    "    ldp x28, x29, [x17, #224]",
    "    ldp x26, x27, [x17, #208]",
    "    ldp x24, x25, [x17, #192]",
    "    ldp x22, x23, [x17, #176]",
    "    ldp x20, x21, [x17, #160]",
    "    ldp x18, x19, [x17, #144]",
    "    ldp x14, x15, [x17, #112]",
    "    ldp x12, x13, [x17, #96]",
    "    ldp x10, x11, [x17, #80]",
    "    ldp x8, x9, [x17, #64]",
    "    ldp x6, x7, [x17, #48]",
    "    ldp x4, x5, [x17, #32]",
    "    ldp x2, x3, [x17, #16]",
    "    ldp x0, x1, [x17, #0]",
    "    ldp x16, x17, [x17, #128]",
    "    eret",
    "    dsb nsh",
    "    isb",
    ".popsection",
    context = const offset_of!(PerCpu, context),
    thread_pointer = const offset_of!(Registers, thread_pointer),
    dispatch = sym trap::dispatch,
    yield_now = sym upcall::kernel_yield,
);

// An exception of the kernel itself. The stack pointer may be what is wrong, so everything goes to the emergency
// stack; nothing comes back from there. x17 is the kind, TPIDRRO_EL0 the interrupted x17: user mode, which could
// read that register, does not run again.
global_asm!(
    ".pushsection .text.vectors, \"ax\"",
    "report_kernel_exception:",
    "    msr tpidr_el0, x17",
    "    mrs x17, tpidr_el1",
    "    ldr x17, [x17, #{emergency_top}]",
    "    sub x17, x17, #{frame_bytes}",
    "    stp x0, x1, [x17, #0]",
    "    stp x2, x3, [x17, #16]",
    "    stp x4, x5, [x17, #32]",
    "    stp x6, x7, [x17, #48]",
    "    stp x8, x9, [x17, #64]",
    "    stp x10, x11, [x17, #80]",
    "    stp x12, x13, [x17, #96]",
    "    stp x14, x15, [x17, #112]",
    "    mrs x2, tpidrro_el0",
    "    stp x16, x2, [x17, #128]",
    "    stp x18, x19, [x17, #144]",
    "    stp x20, x21, [x17, #160]",
    "    stp x22, x23, [x17, #176]",
    "    stp x24, x25, [x17, #192]",
    "    stp x26, x27, [x17, #208]",
    "    stp x28, x29, [x17, #224]",
    "    mov x1, sp",
    "    stp x30, x1, [x17, #240]",
    "    mrs x2, elr_el1",
    "    mrs x3, spsr_el1",
    "    stp x2, x3, [x17, #256]",
    "    str xzr, [x17, #{thread_pointer}]",
    // A frame record as a call from the interrupted place would have made, for the backtrace.
    "    stp x29, x2, [x17, #-16]!",
    "    mov sp, x17",
    "    mov x29, sp",
    "    mrs x0, tpidr_el0",
    "    add x1, x17, #16",
    "    bl {report}",
    ".popsection",
    emergency_top = const offset_of!(PerCpu, emergency_top),
    frame_bytes = const size_of::<Registers>(),
    thread_pointer = const offset_of!(Registers, thread_pointer),
    report = sym trap::report_kernel_exception,
);
