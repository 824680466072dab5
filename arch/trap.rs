//! Why the CPU came out of user mode.

use crate::VirtAddr;

/// A reason to enter the kernel from user mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A system call; number and arguments are in the thread's registers.
    Call,
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
    /// A breakpoint or single step without a debugger.
    Breakpoint,
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

/// What the fast path of `space_switch` gives back to the entry code, in two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SwitchResult {
    /// The status word of the call.
    pub status: u64,
    /// The handle of the space that the thread came from.
    pub value: u64,
}
