//! The calls of x86_64.

use core::arch::asm;
use tessera_abi::syscall::number;

/// Makes a system call; returns status and value.
///
/// # Safety
/// 1. Where the call fills in a buffer, the caller owns that memory and it may take any bytes.
/// 2. Where the call moves a thread (jump, start, fallback), the goal is code that may run there.
#[inline(always)]
pub unsafe fn call(number: u64, arguments: [u64; 6]) -> (u64, u64) {
    let [a, b, c, d, e, f] = arguments;
    let (status, value);
    // SAFETY: the kernel changes the registers listed and what the caller's promise covers.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => status,
            inlateout("rdi") a => _, inlateout("rsi") b => _, inlateout("rdx") c => value,
            inlateout("r10") d => _, inlateout("r8") e => _, inlateout("r9") f => _,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    (status, value)
}

/// [`call`] with one argument at most: the fewest instructions, for the fast calls.
///
/// # Safety
/// As [`call`].
#[inline(always)]
pub unsafe fn call_short(number: u64, argument: u64) -> (u64, u64) {
    let (status, value);
    // SAFETY: as in `call`; the kernel ignores argument registers beyond the call's arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => status, inlateout("rdi") argument => _,
            lateout("rdx") value,
            lateout("rsi") _, lateout("r10") _, lateout("r8") _, lateout("r9") _,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    (status, value)
}

/// Calls a gate with six words and perhaps a capability; returns status and value, and the callee's words.
///
/// Nothing but the words is shown to the callee or left by it in general registers. Vector registers are the caller's to see
/// to: compiled code on this target uses none.
#[inline(never)]
pub fn gate_call(arguments: [u64; 4], words: &mut [u64; 6]) -> (u64, u64) {
    let [gate, flags, capability, rights] = arguments;
    let (status, value);
    // SAFETY: the callee may change any register but the stack pointer. All are listed, or are on the stack meanwhile, and so is
    // the address of the words.
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
            inlateout("rdx") capability => value, inlateout("r10") rights => _, inlateout("r9") words.as_mut_ptr() => _,
            lateout("r8") _, lateout("rcx") _, lateout("r11") _,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
        );
    }
    (status, value)
}

/// [`gate_call`] with two words and no capability, in the fewest instructions. The callee sees what is in other registers.
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
        "mov rsi, rdx",
        "mov edx, 2",
        "2: mov r12, [rsp]", "mov r13, [rsp + 8]", "mov r14, [rsp + 16]", "mov r15, [rsp + 24]",
        "mov rbx, [rsp + 32]", "mov rbp, [rsp + 40]",
        "mov eax, {gate_return}",
        "syscall",
        // What was to go along could not: the words alone.
        "xor edi, edi", "xor esi, esi", "xor edx, edx",
        "jmp 2b",
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

/// Reads the time-stamp counter: ticks, whose length the machine decides; it counts instructions when
/// QEMU runs with `-icount shift=0` and its clock divided to match.
#[inline(always)]
pub fn ticks() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reading the counter changes two registers; the kernel leaves CR4.TSD clear.
    unsafe { asm!("rdtsc", lateout("rax") low, lateout("rdx") high, options(nostack, nomem)) };
    (high << 32) | low
}

/// Reads the time-stamp counter behind all that comes before it and before all that comes behind: on hardware, where
/// instructions overlap (SDM, volume 2, "RDTSC"). Its rate is constant, whatever the CPU's is at the moment.
#[inline(always)]
pub fn cycles() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: as in `ticks`; the fences change nothing.
    unsafe { asm!("lfence", "rdtsc", "lfence", lateout("rax") low, lateout("rdx") high, options(nostack)) };
    (high << 32) | low
}

/// Lets other CPUs go first while this one waits for one of them.
#[inline(always)]
pub fn relax() {
    // SAFETY: a hint changes nothing.
    unsafe { asm!("pause", options(nomem, nostack, preserves_flags)) };
}

/// Tells a watching plugin of the emulator something, by an instruction that does nothing and whose operand is the code.
#[inline(always)]
pub fn mark<const CODE: u8>() {
    // SAFETY: a no-operation, which neither reads nor writes what its operand names (Intel SDM volume 2, NOP).
    unsafe {
        asm!("nop dword ptr [rax + {}]", const 0x5445_5300_i32 | CODE as i32,
            options(nostack, nomem, preserves_flags));
    }
}

