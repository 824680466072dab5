//! A thread that was interrupted to ask a handler: its registers, as whoever goes back to it finds them, and what was asked.

use tessera_arch::{Fault, ThreadContext};

use crate::mem::block;

/// Who was asked last of a fault. Those behind are asked when it is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// Nobody.
    #[default]
    Nobody,
    /// The handler of the subtree in which the address lies.
    Subtree,
    /// That of the space.
    Space,
    /// The thread's own.
    Thread,
}

/// Why a thread was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It made a mistake, or used memory that is to be brought.
    Fault(Fault, Asked),
    /// It is about to make a call.
    Call,
    /// A call is over.
    Return,
}

/// A thread's registers while it is in a handler.
pub struct Interrupted {
    /// Those of the thread; while it is in none, those that it has in one.
    pub context: ThreadContext,
    /// Why it was interrupted.
    pub why: Why,
    /// Whether the handler may see registers.
    pub sees_registers: bool,
    /// The number of the space that it was in. It tells of that only as long as the activation is fresh, which is sound then.
    pub space: u32,
}

impl core::fmt::Debug for Interrupted {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "interrupted by {:?}", self.why)
    }
}

/// What it costs a thread to be in a handler, bytes.
pub const INTERRUPTED_BYTES: u64 = block::box_bytes::<Interrupted>() + block::block_bytes(ThreadContext::LAYOUT);
