//! The registers of aarch64 beside the general ones: q0 to q31 with their control and status, and the thread pointer. SVE and SME
//! are not offered to programs.

use core::arch::asm;
use core::mem::MaybeUninit;

/// Words of [`ExtraRegisters`].
pub const EXTRA_WORDS: usize = 68;

/// The registers in memory: q0 to q31, FPCR, FPSR, TPIDR_EL0, and a word that is zero.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct ExtraRegisters([u64; EXTRA_WORDS]);

impl ExtraRegisters {
    /// What a new thread finds: all zero.
    pub const FIRST: ExtraRegisters = ExtraRegisters([0; EXTRA_WORDS]);

    /// Values that tell a number from others, wherever they lie, and control words that are not those of a new thread. For tests
    /// of the kernel.
    pub fn marked(mark: u64) -> ExtraRegisters {
        let mut words: [u64; EXTRA_WORDS] = core::array::from_fn(|index| mark << 16 | index as u64);
        // Rounding towards zero; all exceptions that add up.
        (words[64], words[65], words[67]) = (3 << 22, 0x9f, 0);
        ExtraRegisters(words)
    }

    /// As words, of which each says something. For tests of the kernel.
    pub fn words(&self) -> [u64; EXTRA_WORDS] {
        self.0
    }

    /// What leads or decides something: control, status, pointers. For tests of the kernel.
    pub fn control(&self) -> [u64; 4] {
        [self.0[64], self.0[65], self.0[66], self.0[67]]
    }

    /// Writes the CPU's registers to memory.
    pub fn save(to: &mut MaybeUninit<ExtraRegisters>) -> &mut ExtraRegisters {
        // SAFETY: the memory is borrowed exclusively, and all of it is written.
        unsafe {
            asm!(
                ".arch_extension fp", ".arch_extension simd",
                "stp q0, q1, [{place}]", "stp q2, q3, [{place}, #32]", "stp q4, q5, [{place}, #64]",
                "stp q6, q7, [{place}, #96]", "stp q8, q9, [{place}, #128]", "stp q10, q11, [{place}, #160]",
                "stp q12, q13, [{place}, #192]", "stp q14, q15, [{place}, #224]", "stp q16, q17, [{place}, #256]",
                "stp q18, q19, [{place}, #288]", "stp q20, q21, [{place}, #320]", "stp q22, q23, [{place}, #352]",
                "stp q24, q25, [{place}, #384]", "stp q26, q27, [{place}, #416]", "stp q28, q29, [{place}, #448]",
                "stp q30, q31, [{place}, #480]",
                "mrs {first}, fpcr", "mrs {second}, fpsr",
                "add {place}, {place}, #512", "stp {first}, {second}, [{place}]",
                "mrs {first}, tpidr_el0", "stp {first}, xzr, [{place}, #16]",
                ".arch_extension nosimd", ".arch_extension nofp",
                place = inout(reg) to.as_mut_ptr() => _, first = out(reg) _, second = out(reg) _,
                options(nostack, preserves_flags),
            );
            to.assume_init_mut()
        }
    }

    /// Loads the CPU's registers. Nobody is to miss what they held: user programs are compiled for integer registers only.
    pub fn load(&self) {
        // SAFETY: reads what is borrowed. No compiled code uses the registers.
        unsafe {
            asm!(
                ".arch_extension fp", ".arch_extension simd",
                "ldp q0, q1, [{place}]", "ldp q2, q3, [{place}, #32]", "ldp q4, q5, [{place}, #64]",
                "ldp q6, q7, [{place}, #96]", "ldp q8, q9, [{place}, #128]", "ldp q10, q11, [{place}, #160]",
                "ldp q12, q13, [{place}, #192]", "ldp q14, q15, [{place}, #224]", "ldp q16, q17, [{place}, #256]",
                "ldp q18, q19, [{place}, #288]", "ldp q20, q21, [{place}, #320]", "ldp q22, q23, [{place}, #352]",
                "ldp q24, q25, [{place}, #384]", "ldp q26, q27, [{place}, #416]", "ldp q28, q29, [{place}, #448]",
                "ldp q30, q31, [{place}, #480]",
                "add {place}, {place}, #512", "ldp {first}, {second}, [{place}]",
                "msr fpcr, {first}", "msr fpsr, {second}",
                "ldr {first}, [{place}, #16]", "msr tpidr_el0, {first}",
                ".arch_extension nosimd", ".arch_extension nofp",
                place = inout(reg) self.0.as_ptr() => _, first = out(reg) _, second = out(reg) _,
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    /// Makes those registers what a function relies on that lead or decide something: control, status, thread pointer. Others
    /// stay.
    pub fn reset_control() {
        if ExtraRegisters::are_vectors_used() {
            // SAFETY: as above.
            unsafe {
                asm!(
                    ".arch_extension fp",
                    "msr fpcr, xzr",
                    "msr fpsr, xzr",
                    ".arch_extension nofp",
                    options(nomem, nostack, preserves_flags),
                );
            }
        }
        ExtraRegisters::set_pointers([0; 2]);
    }

    /// Whether the thread has ever used floating point or vectors. As long as not, it has in them what a new thread has; with the
    /// first use it gets them, and a change of threads takes longer from there on.
    #[inline(always)]
    pub fn are_vectors_used() -> bool {
        let used: u64;
        // SAFETY: reads a register, in which the kernel says so.
        unsafe { asm!("mrs {}, tpidrro_el0", out(reg) used, options(nomem, nostack, preserves_flags)) };
        used != 0
    }

    /// The thread pointer, and nothing.
    #[inline(always)]
    pub fn pointers() -> [u64; 2] {
        let pointer;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
        [pointer, 0]
    }

    /// Sets it.
    #[inline(always)]
    pub fn set_pointers([pointer, _]: [u64; 2]) {
        // SAFETY: compiled code does not use it.
        unsafe { asm!("msr tpidr_el0, {}", in(reg) pointer, options(nomem, nostack, preserves_flags)) };
    }
}
