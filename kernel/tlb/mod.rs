//! Invalidation as a duty: who sees a change, and how they are told.

pub mod audience;
pub mod broadcast;
pub mod flush;
pub mod global;

/// More pages than this, and the whole tag is flushed instead of page after page.
pub const PAGES_MAX: u64 = 32;
