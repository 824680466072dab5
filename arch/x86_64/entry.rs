//! The way into the kernel and out of it, in assembly.
//!
//! A trap from user mode goes like this. The task state's stack pointer is the end of the current context's
//! [`Registers`](super::registers::Registers), so the CPU pushes its frame right there and the code pushes the
//! other registers below it; then the CPU's kernel stack is taken and Rust is called. The way back pops the
//! same registers. `syscall` pushes nothing, so for calls on the common path the code pushes the frame itself.
//!
//! * Calls that the kernel can serve without the context (`kernel_fast_switch`, `kernel_quick_call`) do not touch it.
//! * `yield_now` saves into it as a trap does, and has a way of its own behind that (`kernel_yield`).
//! * `swapgs` happens exactly once on each way in and out of user mode. The vectors that can interrupt the
//!   entry code itself (double fault, NMI, machine check) do not trust the GS base, which user mode can set
//!   freely with FSGSBASE: they take the block's address from the top of their own stack.
//! * A debug trap in the kernel can only be one that user mode set up to hit the first instruction here (SDM
//!   volume 3, 7.8.3, and its like). It has a stack of its own and goes back with TF clear.

use core::arch::global_asm;
use core::mem::offset_of;

use super::idt::vector;
use super::percpu::{offsets, this};
use super::registers::{CALL_MARK, FIRST_FLAGS, FRAME_BYTES, FRAME_RIP, GUEST_CALL_MARK};
use super::{gdt, trap};
use crate::{UserPlace, upcall};
use tessera_abi::syscall::number;

