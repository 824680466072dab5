//! The way of a thread into its handler that most go: the thread's registers are saved, and the handler's are set here.

use core::arch::{asm, global_asm};

use super::percpu::offsets;
use super::registers::{FIRST_FLAGS, FRAME_RIP};
use crate::{HandlerStart, UserPlace, upcall};

// Either comes back from the kernel only if nothing was done.
global_asm!(
    r#"
.pushsection .text.trap_entry, "ax", @progbits

/* A page fault of user mode, with its frame at the stack pointer: if there is any handler, mostly one that is asked of it begins at
   once. */
.balign 16
.global tessera_ask_of_fault
tessera_ask_of_fault:
    cmp dword ptr [rip + {handlers}], 0
    je tessera_trap_commonly
    mov rdi, [rsp + {error}]
    mov rsi, cr2
    mov rsp, gs:[{kernel_stack}]
    push rdi
    call {asked_fault}
    jmp tessera_trap_commonly

/* A call of a thread whose handler is asked of it. */
.balign 16
.global tessera_ask_of_call
tessera_ask_of_call:
    mov rsp, gs:[{kernel_stack}]
    push rdi
    call {asked_call}
    jmp tessera_trap_commonly

.popsection
"#,
    error = const FRAME_RIP - 8,
    kernel_stack = const offsets::KERNEL_STACK,
    handlers = sym upcall::KERNEL_HANDLERS,
    asked_fault = sym upcall::kernel_asked_fault,
    asked_call = sym upcall::kernel_asked_call,
);

/// Goes to user mode, where a handler begins with these registers, and never comes back to the caller. All others are zero. Its context is
/// current, as `begin_context` has left it.
#[inline(always)]
pub fn begin_handler(UserPlace { instruction_pointer, stack_pointer }: UserPlace, start: HandlerStart) -> ! {
    let HandlerStart { words: [first, second, third, fourth, fifth, sixth], badge } = start;
    // SAFETY: a function that never returns has no use for its stack, nor for registers of its own. A gate's entry is a user address, so
    // `sysret` faults in user mode if at all; what user mode gets in registers is listed here.
    unsafe {
        asm!(
            "mov rsp, rdx",
            "mov rbx, rsi",
            "mov rbp, r8",
            "mov r11d, {first_flags}",
            "xor eax, eax",
            "xor edx, edx",
            "xor esi, esi",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "xor r10d, r10d",
            "swapgs",
            "sysretq",
            first_flags = const FIRST_FLAGS,
            in("rcx") instruction_pointer,
            in("rdx") stack_pointer,
            in("rdi") badge,
            in("r12") first,
            in("r13") second,
            in("r14") third,
            in("r15") fourth,
            in("rsi") fifth,
            in("r8") sixth,
            options(noreturn),
        )
    }
}
