//! What should be mapped where, kept naively: lists that are searched from end to end.
//!
//! [`Map`] is one space's or subtree's mappings; [`World`] is all of them with segments, attachments, what is public and
//! the memory's contents; a [`Sight`] is what a CPU or a view shows of a space. Each operation says which errors apply; a
//! call may fail with any of these, and must succeed if there is none.

mod map;
mod sharing;
mod sight;
mod world;

pub use map::{Extent, Map};
pub use sharing::{Attached, Spot};
pub use sight::Sight;
pub use world::{Frames, Memory, SPACE_LEVEL, Segment, SegmentCap, World};