/// Makes the CPU fetch anew what it runs next. Code needs nothing else to be published.
pub fn synchronize_fetches() {
    // SAFETY: CPUID changes four registers, and RBX, which the compiler keeps, is put back.
    unsafe {
        asm!(
            "mov {kept}, rbx", "cpuid", "mov rbx, {kept}",
            kept = out(reg) _, inlateout("eax") 0 => _, lateout("ecx") _, lateout("edx") _,
            options(nostack, preserves_flags),
        );
    }
}

/// Makes written code visible to instruction fetches at addresses: x86 sees to that itself.
pub fn publish_code(_start: u64, _end: u64) {
    synchronize_fetches();
}

/// Reads the 64-bit word that the thread pointer (FS base) points to.
///
/// # Safety
/// The thread pointer was set to a readable word.
pub unsafe fn thread_pointer_word() -> u64 {
    let word;
    // SAFETY: one load, from where the caller promises that a word is.
    unsafe { asm!("mov {}, fs:[0]", lateout(reg) word, options(nostack, readonly, preserves_flags)) };
    word
}

/// How many registers a call may lose, besides those of the result, of the next instruction and of flags.
pub const LOST_REGISTERS: usize = 5;

/// Makes a call with one argument at most, all other registers that calls lose holding `filler`; returns what they
/// hold afterwards. For tests of the kernel.
///
/// # Panics
/// For a call that writes memory or moves the thread.
pub fn lost_registers(number: u64, argument: u64, filler: u64) -> [u64; LOST_REGISTERS] {
    super::ensure_plain(number);
    let (rdi, rsi, r8, r9, r10);
    // SAFETY: the call was found to change registers only, and these are all that it may.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => _, inlateout("rdi") argument => rdi, inlateout("rsi") filler => rsi,
            inlateout("rdx") filler => _, inlateout("r8") filler => r8, inlateout("r9") filler => r9,
            inlateout("r10") filler => r10, lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    [rdi, rsi, r8, r9, r10]
}

/// How many general registers a call keeps, the stack pointer apart: rbx, rbp, r12 to r15.
pub const SAVED_REGISTERS: usize = 6;

/// Makes a call with one argument at most while the general registers that calls keep hold these values;
/// returns what they hold afterwards. For tests of the kernel.
///
/// # Panics
/// For a call that writes memory or moves the thread.
pub fn call_with_registers(number: u64, argument: u64, mut values: [u64; SAVED_REGISTERS]) -> [u64; SAVED_REGISTERS] {
    super::ensure_plain(number);
    // SAFETY: the call was found to change registers only. The compiler's rbx and rbp are on the stack meanwhile,
    // and so is the address of `values`, which has room for all that is loaded and stored.
    unsafe {
        asm!(
            "push rbx", "push rbp", "push rsi",
            "mov rbx, [rsi]", "mov rbp, [rsi + 8]", "mov r12, [rsi + 16]",
            "mov r13, [rsi + 24]", "mov r14, [rsi + 32]", "mov r15, [rsi + 40]",
            "syscall",
            "pop rcx",
            "mov [rcx], rbx", "mov [rcx + 8], rbp", "mov [rcx + 16], r12",
            "mov [rcx + 24], r13", "mov [rcx + 32], r14", "mov [rcx + 40], r15",
            "pop rbp", "pop rbx",
            inlateout("rax") number => _, inlateout("rdi") argument => _,
            inlateout("rsi") values.as_mut_ptr() => _,
            lateout("rdx") _, lateout("r10") _, lateout("r8") _, lateout("r9") _, lateout("rcx") _,
            lateout("r11") _, lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
        );
    }
    values
}

/// Writes to the low halves of four vector registers, which compiled code on this target never uses.
pub fn set_vector_registers(values: [u64; 4]) {
    let [a, b, c, d] = values;
    // SAFETY: user programs are compiled for integer registers only, so nobody misses the old values.
    unsafe {
        asm!("movq xmm0, {}", "movq xmm1, {}", "movq xmm8, {}", "movq xmm15, {}",
            in(reg) a, in(reg) b, in(reg) c, in(reg) d, options(nostack, nomem, preserves_flags));
    }
}

/// Reads what [`set_vector_registers`] wrote, unless somebody changed it.
pub fn vector_registers() -> [u64; 4] {
    let (a, b, c, d);
    // SAFETY: reads registers only.
    unsafe {
        asm!("movq {}, xmm0", "movq {}, xmm1", "movq {}, xmm8", "movq {}, xmm15",
            out(reg) a, out(reg) b, out(reg) c, out(reg) d, options(nostack, nomem, preserves_flags));
    }
    [a, b, c, d]
}
