//! The pieces that stores are made of.

use alloc::boxed::Box;
use core::num::NonZeroU64;

use crate::object::tally::Tally;

/// Entries are made in chunks of this many: a bit of a word each.
pub(super) const CHUNK: usize = 32;

/// Where there is no object, or no chunk.
pub(super) const NONE: u32 = u32::MAX;

/// What there is of so many objects, kind of fact by kind of fact: every use of an object looks one up, and a pointer among
/// pointers is found without a shift.
#[repr(C)]
pub(super) struct Chunk<T> {
    pub(super) values: [Option<Box<T>>; CHUNK],
    pub(super) generations: [NonZeroU64; CHUNK],
    pub(super) uses: [Uses; CHUNK],
    /// The entries that the next objects get, a bit each.
    pub(super) free: u32,
    /// The next chunk with such entries, if there are any in this one.
    pub(super) next_open: u32,
    /// The chunks with objects before and behind this one, if it has any, or is idle.
    pub(super) before: u32,
    pub(super) behind: u32,
    /// What the checks count of each, out of the way of all else.
    pub(super) tallies: [Tally; CHUNK],
}

#[derive(Clone, Copy)]
pub(super) struct Uses {
    pub(super) references: u32,
    /// The next object that waits to be destroyed.
    pub(super) next_doomed: u32,
}

impl<T> Chunk<T> {
    /// One without objects, in no list.
    pub(super) fn new() -> Chunk<T> {
        Chunk {
            values: [const { None }; CHUNK],
            generations: [NonZeroU64::MIN; CHUNK],
            uses: [Uses { references: 0, next_doomed: NONE }; CHUNK],
            free: u32::MAX,
            next_open: NONE,
            before: NONE,
            behind: NONE,
            tallies: core::array::from_fn(|_| Tally::default()),
        }
    }
}

/// The chunk of an object, and the place in it.
#[inline(always)]
pub(super) fn place_of(index: u32) -> (usize, usize) {
    (index as usize / CHUNK, index as usize % CHUNK)
}
