//! Handlers: the gate that is asked what is to become of a thread which cannot go on, or makes a call.

use crate::mem::block;
use crate::object::id::{GateId, UseId};
use crate::object::use_pool::USE_BYTES;

/// A gate as the handler of a thread, a space or a subtree. It keeps no gate: if this one is gone, the id names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The gate.
    pub gate: GateId,
    /// The use of the capability to it that this is.
    pub lent: UseId,
    /// That capability's badge.
    pub badge: u64,
    /// Of what it is asked: flags of `asked_of`.
    pub asks: u64,
    /// Whether it may see registers, and change them.
    pub sees_registers: bool,
}

/// What an object costs more that has a handler, bytes.
pub const HANDLER_BYTES: u64 = block::box_bytes::<Handler>() + USE_BYTES;

/// What the handler of an object costs, bytes, if it has one.
#[inline(always)]
pub fn handler_bytes(handler: Option<&Handler>) -> u64 {
    if handler.is_some() { HANDLER_BYTES } else { 0 }
}
