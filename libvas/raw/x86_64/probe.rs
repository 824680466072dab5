//! Every register of x86_64 at a time, for tests of the kernel and of libvas: making calls with all of them set, and serving gates.

use super::ExtraRegisters;
use crate::raw::{Probe, marked_words};

/// Words of [`EveryRegister::general`].
pub const GENERAL_WORDS: usize = 16;

/// All that a program can set in registers, the stack pointer apart.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct EveryRegister {
    /// rax, rbx, rcx, rdx, rsi, rdi, rbp, r8 to r15, flags.
    pub general: [u64; GENERAL_WORDS],
    /// The others.
    pub extra: ExtraRegisters,
}

/// Where the words of a gate call lie.
const WORDS: [usize; 6] = [11, 12, 13, 14, 1, 6];
/// Where a call's number, or the address of a function, and arguments lie.
const CALL: [usize; 4] = [0, 5, 4, 3];
/// Where a right to give along lies: with another value than zero a call would be refused.
const RIGHTS: usize = 9;
/// Carry, parity, adjust, zero, sign, overflow.
const FLAGS: u64 = 0x8d5;
/// Registers that functions keep: rbx, rbp, r12 to r15.
pub const KEPT_REGISTERS: [usize; 6] = [1, 6, 11, 12, 13, 14];

impl EveryRegister {
    /// All with values that tell a number from others.
    pub fn marked(mark: u64) -> EveryRegister {
        let mut general = marked_words(mark);
        general[15] = FLAGS;
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

    /// What is in general registers but for the six words, what a call gives, and what `syscall` leaves in rcx and r11.
    pub fn others(&self) -> impl Iterator<Item = u64> {
        let told = [0, 2, 3, 10, 15];
        (0..GENERAL_WORDS)
            .filter(move |index| !WORDS.contains(index) && !told.contains(index))
            .map(|at| self.general[at])
    }

    /// Status and value of a call.
    pub fn result(&self) -> (u64, u64) {
        (self.general[0], self.general[3])
    }

    /// Whether flags are as a function wants them, and say nothing.
    pub fn has_plain_flags(&self) -> bool {
        self.general[15] & (FLAGS | 1 << 10) == 0
    }
}

/// Loads all general registers from what rdi leads to, does something, and writes them to where rsi led.
macro_rules! with_general {
    ($what:literal) => {
        core::arch::naked_asm!(
            "push rbx",
            "push rbp",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "push rsi",
            "mov rax, [rdi]",
            "mov rbx, [rdi + 8]",
            "mov rcx, [rdi + 16]",
            "mov rdx, [rdi + 24]",
            "mov rsi, [rdi + 32]",
            "mov rbp, [rdi + 48]",
            "mov r8, [rdi + 56]",
            "mov r9, [rdi + 64]",
            "mov r10, [rdi + 72]",
            "mov r11, [rdi + 80]",
            "mov r12, [rdi + 88]",
            "mov r13, [rdi + 96]",
            "mov r14, [rdi + 104]",
            "mov r15, [rdi + 112]",
            "push [rdi + 120]",
            "popfq",
            "mov rdi, [rdi + 40]",
            $what,
            "push rdi",
            "mov rdi, [rsp + 8]",
            "mov [rdi], rax",
            "mov [rdi + 8], rbx",
            "mov [rdi + 16], rcx",
            "mov [rdi + 24], rdx",
            "mov [rdi + 32], rsi",
            "mov [rdi + 48], rbp",
            "mov [rdi + 56], r8",
            "mov [rdi + 64], r9",
            "mov [rdi + 72], r10",
            "mov [rdi + 80], r11",
            "mov [rdi + 88], r12",
            "mov [rdi + 96], r13",
            "mov [rdi + 104], r14",
            "mov [rdi + 112], r15",
            "pop [rdi + 40]",
            "pushfq",
            "pop [rdi + 120]",
            "pop rsi",
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbp",
            "pop rbx",
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
    with_general!("syscall")
}

/// Calls a function.
///
/// # Safety
/// 1. The number is the address of a function of the ABI of C, for which the arguments are fit.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn function_call_with(before: &[u64; GENERAL_WORDS], after: &mut [u64; GENERAL_WORDS]) {
    with_general!("call rax")
}

/// Where the calls of a gate begin that a [`Probe`] serves.
///
/// # Safety
/// Only a gate may lead here.
#[unsafe(naked)]
pub unsafe extern "C" fn probe_entry<P: Probe>() {
    core::arch::naked_asm!(
        "sub rsp, {bytes}",
        "mov [rsp], rax", "mov [rsp + 8], rbx", "mov [rsp + 16], rcx", "mov [rsp + 24], rdx", "mov [rsp + 32], rsi",
        "mov [rsp + 40], rdi", "mov [rsp + 48], rbp", "mov [rsp + 56], r8", "mov [rsp + 64], r9", "mov [rsp + 72], r10",
        "mov [rsp + 80], r11", "mov [rsp + 88], r12", "mov [rsp + 96], r13", "mov [rsp + 104], r14", "mov [rsp + 112], r15",
        "pushfq", "pop [rsp + 120]",
        "mov rdi, rsp",
        "call {probed}",
        "mov rax, [rsp]", "mov rbx, [rsp + 8]", "mov rcx, [rsp + 16]", "mov rdx, [rsp + 24]", "mov rsi, [rsp + 32]",
        "mov rdi, [rsp + 40]", "mov rbp, [rsp + 48]", "mov r8, [rsp + 56]", "mov r9, [rsp + 64]", "mov r10, [rsp + 72]",
        "mov r11, [rsp + 80]", "mov r12, [rsp + 88]", "mov r13, [rsp + 96]", "mov r14, [rsp + 104]", "mov r15, [rsp + 112]",
        "push [rsp + 120]", "popfq",
        "syscall",
        "ud2",
        bytes = const size_of::<EveryRegister>(),
        probed = sym crate::raw::probed::<P>,
    )
}
