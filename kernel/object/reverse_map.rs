//! ReverseMap: where a subtree is attached.
//!
//! The set is known exactly, so that a change reaches just those who can see it. It is ordered by owner, subtrees
//! before spaces, because what a change asks is "does this space see it, and where?". The places in one owner lie side by
//! side in it: they are looked at as one [`Group`], whose first and last place tell all that a change needs.
//!
//! Most subtrees are at one place, so the first of all is kept outside the tree of the others.

use alloc::collections::BTreeSet;
use alloc::collections::btree_set::{Iter, Range};
use core::cmp::Ordering;
use core::ops::Bound::{Excluded, Unbounded};

use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::mem::block;
use crate::object::id::{AttachPoint, MapTarget, SpaceId};
use crate::paging::range::PageRange;

/// What a subtree's list of places costs at worst besides the places, bytes.
pub const LIST_BYTES: u64 = block::tree_base_bytes::<Sharer, ()>();

/// What a place in the list costs at worst, bytes.
pub const SHARER_BYTES: u64 = block::tree_entry_bytes::<Sharer, ()>();

/// What an attachment costs whoever has the space or subtree that shows it, bytes.
pub const ATTACHMENT_BYTES: u64 = SHARER_BYTES;

/// A place where a subtree is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// To what.
    pub owner: MapTarget,
    /// Where in it, as `AttachPoint::key` says.
    place: u64,
}

const _: () = assert!(size_of::<Option<Sharer>>() == 24, "each place costs its owner's account one");

impl Sharer {
    /// A place in a space or subtree.
    #[inline(always)]
    pub fn new(owner: MapTarget, place: AttachPoint) -> Sharer {
        Sharer { owner, place: place.key() }
    }

    /// Where in its owner it is.
    #[inline(always)]
    pub fn place(&self) -> AttachPoint {
        AttachPoint::of_key(self.place)
    }

    /// The sharer as one number, which orders sharers. Owners that exist differ in their numbers, and an owner that goes
    /// takes its sharers along, so generations need not be compared.
    #[inline(always)]
    fn key(&self) -> u128 {
        let owner = match self.owner {
            MapTarget::Subtree(id) => u64::from(id.index()),
            MapTarget::Space(id) => 1 << 32 | u64::from(id.index()),
        };
        u128::from(owner) << 64 | u128::from(self.place)
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

/// All the places of a subtree in one space or subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// In what.
    pub owner: MapTarget,
    /// The CPU, if it is a core window's; then there is one place.
    pub cpu: Option<usize>,
    first: u64,
    last: u64,
}

impl Group {
    #[inline(always)]
    fn of(sharer: &Sharer) -> Group {
        let place = sharer.place();
        Group { owner: sharer.owner, cpu: place.cpu, first: place.page, last: place.page }
    }

    /// The shortest range of the owner that holds a range of the subtree at every place.
    #[inline(always)]
    pub fn union_of(&self, range: PageRange) -> PageRange {
        let last = if is_seeded(Mutant::SecondPlaceForgotten) { self.first } else { self.last };
        PageRange { first: self.first + range.first, count: last - self.first + range.count }
    }

    /// The page of the first place.
    #[inline(always)]
    pub fn page(&self) -> u64 {
        self.first
    }
}

/// Goes from group to group, past the places between the first and the last without a look at them.
struct Groups<'a> {
    sharers: &'a ReverseMap,
    rest: Rest<'a>,
    ahead: Option<&'a Sharer>,
}

/// What is left of the set: all but the first, which costs less to begin with, or what is behind a group.
enum Rest<'a> {
    Others(Iter<'a, Sharer>),
    Behind(Range<'a, Sharer>),
}

impl<'a> Rest<'a> {
    #[inline(always)]
    fn next(&mut self) -> Option<&'a Sharer> {
        match self {
            Rest::Others(rest) => rest.next(),
            Rest::Behind(rest) => rest.next(),
        }
    }
}

