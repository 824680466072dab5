//! Threads: registers, a capability table, a current space, a place in the scheduler.

use alloc::boxed::Box;

use tessera_abi::layout::{Name, ThreadState};
use tessera_abi::{Handle, ObjectKind};
use tessera_arch::{CPUS_MAX, Fault, ThreadContext};

use crate::base::cpu_set::{self, CpuSet};
use crate::cpu::activations::{Activations, NO_ACTIVATIONS};
use crate::cpu::slice_pointer::Kept;
use crate::cpu::table_view::{NO_TABLE, TableView};
use crate::object::account::object_bytes;
use crate::object::activation_stack::ActivationStack;
use crate::object::doomed::Debt;
use crate::object::id::{AccountId, GateId, Object, SpaceId, TableId, UseId, kind};
use crate::object::interrupted::Asked;
use crate::object::links::{Links, List, Node};
use crate::object::progress::Progress;
use crate::object::use_pool::USE_BYTES;

/// Where a thread lands if its space goes. It keeps no space: if this one is gone too, the id names nothing.
// In this order what a thread without one has is aligned, and is written where it stays.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Fallback {
    /// The space it lands in.
    pub space: SpaceId,
    /// The use of a capability to the space that it is.
    pub lent: Option<UseId>,
    /// Instruction pointer there.
    pub instruction_pointer: u64,
    /// Stack pointer there.
    pub stack_pointer: u64,
}

/// No turn on the console was promised: a turn is a number of bytes, of which there are not so many.
const NO_TURN: u64 = u64::MAX;

/// Where a thread waits that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// In its CPU's queue; others may take it.
    Anywhere,
    /// In its CPU's queue, and it may run nowhere else.
    Here,
    /// With those that may run on some CPUs but not on all.
    Somewhere,
}

/// What a handler is to be asked of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// The fault that it came into the kernel with and that is not seen to yet, and who was asked: it was taken off its CPU before,
    /// waits for a handler, or for its turn on the console to have it reported.
    Fault(Fault, Asked),
    /// The call that it came with.
    Call,
    /// A call that is over, of which its handler is told.
    Return,
}

/// What has to be seen to before a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// What a handler is to be asked.
    Asks(Asking),
    /// A call of which its handler was asked, and did not answer.
    Unanswered,
    /// One of these, for which it has waited: a stack of the handler's gate is its own now, by its number.
    Served(GateId, u32, Asking),
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
    /// The use of the capability by which it entered that space, until it ends.
    pub inside: Option<UseId>,
    /// How far it has come in a list of capabilities and uses that it goes through.
    pub marker: Option<UseId>,
    /// Its capabilities, until it ends.
    pub table: Option<TableId>,
    /// What CPUs find of the table that it uses now.
    pub table_view: Kept<TableView>,
    /// What it goes back to, if it has ever made a gate call.
    pub activations: Option<Box<ActivationStack>>,
    /// Where it lands if its space goes, and it is in no call.
    pub fallback: Option<Fallback>,
    /// Whether it was stopped in a call: it ends when it comes out.
    pub is_stopping: bool,
    /// When its turn on the console comes, if it has been told to wait (see `Console::ensure_turn`); else [`NO_TURN`].
    console_turn: u64,
    /// The threads that wait for its end.
    pub joiners: List,
    /// Where it waits for a CPU, if it does.
    pub waits: Option<Wait>,
    /// What says whose turn comes first: of those who sleep their time to wake up, of those who are ready how much they
    /// yield to others; then who came first. Of those who have exited, what they said ([`Thread::exit_code`]); of those who wait for
    /// a thread's end, or for a stack of a gate, its number.
    pub order: (u64, u64),
    /// Its neighbours in lists.
    pub links: Links,
    /// Its neighbours in an agenda.
    pub node: Node,
    /// What has to be seen to before it goes on.
    pub pending: Option<Box<Pending>>,
    /// How far the call is that it makes again and again until it is done.
    pub progress: Progress,
    /// The CPU it runs on, ran on last, or waits for.
    cpu: u8,
    /// The CPUs it may run on.
    pub affinity: CpuSet,
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
        CONTEXT_BYTES + self.activations.as_ref().map_or(0, |stack| stack.bytes())
    }
}

