//! The calls of aarch64.

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
            "svc #0",
            inlateout("x8") number => _,
            inlateout("x0") a => status, inlateout("x1") b => value, inlateout("x2") c => _,
            inlateout("x3") d => _, inlateout("x4") e => _, inlateout("x5") f => _,
            lateout("x6") _, lateout("x7") _, lateout("x9") _, lateout("x10") _, lateout("x11") _,
            lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _,
            lateout("x16") _, lateout("x17") _,
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
            "svc #0",
            inlateout("x8") number => _, inlateout("x0") argument => status, lateout("x1") value,
            lateout("x2") _, lateout("x3") _, lateout("x4") _, lateout("x5") _, lateout("x6") _,
            lateout("x7") _, lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _,
            lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _,
            options(nostack),
        );
    }
    (status, value)
}

/// Reads the virtual counter: ticks, whose length the machine decides; QEMU's counter runs at 1 GHz, so
/// it counts instructions when QEMU runs with `-icount shift=0`.
#[inline(always)]
pub fn ticks() -> u64 {
    let ticks;
    // SAFETY: reads a register; the kernel lets user code read it (CNTKCTL_EL1.EL0VCTEN).
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nostack, nomem, preserves_flags)) };
    ticks
}

/// Reads the CPU's cycle counter (PMCCNTR_EL0) behind all that comes before it and before all that comes behind: on
/// hardware, where instructions overlap. The kernel's option `cycle_counter=1` opens it; without, the thread faults.
#[inline(always)]
pub fn cycles() -> u64 {
    let cycles;
    // SAFETY: reads a register, or faults; the barriers change nothing.
    unsafe { asm!("isb", "mrs {}, pmccntr_el0", "isb", out(reg) cycles, options(nostack, preserves_flags)) };
    cycles
}

