//! The way of a thread into its handler that most go, in assembly: the thread's registers are saved, and the handler's are set here.

use core::arch::global_asm;
use core::mem::offset_of;

use super::percpu::offsets;
use super::registers::{FIRST_FLAGS, FRAME_RIP};
use crate::{HandlerStart, upcall};

global_asm!(
    r#"
.pushsection .text.trap_entry, "ax", @progbits

/* A page fault of user mode, with its frame at the stack pointer: mostly a handler that is asked of it begins at once, if there is any. */
.balign 16
.global tessera_ask_of_fault
tessera_ask_of_fault:
    mov rdi, [rsp + {error}]
    mov rsi, cr2
    mov rsp, gs:[{kernel_stack}]
    sub rsp, {handler_start_bytes}
    mov rdx, rsp
    call {asked_fault}
    test rax, rax
    js tessera_trap_commonly

    /* A handler begins, with the words and the badge that the kernel has left in the stack. */
1:  mov rcx, rax
    pop r12
    pop r13
    pop r14
    pop r15
    pop rbx
    pop rbp
    pop rdi
    mov rsp, rdx
    mov r11d, {first_flags}
    xor eax, eax
    xor edx, edx
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    swapgs
    sysretq

/* A call of a thread whose handler is asked of it. */
.balign 16
.global tessera_ask_of_call
tessera_ask_of_call:
    mov rsp, gs:[{kernel_stack}]
    sub rsp, {handler_start_bytes}
    mov rdi, rsp
    call {asked_call}
    test rax, rax
    js tessera_trap_commonly
    jmp 1b

.popsection
"#,
    error = const FRAME_RIP - 8,
    kernel_stack = const offsets::KERNEL_STACK,
    handler_start_bytes = const size_of::<HandlerStart>(),
    asked_fault = sym upcall::kernel_asked_fault,
    asked_call = sym upcall::kernel_asked_call,
    first_flags = const FIRST_FLAGS,
);

// The kernel's stack pointer is 8 below a multiple of 16, which is what a call wants it to be.
const _: () = assert!(size_of::<HandlerStart>() % 16 == 8 && offset_of!(HandlerStart, badge) == 48);
