//! The system call itself: the only assembly on the user side.
//!
//! | | number | arguments | status, value | clobbered |
//! |---|---|---|---|---|
//! | x86_64, `syscall` | `rax` | `rdi rsi rdx r10 r8 r9` | `rax`, `rdx` | `rcx r11` and all of the arguments |
//! | aarch64, `svc #0` | `x8` | `x0` to `x5` | `x0`, `x1` | `x0` to `x17` |
//!
//! On a host there is no kernel to trap into; a test can name a function that stands for it
//! ([`set_host_kernel`]), so that the same program code calls kernel logic in one process.

pub use machine::*;

/// The number that an executable for this processor carries in its ELF header (`e_machine`).
pub const ELF_MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// How far below a multiple of 16 the stack pointer stands when a function begins, bytes.
///
/// System V ABI for x86_64, 3.2.2: the call instruction has just pushed a return address. On aarch64
/// (AAPCS64, 6.4.5) it stands at the multiple.
pub const STACK_ENTRY_BIAS_BYTES: u64 = if cfg!(target_arch = "x86_64") { 8 } else { 0 };

/// Checks that a call changes nothing but registers for its caller.
#[cfg(target_os = "none")]
fn ensure_plain(number: u64) {
    use tessera_abi::syscall::{DESCRIPTIONS, number as named};
    let moves = [named::space_jump, named::thread_start, named::thread_set_fallback, named::thread_exit];
    let description = usize::try_from(number).ok().and_then(|number| DESCRIPTIONS.get(number));
    let writes = description.is_some_and(|call| call.arguments.iter().any(|(name, _)| *name == "buffer"));
    assert!(!writes && !moves.contains(&number), "this call may do more than change registers");
}

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod machine {
    use core::arch::asm;

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
    pub fn call_with_registers(
        number: u64,
        argument: u64,
        mut values: [u64; SAVED_REGISTERS],
    ) -> [u64; SAVED_REGISTERS] {
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
}

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod machine {
    use core::arch::asm;

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
    pub fn call_with_registers(
        number: u64,
        argument: u64,
        mut values: [u64; SAVED_REGISTERS],
    ) -> [u64; SAVED_REGISTERS] {
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
}

#[cfg(not(target_os = "none"))]
mod machine {
    use std::cell::Cell;
    use tessera_abi::Error;

    /// A function that answers system calls on a host: number and argument words to status and value.
    pub type HostKernel = fn(u64, [u64; 6]) -> (u64, u64);

    std::thread_local! {
        static HOST_KERNEL: Cell<Option<HostKernel>> = const { Cell::new(None) };
    }

    /// Names the function that answers this host thread's system calls; `None` answers all with `BadCall`.
    pub fn set_host_kernel(kernel: Option<HostKernel>) {
        HOST_KERNEL.set(kernel);
    }

    /// Makes a system call; returns status and value.
    ///
    /// # Safety
    /// 1. Where the call fills in a buffer, the caller owns that memory and it may take any bytes.
    /// 2. Where the call moves a thread (jump, start, fallback), the goal is code that may run there.
    pub unsafe fn call(number: u64, arguments: [u64; 6]) -> (u64, u64) {
        match HOST_KERNEL.get() {
            Some(kernel) => kernel(number, arguments),
            None => (Error::BadCall.status(), 0),
        }
    }

    /// [`call`] with one argument at most.
    ///
    /// # Safety
    /// As [`call`].
    pub unsafe fn call_short(number: u64, argument: u64) -> (u64, u64) {
        // SAFETY: the caller's promise is the same.
        unsafe { call(number, [argument, 0, 0, 0, 0, 0]) }
    }

    /// A host offers no counter that means anything here: always 0.
    pub fn ticks() -> u64 {
        0
    }

    /// Nothing is measured on a host.
    pub fn cycles() -> u64 {
        0
    }

    /// Lets other threads of the host go first.
    pub fn relax() {
        core::hint::spin_loop();
    }

    /// Nobody watches on a host.
    pub fn mark<const CODE: u8>() {}

    /// Nothing is run on a host.
    pub fn synchronize_fetches() {}

    /// Nothing is run on a host.
    pub fn publish_code(_start: u64, _end: u64) {}
}
