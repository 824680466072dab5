//! The pieces that stores are made of.

use alloc::boxed::Box;
use core::num::NonZeroU64;

use tessera_abi::ObjectKind;

use crate::object::charged::Charged;
use crate::object::doomed::Due;
use crate::object::neighbour::Neighbour;
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
    /// Where each object's capabilities are listed.
    pub(super) lists: [Neighbour; CHUNK],
    /// Its neighbours among what its account pays for.
    pub(super) charged: [Charged; CHUNK],
    /// Of each whether it is on a list of debts, and the kind of the one behind it ([`Listed`]).
    pub(super) listed: [Listed; CHUNK],
    /// The entries that the next objects get, a bit each.
    pub(super) free: u32,
    /// The next chunk with such entries, if there are any in this one.
    pub(super) next_open: u32,
    /// What the checks count of each, out of the way of all else.
    pub(super) tallies: [Tally; CHUNK],
}

#[derive(Clone, Copy)]
pub(super) struct Uses {
    pub(super) references: u32,
    /// On a list of debts, the number of the next object.
    pub(super) next_due: u32,
}

/// Whether an object is on a list of debts; if it is, the kind of the next one there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed(u8);

impl Listed {
    /// It is on none.
    pub(super) const NOT: Listed = Listed(0);
    const LAST: Listed = Listed(u8::MAX);

    /// It is on one, before this object.
    #[inline(always)]
    pub(super) fn before(next: Due) -> Listed {
        next.kind().map_or(Listed::LAST, |kind| Listed(kind as u8))
    }

    /// The next object, with this number, if there is one.
    #[inline(always)]
    pub(super) fn next(self, index: u32) -> Due {
        ObjectKind::from_number(u64::from(self.0)).map_or(Due::NONE, |kind| Due::new(kind, index))
    }
}

impl<T> Chunk<T> {
    /// One without objects, in no list.
    pub(super) fn new() -> Chunk<T> {
        Chunk {
            values: [const { None }; CHUNK],
            generations: [NonZeroU64::MIN; CHUNK],
            uses: [Uses { references: 0, next_due: NONE }; CHUNK],
            lists: [Neighbour::NOBODY; CHUNK],
            charged: [Charged::NOWHERE; CHUNK],
            listed: [Listed::NOT; CHUNK],
            free: u32::MAX,
            next_open: NONE,
            tallies: core::array::from_fn(|_| Tally::default()),
        }
    }
}

/// The chunk of an object, and the place in it.
#[inline(always)]
pub(super) fn place_of(index: u32) -> (usize, usize) {
    (index as usize / CHUNK, index as usize % CHUNK)
}
