//! ReverseMap: where a subtree is attached.
//!
//! The set is known exactly, so that a change reaches just those who can see it. It is ordered by owner, subtrees
//! before spaces, because what a change asks is "does this space see it, and where?". The places in one owner lie side by
//! side in it: they are looked at as one [`Group`], whose first and last place tell all that a change needs.

use alloc::collections::BTreeSet;
use alloc::collections::btree_set::{Iter, Range};
use core::cmp::Ordering;
use core::ops::Bound::{Excluded, Unbounded};

use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::mem::block;
use crate::object::id::{AttachPoint, MapTarget};
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
    /// Where in it.
    pub place: AttachPoint,
}

impl Sharer {
    /// The sharer as one number, which orders sharers. Owners that exist differ in their numbers, and an owner that goes
    /// takes its sharers along, so generations need not be compared.
    #[inline(always)]
    fn key(&self) -> u128 {
        let owner = match self.owner {
            MapTarget::Subtree(id) => u64::from(id.index()),
            MapTarget::Space(id) => 1 << 32 | u64::from(id.index()),
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
        let Sharer { owner, place } = *sharer;
        Group { owner, cpu: place.cpu, first: place.page, last: place.page }
    }

    /// The shortest range of the owner that holds a range of the subtree at every place.
    #[inline(always)]
    pub fn union_of(&self, range: PageRange) -> PageRange {
        let last = if is_seeded(Mutant::SecondPlaceForgotten) { self.first } else { self.last };
        PageRange { first: self.first + range.first, count: last - self.first + range.count }
    }
}

/// Goes from group to group, past the places between the first and the last without a look at them.
struct Groups<'a> {
    sharers: &'a ReverseMap,
    rest: Rest<'a>,
    ahead: Option<&'a Sharer>,
}

/// What is left of the set: all of it, which costs less to begin with, or what is behind a group.
enum Rest<'a> {
    All(Iter<'a, Sharer>),
    Behind(Range<'a, Sharer>),
}

impl<'a> Rest<'a> {
    #[inline(always)]
    fn next(&mut self) -> Option<&'a Sharer> {
        match self {
            Rest::All(rest) => rest.next(),
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
        let end = Sharer { owner, place: AttachPoint::LAST };
        let mut rest = self.sharers.all.range((Excluded(end), Unbounded));
        if is_seeded(Mutant::NextOwnerSkipped) {
            rest.next();
        }
        self.rest = Rest::Behind(rest);
        Some(Group { last: self.sharers.last_in(owner).unwrap_or(second.place.page), ..alone })
    }
}

/// All places where a subtree is attached.
#[derive(Debug, Default)]
pub struct ReverseMap {
    all: BTreeSet<Sharer>,
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
        match sharer.owner {
            MapTarget::Subtree(_) => self.nested += 1,
            MapTarget::Space(_) if self.nested == self.all.len() => self.common_page = Some(sharer.place.page),
            MapTarget::Space(_) => self.common_page = self.common_page.filter(|page| *page == sharer.place.page),
        }
        self.core_window = sharer.place.cpu;
        self.all.insert(sharer);
    }

    /// Forgets a place.
    #[inline(always)]
    pub fn remove(&mut self, sharer: &Sharer) {
        if self.all.remove(sharer) {
            self.nested -= usize::from(matches!(sharer.owner, MapTarget::Subtree(_)));
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

    /// Whether it lies in other subtrees.
    pub fn is_nested(&self) -> bool {
        self.nested != 0
    }

    /// Whether it is attached to spaces, not only to other subtrees.
    pub fn is_in_spaces(&self) -> bool {
        self.nested != self.all.len()
    }

    /// The places in subtrees.
    pub fn nested(&self) -> impl Iterator<Item = &Sharer> {
        self.all.iter().take(self.nested)
    }

    /// The places in one space or subtree.
    pub fn within(&self, owner: MapTarget) -> impl Iterator<Item = &Sharer> {
        self.all.range(Sharer { owner, place: AttachPoint::FIRST }..).take_while(move |sharer| sharer.owner == owner)
    }

    /// All places, owner by owner: subtrees, then spaces.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        Groups { sharers: self, rest: Rest::All(self.all.iter()), ahead: None }
    }

    /// Whether it is known without a look that more than so many spaces have it.
    #[inline(always)]
    pub fn are_spaces_over(&self, limit: usize) -> bool {
        !self.is_nested() && self.common_page.is_some() && self.all.len() > limit
    }

    /// The places in subtrees, subtree by subtree.
    pub fn nested_groups(&self) -> impl Iterator<Item = Group> {
        let groups = self.is_nested().then(|| self.groups());
        groups.into_iter().flatten().take_while(|group| matches!(group.owner, MapTarget::Subtree(_)))
    }

    /// The places in one space or subtree, taken together.
    #[inline(always)]
    pub fn group_in(&self, owner: MapTarget) -> Option<Group> {
        let mut rest = self.all.range(Sharer { owner, place: AttachPoint::FIRST }..);
        let alone = Group::of(rest.next().filter(|sharer| sharer.owner == owner)?);
        let last = if self.is_once_in(owner) { alone.last } else { self.last_in(owner)? };
        Some(Group { last, ..alone })
    }

    /// Whether it is known without a look that an owner has it at one place at most: spaces that all have it at the same.
    #[inline(always)]
    fn is_once_in(&self, owner: MapTarget) -> bool {
        self.common_page.is_some() && matches!(owner, MapTarget::Space(_))
    }

    fn last_in(&self, owner: MapTarget) -> Option<u64> {
        let mut up_to = self.all.range(..=Sharer { owner, place: AttachPoint::LAST });
        up_to.next_back().filter(|last| last.owner == owner).map(|last| last.place.page)
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
