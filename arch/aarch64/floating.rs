//! Floating-point and SIMD registers: q0 to q31 and their control and status (DDI 0487, B1.2.2).
//!
//! SVE and SME are not offered to programs: they stay trapped, so their instructions do not exist.

use core::arch::naked_asm;

use aarch64_cpu::registers::{CPACR_EL1, TPIDRRO_EL0, Writeable};

/// The vector registers, which the compiled kernel never touches.
#[derive(Clone)]
#[repr(C, align(16))]
pub(super) struct State {
    /// q0 to q31.
    registers: [[u64; 2]; 32],
    /// FPCR: rounding mode and enabled exceptions; FPSR: cumulative exceptions. Zero at the start.
    control: [u64; 2],
}

impl State {
    /// As words: the registers; control and status.
    pub(super) fn words(&self) -> (&[u64], &[u64; 2]) {
        (self.registers.as_flattened(), &self.control)
    }

    /// The same, to be changed. A program can set all of it to any value, control and status too.
    pub(super) fn words_mut(&mut self) -> (&mut [u64], &mut [u64; 2]) {
        (self.registers.as_flattened_mut(), &mut self.control)
    }
}

/// What a thread starts with.
pub(super) static FIRST: State = State { registers: [[0; 2]; 32], control: [0; 2] };

/// Lets user mode use the registers, or keeps it from them; the return to it makes that hold. Programs are told, so that who has to keep
/// or clear them can leave alone what was never used.
pub(super) fn grant(is_granted: bool) {
    TPIDRRO_EL0.set(u64::from(is_granted));
    CPACR_EL1.write(if is_granted { CPACR_EL1::FPEN::TrapNothing } else { CPACR_EL1::FPEN::TrapEl0 });
}

/// Writes q0 to q31, FPCR and FPSR to memory.
///
/// # Safety
/// 1. The pointer is valid for writing.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn save(to: *mut State) {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "stp q0, q1, [x0, #0]",
        "stp q2, q3, [x0, #32]",
        "stp q4, q5, [x0, #64]",
        "stp q6, q7, [x0, #96]",
        "stp q8, q9, [x0, #128]",
        "stp q10, q11, [x0, #160]",
        "stp q12, q13, [x0, #192]",
        "stp q14, q15, [x0, #224]",
        "stp q16, q17, [x0, #256]",
        "stp q18, q19, [x0, #288]",
        "stp q20, q21, [x0, #320]",
        "stp q22, q23, [x0, #352]",
        "stp q24, q25, [x0, #384]",
        "stp q26, q27, [x0, #416]",
        "stp q28, q29, [x0, #448]",
        "stp q30, q31, [x0, #480]",
        "mrs x1, fpcr",
        "mrs x2, fpsr",
        "add x0, x0, #512",
        "stp x1, x2, [x0]",
        "ret",
    )
}

/// Loads q0 to q31, FPCR and FPSR from memory.
///
/// # Safety
/// 1. The pointer is valid for reading.
/// 2. Nobody needs the values that the registers hold.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn load(from: *const State) {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "ldp q0, q1, [x0, #0]",
        "ldp q2, q3, [x0, #32]",
        "ldp q4, q5, [x0, #64]",
        "ldp q6, q7, [x0, #96]",
        "ldp q8, q9, [x0, #128]",
        "ldp q10, q11, [x0, #160]",
        "ldp q12, q13, [x0, #192]",
        "ldp q14, q15, [x0, #224]",
        "ldp q16, q17, [x0, #256]",
        "ldp q18, q19, [x0, #288]",
        "ldp q20, q21, [x0, #320]",
        "ldp q22, q23, [x0, #352]",
        "ldp q24, q25, [x0, #384]",
        "ldp q26, q27, [x0, #416]",
        "ldp q28, q29, [x0, #448]",
        "ldp q30, q31, [x0, #480]",
        "add x0, x0, #512",
        "ldp x1, x2, [x0]",
        "msr fpcr, x1",
        "msr fpsr, x2",
        "ret",
    )
}
