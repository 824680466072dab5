//! Sharers: where a subtree is attached.
//!
//! The set is known exactly, so that a change reaches just those who can see it. It is ordered by owner, subtrees
//! before spaces, because what a change asks is "does this space see it, and where?".

use alloc::collections::BTreeSet;
use core::cmp::Ordering;

use crate::address_space::MapOwner;
use crate::attachment::Place;

/// A place where a subtree is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// To what.
    pub owner: MapOwner,
    /// Where in it.
    pub place: Place,
}

impl Sharer {
    /// The sharer as one number, which orders sharers. Owners that exist differ in their numbers, and an owner that goes
    /// takes its sharers along, so generations need not be compared.
    #[inline(always)]
    fn key(&self) -> u128 {
        let owner = match self.owner {
            MapOwner::Subtree(id) => u64::from(id.index()),
            MapOwner::Space(id) => 1 << 32 | u64::from(id.index()),
        };
        u128::from(owner) << 64 | u128::from(self.place.key())
    }
}

impl Ord for Sharer {
    #[inline(always)]
    fn cmp(&self, other: &Sharer) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Sharer {
    #[inline(always)]
    fn partial_cmp(&self, other: &Sharer) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All places where a subtree is attached.
#[derive(Debug, Default)]
pub struct Sharers {
    all: BTreeSet<Sharer>,
    nested: usize,
    /// The page at which every space has it, while they all have it at the same one.
    common_page: Option<u64>,
    /// The CPU whose core window it is in, if it is in one; then it is nowhere else.
    core_window: Option<usize>,
}

impl Sharers {
    /// Notes one more place.
    #[inline(always)]
    pub fn insert(&mut self, sharer: Sharer) {
        match sharer.owner {
            MapOwner::Subtree(_) => self.nested += 1,
            MapOwner::Space(_) if self.nested == self.all.len() => self.common_page = Some(sharer.place.page),
            MapOwner::Space(_) => self.common_page = self.common_page.filter(|page| *page == sharer.place.page),
        }
        self.core_window = sharer.place.cpu;
        self.all.insert(sharer);
    }

    /// Forgets a place.
    #[inline(always)]
    pub fn remove(&mut self, sharer: &Sharer) {
        if self.all.remove(sharer) {
            self.nested -= usize::from(matches!(sharer.owner, MapOwner::Subtree(_)));
            self.core_window = None;
        }
    }

    /// How many places there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether it is attached nowhere.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether this is one of the places.
    pub fn contains(&self, sharer: &Sharer) -> bool {
        self.all.contains(sharer)
    }

    /// All places, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Sharer> {
        self.all.iter()
    }

    /// The first place behind this one, or the first of all.
    pub fn after(&self, sharer: Option<Sharer>) -> Option<Sharer> {
        let start = sharer.map_or(core::ops::Bound::Unbounded, core::ops::Bound::Excluded);
        self.all.range((start, core::ops::Bound::Unbounded)).next().copied()
    }

    /// The places in subtrees.
    pub fn nested(&self) -> impl Iterator<Item = &Sharer> {
        self.all.iter().take(self.nested)
    }

    /// The places in one space or subtree.
    pub fn within(&self, owner: MapOwner) -> impl Iterator<Item = &Sharer> {
        let start = Sharer { owner, place: Place { page: 0, cpu: None } };
        self.all.range(start..).take_while(move |sharer| sharer.owner == owner)
    }

    /// The page at which every space has it, if they all have it at the same one.
    pub fn common_page(&self) -> Option<u64> {
        self.common_page
    }

    /// The CPU whose core window it is in, if it is in one; then it is nowhere else.
    pub fn core_window(&self) -> Option<usize> {
        self.core_window
    }
}