impl Thread {
    /// A thread that has not started; what CPUs find of its table is told when it is taken in.
    pub fn new(account: AccountId, table: TableId, space: SpaceId, priority: u8) -> Thread {
        Thread {
            name: Name::EMPTY,
            account,
            context: ThreadContext::new(),
            state: ThreadState::Created,
            priority,
            space,
            entered_by: Handle::NONE,
            inside: None,
            marker: None,
            table: Some(table),
            table_view: Kept::of(&NO_TABLE),
            activations: None,
            fallback: None,
            is_stopping: false,
            console_turn: NO_TURN,
            joiners: List::default(),
            waits: None,
            order: (0, 0),
            links: Links::default(),
            node: Node::default(),
            pending: None,
            progress: Progress::NONE,
            cpu: 0,
            affinity: cpu_set::ALL,
        }
    }

    /// What it said when it exited; 0 if it did not, or not yet. Who has ended is in no order.
    pub fn exit_code(&self) -> u64 {
        if self.state == ThreadState::Exited { self.order.0 } else { 0 }
    }

    /// Notes what the thread, which runs, says as it exits.
    pub fn set_exit_code(&mut self, code: u64) {
        self.order.0 = code;
    }

    /// The CPU it runs on, ran on last, or waits for.
    #[inline(always)]
    pub fn cpu(&self) -> usize {
        // The remainder changes nothing; it tells the compiler that the number is in bounds.
        usize::from(self.cpu) % CPUS_MAX
    }

    /// Says on which CPU it runs, or waits.
    #[inline(always)]
    pub fn set_cpu(&mut self, cpu: usize) {
        self.cpu = cpu as u8;
    }

    /// When its turn on the console comes, if it has been told to wait.
    pub fn console_turn(&self) -> Option<u64> {
        (self.console_turn != NO_TURN).then_some(self.console_turn)
    }

    /// Notes when its turn on the console comes, or that it need not wait.
    pub fn set_console_turn(&mut self, turn: Option<u64>) {
        self.console_turn = turn.unwrap_or(NO_TURN);
    }

    /// The number of the table that it uses, unless it runs: then its CPU's line knows.
    pub fn table_number(&self) -> u32 {
        self.table_view.get().number()
    }

    /// What a CPU finds of what it goes back to.
    #[inline(always)]
    pub fn goes_back_to(&self) -> Kept<Activations> {
        Kept::of(self.activations.as_ref().map_or(&NO_ACTIVATIONS, |stack| &stack.fast))
    }

    /// In how many calls it is, as far as is known while it runs.
    #[inline(always)]
    pub fn depth(&self) -> usize {
        self.activations.as_ref().map_or(0, |stack| stack.fast.depth())
    }

    /// Whether it runs a guest.
    pub fn is_in_guest(&self) -> bool {
        self.activations.as_ref().is_some_and(|stack| stack.fast.is_in_guest())
    }

    /// Notes that it waits for the end of the thread with this number.
    pub fn set_joining(&mut self, target: u32) {
        (self.state, self.order.0) = (ThreadState::Joining, u64::from(target));
    }

    /// The number of the thread for whose end it waits. That is there as long as anybody does.
    pub fn joining(&self) -> Option<u32> {
        (self.state == ThreadState::Joining).then_some(self.order.0 as u32)
    }

    /// Notes which gate it waits for.
    pub fn set_calling(&mut self, gate: u32) {
        (self.state, self.order.0) = (ThreadState::Calling, u64::from(gate));
    }

    /// The number of the gate for a stack of which it waits.
    pub fn calling(&self) -> Option<u32> {
        (self.state == ThreadState::Calling).then_some(self.order.0 as u32)
    }

    /// What it owes.
    pub fn debt(&self) -> Debt {
        match self.pending.as_deref() {
            Some(Pending::Debt(debt)) => *debt,
            _ => Debt::NONE,
        }
    }

    /// Whether nothing but what it owes is pending.
    pub fn can_owe(&self) -> bool {
        matches!(self.pending.as_deref(), None | Some(Pending::Debt(_)))
    }

    /// What it owes, and owes no more.
    pub fn take_debt(&mut self) -> Debt {
        let debt = self.debt();
        if !debt.is_none() {
            self.pending = None;
        }
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

/// What a thread needs besides its record, bytes: the block with its registers, and its uses: of the space that it is in, of
/// the one that it falls back to, and where it stands in a list that it goes through.
pub const CONTEXT_BYTES: u64 = crate::mem::block::block_bytes(ThreadContext::LAYOUT) + 3 * USE_BYTES;

/// What a thread costs its account, bytes.
pub const THREAD_BYTES: u64 = object_bytes::<Thread>() + CONTEXT_BYTES;
