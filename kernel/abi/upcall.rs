//! Upcalls: what a handler, which is a gate, is told when it is asked what is to become of a thread, and what it answers.
//!
//! The six words of a gate call tell it: what has happened ([`UpcallKind`]), three words more, where, and the thread's instruction
//! pointer if the handler may see registers. `gate_return` answers by its first words.

use crate::guest::GuestEnd;

/// What has happened to the thread: the first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum UpcallKind {
    /// It is about to make a system call. Then: its number.
    Call = GuestEnd::Call as u64,
    /// An access to memory failed. Then: 0, the address, what was tried (0 to read, 1 to write, 2 to execute), and where the address lies
    /// in the subtree that has the handler, bytes from its beginning; else the address.
    Fault = GuestEnd::Fault as u64,
    /// An exception. Then: its number as a guest's (`GuestException`), and the address concerned.
    Exception = GuestEnd::Exception as u64,
    /// It has executed one instruction.
    Step = GuestEnd::Step as u64,
    /// A breakpoint. Then: 0, and its address.
    Breakpoint = GuestEnd::Breakpoint as u64,
    /// A system call is over. Then: its number, its status, its value.
    Return = 32,
}

impl UpcallKind {
    /// The kind with this number.
    pub fn from_number(number: u64) -> Option<UpcallKind> {
        use UpcallKind::{Breakpoint, Call, Exception, Fault, Return, Step};
        [Call, Fault, Exception, Step, Breakpoint, Return].into_iter().find(|kind| *kind as u64 == number)
    }
}

/// What a handler answers: the first word of its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Answer {
    /// It does not see to this: whoever comes next is asked. A call is made.
    Pass = 0,
    /// The thread goes on with its registers as they are now: a fault's instruction is executed again, a call is made.
    Resume = 1,
    /// The call is not made, or has another result: the status and the value in the next two words. Not for faults.
    Cancel = 2,
    /// The thread ends, as by a fault that nobody sees to, without a line; a call that it is in ends with `Faulted`.
    End = 3,
}

impl Answer {
    /// The answer with this number.
    pub fn from_number(number: u64) -> Option<Answer> {
        use Answer::{Cancel, End, Pass, Resume};
        [Pass, Resume, Cancel, End].into_iter().find(|answer| *answer as u64 == number)
    }
}

/// What a handler of a thread is asked of: flags of `handler_set`.
pub mod asked_of {
    /// Faults and exceptions.
    pub const FAULTS: u64 = 1 << 0;
    /// System calls, before they are made.
    pub const CALLS: u64 = 1 << 1;
    /// System calls, when they are over.
    pub const RETURNS: u64 = 1 << 2;
    /// All that there are.
    pub const ALL: u64 = FAULTS | CALLS | RETURNS;
}
