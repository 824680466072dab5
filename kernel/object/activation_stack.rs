//! A thread's suspended activations: what the fast path writes, and what the kernel notes of each.

use alloc::boxed::Box;

use tessera_abi::Handle;

use crate::cpu::activations::{ACTIVATIONS_MAX, Activations, SUSPENDED_MAX};
use crate::mem::block;
use crate::object::handler::{Handler, handler_bytes};
use crate::object::id::{GateId, SpaceId, UseId};
use crate::object::interrupted::{INTERRUPTED_BYTES, Interrupted};
use crate::object::lock::Held;
use crate::object::use_pool::USE_BYTES;

/// What is noted of a suspended activation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noted {
    /// Its space. It keeps none: if this one is gone, the id names nothing.
    pub space: SpaceId,
    /// The use of the capability by which it had entered that.
    pub inside: Option<UseId>,
    /// The gate that it called, until that has closed.
    pub gate: Option<GateId>,
    /// The use of the capability by which it called.
    pub called: Option<UseId>,
    /// Whether nobody goes back to it: what it was in was taken away.
    pub is_gone: bool,
}

/// What a thread waits for that enters a space with locks.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    /// The number of the segment in the queue for whose lock it is.
    pub segment: u32,
    /// The handle of the space.
    pub handle: Handle,
    /// Whether it waits until some time, and sleeps as well.
    pub is_timed: bool,
}

/// The activations of a thread that has made a call, or held a lock. What each may become a use of is promised from the start.
#[derive(Debug, Default)]
pub struct ActivationStack {
    /// What the fast path writes.
    pub fast: Activations,
    /// What is noted, the lowest first.
    pub noted: [Noted; SUSPENDED_MAX],
    /// The registers of those that were interrupted to ask a handler.
    pub interrupted: [Option<Box<Interrupted>>; SUSPENDED_MAX],
    /// Room for the next such, if one has come back.
    pub spare: Option<Box<Interrupted>>,
    /// How many of both there are.
    pub interrupted_count: u64,
    /// The locks that each holds where it is, the topmost's included, which are noted always.
    pub held: [Option<Held>; ACTIVATIONS_MAX],
    /// What it waits for, if that is locks.
    pub awaited: Option<Awaited>,
    /// Who is asked of the thread's faults and calls.
    pub handler: Option<Box<Handler>>,
    /// Whether what the lowest was in was revoked, so that the thread is told so if it falls back.
    pub is_revoked: bool,
    /// A call of which its handler was asked, and that is made again until it is done: its number, and one more.
    pub asked_call: u64,
    /// A call of which its handler is told when it is over: its number, and one more.
    pub told_call: u64,
}

impl ActivationStack {
    /// What it costs, bytes.
    pub fn bytes(&self) -> u64 {
        ACTIVATION_BYTES + self.interrupted_count * INTERRUPTED_BYTES + handler_bytes(self.handler.as_deref())
    }
}

/// Uses that the activations of a thread are at most, besides its own.
pub const ACTIVATION_USES: u64 = 2 * SUSPENDED_MAX as u64;

/// What a thread costs more that has made a call, bytes.
pub const ACTIVATION_BYTES: u64 = block::box_bytes::<ActivationStack>() + ACTIVATION_USES * USE_BYTES;