global_asm!(
    r#"
.pushsection .text.trap_entry, "ax", @progbits

.macro push_registers
    push rdi
    push rsi
    push rdx
    push rcx
    push rax
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
.endm

.macro pop_registers
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
.endm

/* Saves the registers of a call in the current context, as if it had been a trap: rcx and r11 are the user's next
   instruction and flags, its stack pointer is in the scratch word. */
.macro save_call mark={call_mark}
    mov rsp, gs:[{frame_end}]
    push {user_data}
    push qword ptr gs:[{scratch}]
    push r11
    push {user_code}
    push rcx
    push 0
    push \mark
    push_registers
.endm

/* Calls `function` with the saved registers' address in rdi and a frame that leads a backtrace to the trapped
   instruction. rbx keeps the address. */
.macro call_with_frame function
    mov rdi, rsp
    mov rbx, rsp
    push qword ptr [rsp + {rip}]
    push rbp
    mov rbp, rsp
    and rsp, -16
    call \function
.endm

/* `syscall` comes here: rcx is the user's next instruction, r11 its flags; interrupts are off, everything else is the
   user's, the stack included. */
.balign 64
.global tessera_system_call
tessera_system_call:
    test rax, rax
    jnz 1f
    xor edx, edx
    sysretq

1:  swapgs
    mov gs:[{scratch}], rsp
    mov rsp, gs:[{kernel_stack}]
    push rcx
    push r11
    cmp rax, 1
    jne 2f
    push rdi
    mov rsi, rcx
    mov rdx, gs:[{scratch}]
    call {fast_switch}
    pop rdi
    test rax, rax
    js 1f
5:  pop r11
    pop rcx
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    mov rsp, gs:[{scratch}]
    swapgs
    sysretq

    /* There may be locks to be taken or given up. */
1:  push rdi
    mov rsi, [rsp + 16]
    mov rdx, gs:[{scratch}]
    call {switch_with_locks}
    pop rdi
    test rax, rax
    jns 5b

    /* The call as it came, for the common path. */
    pop r11
    pop rcx
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    mov eax, 1
    xor edx, edx
    jmp 3f

    /* Other calls, straight to the kernel: it keeps what a function keeps, the rest is wiped. The words of arguments lie
       in the stack in their order. */
2:  cmp rax, {gate_call}
    jae 9f
    cmp rax, {yield_now}
    je 8f
    push r9
    push r8
    push r10
    push rdx
    push rsi
    push rdi
    mov rdi, rsp
    mov rsi, rax
    push rax
    call {quick_call}
    xor edi, edi
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    test rax, rax
    js 6f
    mov r11, [rsp + 56]
    mov rcx, [rsp + 64]
    mov rsp, gs:[{scratch}]
    swapgs
    sysretq

6:  cmp rax, -1
    jne 7f
    pop rax
    pop rdi
    pop rsi
    pop rdx
    pop r10
    pop r8
    pop r9
    pop r11
    pop rcx
.global tessera_call_commonly
tessera_call_commonly:
3:  save_call
.global tessera_trap_commonly
tessera_trap_commonly:
4:  mov rsp, gs:[{kernel_stack}]
    xor ebp, ebp
    push rbp
    call {from_user}
    jmp tessera_resume

    /* The call is done, its result in rax and rdx, but something came of it that wants the thread's registers saved. */
7:  btr rax, 63
    mov r11, [rsp + 56]
    mov rcx, [rsp + 64]
    save_call
    mov rsp, gs:[{kernel_stack}]
    xor ebp, ebp
    push rbp
    call {finish}
    jmp tessera_resume

    /* `gate_call`, `gate_return`, `guest_run`, and numbers of no call. All that takes these registers back to what they were for the
       common path is done here. The words that cross stay where they are, in registers that functions keep. A callee finds in rax where it
       begins, which it knows. */
9:  jne 24f
    mov r11, rsi
    shr r11, 1
    or r11, rdx
    jnz 22f
    push rsi
    push rdi
    push rdi
    mov rsi, rsp
    mov rdx, gs:[{scratch}]
    call {gate_path_call}
    test rax, rax
    js 20f
    mov rcx, rax
    mov rdi, [rsp]
    mov rsp, rdx
    mov r11d, {first_flags}
    xor edx, edx
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    swapgs
    sysretq

20: pop rdi
    pop rdi
    pop rsi
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    mov eax, {gate_call}
21: pop r11
    pop rcx
    jmp 3b

    /* With a capability that goes along, or flags: the words of arguments lie in the stack in their order. */
22: push r10
    push r10
    push rdx
    push rsi
    push rdi
    mov rdi, rsp
    mov rsi, gs:[{scratch}]
    mov rdx, rcx
    call {gate_call_along}
    test rax, rax
    js 23f
    mov rcx, rax
    pop rdi
    pop rsi
    mov rsp, rdx
    mov r11d, {first_flags}
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    swapgs
    sysretq

23: pop rdi
    pop rsi
    pop rdx
    pop r10
    pop r10
    xor r8d, r8d
    xor r9d, r9d
    mov eax, {gate_call}
    jmp 21b

    /* The same of a return. */
27: push rdx
    push rsi
    push rdi
    mov rdi, rsp
    call {gate_return_along}
    test rax, rax
    js 28f
    mov rcx, rax
    mov r8, rdx
    pop rdx
    mov rsp, r8
    xor eax, eax
    mov r11d, {first_flags}
    xor edi, edi
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    swapgs
    sysretq

28: pop rdi
    pop rsi
    pop rdx
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    mov eax, {gate_return}
    jmp 21b

24: cmp rax, {gate_return}
    jne 29f
    test rdi, rdi
    jnz 27b
    push r12
    call {gate_path_return}
    mov rcx, rax
    test rax, rax
    js 25f
    mov rsp, rdx
    xor eax, eax
    mov r11d, {first_flags}
    xor edx, edx
    xor edi, edi
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    swapgs
    sysretq

    /* Either it is for the common path, or it has returned and something came of it. */
25: pop rdi
    xor edi, edi
    xor esi, esi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    cmp rax, -1
    jne 26f
    xor edx, edx
    mov eax, {gate_return}
    jmp 21b
26: mov gs:[{scratch}], rdx
    btr rcx, 63
    xor eax, eax
    xor edx, edx
    mov r11d, {first_flags}
    save_call
    mov rsp, gs:[{kernel_stack}]
    xor ebp, ebp
    push rbp
    call {finish}
    jmp tessera_resume

29: cmp rax, {guest_run}
    je tessera_guest_run
    jmp 21b

    /* The thread that goes on may be another: this one's registers are saved at once, with the call's result. */
8:  xor eax, eax
    xor edx, edx
    save_call
    mov rsp, gs:[{kernel_stack}]
    xor ebp, ebp
    push rbp
    call {yield_call}

/* Back to user mode, with the current context. Also where the first thread starts. */
.global tessera_resume
tessera_resume:
    mov rsp, gs:[{frame_end}]
    sub rsp, {frame_bytes}
    pop_registers
    swapgs
    cmp dword ptr [rsp], {call_mark}
    jne 5f
    mov rcx, [rsp + 16]
    mov r11, [rsp + 32]
    mov rsp, [rsp + 40]
    sysretq
    /* Here a program has the segments and the privileges of a program, as it cannot but have on any CPU. QEMU 10 lets it load CS and
       enter virtual 8086 mode, the kernel could not go back to where that leads, and with IOPL it would have the ports. */
5:  add rsp, 16
    mov dword ptr [rsp + 8], {user_code}
    and dword ptr [rsp + 16], ~{privileges}
    mov dword ptr [rsp + 32], {user_data}
    iretq

/* A guest's `syscall` that is for the common path. */
.balign 16
.global tessera_guest_call_commonly
tessera_guest_call_commonly:
    save_call {guest_call_mark}
    jmp 4b

/* That of a thread whose handler is asked of it: mostly that is done at once. */
.balign 16
.global tessera_asked_call
tessera_asked_call:
    save_call {guest_call_mark}
    jmp tessera_ask_of_call

/* Every vector's stub comes here, with the frame, an error code and the vector's number on the stack. */
.macro enter_by_trap from_kernel, then
    push_registers
    cld
    cmp byte ptr [rsp + {cs}], {kernel_code}
    je \from_kernel
    swapgs
    cmp byte ptr gs:[{clears_access_flag}], 0
    je \then
    clac
    jmp \then
.endm

trap_entry:
    enter_by_trap 6f, tessera_trap_commonly

page_fault_entry:
    enter_by_trap 6f, tessera_ask_of_fault

6:  call_with_frame {from_kernel}
    mov rsp, rbx
    pop_registers
    add rsp, 16
    iretq

/* An interrupt that cannot be masked may come at any instruction, of the entry code as well: the GS base may be anybody's.
   It is the kernel's meanwhile (r12 and r13 keep the other, as functions keep them), and the trapped code finds its own.
   Until `iretq` no second one comes; nothing in between may fault, as the return from a fault would let it in (SDM
   volume 3, 7.7.1). */
non_maskable_entry:
    push_registers
    cld
    mov ecx, 0xc0000101
    rdmsr
    mov r12d, eax
    mov r13d, edx
    mov rdx, [rsp + {frame_bytes}]
    mov eax, edx
    shr rdx, 32
    wrmsr
    call_with_frame {non_maskable}
    mov eax, r12d
    mov edx, r13d
    mov ecx, 0xc0000101
    wrmsr
    mov rsp, rbx
    pop_registers
    add rsp, 16
    iretq

/* Vectors that end the machine. The GS base may be anybody's. */
fatal_entry:
    push_registers
    cld
    mov rdx, [rsp + {frame_bytes}]
    mov eax, edx
    shr rdx, 32
    mov ecx, 0xc0000101
    wrmsr
    call_with_frame {fatal}
    ud2

/* The debug trap has a stack of its own; from user mode its frame is moved to where the others are. */
debug_entry:
    cmp byte ptr [rsp + 8], {kernel_code}
    jne 7f
    and dword ptr [rsp + 16], ~0x100
    iretq
7:  swapgs
    mov gs:[{scratch}], rax
    mov rax, gs:[{frame_end}]
    pop qword ptr [rax - 40]
    pop qword ptr [rax - 32]
    pop qword ptr [rax - 24]
    pop qword ptr [rax - 16]
    pop qword ptr [rax - 8]
    lea rsp, [rax - 40]
    mov rax, gs:[{scratch}]
    swapgs
    push 0
    push 1
    jmp trap_entry

/* 256 stubs of 16 bytes. Vectors 8, 10 to 14, 17, 21, 29 and 30 push an error code (SDM volume 3, table 7-1). */
.balign 16
.global tessera_trap_stubs
tessera_trap_stubs:
.set vector, 0
.rept 256
    .balign 16
    .if vector == 1
    jmp debug_entry
    .else
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
    push 0
    .endif
    push vector
    .if vector == 2
    jmp non_maskable_entry
    .elseif vector == 8 || vector == 18
    jmp fatal_entry
    .elseif vector == {page_fault}
    jmp page_fault_entry
    .else
    jmp trap_entry
    .endif
    .endif
    .set vector, vector + 1
.endr

.popsection
"#,
    scratch = const offsets::SCRATCH,
    kernel_stack = const offsets::KERNEL_STACK,
    frame_end = const offsets::FRAME_END,
    clears_access_flag = const offsets::CLEARS_ACCESS_FLAG,
    user_data = const gdt::USER_DATA,
    user_code = const gdt::USER_CODE,
    kernel_code = const gdt::KERNEL_CODE,
    privileges = const PRIVILEGES,
    call_mark = const CALL_MARK,
    guest_call_mark = const GUEST_CALL_MARK,
    frame_bytes = const FRAME_BYTES,
    rip = const FRAME_RIP,
    cs = const FRAME_RIP + 8,
    fast_switch = sym upcall::kernel_fast_switch,
    switch_with_locks = sym upcall::kernel_switch_with_locks,
    quick_call = sym upcall::kernel_quick_call,
    yield_now = const number::yield_now,
    yield_call = sym upcall::kernel_yield,
    gate_call = const number::gate_call,
    gate_return = const number::gate_return,
    guest_run = const number::guest_run,
    gate_path_call = sym upcall::kernel_gate_call,
    gate_call_along = sym upcall::kernel_gate_call_along,
    gate_return_along = sym upcall::kernel_gate_return_along,
    gate_path_return = sym upcall::kernel_gate_return,
    page_fault = const vector::PAGE_FAULT,
    first_flags = const FIRST_FLAGS,
    finish = sym trap::finish,
    from_user = sym trap::from_user,
    from_kernel = sym trap::from_kernel,
    fatal = sym trap::fatal,
    non_maskable = sym trap::non_maskable,
);

