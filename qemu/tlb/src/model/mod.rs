//! The model: events in, figures out.

mod event;

pub use event::{Access, Invalidation, Translation, Walk, WalkEntries};
