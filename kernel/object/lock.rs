//! Locks of segments: whoever enters a space in which a lockable segment is mapped takes its lock, exclusively where it may be
//! written, else together with others (SpaceJMP, ASPLOS 2016, "lockable segments").
//!
//! A lock knows the spaces in which its segment is mapped; a space knows the locks that are taken with it, and how many are inside
//! by them. So when a mapping goes, or a space, what was held by that goes in one step, whoever is inside.

use crate::object::id::{SpaceId, ThreadId};
use crate::object::links::List;

/// Spaces in which one lockable segment can be mapped.
pub const PLACES_MAX: usize = 32;

/// Lockable segments that can be mapped in one space.
pub const LOCKS_MAX: usize = 4;

/// Where a lockable segment is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The space, which is no view.
    pub space: SpaceId,
    /// The first page of the mapping.
    pub page: u64,
    /// Whether who enters the space takes the lock exclusively.
    pub is_writable: bool,
}

/// The lock of a segment.
#[derive(Debug, Default)]
pub struct Lock {
    /// Who holds it exclusively.
    pub writer: Option<ThreadId>,
    /// How often it is held together with others.
    pub readers: u32,
    /// Who waits for it, in the order of coming.
    pub waiting: List,
    /// How many these are.
    pub waiting_count: u32,
    /// Whether a mapping has gone since it was looked where the segment is mapped.
    pub must_look: bool,
    places: [Option<Place>; PLACES_MAX],
}

/// How a lock is held with a space, by so many threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Those who may write to all that is mapped writable.
    pub writing: u32,
    /// Those who may only read, by a view.
    pub reading: u32,
}

impl Inside {
    /// The count of those who may write, or of those who may not.
    #[inline(always)]
    pub fn count(&mut self, writes: bool) -> &mut u32 {
        if writes { &mut self.writing } else { &mut self.reading }
    }
}

impl Lock {
    /// Where the segment is mapped, at most once in a space.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().flatten()
    }

    /// Where it is mapped in this space.
    pub fn place_in(&self, space: SpaceId) -> Option<&Place> {
        self.places().find(|place| place.space == space)
    }

    /// Whether it can be mapped in one more space.
    pub fn has_room(&self) -> bool {
        self.places.iter().any(Option::is_none)
    }

    /// Notes one more; there is room.
    pub fn add_place(&mut self, place: Place) {
        if let Some(free) = self.places.iter_mut().find(|free| free.is_none()) {
            *free = Some(place);
        }
    }

    /// The segment is not mapped in a space any more: those who are inside that hold nothing of it.
    pub fn remove_place(&mut self, space: SpaceId, inside: Inside) {
        let Some(place) = self.places.iter_mut().find(|place| place.is_some_and(|place| place.space == space)) else {
            return;
        };
        let is_writable = place.take().is_some_and(|place| place.is_writable);
        self.readers -= inside.reading + if is_writable { 0 } else { inside.writing };
        if is_writable && inside.writing != 0 {
            self.writer = None;
        }
    }

    /// Whether one more can have it, as those who hold it go.
    #[inline(always)]
    pub fn is_free(&self, exclusively: bool) -> bool {
        self.writer.is_none() && (!exclusively || self.readers == 0)
    }

    /// Gives it to a thread.
    #[inline(always)]
    pub fn acquire(&mut self, id: ThreadId, exclusively: bool) {
        if exclusively {
            self.writer = Some(id);
        } else {
            self.readers += 1;
        }
    }

    /// Takes it from who holds it.
    #[inline(always)]
    pub fn release(&mut self, exclusively: bool) {
        if exclusively {
            self.writer = None;
        } else {
            self.readers -= 1;
        }
    }
}

/// A lock that is taken with a space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The number of the segment.
    pub segment: u32,
    /// Whether it may be written there.
    pub is_writable: bool,
}

/// The locks that are taken with a space.
#[derive(Debug, Default)]
pub struct SpaceLocks {
    /// Who is inside by them.
    pub inside: Inside,
    count: u32,
    taken: [Taken; LOCKS_MAX],
}

impl SpaceLocks {
    /// All of them.
    #[inline(always)]
    pub fn taken(&self) -> &[Taken] {
        self.taken.get(..self.count as usize).unwrap_or(&[])
    }

    /// Whether there can be one more.
    pub fn has_room(&self) -> bool {
        (self.count as usize) < LOCKS_MAX
    }

    /// Notes one more; there is room.
    pub fn add(&mut self, taken: Taken) {
        if let Some(free) = self.taken.get_mut(self.count as usize) {
            *free = taken;
            self.count += 1;
        }
    }

    /// Forgets one.
    pub fn remove(&mut self, segment: u32) {
        if let Some(place) = self.taken().iter().position(|known| known.segment == segment) {
            self.count -= 1;
            self.taken[place] = self.taken[self.count as usize];
        }
    }

    /// Whether nothing is to be known any more.
    pub fn is_over(&self) -> bool {
        self.count == 0 && self.inside == Inside::default()
    }
}

/// What a thread holds where it is, or where it goes back to: the locks of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The space, which is no view.
    pub space: SpaceId,
    /// Whether it may write to all that is mapped writable there.
    pub writes: bool,
}
