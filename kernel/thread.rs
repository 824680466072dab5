//! Threads: registers, a capability table, a current space, a place in the scheduler.

use tessera_abi::Handle;
use tessera_abi::layout::{Name, ThreadState};
use tessera_arch::ThreadContext;

use crate::account::Account;
use crate::cap_table::CapTable;
use crate::space::Space;
use crate::store::Id;

/// Where a thread lands if its space goes.
#[derive(Clone, Copy, Debug)]
pub struct Fallback {
    /// The space it lands in.
    pub space: Id<Space>,
    /// Instruction pointer there.
    pub instruction_pointer: u64,
    /// Stack pointer there.
    pub stack_pointer: u64,
}

/// A thread.
pub struct Thread {
    /// For people.
    pub name: Name,
    /// Who pays.
    pub account: Id<Account>,
    /// Its registers while it does not run.
    pub context: ThreadContext,
    /// What it is doing.
    pub state: ThreadState,
    /// 0 to 31; the highest ready one runs.
    pub priority: u8,
    /// The space it is in. While it runs, the CPU's line knows better: the fast path writes only there.
    pub space: Id<Space>,
    /// The handle by which it entered that space, the null handle if none.
    pub entered_by: Handle,
    /// Its capabilities, until it ends.
    pub table: Option<Id<CapTable>>,
    /// Where it lands if its space goes.
    pub fallback: Option<Fallback>,
    /// What it said when it exited.
    pub exit_code: u64,
    /// When it wakes up, if it sleeps.
    pub wake_ns: u64,
    /// When its turn on the console comes, if it has been told to wait (see `Console::ensure_turn`).
    pub console_turn: Option<u64>,
    /// The thread it waits for, if it joins one.
    pub joining: Option<Id<Thread>>,
    /// The first of the threads that wait for its end.
    pub joiners: Option<Id<Thread>>,
    /// The next thread in whichever queue this one is in.
    pub next: Option<Id<Thread>>,
    /// The CPU it runs on, ran on last, or waits for.
    pub cpu: usize,
    /// The CPUs it may run on, a bit each.
    pub affinity: u32,
}

impl Thread {
    /// A thread that has not started.
    pub fn new(account: Id<Account>, table: Id<CapTable>, space: Id<Space>, priority: u8) -> Thread {
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
            wake_ns: 0,
            console_turn: None,
            joining: None,
            joiners: None,
            next: None,
            cpu: 0,
            affinity: u32::MAX,
        }
    }

    /// Whether it has ended, one way or another.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, ThreadState::Exited | ThreadState::Faulted | ThreadState::Stopped)
    }
}

/// What a thread needs besides its record, bytes: room for the FP and SIMD registers.
pub const CONTEXT_BYTES: u64 = 2048;