/// Lets other CPUs go first while this one waits for one of them. `spin_loop` of Rust's library is an ISB here, which an
/// emulator that runs its CPUs by turns does not take for a hint.
#[inline(always)]
pub fn relax() {
    // SAFETY: a hint changes nothing.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Tells a watching plugin of the emulator something, by an instruction that does nothing and whose operand is the code.
#[inline(always)]
pub fn mark<const CODE: u8>() {
    // SAFETY: what is moved to the zero register is dropped.
    unsafe { asm!("movz xzr, #{}", const 0x5300 | CODE as u16, options(nostack, nomem, preserves_flags)) };
}

/// Makes the CPU fetch anew what it runs next.
pub fn synchronize_fetches() {
    // SAFETY: a barrier changes no value.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// Makes written code visible to instruction fetches at addresses, on all CPUs (DDI 0487, B2.6.5).
///
/// Cleans data only where the processor needs it (CTR_EL0.IDC); invalidates instructions in any case, because what
/// CTR_EL0.DIC says of that is not true of all CPUs that say it (Neoverse N1, erratum 1542419).
pub fn publish_code(start: u64, end: u64) {
    let description: u64;
    // SAFETY: reads a register; the kernel lets user code read it (SCTLR_EL1.UCT).
    unsafe { asm!("mrs {}, ctr_el0", out(reg) description, options(nostack, nomem, preserves_flags)) };
    let line_bytes = |shift: u32| 4_u64 << ((description >> shift) & 0xf);
    let lines = |bytes: u64| (start & !(bytes - 1)..end).step_by(bytes as usize);
    if description & (1 << 28) == 0 {
        for line in lines(line_bytes(16)) {
            // SAFETY: cleaning a line of memory changes no value; where nothing may be read, the thread faults.
            unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags)) };
        }
    }
    // SAFETY: barriers change no value.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    for line in lines(line_bytes(0)) {
        // SAFETY: as for the data.
        unsafe { asm!("ic ivau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: as above.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    synchronize_fetches();
}

/// Reads the 64-bit word that the thread pointer (TPIDR_EL0) points to.
///
/// # Safety
/// The thread pointer was set to a readable word.
pub unsafe fn thread_pointer_word() -> u64 {
    let word;
    // SAFETY: one load, from where the caller promises that a word is.
    unsafe {
        asm!("mrs {word}, tpidr_el0", "ldr {word}, [{word}]", word = out(reg) word,
            options(nostack, readonly, preserves_flags));
    }
    word
}

/// How many registers a call may lose, besides those of the result.
pub const LOST_REGISTERS: usize = 16;

/// Makes a call with one argument at most, all other registers that calls lose holding `filler`; returns what they
/// hold afterwards. For tests of the kernel.
///
/// # Panics
/// For a call that writes memory or moves the thread.
pub fn lost_registers(number: u64, argument: u64, filler: u64) -> [u64; LOST_REGISTERS] {
    super::ensure_plain(number);
    let (x2, x3, x4, x5, x6, x7, x9, x10, x11, x12, x13, x14, x15, x16, x17, x8);
    // SAFETY: the call was found to change registers only, and these are all that it may.
    unsafe {
        asm!(
            "svc #0",
            inlateout("x0") argument => _, inlateout("x1") filler => _, inlateout("x8") number => x8,
            inlateout("x2") filler => x2,
            inlateout("x3") filler => x3,
            inlateout("x4") filler => x4,
            inlateout("x5") filler => x5,
            inlateout("x6") filler => x6,
            inlateout("x7") filler => x7,
            inlateout("x9") filler => x9,
            inlateout("x10") filler => x10,
            inlateout("x11") filler => x11,
            inlateout("x12") filler => x12,
            inlateout("x13") filler => x13,
            inlateout("x14") filler => x14,
            inlateout("x15") filler => x15,
            inlateout("x16") filler => x16,
            inlateout("x17") filler => x17,
            options(nostack),
        );
    }
    [x2, x3, x4, x5, x6, x7, x9, x10, x11, x12, x13, x14, x15, x16, x17, x8]
}

/// How many general registers a call keeps, the stack pointer apart: x18 to x30.
pub const SAVED_REGISTERS: usize = 13;

/// Makes a call with one argument at most while the general registers that calls keep hold these values;
/// returns what they hold afterwards. For tests of the kernel.
///
/// # Panics
/// For a call that writes memory or moves the thread.
pub fn call_with_registers(number: u64, argument: u64, mut values: [u64; SAVED_REGISTERS]) -> [u64; SAVED_REGISTERS] {
    super::ensure_plain(number);
    // SAFETY: the call was found to change registers only. The compiler's registers are on the stack meanwhile,
    // and so is the address of `values`, which has room for all that is loaded and stored.
    unsafe {
        asm!(
            "sub sp, sp, #112",
            "stp x18, x19, [sp]", "stp x20, x21, [sp, #16]", "stp x22, x23, [sp, #32]",
            "stp x24, x25, [sp, #48]", "stp x26, x27, [sp, #64]", "stp x28, x29, [sp, #80]",
            "stp x30, x1, [sp, #96]",
            "ldp x18, x19, [x1]", "ldp x20, x21, [x1, #16]", "ldp x22, x23, [x1, #32]",
            "ldp x24, x25, [x1, #48]", "ldp x26, x27, [x1, #64]", "ldp x28, x29, [x1, #80]",
            "ldr x30, [x1, #96]",
            "svc #0",
            "ldr x9, [sp, #104]",
            "stp x18, x19, [x9]", "stp x20, x21, [x9, #16]", "stp x22, x23, [x9, #32]",
            "stp x24, x25, [x9, #48]", "stp x26, x27, [x9, #64]", "stp x28, x29, [x9, #80]",
            "str x30, [x9, #96]",
            "ldp x18, x19, [sp]", "ldp x20, x21, [sp, #16]", "ldp x22, x23, [sp, #32]",
            "ldp x24, x25, [sp, #48]", "ldp x26, x27, [sp, #64]", "ldp x28, x29, [sp, #80]",
            "ldr x30, [sp, #96]",
            "add sp, sp, #112",
            inlateout("x8") number => _, inlateout("x0") argument => _, inlateout("x1") values.as_mut_ptr() => _,
            lateout("x2") _, lateout("x3") _, lateout("x4") _, lateout("x5") _, lateout("x6") _,
            lateout("x7") _, lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _,
            lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _,
        );
    }
    values
}

/// Writes to the low halves of four vector registers, which compiled code on this target never uses.
pub fn set_vector_registers(values: [u64; 4]) {
    let [a, b, c, d] = values;
    // SAFETY: user programs are compiled for integer registers only, so nobody misses the old values.
    unsafe {
        asm!(".arch_extension fp", "fmov d0, {}", "fmov d1, {}", "fmov d16, {}", "fmov d31, {}",
            ".arch_extension nofp",
            in(reg) a, in(reg) b, in(reg) c, in(reg) d, options(nostack, nomem, preserves_flags));
    }
}

/// Reads what [`set_vector_registers`] wrote, unless somebody changed it.
pub fn vector_registers() -> [u64; 4] {
    let (a, b, c, d);
    // SAFETY: reads registers only.
    unsafe {
        asm!(".arch_extension fp", "fmov {}, d0", "fmov {}, d1", "fmov {}, d16", "fmov {}, d31",
            ".arch_extension nofp",
            out(reg) a, out(reg) b, out(reg) c, out(reg) d, options(nostack, nomem, preserves_flags));
    }
    [a, b, c, d]
}
