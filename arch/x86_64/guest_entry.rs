//! The fast way into a guest and out of it, in assembly: `guest_run`, and a guest's system call.
//!
//! A guest's general registers go from its page of state straight to the CPU and back, and its floating point likewise. Where it goes
//! on, its flags and its bases are checked by `ThreadContext::begin_run`. Of the thread that runs it the registers that a call
//! keeps are saved in its context, which stays as it is until the guest comes out, by whatever way.
//!
//! Another CPU may write to the page at any moment. What MXCSR cannot be is looked for before the page is loaded from; if it comes there
//! after that look, the load faults, and is made anew from a copy (`mend`).

use core::arch::global_asm;
use core::mem::offset_of;

use tessera_abi::guest::{GuestEnd, GuestState};
use tessera_abi::syscall::number;

use super::floating;
use super::guest::USER_FLAGS;
use super::percpu::offsets;
use super::registers::{FRAME_RIP, Frame, GuestPart, Registers, State};
use crate::upcall;

global_asm!(
    r#"
.pushsection .text.trap_entry, "ax", @progbits

/* `guest_run`, from `tessera_system_call`: the user's next instruction and its flags are on the stack, and in rcx and r11. */
.balign 16
.global tessera_guest_run
tessera_guest_run:
    test rdx, rdx
    jnz 8f
    cmp r10, -1
    jne 8f
    mov rax, gs:[{frame_end}]
    mov [rax + {rip} - {end}], rcx
    mov [rax + {flags} - {end}], r11
    mov rcx, gs:[{scratch}]
    mov [rax + {rsp} - {end}], rcx
    mov [rax + {rsi} - {end}], rsi
    mov [rax + {rbx} - {end}], rbx
    mov [rax + {rbp} - {end}], rbp
    mov [rax + {r12} - {end}], r12
    mov [rax + {r13} - {end}], r13
    mov [rax + {r14} - {end}], r14
    mov [rax + {r15} - {end}], r15
    push rdi
    call {run}
    test rax, rax
    jz 7f
    /* The guest is on its way: rax is its context, which becomes the current one in the place of the thread's. */
    mov rbx, gs:[{frame_end}]
    mov rdi, [rax + {page}]
    lea rbp, [rax + {end}]
    fxsave64 [rbx]
    mov gs:[{current}], rax
    mov gs:[{frame_end}], rbp
    mov edx, [rip + {forbidden}]
    test [rdi + {floating} + {mxcsr}], edx
    jnz 6f
    fninit
.global tessera_guest_load
tessera_guest_load:
    fxrstor64 [rdi + {floating}]
5:  lea rsp, [rax + {rip}]
    xor esi, esi
    rdfsbase rcx
    mov ds, esi
    mov es, esi
    mov fs, esi
    mov [rbx + {bases} - {end}], rcx
    mov rdx, [rax + {bases}]
    wrfsbase rdx
    swapgs
    rdgsbase rcx
    mov gs, esi
    mov [rbx + {bases} + 8 - {end}], rcx
    mov rdx, [rax + {bases} + 8]
    wrgsbase rdx
    /* The kernel's addresses are all in the last 2 GiB. */
    mov rax, offset tessera_guest_call
    mov edx, -1
    mov ecx, {call_register}
    wrmsr
    mov rax, [rdi + {general} + 0]
    mov rbx, [rdi + {general} + 8]
    mov rcx, [rdi + {general} + 16]
    mov rdx, [rdi + {general} + 24]
    mov rsi, [rdi + {general} + 32]
    mov rbp, [rdi + {general} + 48]
    mov r8, [rdi + {general} + 56]
    mov r9, [rdi + {general} + 64]
    mov r10, [rdi + {general} + 72]
    mov r11, [rdi + {general} + 80]
    mov r12, [rdi + {general} + 88]
    mov r13, [rdi + {general} + 96]
    mov r14, [rdi + {general} + 104]
    mov r15, [rdi + {general} + 112]
    mov rdi, [rdi + {general} + 40]
    iretq

    /* What MXCSR cannot be is masked, in a copy. */
.global tessera_guest_mask
tessera_guest_mask:
6:  mov rdx, rdi
    lea rsi, [rdi + {floating}]
    mov rdi, rbp
    mov ecx, {floating_words}
    rep movsq
    mov rdi, rdx
    mov edx, [rip + {forbidden}]
    not edx
    and [rbp + {mxcsr}], edx
    fninit
    fxrstor64 [rbp]
    jmp 5b

    /* The call as it came, for the common path. */
7:  pop rdi
    mov rsi, gs:[{frame_end}]
    mov rsi, [rsi + {rsi} - {end}]
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    mov r10, -1
    mov eax, {guest_run}
8:  pop r11
    pop rcx
    jmp tessera_call_commonly

/* A guest's `syscall` comes here, whatever its number; and that of a thread whose handler is asked of it, which has no page. */
.balign 64
.global tessera_guest_call
tessera_guest_call:
    swapgs
    mov gs:[{scratch}], rsp
    mov rsp, gs:[{frame_end}]
    mov rsp, [rsp + {page} - {end}]
    test rsp, rsp
    jz tessera_asked_call
    mov [rsp + {general} + 0], rax
    mov [rsp + {general} + 8], rbx
    mov [rsp + {general} + 16], rcx
    mov [rsp + {general} + 24], rdx
    mov [rsp + {general} + 32], rsi
    mov [rsp + {general} + 40], rdi
    mov [rsp + {general} + 48], rbp
    mov [rsp + {general} + 56], r8
    mov [rsp + {general} + 64], r9
    mov [rsp + {general} + 72], r10
    mov [rsp + {general} + 80], r11
    mov [rsp + {general} + 88], r12
    mov [rsp + {general} + 96], r13
    mov [rsp + {general} + 104], r14
    mov [rsp + {general} + 112], r15
    mov [rsp + {page_ip}], rcx
    mov rdx, r11
    and edx, {user_flags}
    mov [rsp + {page_flags}], rdx
    mov rdx, gs:[{scratch}]
    mov [rsp + {page_sp}], rdx
    mov rsp, gs:[{kernel_stack}]
    push rcx
    push r11
    push rax
    call {guest_call}
    test rax, rax
    jz 9f
    /* The guest is out: rax is the context of the thread that has run it. */
    mov rbx, gs:[{frame_end}]
    lea rbp, [rax + {end}]
    mov rdi, [rbx + {page} - {end}]
    pop rdx
    mov gs:[{current}], rax
    mov gs:[{frame_end}], rbp
    xor esi, esi
    mov qword ptr [rdi], {ended_by_call}
    mov [rdi + 8], rdx
    mov [rdi + 16], rsi
    mov [rdi + 24], rsi
    fxsave64 [rdi + {floating}]
    fninit
    fxrstor64 [rbp]
    mov rsp, [rax + {rsp}]
    rdfsbase rcx
    mov ds, esi
    mov es, esi
    mov fs, esi
    mov [rdi + {page_fs}], rcx
    mov rdx, [rax + {bases}]
    wrfsbase rdx
    swapgs
    rdgsbase rcx
    mov gs, esi
    mov [rdi + {page_gs}], rcx
    mov rdx, [rax + {bases} + 8]
    wrgsbase rdx
    mov rax, offset tessera_system_call
    mov edx, -1
    mov ecx, {call_register}
    wrmsr
    mov rbx, [rbp + {rbx} - {end}]
    mov r12, [rbp + {r12} - {end}]
    mov r13, [rbp + {r13} - {end}]
    mov r14, [rbp + {r14} - {end}]
    mov r15, [rbp + {r15} - {end}]
    mov rcx, [rbp + {rip} - {end}]
    mov r11, [rbp + {flags} - {end}]
    mov rbp, [rbp + {rbp} - {end}]
    xor eax, eax
    mov edx, {ended_by_call}
    xor edi, edi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    sysretq

    /* For the common path, as it came. The page may have been changed meanwhile: then these registers were. */
9:  mov rdi, gs:[{frame_end}]
    mov rdi, [rdi + {page} - {end}]
    pop rax
    pop r11
    pop rcx
    mov rdx, [rdi + {general} + 24]
    mov rsi, [rdi + {general} + 32]
    mov r8, [rdi + {general} + 56]
    mov r9, [rdi + {general} + 64]
    mov r10, [rdi + {general} + 72]
    mov rdi, [rdi + {general} + 40]
    jmp tessera_guest_call_commonly

.popsection
"#,
    frame_end = const offsets::FRAME_END,
    scratch = const offsets::SCRATCH,
    kernel_stack = const offsets::KERNEL_STACK,
    current = const offsets::CURRENT,
    end = const offset_of!(State, floating),
    page = const offset_of!(State, guest) + offset_of!(GuestPart, page),
    bases = const offset_of!(Registers, bases),
    rip = const in_frame(FRAME_RIP),
    flags = const in_frame(offset_of!(Frame, rflags)),
    rsp = const in_frame(offset_of!(Frame, rsp)),
    rsi = const in_frame(offset_of!(Frame, rsi)),
    rbx = const in_frame(offset_of!(Frame, rbx)),
    rbp = const in_frame(offset_of!(Frame, rbp)),
    r12 = const in_frame(offset_of!(Frame, r12)),
    r13 = const in_frame(offset_of!(Frame, r13)),
    r14 = const in_frame(offset_of!(Frame, r14)),
    r15 = const in_frame(offset_of!(Frame, r15)),
    guest_run = const number::guest_run,
    run = sym upcall::kernel_guest_run,
    guest_call = sym upcall::kernel_guest_call,
    general = const offset_of!(GuestState, general),
    page_ip = const offset_of!(GuestState, instruction_pointer),
    page_sp = const offset_of!(GuestState, stack_pointer),
    page_flags = const offset_of!(GuestState, flags),
    page_fs = const offset_of!(GuestState, thread_pointer),
    page_gs = const offset_of!(GuestState, second_pointer),
    floating = const offset_of!(GuestState, floating),
    mxcsr = const floating::MXCSR_BYTE,
    floating_words = const floating::WORDS,
    forbidden = sym floating::FORBIDDEN_CONTROL,
    user_flags = const USER_FLAGS,
    ended_by_call = const GuestEnd::Call as u64,
    call_register = const 0xc000_0082_u32,
);

/// Where a field of a frame lies in a state.
const fn in_frame(at: usize) -> usize {
    offset_of!(State, registers) + offset_of!(Registers, frame) + at
}

// FXSAVE and FXRSTOR want multiples of 16.
const _: () =
    assert!(offset_of!(State, floating).is_multiple_of(16) && offset_of!(GuestState, floating).is_multiple_of(16));
const _: () = assert!(offset_of!(State, registers) == 0, "a state begins with its registers");

unsafe extern "C" {
    static tessera_guest_load: u8;
    static tessera_guest_mask: u8;
}

/// General protection (SDM volume 3, table 7-1).
const PROTECTION: u64 = 13;

/// Sees to a trap of the kernel's own if it is what MXCSR in a page can be the reason of; gives whether it was.
pub(super) fn mend(frame: &mut Frame) -> bool {
    let is_load = frame.vector == PROTECTION && frame.rip == (&raw const tessera_guest_load).addr() as u64;
    if is_load {
        frame.rip = (&raw const tessera_guest_mask).addr() as u64;
    }
    is_load
}
