//! A thread's registers in memory: what the entry code saves, and what is exchanged when the thread changes.

use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use core::sync::atomic::{Ordering, compiler_fence};

use super::floating;
use crate::Table;

/// PSTATE of user mode: EL0, AArch64, no exception masked but FIQ, which nothing is configured as: one that comes all the
/// same would come again and again (DDI 0487, C5.2.18 "SPSR_EL1"). All else that a program can set in PSTATE (the
/// condition flags, DIT, SSBS, TCO, BTYPE) is its own business; it cannot set what would change its privilege or have the
/// return fail, so what an exception saved is fit to return with.
pub(super) const USER_PSTATE: u64 = 1 << 6;

/// The registers that every trap saves. `entry.rs` knows the layout.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Registers {
    /// x0 to x30.
    pub(super) general: [u64; 31],
    /// SP_EL0.
    pub(super) stack_pointer: u64,
    /// ELR_EL1.
    pub(super) instruction_pointer: u64,
    /// SPSR_EL1.
    pub(super) flags: u64,
    /// TPIDR_EL0.
    pub(super) thread_pointer: u64,
    /// Whether the thread has never used the vector registers, or is to find what a new one finds: those in memory mean
    /// nothing.
    /// (Here it keeps the size a multiple of 16 bytes.)
    pub(super) is_floating_new: bool,
    /// Whether they are a guest's: its system calls come out, whatever they are. Or a thread's whose handler is asked of them.
    pub(super) is_guest: bool,
    /// Whether the guest executes one instruction only.
    pub(super) steps: bool,
}

/// Length of the instruction `svc`, bytes.
pub(super) const CALL_BYTES: u64 = 4;

/// The first of the registers of words.
const FIRST_WORD: usize = 20;

/// Registers that a call does not keep: x0 to x17.
const SCRATCH: usize = 18;

impl Registers {
    /// The number of the system call: x8.
    pub fn call_number(&self) -> u64 {
        self.general[8]
    }

    /// The arguments of the system call: x0 to x5.
    pub fn call_arguments(&self) -> [u64; 6] {
        // One by one: the compiler would go through them.
        let [x0, x1, x2, x3, x4, x5, ..] = &self.general;
        [*x0, *x1, *x2, *x3, *x4, *x5]
    }

    /// Sets the result of the system call: x0 and x1.
    pub fn set_result(&mut self, status: u64, value: u64) {
        self.general[0] = status;
        self.general[1] = value;
    }

    /// Status and value of the last system call: x0 and x1.
    pub fn call_result(&self) -> [u64; 2] {
        [self.general[0], self.general[1]]
    }

    /// The words that go along with a gate call and its return: x20 to x25.
    pub fn words(&self) -> [u64; 6] {
        core::array::from_fn(|index| self.general[FIRST_WORD + index])
    }

    /// Sets them.
    pub fn set_words(&mut self, words: [u64; 6]) {
        self.general[FIRST_WORD..][..words.len()].copy_from_slice(&words);
    }

    /// Whether it is to make the system call again behind whose instruction it was.
    pub fn is_before_call(&self, behind: u64) -> bool {
        self.instruction_pointer.wrapping_add(CALL_BYTES) == behind
    }

    /// In pieces: for one that is so long the compiler would call a routine that takes longer.
    pub(super) fn forget_scratch(&mut self) {
        for piece in self.general[..SCRATCH].as_chunks_mut().0 {
            *piece = [0; SCRATCH / 3];
            compiler_fence(Ordering::SeqCst);
        }
    }

    /// Makes a thread that made a gate call go on in the gate: at a place, on a stack, with two arguments (x0 and x1). The
    /// registers of words, and those behind them, stay; no other says anything.
    pub fn enter_call(&mut self, (ip, sp): (u64, u64), arguments: [u64; 2]) {
        self.forget_scratch();
        self.set_entry(ip, sp, arguments);
    }

    /// Makes a thread go on where it made a gate call, with the value or the status that the call has. If that failed, its
    /// registers are whatever they were in the callee, and none of them stays.
    pub fn leave_call(&mut self, (ip, sp): (u64, u64), result: Result<u64, u64>) {
        let end = if result.is_ok() { SCRATCH } else { self.general.len() };
        self.general[..end].fill(0);
        self.set_entry(ip, sp, [0; 2]);
        self.set_result(result.err().unwrap_or(0), result.unwrap_or(0));
    }

    /// Makes all zero that a thread had in registers, the thread pointer included, but not where it goes on.
    pub fn clear(&mut self) {
        self.general.fill(0);
        self.thread_pointer = 0;
    }

    /// Makes the thread begin at a place with an argument and words: all other general registers are zero.
    #[inline(always)]
    pub(super) fn begin(&mut self, (ip, sp): (u64, u64), argument: u64, words: [u64; 6]) {
        self.forget_scratch();
        let [kept @ .., x26, x27, x28, x29, x30] = &mut self.general;
        [*x26, *x27, *x28, *x29, *x30] = [0; 5];
        (kept[SCRATCH], kept[SCRATCH + 1]) = (0, 0);
        self.set_words(words);
        self.set_entry(ip, sp, [argument, 0]);
    }

    /// Where the thread goes on.
    pub fn instruction_pointer(&self) -> u64 {
        self.instruction_pointer
    }

    /// Its stack pointer.
    pub fn stack_pointer(&self) -> u64 {
        self.stack_pointer
    }

    /// Makes the thread go on elsewhere, with two function arguments (x0 and x1) and a fresh PSTATE; all other registers
    /// stay.
    pub fn set_entry(&mut self, instruction_pointer: u64, stack_pointer: u64, arguments: [u64; 2]) {
        self.instruction_pointer = instruction_pointer;
        self.stack_pointer = stack_pointer;
        self.flags = USER_PSTATE;
        self.general[..2].copy_from_slice(&arguments);
    }

    /// The thread pointer, TPIDR_EL0.
    pub fn thread_pointer(&self) -> u64 {
        self.thread_pointer
    }

    /// Sets the thread pointer; the register follows when the thread next returns to user mode.
    pub fn set_thread_pointer(&mut self, value: u64) {
        self.thread_pointer = value;
    }
}

impl fmt::Display for Registers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, value) in self.general.iter().enumerate() {
            let margin = if number < 10 { " " } else { "" };
            write!(formatter, " {margin}x{number} {value:016x}{}", if number % 4 == 3 { "\n" } else { "" })?;
        }
        write!(
            formatter,
            "  sp {:016x}\n  ip {:016x} psr {:016x} tls {:016x}",
            self.stack_pointer, self.instruction_pointer, self.flags, self.thread_pointer
        )
    }
}

/// All saved state of a thread.
#[repr(C)]
pub(super) struct SavedState {
    /// Saved and loaded at every trap.
    pub(super) registers: Registers,
    /// Saved and loaded when the current thread changes.
    pub(super) floating: MaybeUninit<floating::State>,
    /// What only a guest has; of a thread whose calls come in by a guest's entry, that it has none. Of others it means nothing.
    pub(super) guest: MaybeUninit<GuestPart>,
}

/// What is known of a guest besides its registers.
#[repr(C)]
pub(super) struct GuestPart {
    /// Its page of state, which stays as long as it runs; none if they are no guest's.
    pub(super) page: Option<&'static Table>,
    /// While it runs, the state of the thread that runs it, if the entry code may go straight back to that; else null.
    pub(super) runner: *mut SavedState,
}

impl GuestPart {
    /// Of what is no guest.
    pub(super) const NONE: GuestPart = GuestPart { page: None, runner: null_mut() };
}
