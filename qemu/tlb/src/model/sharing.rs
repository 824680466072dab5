//! Shared spaces, as a TLB with shared-space tags would know them: which tables several tags lead to.
//!
//! Nobody tells: it is derived from the walks. A subtree that is attached to many spaces *is* the same table below each of
//! their roots, at the same address, so a table that walks under two tags came through is a shared space, and the tags that
//! came through it are its subscribers.
//!
//! What is remembered is dropped by those invalidations that drop walk cache entries: a kernel that is correct makes them
//! before it uses a table's memory for anything else, so that no other table can be taken for the one remembered.

use std::collections::HashMap;

use super::event::Walk;
use super::invalidation::Concerned;

/// Where in the address space a table is, and how much it translates: address shifted right, and by how many bits.
pub(super) type Place = (u64, u8);

/// What one CPU knows of shared spaces.
pub(super) struct Sharing {
    /// How many the hardware tells apart.
    limit: u32,
    /// Which table each tag leads to at a place.
    places: HashMap<Place, HashMap<u16, u64>>,
    /// How many tags lead to a table at a place.
    sharers: HashMap<(Place, u64), u32>,
    /// The number of each shared space.
    numbers: HashMap<(Place, u64), u8>,
    /// Numbers in use.
    used: u64,
    /// Which shared spaces each tag subscribes to.
    subscriptions: Vec<u64>,
}

/// What a walk showed: from this depth on, its tables are of this shared space.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    pub(super) depth: u8,
    pub(super) space: u8,
}

/// What follows from a walk.
#[derive(Default)]
pub(super) struct Observed {
    /// The shared space that it came through, the one nearest to the root if several.
    pub(super) shared: Option<Shared>,
    /// The shared spaces that lost their last subscriber: their entries have to go.
    pub(super) deserted: u64,
    /// Tags that were there before it was known that they share, and where: entries of theirs there have to go, as they would
    /// not exist if it had been known.
    pub(super) joined: (Place, Vec<u16>),
}

impl Sharing {
    pub(super) fn new(limit: u32) -> Sharing {
        let subscriptions = vec![0; 1 << 16];
        let (places, sharers, numbers) = (HashMap::new(), HashMap::new(), HashMap::new());
        Sharing { limit, places, sharers, numbers, used: 0, subscriptions }
    }

    /// The shared spaces that a tag subscribes to, as a bitmap.
    pub(super) fn subscriptions(&self, tag: u16) -> u64 {
        self.subscriptions[usize::from(tag)]
    }

    /// Takes in a walk under a tag.
    pub(super) fn observe(&mut self, tag: u16, address: u64, walk: &Walk) -> Observed {
        let mut observed = Observed::default();
        for depth in 1..walk.references {
            let (table, bits) = walk.table(depth);
            let place = (address >> bits, bits);
            let before = self.places.entry(place).or_default().insert(tag, table);
            if before != Some(table) {
                if let Some(other) = before {
                    observed.deserted |= self.leave(tag, place, other);
                }
                *self.sharers.entry((place, table)).or_default() += 1;
            }
            if self.sharers[&(place, table)] > 1
                && let Some(space) = self.number(place, table, &mut observed)
            {
                self.subscriptions[usize::from(tag)] |= 1 << space;
                observed.shared = Some(Shared { depth, space });
                break;
            }
        }
        observed
    }

    /// Drops what an invalidation concerns; returns the spaces that lost their last subscriber.
    pub(super) fn forget(&mut self, concerned: &Concerned) -> u64 {
        let reaches = |place: &Place, tag: u16| {
            let first = place.0 << place.1;
            concerned.walk_entry_of(tag, first, first | ((1 << place.1) - 1))
        };
        let mut gone = Vec::new();
        for (place, tables) in &mut self.places {
            tables.retain(|&tag, table| {
                let goes = reaches(place, tag);
                if goes {
                    gone.push((tag, *place, *table));
                }
                !goes
            });
        }
        self.places.retain(|_, tables| !tables.is_empty());
        gone.into_iter().fold(0, |deserted, (tag, place, table)| deserted | self.leave(tag, place, table))
    }

    /// The number of a table's shared space: one that it has, or a free one if there is.
    fn number(&mut self, place: Place, table: u64, observed: &mut Observed) -> Option<u8> {
        if let Some(&space) = self.numbers.get(&(place, table)) {
            return Some(space);
        }
        let free = (0..self.limit as u8).find(|space| self.used >> space & 1 == 0)?;
        self.used |= 1 << free;
        self.numbers.insert((place, table), free);
        let sharers = self.places[&place].iter().filter(|(_, there)| **there == table).map(|(tag, _)| *tag);
        observed.joined = (place, sharers.collect());
        for tag in &observed.joined.1 {
            self.subscriptions[usize::from(*tag)] |= 1 << free;
        }
        Some(free)
    }

    /// A tag does not lead to a table any more, as far as is known.
    fn leave(&mut self, tag: u16, place: Place, table: u64) -> u64 {
        let space = self.numbers.get(&(place, table)).copied();
        let bit = space.map_or(0, |space| 1 << space);
        self.subscriptions[usize::from(tag)] &= !bit;
        let sharers = self.sharers.get_mut(&(place, table)).expect("each tag at a place is counted");
        *sharers -= 1;
        if *sharers > 0 {
            return 0;
        }
        self.sharers.remove(&(place, table));
        self.numbers.remove(&(place, table));
        self.used &= !bit;
        bit
    }
}