impl Iterator for Groups<'_> {
    type Item = Group;

    #[inline(always)]
    fn next(&mut self) -> Option<Group> {
        let first = self.ahead.take().or_else(|| self.rest.next())?;
        steps::count();
        let (owner, alone) = (first.owner, Group::of(first));
        if self.sharers.is_once_in(owner) {
            return Some(alone);
        }
        let second = self.rest.next();
        let Some(second) = second.filter(|second| second.owner == owner) else {
            self.ahead = second;
            return Some(alone);
        };
        let end = Sharer::new(owner, AttachPoint::LAST);
        let mut rest = self.sharers.others.range((Excluded(end), Unbounded));
        if is_seeded(Mutant::NextOwnerSkipped) {
            rest.next();
        }
        self.rest = Rest::Behind(rest);
        Some(Group { last: self.sharers.last_in(owner).unwrap_or(second.place().page), ..alone })
    }
}

/// All places where a subtree is attached.
#[derive(Debug, Default)]
pub struct ReverseMap {
    /// The first of all.
    first: Option<Sharer>,
    others: BTreeSet<Sharer>,
    nested: usize,
    /// The page at which every space has it, while they all have it at the same one.
    common_page: Option<u64>,
    /// The CPU whose core window it is in, if it is in one; then it is nowhere else.
    core_window: Option<usize>,
}

impl ReverseMap {
    /// Notes one more place.
    #[inline(always)]
    pub fn insert(&mut self, sharer: Sharer) {
        if !self.is_empty() {
            return self.insert_among(sharer);
        }
        let place = sharer.place();
        match sharer.owner {
            MapTarget::Subtree(_) => self.nested = 1,
            MapTarget::Space(_) => self.common_page = Some(place.page),
        }
        (self.first, self.core_window) = (Some(sharer), place.cpu);
    }

    /// Notes one more place besides others. A subtree in a core window has none.
    #[inline(never)]
    fn insert_among(&mut self, sharer: Sharer) {
        let place = sharer.place();
        match sharer.owner {
            MapTarget::Subtree(_) => self.nested += 1,
            MapTarget::Space(_) if self.nested == self.len() => self.common_page = Some(place.page),
            MapTarget::Space(_) => self.common_page = self.common_page.filter(|page| *page == place.page),
        }
        self.core_window = place.cpu;
        let other = match &mut self.first {
            Some(first) if sharer < *first => core::mem::replace(first, sharer),
            _ => sharer,
        };
        self.others.insert(other);
    }

    /// Forgets a place.
    #[inline(always)]
    pub fn remove(&mut self, sharer: &Sharer) {
        let is_first = self.first.as_ref() == Some(sharer);
        if is_first && self.others.is_empty() {
            self.first = None;
        } else if !self.remove_among(sharer, is_first) {
            return;
        }
        self.nested -= usize::from(matches!(sharer.owner, MapTarget::Subtree(_)));
        self.core_window = None;
    }

    /// Takes a place out of several; gives whether it was one of them.
    #[inline(never)]
    fn remove_among(&mut self, sharer: &Sharer, is_first: bool) -> bool {
        if is_first {
            self.first = self.others.pop_first();
        }
        is_first || self.others.remove(sharer)
    }

    /// How many places there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    /// Whether it is attached nowhere.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The place, if there is one and no other.
    #[inline(always)]
    pub fn only(&self) -> Option<Sharer> {
        self.first.filter(|_| self.others.is_empty())
    }

    /// Whether this is one of the places.
    pub fn contains(&self, sharer: &Sharer) -> bool {
        self.first.as_ref() == Some(sharer) || self.others.contains(sharer)
    }

