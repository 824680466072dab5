//! Every register of aarch64 at a time, for tests of the kernel and of libvas: making calls with all of them set, and serving gates.

use super::ExtraRegisters;
use crate::raw::{Probe, marked_words};

/// Words of [`EveryRegister::general`].
pub const GENERAL_WORDS: usize = 32;

/// All that a program can set in registers, the stack pointer apart.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct EveryRegister {
    /// x0 to x30, condition flags.
    pub general: [u64; GENERAL_WORDS],
    /// The others.
    pub extra: ExtraRegisters,
}

/// Where the words of a gate call lie.
const WORDS: [usize; 6] = [20, 21, 22, 23, 24, 25];
/// Where a call's number, or the address of a function, and arguments lie.
const CALL: [usize; 4] = [8, 0, 1, 2];
/// Where a right to give along lies: with another value than zero a call would be refused.
const RIGHTS: usize = 3;
/// N, Z, C, V.
const FLAGS: u64 = 0xf << 28;
/// Registers that functions keep, the frame pointer among them: x19 to x29.
pub const KEPT_REGISTERS: [usize; 11] = [19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29];

impl EveryRegister {
    /// All with values that tell a number from others.
    pub fn marked(mark: u64) -> EveryRegister {
        let mut general = marked_words(mark);
        general[31] = FLAGS;
        EveryRegister { general, extra: ExtraRegisters::marked(mark) }
    }

    /// The same, but for a system call's number, or the address of a function, and arguments.
    #[must_use]
    pub fn calling(mut self, what: [u64; 4]) -> EveryRegister {
        CALL.iter().zip(what).for_each(|(index, word)| self.general[*index] = word);
        self.general[RIGHTS] = 0;
        self
    }

    /// The six words of a gate call.
    pub fn words(&self) -> [u64; 6] {
        WORDS.map(|index| self.general[index])
    }

    /// What is in general registers but for the six words, and what a call gives.
    pub fn others(&self) -> impl Iterator<Item = u64> {
        let told = [0, 1, 31];
        (0..GENERAL_WORDS)
            .filter(move |index| !WORDS.contains(index) && !told.contains(index))
            .map(|at| self.general[at])
    }

    /// Status and value of a call.
    pub fn result(&self) -> (u64, u64) {
        (self.general[0], self.general[1])
    }

    /// Whether flags are as a function wants them, and say nothing.
    pub fn has_plain_flags(&self) -> bool {
        self.general[31] & FLAGS == 0
    }
}

/// Loads all general registers from what x0 leads to, does something, and writes them to where x1 led.
macro_rules! with_general {
    ($what:literal) => {
        core::arch::naked_asm!(
            "sub sp, sp, #112",
            "stp x18, x19, [sp]",
            "stp x20, x21, [sp, #16]",
            "stp x22, x23, [sp, #32]",
            "stp x24, x25, [sp, #48]",
            "stp x26, x27, [sp, #64]",
            "stp x28, x29, [sp, #80]",
            "stp x30, x1, [sp, #96]",
            "ldr x1, [x0, #248]",
            "msr nzcv, x1",
            "ldp x2, x3, [x0, #16]",
            "ldp x4, x5, [x0, #32]",
            "ldp x6, x7, [x0, #48]",
            "ldp x8, x9, [x0, #64]",
            "ldp x10, x11, [x0, #80]",
            "ldp x12, x13, [x0, #96]",
            "ldp x14, x15, [x0, #112]",
            "ldp x16, x17, [x0, #128]",
            "ldp x18, x19, [x0, #144]",
            "ldp x20, x21, [x0, #160]",
            "ldp x22, x23, [x0, #176]",
            "ldp x24, x25, [x0, #192]",
            "ldp x26, x27, [x0, #208]",
            "ldp x28, x29, [x0, #224]",
            "ldr x30, [x0, #240]",
            "ldp x0, x1, [x0]",
            $what,
            "stp x0, x1, [sp, #-16]!",
            "ldr x0, [sp, #120]",
            "stp x2, x3, [x0, #16]",
            "stp x4, x5, [x0, #32]",
            "stp x6, x7, [x0, #48]",
            "stp x8, x9, [x0, #64]",
            "stp x10, x11, [x0, #80]",
            "stp x12, x13, [x0, #96]",
            "stp x14, x15, [x0, #112]",
            "stp x16, x17, [x0, #128]",
            "stp x18, x19, [x0, #144]",
            "stp x20, x21, [x0, #160]",
            "stp x22, x23, [x0, #176]",
            "stp x24, x25, [x0, #192]",
            "stp x26, x27, [x0, #208]",
            "stp x28, x29, [x0, #224]",
            "mrs x1, nzcv",
            "stp x30, x1, [x0, #240]",
            "ldp x2, x3, [sp], #16",
            "stp x2, x3, [x0]",
            "ldp x18, x19, [sp]",
            "ldp x20, x21, [sp, #16]",
            "ldp x22, x23, [sp, #32]",
            "ldp x24, x25, [sp, #48]",
            "ldp x26, x27, [sp, #64]",
            "ldp x28, x29, [sp, #80]",
            "ldr x30, [sp, #96]",
            "add sp, sp, #112",
            "ret",
        )
    };
}

