//! Threads: registers, a capability table, a current space, a place in the scheduler.

use tessera_abi::layout::{Name, ThreadState};
use tessera_abi::{Handle, ObjectKind};
use tessera_arch::{Fault, ThreadContext};

use crate::object::account::object_bytes;
use crate::object::doomed::Debt;
use crate::object::id::{AccountId, Object, SpaceId, TableId, ThreadId, kind};
use crate::object::links::{Links, List, Node};

/// Where a thread lands if its space goes. It keeps no space: if this one is gone too, the id names nothing.
#[derive(Clone, Copy, Debug)]
pub struct Fallback {
    /// The space it lands in.
    pub space: SpaceId,
    /// Instruction pointer there.
    pub instruction_pointer: u64,
    /// Stack pointer there.
    pub stack_pointer: u64,
}

/// No turn on the console was promised: a turn is a number of bytes, of which there are not so many.
pub const NO_TURN: u64 = u64::MAX;

/// Where a thread waits that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// In its CPU's queue; others may take it.
    Anywhere,
    /// In its CPU's queue, and it may run nowhere else.
    Here,
    /// With those that may run on this set of CPUs, a bit each.
    Set(u8),
}

/// What has to be seen to before a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The fault that it came into the kernel with and that is not seen to yet: it was taken off its CPU before, or it
    /// waits for its turn on the console to have it reported.
    Fault(Fault),
    /// What it doomed by a call from which it does not come back before that is taken apart.
    Debt(Debt),
}

/// A thread.
pub struct Thread {
    /// For people.
    pub name: Name,
    /// Who pays.
    pub account: AccountId,
    /// Its registers while it does not run.
    pub context: ThreadContext,
    /// What it is doing.
    pub state: ThreadState,
    /// 0 to 31; the highest ready one runs.
    pub priority: u8,
    /// The space in whose list it is: the one it is in, or, while it runs, the one it was in when it last did not. Then
    /// the CPU's line knows better, as the fast path writes only there.
    pub space: SpaceId,
    /// The handle by which it entered that space, the null handle if none.
    pub entered_by: Handle,
    /// Its capabilities, until it ends.
    pub table: Option<TableId>,
    /// Where it lands if its space goes.
    pub fallback: Option<Fallback>,
    /// What it said when it exited.
    pub exit_code: u64,
    /// When its turn on the console comes, if it has been told to wait (see `Console::ensure_turn`); else [`NO_TURN`].
    pub console_turn: u64,
    /// The thread it waits for, if it joins one.
    pub joining: Option<ThreadId>,
    /// The threads that wait for its end.
    pub joiners: List,
    /// Where it waits for a CPU, if it does.
    pub waits: Option<Wait>,
    /// What says whose turn comes first: of those who sleep their time to wake up, of those who are ready how much they
    /// yield to others; then who came first.
    pub order: (u64, u64),
    /// Its neighbours in lists.
    pub links: Links,
    /// Its neighbours in an agenda.
    pub node: Node,
    /// What has to be seen to before it goes on.
    pub pending: Option<Pending>,
    /// The CPU it runs on, ran on last, or waits for.
    pub cpu: usize,
    /// The CPUs it may run on, a bit each.
    pub affinity: u32,
}

impl Object for Thread {
    type Kind = kind::Thread;
    const KIND: ObjectKind = ObjectKind::Thread;
    const WHAT: &'static str = "thread";

    #[inline(always)]
    fn payer(&self) -> Option<AccountId> {
        Some(self.account)
    }

    #[inline(always)]
    fn extra_bytes(&self) -> u64 {
        CONTEXT_BYTES
    }
}

impl Thread {
    /// A thread that has not started.
    pub fn new(account: AccountId, table: TableId, space: SpaceId, priority: u8) -> Thread {
        Thread {
            name: Name::EMPTY,
            account,
            context: ThreadContext::new(),
            state: ThreadState::Created,
            priority,
            space,
            entered_by: Handle::NONE,
            table: Some(table),
            fallback: None,
            exit_code: 0,
            console_turn: NO_TURN,
            joining: None,
            joiners: List::default(),
            waits: None,
            order: (0, 0),
            links: Links::default(),
            node: Node::default(),
            pending: None,
            cpu: 0,
            affinity: u32::MAX,
        }
    }

    /// When its turn on the console comes, if it has been told to wait.
    pub fn console_turn(&self) -> Option<u64> {
        (self.console_turn != NO_TURN).then_some(self.console_turn)
    }

    /// What it owes.
    pub fn debt(&self) -> Debt {
        match self.pending {
            Some(Pending::Debt(debt)) => debt,
            Some(Pending::Fault(_)) | None => Debt::NONE,
        }
    }

    /// What it owes, and owes no more.
    pub fn take_debt(&mut self) -> Debt {
        let debt = self.debt();
        self.pending = self.pending.filter(|_| debt.is_none());
        debt
    }

    /// Whether it has ended, one way or another.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, ThreadState::Exited | ThreadState::Faulted | ThreadState::Stopped)
    }
}

// More would be charged for the next byte. (The fake machine keeps the registers in the record.)
#[cfg(target_os = "none")]
const _: () = assert!(size_of::<Thread>() <= 256, "a thread's record fits into a block of 256 bytes");

/// What a thread needs besides its record, bytes: the block with its registers.
pub const CONTEXT_BYTES: u64 = crate::mem::block::block_bytes(ThreadContext::LAYOUT);

/// What a thread costs its account, bytes.
pub const THREAD_BYTES: u64 = object_bytes::<Thread>() + CONTEXT_BYTES;
