//! A guest's page of state: its registers, and why it came out.
//!
//! One layout serves both architectures; what a register is on each, the fields say. All are whole words, so that kernel and
//! program read and write them one by one.

/// General registers that there is room for.
pub const GENERAL: usize = 31;

/// Words of vector and floating-point registers that there is room for.
pub const FLOATING: usize = 66;

/// What lies at the beginning of a guest's page of state. The program fills in registers before a run and finds them after it; the
/// first four words are the kernel's to write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct GuestState {
    /// Why the guest came out: a number of [`GuestEnd`], or 0 if the run did not end by itself.
    pub end: u64,
    /// The number of the system call, or of the exception: a number of [`GuestException`], or 256 and the architecture's own number
    /// (x86_64: the vector; aarch64: the class, ESR_EL1.EC).
    pub number: u64,
    /// The address concerned: of the memory access, or of the instruction.
    pub address: u64,
    /// What was tried there: 0 to read, 1 to write, 2 to execute.
    pub access: u64,
    /// x86_64: rax, rbx, rcx, rdx, rsi, rdi, rbp, r8 to r15; the rest is not used. aarch64: x0 to x30.
    pub general: [u64; GENERAL],
    /// rsp; SP_EL0.
    pub stack_pointer: u64,
    /// rip; ELR_EL1.
    pub instruction_pointer: u64,
    /// rflags; SPSR_EL1. Only what a program can change itself is taken from here.
    pub flags: u64,
    /// FS base; TPIDR_EL0.
    pub thread_pointer: u64,
    /// GS base; not used on aarch64.
    pub second_pointer: u64,
    /// x86_64: as FXSAVE64 has it (Intel SDM volume 1, 10.5.1), 64 words. aarch64: q0 to q31, two words each, FPCR, FPSR.
    pub floating: [u64; FLOATING],
}

const _: () = assert!(size_of::<GuestState>() == GuestState::BYTES);

impl GuestState {
    /// Words that it takes.
    pub const WORDS: usize = 4 + GENERAL + 5 + FLOATING;

    /// Bytes that it takes.
    pub const BYTES: usize = 8 * GuestState::WORDS;

    /// From its words, in the order of the fields.
    pub fn from_words(words: &[u64; GuestState::WORDS]) -> GuestState {
        let mut words = words.iter().copied();
        let mut next = || words.next().unwrap_or(0);
        GuestState {
            end: next(),
            number: next(),
            address: next(),
            access: next(),
            general: core::array::from_fn(|_| next()),
            stack_pointer: next(),
            instruction_pointer: next(),
            flags: next(),
            thread_pointer: next(),
            second_pointer: next(),
            floating: core::array::from_fn(|_| next()),
        }
    }

    /// Its words, in the order of the fields.
    pub fn words(&self) -> impl Iterator<Item = u64> + '_ {
        let first = [self.end, self.number, self.address, self.access];
        let GuestState { stack_pointer, instruction_pointer, flags, thread_pointer, second_pointer, .. } = *self;
        let others = [stack_pointer, instruction_pointer, flags, thread_pointer, second_pointer];
        first.into_iter().chain(self.general).chain(others).chain(self.floating)
    }
}

/// Why a guest came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum GuestEnd {
    /// It made a system call, and is behind the instruction: `number` (rax; x8).
    Call = 1,
    /// It used memory that is not there, or not for that: `address`, `access`.
    Fault = 2,
    /// It did something else that it may not or cannot do: `number`, `address`.
    Exception = 3,
    /// It executed one instruction, as it was asked to.
    Step = 4,
    /// It came to a breakpoint: behind the instruction on x86_64, at it on aarch64.
    Breakpoint = 5,
    /// Somebody kicked it.
    Kick = 6,
    /// Its time is over.
    Deadline = 7,
}

impl GuestEnd {
    /// The end with this number.
    pub fn from_number(number: u64) -> Option<GuestEnd> {
        use GuestEnd::{Breakpoint, Call, Deadline, Exception, Fault, Kick, Step};
        [Call, Fault, Exception, Step, Breakpoint, Kick, Deadline].into_iter().find(|end| *end as u64 == number)
    }
}

/// What a guest did that it may not or cannot do, besides using memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum GuestException {
    /// An instruction that does not exist, or is not for programs.
    Instruction = 1,
    /// An address or stack pointer that the instruction does not allow.
    Address = 2,
    /// Arithmetic without a result.
    Arithmetic = 3,
    /// An instruction that waits for an interrupt: it is behind it. (aarch64; on x86_64 this is `Instruction`.)
    Wait = 4,
}

/// In `guest_run`'s flags: the guest executes one instruction.
pub const STEP: u64 = 1 << 0;

/// In an exception's `number`: the rest is the architecture's own number.
pub const OWN_NUMBER: u64 = 1 << 8;

#[cfg(test)]
mod tests {
    use super::{GuestEnd, GuestState};
    use core::mem::offset_of;

    #[test]
    fn the_page_is_laid_out_as_documented() {
        assert_eq!(offset_of!(GuestState, general), 32);
        assert_eq!(offset_of!(GuestState, stack_pointer), 280);
        assert_eq!(offset_of!(GuestState, floating), 320);
        assert!(offset_of!(GuestState, floating).is_multiple_of(16), "FXSAVE wants that");
        assert_eq!(GuestState::BYTES, 848);
    }

    #[test]
    fn words_are_in_the_order_of_the_fields() {
        let words = core::array::from_fn(|at| at as u64);
        let state = GuestState::from_words(&words);
        assert_eq!((state.general[0], state.stack_pointer, state.floating[0]), (4, 35, 40));
        assert!(state.words().eq(words));
        let at =
            [offset_of!(GuestState, general), offset_of!(GuestState, stack_pointer), offset_of!(GuestState, floating)];
        assert_eq!(at, [4 * 8, 35 * 8, 40 * 8]);
    }

    #[test]
    fn every_end_is_found_by_its_number_and_nothing_else_is() {
        for number in 1..=7 {
            assert_eq!(GuestEnd::from_number(number).map(|end| end as u64), Some(number));
        }
        assert_eq!((GuestEnd::from_number(0), GuestEnd::from_number(8)), (None, None));
    }
}
