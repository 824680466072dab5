//! Gates: one entry point into a space, with the table and the stacks of those who come in.
//!
//! What a call needs without the lock is in the gate's [`GateWords`](crate::cpu::gate_words::GateWords). A gate keeps neither its
//! space nor its table: it is a use of the capabilities to both, and closes for good when one of these is taken back or goes.

use alloc::vec::Vec;

use tessera_abi::ObjectKind;
use tessera_abi::layout::Name;

use crate::base::cpu_set::CpuSet;
use crate::mem::block;
use crate::object::id::{AccountId, Object, SpaceId, TableId, ThreadId, UseId, kind};
use crate::object::links::List;
use crate::object::use_pool::USE_BYTES;

/// Memory for each gate that there may be: so few are enough, and what is told of each without the lock is there from the start.
pub const GATE_SHARE_BYTES: u64 = 1 << 16;

/// Gates come in chunks of so many.
const CHUNK: u64 = crate::object::chunk::CHUNK as u64;

/// A gate.
#[derive(Debug)]
pub struct Gate {
    /// For people.
    pub name: Name,
    /// Who pays.
    pub account: AccountId,
    /// Where calls go.
    pub space: SpaceId,
    /// What they can name there.
    pub table: TableId,
    /// The uses of the capabilities to both, until it closes for good.
    pub lent: [Option<UseId>; 2],
    /// The CPUs that were not looked at since it was closed.
    pub unasked: CpuSet,
    /// Of each stack, the thread that is on it, if that is noted.
    pub holders: Vec<Option<ThreadId>>,
    /// The threads that wait for a stack.
    pub waiting: List,
    /// How many they are.
    pub waiting_count: u64,
}

impl Object for Gate {
    type Kind = kind::Gate;
    const KIND: ObjectKind = ObjectKind::Gate;
    const WHAT: &'static str = "gate";

    #[inline(always)]
    fn payer(&self) -> Option<AccountId> {
        Some(self.account)
    }

    #[inline(always)]
    fn extra_bytes(&self) -> u64 {
        Gate::bytes_for(self.holders.len() as u64)
    }
}

impl Gate {
    /// What a gate with so many stacks costs besides its record, bytes.
    pub const fn bytes_for(stacks: u64) -> u64 {
        Gate::block_bytes(stacks) + 2 * USE_BYTES
    }

    /// The block that its list of stacks takes, bytes.
    pub const fn block_bytes(stacks: u64) -> u64 {
        block::list_bytes::<Option<ThreadId>>(stacks)
    }

    /// No gate has a number as high as this, with so much memory.
    pub const fn most(memory_bytes: u64) -> usize {
        ((memory_bytes / GATE_SHARE_BYTES / CHUNK + 1) * CHUNK) as usize
    }
}