/// Flags that are no program's: IOPL, VM, VIF, VIP (SDM volume 1, 3.4.3).
const PRIVILEGES: u32 = 0x1a_3000;

// A place is given back in two registers, the instruction pointer first.
const _: () = assert!(size_of::<UserPlace>() == 16 && offset_of!(UserPlace, instruction_pointer) == 0);
// One comparison tells the last three calls from all others.
const _: () = assert!(number::null == 0 && number::space_switch == 1);
const _: () = assert!(number::gate_return == number::gate_call + 1 && number::guest_run == number::gate_return + 1);

unsafe extern "C" {
    static tessera_trap_stubs: u8;
    /// Enters user mode with the current context.
    fn tessera_resume() -> !;
}

/// Where the gate of a vector is to lead.
pub(super) fn stub_address(vector: u8) -> u64 {
    (&raw const tessera_trap_stubs).addr() as u64 + u64::from(vector) * 16
}

/// Goes to user mode with the current context, and never comes back to the caller.
///
/// # Panics
/// If there is no current context.
pub fn enter_user() -> ! {
    assert!(!this().current.get().is_null(), "user mode needs a context");
    resume_user()
}

/// The same where there is one for certain. If there were none, popping its registers would fault and be reported.
#[inline(always)]
pub fn resume_user() -> ! {
    // SAFETY: there is a context, and a function that never returns has no use for its stack.
    unsafe { tessera_resume() }
}