    /// All places, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Sharer> {
        self.first.iter().chain(&self.others)
    }

    /// The places from this one on, in order.
    fn from(&self, start: Sharer) -> impl Iterator<Item = &Sharer> {
        self.first.iter().filter(move |first| **first >= start).chain(self.others.range(start..))
    }

    /// The first place behind this one, or the first of all.
    pub fn after(&self, sharer: Option<Sharer>) -> Option<Sharer> {
        let Some(sharer) = sharer else { return self.first };
        let first = self.first.filter(|first| *first > sharer);
        first.or_else(|| self.others.range((Excluded(sharer), Unbounded)).next().copied())
    }

    /// Whether it lies in other subtrees.
    pub fn is_nested(&self) -> bool {
        self.nested != 0
    }

    /// Whether it is attached to spaces, not only to other subtrees.
    pub fn is_in_spaces(&self) -> bool {
        self.nested != self.len()
    }

    /// The places in subtrees.
    pub fn nested(&self) -> impl Iterator<Item = &Sharer> {
        self.iter().take(self.nested)
    }

    /// The places in one space or subtree.
    pub fn within(&self, owner: MapTarget) -> impl Iterator<Item = &Sharer> {
        self.from(Sharer::new(owner, AttachPoint::FIRST)).take_while(move |sharer| sharer.owner == owner)
    }

    /// All places, owner by owner: subtrees, then spaces.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        Groups { sharers: self, rest: Rest::Others(self.others.iter()), ahead: self.first.as_ref() }
    }

    /// Whether it is known without a look that more than so many spaces have it.
    #[inline(always)]
    pub fn are_spaces_over(&self, limit: usize) -> bool {
        !self.is_nested() && self.common_page.is_some() && self.len() > limit
    }

    /// The places in subtrees, subtree by subtree.
    pub fn nested_groups(&self) -> impl Iterator<Item = Group> {
        let groups = self.is_nested().then(|| self.groups());
        groups.into_iter().flatten().take_while(|group| matches!(group.owner, MapTarget::Subtree(_)))
    }

    /// The places in one space or subtree, taken together.
    pub fn group_in(&self, owner: MapTarget) -> Option<Group> {
        let first = self.from(Sharer::new(owner, AttachPoint::FIRST)).next().filter(|sharer| sharer.owner == owner);
        let alone = Group::of(first?);
        let last = if self.is_once_in(owner) { alone.last } else { self.last_in(owner)? };
        Some(Group { last, ..alone })
    }

    /// The only place at which a space can have it, while all spaces that have it do so at the same page. Whether this one
    /// does, its tables say ([`ReverseMap::forget_common_page`]).
    #[inline(always)]
    pub fn likely_group_in(&self, space: SpaceId) -> Option<Group> {
        let page = self.common_page?;
        Some(Group { owner: MapTarget::Space(space), cpu: self.core_window, first: page, last: page })
    }

    /// Whether it is known without a look that an owner has it at one place at most: spaces that all have it at the same.
    #[inline(always)]
    fn is_once_in(&self, owner: MapTarget) -> bool {
        self.common_page.is_some() && matches!(owner, MapTarget::Space(_))
    }

    fn last_in(&self, owner: MapTarget) -> Option<u64> {
        let end = Sharer::new(owner, AttachPoint::LAST);
        let last = self.others.range(..=end).next_back().or_else(|| self.first.as_ref().filter(|first| **first <= end));
        last.filter(|last| last.owner == owner).map(|last| last.place().page)
    }

    /// The page at which every space has it, if they all have it at the same one.
    pub fn common_page(&self) -> Option<u64> {
        self.common_page
    }

    /// From here on a look at this set alone says who has it: entries are being taken out of spaces' tables whose places are
    /// listed still, for the flush that is due.
    pub fn forget_common_page(&mut self) {
        self.common_page = None;
    }

    /// The CPU whose core window it is in, if it is in one; then it is nowhere else.
    #[inline(always)]
    pub fn core_window(&self) -> Option<usize> {
        self.core_window
    }

    /// Checks what is kept of the places against the places; gives how many facts held.
    ///
    /// # Panics
    /// If they disagree.
    pub fn check(&self) -> u64 {
        let is_nested = |sharer: &&Sharer| matches!(sharer.owner, MapTarget::Subtree(_));
        assert!(self.iter().is_sorted_by(|one, other| one < other), "places are in order");
        assert_eq!(self.iter().filter(is_nested).count(), self.nested, "a subtree counts its places in subtrees");
        let is_common = |page: u64| self.iter().skip(self.nested).all(|sharer| sharer.place().page == page);
        assert!(self.common_page.is_none_or(is_common), "a common page is that of all spaces");
        let window = self.iter().find_map(|sharer| sharer.place().cpu);
        assert_eq!(window, self.core_window, "a subtree knows its core window");
        assert!(window.is_none() || self.len() == 1, "a subtree in a core window is nowhere else");
        5
    }
}

