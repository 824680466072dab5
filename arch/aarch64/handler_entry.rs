//! The way of a thread into its handler that most go: the thread's registers are saved, and the handler's are set here.

use core::arch::{asm, global_asm};
use core::mem::offset_of;

use super::percpu::PerCpu;
use super::registers::USER_PSTATE;
use super::trap;
use crate::{HandlerStart, UserPlace, upcall};

// Either comes back from the kernel only if nothing was done.
global_asm!(
    ".pushsection .text.vectors, \"ax\"",
    // A call of a thread whose handler is asked of it: mostly that is done at once.
    ".global ask_of_call",
    "ask_of_call:",
    "    bl {asked_call}",
    "    mov x0, #{guest_call_kind}",
    "    bl {dispatch}",
    "    b return_to_user",
    // A fault, or a like exception: likewise, if there is any handler.
    ".global ask_of_fault",
    "ask_of_fault:",
    "    adrp x0, {handlers}",
    "    ldr w0, [x0, :lo12:{handlers}]",
    "    cbz w0, 1f",
    "    mrs x0, esr_el1",
    "    mrs x1, far_el1",
    "    bl {asked_fault}",
    "1:  mov x0, #{synchronous_kind}",
    "    bl {dispatch}",
    "    b return_to_user",
    ".popsection",
    asked_call = sym upcall::kernel_asked_call,
    handlers = sym upcall::KERNEL_HANDLERS,
    asked_fault = sym upcall::kernel_asked_fault,
    dispatch = sym trap::dispatch,
    guest_call_kind = const trap::GUEST_CALL,
    synchronous_kind = const trap::SYNCHRONOUS,
);

/// Goes to user mode, where a handler begins with these registers, and never comes back to the caller. All others are zero, by loading the
/// zeros above the empty stack. Its context is current, as `begin_context` has left it.
#[inline(always)]
pub fn begin_handler(UserPlace { instruction_pointer, stack_pointer }: UserPlace, start: HandlerStart) -> ! {
    let HandlerStart { words: [first, second, third, fourth, fifth, sixth], badge } = start;
    // SAFETY: a function that never returns has no use for its stack, nor for registers of its own; the entry code expects the stack
    // pointer of an empty stack whenever the CPU is in user mode. What that gets in registers is listed here.
    unsafe {
        asm!(
            "msr elr_el1, x1",
            "msr sp_el0, x2",
            "mov x3, #{user_state}",
            "msr spsr_el1, x3",
            "msr tpidr_el0, xzr",
            "mrs x4, tpidr_el1",
            "ldr x4, [x4, #{stack_top}]",
            "mov sp, x4",
            "ldp x1, x2, [sp]",
            "ldp x3, x4, [sp]",
            "ldp x5, x6, [sp]",
            "ldp x7, x8, [sp]",
            "ldp x9, x10, [sp]",
            "ldp x11, x12, [sp]",
            "ldp x13, x14, [sp]",
            "ldp x15, x16, [sp]",
            "ldp x17, x18, [sp]",
            "ldp x19, x26, [sp]",
            "ldp x27, x28, [sp]",
            "ldp x29, x30, [sp]",
            "eret",
            "dsb nsh",
            "isb",
            user_state = const USER_PSTATE,
            stack_top = const offset_of!(PerCpu, stack_top),
            in("x0") badge,
            in("x1") instruction_pointer,
            in("x2") stack_pointer,
            in("x20") first,
            in("x21") second,
            in("x22") third,
            in("x23") fourth,
            in("x24") fifth,
            in("x25") sixth,
            options(noreturn),
        )
    }
}
