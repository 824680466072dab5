//! Why the CPU came out of user mode.

use crate::VirtAddr;

/// A reason to enter the kernel from user mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A system call; number and arguments are in the thread's registers.
    Call,
    /// The same of a guest: whoever runs it sees to it.
    GuestCall,
    /// The thread did something it may not or cannot do.
    Fault(Fault),
    /// The thread executed an instruction that waits for an interrupt, and is past it: it has nothing to do for now.
    Wait,
    /// A device or another CPU wants attention.
    Interrupt(Interrupt),
}

/// What a thread tried to do with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Fetch an instruction.
    Execute,
}

/// A fault of a user thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault.
    pub kind: FaultKind,
    /// The address concerned: of the memory access, or of the instruction.
    pub address: VirtAddr,
    /// What the thread tried to do there.
    pub access: Access,
}

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No translation, or one that does not allow the access.
    Page,
    /// The instruction does not exist or is not for user mode.
    Instruction,
    /// An address or stack pointer that the instruction does not allow (alignment, non-canonical).
    Address,
    /// Arithmetic: division, floating point.
    Arithmetic,
    /// A breakpoint.
    Breakpoint,
    /// An instruction was executed of a thread that executes them one by one.
    Step,
    /// Anything else, with the architecture's own number for it.
    Other(u32),
}

/// An interrupt, by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// The time set with `set_timer` has come.
    Timer,
    /// Another CPU made a thread ready for this one.
    Reschedule,
    /// Another CPU wants translations invalidated.
    Shootdown,
    /// Nothing that anybody asked for.
    Spurious,
}

/// Where a thread goes on that made a gate call, or returns from one, in two registers. Neither is above what a user address can
/// be, but for the way out of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct UserPlace {
    /// Its next instruction; [`UserPlace::COMMON`]'s; or, with [`CallResult::UNFINISHED`] added, the kernel must be entered once
    /// more before the thread goes on.
    pub instruction_pointer: u64,
    /// Its stack pointer.
    pub stack_pointer: u64,
}

impl UserPlace {
    /// Nothing was done: the call takes the common path, with the thread's registers saved.
    pub const COMMON: UserPlace = UserPlace { instruction_pointer: u64::MAX, stack_pointer: 0 };
}

/// What a handler finds in its registers when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerStart {
    /// The words that go along with a gate call.
    pub words: [u64; 6],
    /// The badge of the capability to the gate.
    pub badge: u64,
}

/// What a call that the entry code makes straight into the kernel gives back to it, in two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CallResult {
    /// The status word of the call, or [`CallResult::COMMON`]'s; with [`CallResult::UNFINISHED`] added, the kernel must be
    /// entered once more before the thread goes on.
    pub status: u64,
    /// The value that the call gives.
    pub value: u64,
}

impl CallResult {
    /// Nothing was done: the call takes the common path, with the thread's registers saved.
    pub const COMMON: CallResult = CallResult { status: u64::MAX, value: 0 };
    /// In a status word: the call is done, but the kernel is not done with what came of it.
    pub const UNFINISHED: u64 = 1 << 63;
}