#[cfg(test)]
mod tests {
    use super::{AttachPoint, BTreeSet, Excluded, MapTarget, ReverseMap, Sharer, Unbounded};
    use crate::object::id::Id;
    use core::num::NonZeroU64;

    fn id<T: ?Sized>(index: u32) -> Id<T> {
        Id::new(index, NonZeroU64::MIN)
    }

    /// The first two owners are subtrees.
    fn owner(index: u32) -> MapTarget {
        if index < 2 { MapTarget::Subtree(id(index)) } else { MapTarget::Space(id(index)) }
    }

    fn ensure_alike(map: &ReverseMap, listed: &BTreeSet<Sharer>, all: &[Sharer]) {
        assert!(map.iter().eq(listed));
        assert_eq!((map.len(), map.is_empty()), (listed.len(), listed.is_empty()));
        assert_eq!(map.only(), listed.first().copied().filter(|_| listed.len() == 1));
        assert_eq!(map.after(None), listed.first().copied());
        for sharer in all {
            assert_eq!(map.contains(sharer), listed.contains(sharer));
            assert_eq!(map.after(Some(*sharer)), listed.range((Excluded(*sharer), Unbounded)).next().copied());
        }
        let mut groups = map.groups();
        for owner in (0..5).map(owner) {
            let places: Vec<u64> =
                listed.iter().filter(|sharer| sharer.owner == owner).map(|sharer| sharer.place().page).collect();
            assert!(map.within(owner).map(|sharer| sharer.place().page).eq(places.iter().copied()));
            let ends = places.first().copied().zip(places.last().copied());
            assert_eq!(map.group_in(owner).map(|group| (group.first, group.last)), ends);
            let told = ends.map(|(first, last)| (owner, first, last));
            let next = told.and_then(|_| groups.next());
            assert_eq!(next.map(|group| (group.owner, group.first, group.last)), told);
        }
        assert_eq!(groups.next(), None);
        map.check();
    }

    #[test]
    fn places_are_in_order_whatever_comes_and_goes() {
        let all: Vec<Sharer> = (0..5)
            .flat_map(|index| (0..3).map(move |page| Sharer::new(owner(index), AttachPoint { page, cpu: None })))
            .collect();
        // Each of these steps comes past all fifteen places.
        for (coming, going) in [(1, 1), (2, 7), (4, 14), (7, 2), (11, 4), (14, 1), (14, 11)] {
            let (mut map, mut listed) = (ReverseMap::default(), BTreeSet::new());
            for turn in 0..all.len() {
                let sharer = all[turn * coming % all.len()];
                map.insert(sharer);
                listed.insert(sharer);
                ensure_alike(&map, &listed, &all);
            }
            for turn in 0..all.len() {
                let sharer = all[turn * going % all.len()];
                map.remove(&sharer);
                // What is not listed, nobody misses.
                map.remove(&sharer);
                listed.remove(&sharer);
                ensure_alike(&map, &listed, &all);
            }
        }
    }
}