/// Makes a system call.
///
/// # Safety
/// 1. The call changes registers only.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn system_call_with(before: &[u64; GENERAL_WORDS], after: &mut [u64; GENERAL_WORDS]) {
    with_general!("svc #0")
}

/// Calls a function.
///
/// # Safety
/// 1. The number is the address of a function of the ABI of C, for which the arguments are fit.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn function_call_with(before: &[u64; GENERAL_WORDS], after: &mut [u64; GENERAL_WORDS]) {
    with_general!("blr x8")
}

/// Where the calls of a gate begin that a [`Probe`] serves.
///
/// # Safety
/// Only a gate may lead here.
#[unsafe(naked)]
pub unsafe extern "C" fn probe_entry<P: Probe>() {
    core::arch::naked_asm!(
        "sub sp, sp, #{bytes}",
        "stp x0, x1, [sp]", "stp x2, x3, [sp, #16]", "stp x4, x5, [sp, #32]", "stp x6, x7, [sp, #48]",
        "stp x8, x9, [sp, #64]", "stp x10, x11, [sp, #80]", "stp x12, x13, [sp, #96]", "stp x14, x15, [sp, #112]",
        "stp x16, x17, [sp, #128]", "stp x18, x19, [sp, #144]", "stp x20, x21, [sp, #160]", "stp x22, x23, [sp, #176]",
        "stp x24, x25, [sp, #192]", "stp x26, x27, [sp, #208]", "stp x28, x29, [sp, #224]",
        "mrs x1, nzcv", "stp x30, x1, [sp, #240]",
        "mov x0, sp",
        "bl {probed}",
        "ldp x30, x1, [sp, #240]", "msr nzcv, x1",
        "ldp x0, x1, [sp]", "ldp x2, x3, [sp, #16]", "ldp x4, x5, [sp, #32]", "ldp x6, x7, [sp, #48]",
        "ldp x8, x9, [sp, #64]", "ldp x10, x11, [sp, #80]", "ldp x12, x13, [sp, #96]", "ldp x14, x15, [sp, #112]",
        "ldp x16, x17, [sp, #128]", "ldp x18, x19, [sp, #144]", "ldp x20, x21, [sp, #160]", "ldp x22, x23, [sp, #176]",
        "ldp x24, x25, [sp, #192]", "ldp x26, x27, [sp, #208]", "ldp x28, x29, [sp, #224]",
        "svc #0",
        "brk #1",
        bytes = const size_of::<EveryRegister>(),
        probed = sym crate::raw::probed::<P>,
    )
}
