//! What should be mapped where, kept naively: lists that are searched from end to end.
//!
//! [`Map`] is one space's or subtree's mappings; [`World`] is all of them with segments, attachments and the
//! memory's contents. Each operation says which errors apply; a call may fail with any of these, and must succeed
//! if there is none.

mod map;
mod world;

pub use map::{Extent, Map};
pub use world::{Frames, Memory, Segment, SegmentCap, World};
