//! Invalidation as a duty: who sees a change, and how they are told.

pub mod audience;
pub mod broadcast;
pub mod flush;
pub mod global;
