//! The calls of x86_64.

use core::arch::asm;

mod extra;
mod gate;
mod probe;

pub use extra::*;
pub use gate::*;
pub use probe::*;

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
