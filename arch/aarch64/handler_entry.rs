//! The way of a thread into its handler that most go, in assembly: the thread's registers are saved, and the handler's are set here.

use core::arch::global_asm;
use core::mem::offset_of;

use super::registers::USER_PSTATE;
use super::trap;
use crate::{HandlerStart, upcall};

global_asm!(
    ".pushsection .text.vectors, \"ax\"",
    // A call of a thread whose handler is asked of it: mostly that is done at once.
    ".global ask_of_call",
    "ask_of_call:",
    "    sub sp, sp, #{handler_start_bytes}",
    "    mov x0, sp",
    "    bl {asked_call}",
    "    tbz x0, #63, 1f",
    "    mov x0, #{guest_call_kind}",
    "    b 2f",
    // A fault, or a like exception: likewise, if there is any handler.
    ".global ask_of_fault",
    "ask_of_fault:",
    "    mrs x0, esr_el1",
    "    mrs x1, far_el1",
    "    sub sp, sp, #{handler_start_bytes}",
    "    mov x2, sp",
    "    bl {asked_fault}",
    "    tbz x0, #63, 1f",
    "    mov x0, #{synchronous_kind}",
    "2:  add sp, sp, #{handler_start_bytes}",
    "    bl {dispatch}",
    "    b return_to_user",
    // A handler begins where x0 and x1 say, with the words and the badge that the kernel has left in the stack. All other registers are
    // zero, by loading the zeros above the empty stack.
    "1:  mov x4, #{user_state}",
    "    msr elr_el1, x0",
    "    msr sp_el0, x1",
    "    msr spsr_el1, x4",
    "    msr tpidr_el0, xzr",
    "    ldp x20, x21, [sp, #0]",
    "    ldp x22, x23, [sp, #16]",
    "    ldp x24, x25, [sp, #32]",
    "    ldr x0, [sp, #{badge}]",
    "    add sp, sp, #{handler_start_bytes}",
    "    ldp x1, x2, [sp]",
    "    ldp x3, x4, [sp]",
    "    ldp x5, x6, [sp]",
    "    ldp x7, x8, [sp]",
    "    ldp x9, x10, [sp]",
    "    ldp x11, x12, [sp]",
    "    ldp x13, x14, [sp]",
    "    ldp x15, x16, [sp]",
    "    ldp x17, x18, [sp]",
    "    ldp x26, x27, [sp]",
    "    ldp x28, x29, [sp]",
    "    mov x19, xzr",
    "    mov x30, xzr",
    "    eret",
    "    dsb nsh",
    "    isb",
    ".popsection",
    handler_start_bytes = const size_of::<HandlerStart>().next_multiple_of(16),
    badge = const offset_of!(HandlerStart, badge),
    asked_call = sym upcall::kernel_asked_call,
    asked_fault = sym upcall::kernel_asked_fault,
    dispatch = sym trap::dispatch,
    guest_call_kind = const trap::GUEST_CALL,
    synchronous_kind = const trap::SYNCHRONOUS,
    user_state = const USER_PSTATE,
);
