//! Gate calls of x86_64: what each side does with the general registers.

use core::arch::asm;
use core::sync::atomic::AtomicU64;

use tessera_abi::syscall::number;

/// Calls a gate with six words and perhaps a capability; returns status and value, and the callee's words.
///
/// Nothing but the words is shown to the callee or left by it in general registers. The others are the caller's to see to
/// ([`crate::raw::gate_call_keeping`]).
#[inline(always)]
pub(crate) fn gate_call(arguments: [u64; 4], words: &[AtomicU64; 6]) -> (u64, u64) {
    let [gate, flags, capability, rights] = arguments;
    let (status, value);
    // SAFETY: the callee may change any register but the stack pointer. All are listed, or are on the stack meanwhile, and so is
    // the address of the words, which may be written by way of a shared reference.
    unsafe {
        asm!(
            "push rbx", "push rbp", "push r9",
            "mov r12, [r9]", "mov r13, [r9 + 8]", "mov r14, [r9 + 16]", "mov r15, [r9 + 24]",
            "mov rbx, [r9 + 32]", "mov rbp, [r9 + 40]",
            "xor r8d, r8d", "xor r9d, r9d",
            "syscall",
            "pop r9",
            "mov [r9], r12", "mov [r9 + 8], r13", "mov [r9 + 16], r14", "mov [r9 + 24], r15",
            "mov [r9 + 32], rbx", "mov [r9 + 40], rbp",
            "pop rbp", "pop rbx",
            inlateout("rax") number::gate_call => status, inlateout("rdi") gate => _, inlateout("rsi") flags => _,
            inlateout("rdx") capability => value, inlateout("r10") rights => _, inlateout("r9") words.as_ptr() => _,
            lateout("r8") _, lateout("rcx") _, lateout("r11") _,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
        );
    }
    (status, value)
}

/// [`gate_call`] with two words and no capability, in the fewest instructions. The callee sees what is in other registers, and what it
/// leaves there stays but in those that compiled code keeps.
#[inline(always)]
pub fn gate_call_short(gate: u64, words: [u64; 2]) -> (u64, [u64; 2]) {
    let [mut first, mut second] = words;
    let status;
    // SAFETY: as for `gate_call`.
    unsafe {
        asm!(
            "push rbx", "push rbp", "syscall", "pop rbp", "pop rbx",
            inlateout("rax") number::gate_call => status, inlateout("rdi") gate => _, inlateout("rsi") 0_u64 => _,
            inlateout("rdx") 0_u64 => _, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("rcx") _,
            lateout("r11") _, inlateout("r12") first, inlateout("r13") second, lateout("r14") _, lateout("r15") _,
        );
    }
    (status, [first, second])
}

/// Where the calls of a gate begin: gives the words to a function of Rust, and what it makes of them back. It comes out of this
/// by a system call only.
///
/// # Safety
/// Only a gate may lead here: the words lie where its callers leave them, on one of its stacks.
#[unsafe(naked)]
pub unsafe extern "C" fn gate_entry<S: crate::gate::Serve>() {
    core::arch::naked_asm!(
        "sub rsp, 64",
        "mov [rsp], r12", "mov [rsp + 8], r13", "mov [rsp + 16], r14", "mov [rsp + 24], r15",
        "mov [rsp + 32], rbx", "mov [rsp + 40], rbp",
        "mov rdx, rsp",
        "xor ebp, ebp",
        "call {serve}",
        "mov rdi, rax",
        "mov esi, edx",
        "shr rdx, 32",
        "mov r12, [rsp]", "mov r13, [rsp + 8]", "mov r14, [rsp + 16]", "mov r15, [rsp + 24]",
        "mov rbx, [rsp + 32]", "mov rbp, [rsp + 40]",
        "mov eax, {gate_return}",
        "syscall",
        // What was to go along could not: the words alone. If these are refused as well, they are no answer to a handler's question.
        "xor edi, edi", "xor esi, esi", "xor edx, edx",
        "mov eax, {gate_return}",
        "syscall",
        "ud2",
        serve = sym crate::gate::served::<S>,
        gate_return = const number::gate_return,
    )
}

/// Where the calls of a gate begin whose callers are trusted: two words go in and out.
///
/// # Safety
/// As for [`gate_entry`].
#[unsafe(naked)]
pub unsafe extern "C" fn gate_entry_short<S: crate::gate::ServeShort>() {
    core::arch::naked_asm!(
        "mov rsi, r12",
        "mov rdx, r13",
        "call {serve}",
        "mov r12, rax",
        "mov r13, rdx",
        "mov eax, {gate_return}",
        "xor edi, edi", "xor edx, edx",
        "syscall",
        "ud2",
        serve = sym crate::gate::served_short::<S>,
        gate_return = const number::gate_return,
    )
}
