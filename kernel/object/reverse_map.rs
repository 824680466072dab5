//! ReverseMap: where a subtree is attached.
//!
//! The set is known exactly, so that a change reaches just those who can see it. It is ordered by owner, subtrees
//! before spaces, because what a change asks is "does this space see it, and where?". The places in one owner lie side by
//! side in it: they are looked at as one [`Group`], whose first and last place tell all that a change needs.
//!
//! Most subtrees are at one place, so the first of all is kept outside the tree of the others.

use core::num::NonZeroU64;

use tessera_abi::{PAGE_BYTES, TOP_SLOT_BYTES, USER_END};
use tessera_arch::CPUS_MAX;

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::object::id::{AttachPoint, Id, MapTarget, SpaceId, UseId};
use crate::object::page_map::{self, PageMap, Unshared, Values};
use crate::object::use_pool::USE_BYTES;
use crate::paging::chunk::entry_pages;
use crate::paging::range::PageRange;

/// What a subtree's list of places costs at worst besides the places, bytes.
pub const LIST_BYTES: u64 = page_map::base_bytes::<Listed>();

/// What an attachment costs whoever has the space or subtree that shows it, bytes: a place in the list, and that it is noted
/// as a use.
pub const ATTACHMENT_BYTES: u64 = page_map::entry_bytes::<Listed>() + USE_BYTES;

/// Of a sharer's owner, what its number does not tell.
type Generation = NonZeroU64;

/// What is known of a sharer besides its number.
#[derive(Clone, Copy, Debug)]
struct Listed {
    generation: Generation,
    lent: Option<UseId>,
}

/// A place where a subtree is attached: to what and where in it, as one number, which orders places.
///
/// From its lowest bit the number is: whether it is a core window's; the entry, counted in the smallest that an attachment
/// can have, a table's; the owner's number; and whether the owner is a space. A core window is at a top-level entry, which
/// stands for so many of the smallest that the CPU's number is added to the entry's. Owners that exist differ in their
/// numbers, and an owner that goes takes its sharers along, so generations need not be compared to find a sharer.
///
/// In the order in which the tree takes them, so that both stay in the registers in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Sharer {
    key: u64,
    generation: Generation,
}

const CORE_WINDOW: u64 = 1;
const ENTRY_SHIFT: u32 = 1;
const OWNER_SHIFT: u32 = 31;
const SPACE: u64 = 1 << 63;

/// The smallest entries that a top-level one stands for.
const SLOT_ENTRIES: u64 = TOP_SLOT_BYTES / PAGE_BYTES / entry_pages(1);

const _: () = assert!(OWNER_SHIFT + u32::BITS == 63, "an owner's number has its bits");
const _: () =
    assert!(USER_END / PAGE_BYTES / entry_pages(1) <= 1 << (OWNER_SHIFT - ENTRY_SHIFT), "entries have theirs");
const _: () = assert!(CPUS_MAX as u64 <= SLOT_ENTRIES && SLOT_ENTRIES.is_power_of_two(), "a CPU's number has its bits");

impl Sharer {
    /// A place in a space or subtree.
    #[inline(always)]
    pub fn new(owner: MapTarget, place: AttachPoint) -> Sharer {
        let generation = match owner {
            MapTarget::Subtree(id) => id.generation(),
            MapTarget::Space(id) => id.generation(),
        };
        let entry = place.page / entry_pages(1);
        debug_assert!(place.cpu.is_none() || entry.is_multiple_of(SLOT_ENTRIES), "core windows are at the top");
        let in_owner = match place.cpu {
            None => entry << ENTRY_SHIFT,
            Some(cpu) => (entry | cpu as u64) << ENTRY_SHIFT | CORE_WINDOW,
        };
        Sharer { key: owner_key(owner) | in_owner, generation }
    }

    #[inline(always)]
    fn of((key, listed): (u64, &Listed)) -> Sharer {
        Sharer { key, generation: listed.generation }
    }

    /// To what.
    #[inline(always)]
    pub fn owner(&self) -> MapTarget {
        let index = (self.key >> OWNER_SHIFT) as u32;
        if self.is_in_space() {
            MapTarget::Space(Id::new(index, self.generation))
        } else {
            MapTarget::Subtree(Id::new(index, self.generation))
        }
    }

    /// Where in its owner it is.
    #[inline(always)]
    pub fn place(&self) -> AttachPoint {
        AttachPoint { page: self.page(), cpu: self.cpu() }
    }

    #[inline(always)]
    fn page(&self) -> u64 {
        page_of(self.in_owner())
    }

    /// The part of its number that says where in its owner it is.
    #[inline(always)]
    fn in_owner(&self) -> u64 {
        self.key % (1 << OWNER_SHIFT)
    }

    #[inline(always)]
    fn cpu(&self) -> Option<usize> {
        let cpu = (self.in_owner() >> ENTRY_SHIFT) % SLOT_ENTRIES;
        (self.key & CORE_WINDOW != 0).then_some(cpu as usize)
    }

    #[inline(always)]
    fn is_in_space(&self) -> bool {
        self.key & SPACE != 0
    }
}

/// The page of what [`Sharer::in_owner`] says.
#[inline(always)]
fn page_of(in_owner: u64) -> u64 {
    let entry = in_owner >> ENTRY_SHIFT;
    // Of a core window's, what is below a top-level entry is the CPU.
    let below = if in_owner & CORE_WINDOW != 0 { entry % SLOT_ENTRIES } else { 0 };
    (entry - below) * entry_pages(1)
}

/// The lowest number of a sharer in an owner.
#[inline(always)]
fn owner_key(owner: MapTarget) -> u64 {
    match owner {
        MapTarget::Subtree(id) => u64::from(id.index()) << OWNER_SHIFT,
        MapTarget::Space(id) => SPACE | u64::from(id.index()) << OWNER_SHIFT,
    }
}

/// The highest.
#[inline(always)]
fn end_key(owner: MapTarget) -> u64 {
    owner_key(owner) | ((1 << OWNER_SHIFT) - 1)
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
        let AttachPoint { page, cpu } = sharer.place();
        Group { owner: sharer.owner(), cpu, first: page, last: page }
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
    rest: Values<'a, Listed>,
    ahead: Option<Sharer>,
}

impl Iterator for Groups<'_> {
    type Item = Group;

    #[inline(always)]
    fn next(&mut self) -> Option<Group> {
        let first = self.ahead.take().or_else(|| self.rest.next().map(Sharer::of))?;
        steps::count();
        let alone = Group::of(&first);
        let owner = alone.owner;
        if self.sharers.is_once_in(owner) {
            return Some(alone);
        }
        let second = self.rest.next().map(Sharer::of);
        let Some(second) = second.filter(|second| second.owner() == owner) else {
            self.ahead = second;
            return Some(alone);
        };
        self.rest = self.sharers.others.from(end_key(owner));
        if is_seeded(Mutant::NextOwnerSkipped) {
            self.rest.next();
        }
        Some(Group { last: self.sharers.last_in(owner).unwrap_or(second.page()), ..alone })
    }
}

/// All places where a subtree is attached.
#[derive(Debug)]
pub struct ReverseMap {
    /// The first of all.
    first: Option<Sharer>,
    /// The use that the first one is.
    first_lent: Option<UseId>,
    others: PageMap<Listed>,
    nested: usize,
    /// Where every space has it, as [`Sharer::in_owner`] says, while they all have it at the same place.
    common: u64,
}

/// Where no sharer is.
const NOWHERE: u64 = u64::MAX;

impl Default for ReverseMap {
    fn default() -> ReverseMap {
        ReverseMap { first: None, first_lent: None, others: PageMap::default(), nested: 0, common: NOWHERE }
    }
}

impl ReverseMap {
    /// Notes one more place, and as which use.
    #[inline(always)]
    pub fn insert(&mut self, sharer: Sharer, lent: Option<UseId>) {
        if !self.is_empty() {
            return self.insert_among(sharer, lent);
        }
        (self.first, self.first_lent) = (Some(sharer), lent);
        if sharer.is_in_space() {
            self.common = sharer.in_owner();
        } else {
            self.nested = 1;
        }
    }

    /// Notes one more place besides others.
    #[inline(never)]
    fn insert_among(&mut self, sharer: Sharer, mut lent: Option<UseId>) {
        if !sharer.is_in_space() {
            self.nested += 1;
        } else if self.common != sharer.in_owner() {
            self.common = if self.is_in_spaces() { NOWHERE } else { sharer.in_owner() };
        }
        let other = match &mut self.first {
            Some(first) if sharer.key < first.key => {
                core::mem::swap(&mut lent, &mut self.first_lent);
                core::mem::replace(first, sharer)
            }
            _ => sharer,
        };
        self.others.insert(other.key, Listed { generation: other.generation, lent }, &mut Unshared);
    }

    /// Forgets a place; gives as which use it was noted.
    #[inline(always)]
    pub fn remove(&mut self, sharer: &Sharer) -> Option<UseId> {
        let lent = if self.first == Some(*sharer) {
            let lent = self.first_lent;
            self.first = if self.others.is_empty() { None } else { self.take_second() };
            lent
        } else {
            self.others.remove(sharer.key, &mut Unshared)?.lent
        };
        self.nested -= usize::from(!sharer.is_in_space());
        lent
    }

    #[inline(never)]
    fn take_second(&mut self) -> Option<Sharer> {
        let (key, _) = self.others.at_or_behind(0)?;
        let listed = self.others.remove(key, &mut Unshared)?;
        self.first_lent = listed.lent;
        Some(Sharer { key, generation: listed.generation })
    }

    /// The use as which a place is noted.
    pub fn lent(&self, sharer: &Sharer) -> Option<UseId> {
        if self.first == Some(*sharer) {
            return self.first_lent;
        }
        let (key, listed) = self.others.at_or_before(sharer.key)?;
        if key == sharer.key { listed.lent } else { None }
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
        self.from(sharer.key).next() == Some(*sharer)
    }

    /// All places, in order.
    pub fn iter(&self) -> impl Iterator<Item = Sharer> {
        self.from(0)
    }

    /// The places that have this number or a higher one, in order.
    fn from(&self, key: u64) -> impl Iterator<Item = Sharer> {
        let first = self.first.filter(|first| first.key >= key);
        first.into_iter().chain(self.others.from(key).map(Sharer::of))
    }

    /// The first place behind this one, or the first of all.
    pub fn after(&self, sharer: Option<Sharer>) -> Option<Sharer> {
        self.from(sharer.map_or(0, |sharer| sharer.key + 1)).next()
    }

    /// Whether it lies in other subtrees.
    pub fn is_nested(&self) -> bool {
        self.nested != 0
    }

    /// At how many places in subtrees it is.
    #[inline(always)]
    pub fn nested_count(&self) -> usize {
        self.nested
    }

    /// Whether it is attached to spaces, not only to other subtrees.
    pub fn is_in_spaces(&self) -> bool {
        self.nested != self.len()
    }

    /// The places in subtrees.
    pub fn nested(&self) -> impl Iterator<Item = Sharer> {
        self.iter().take(self.nested)
    }

    /// The places in one space or subtree.
    pub fn within(&self, owner: MapTarget) -> impl Iterator<Item = Sharer> {
        self.from(owner_key(owner)).take_while(move |sharer| sharer.owner() == owner)
    }

    /// All places, owner by owner: subtrees, then spaces.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        Groups { sharers: self, rest: self.others.from(0), ahead: self.first }
    }

    /// Whether it is known without a look that more than so many spaces have it.
    #[inline(always)]
    pub fn are_spaces_over(&self, limit: usize) -> bool {
        !self.is_nested() && self.common != NOWHERE && self.len() > limit
    }

    /// The places in subtrees, subtree by subtree.
    pub fn nested_groups(&self) -> impl Iterator<Item = Group> {
        let groups = self.is_nested().then(|| self.groups());
        groups.into_iter().flatten().take_while(|group| matches!(group.owner, MapTarget::Subtree(_)))
    }

    /// The places in one space or subtree, taken together.
    pub fn group_in(&self, owner: MapTarget) -> Option<Group> {
        let alone = Group::of(&self.within(owner).next()?);
        let last = if self.is_once_in(owner) { alone.last } else { self.last_in(owner)? };
        Some(Group { last, ..alone })
    }

    /// The only place at which a space can have it, while all spaces that have it do so at the same page. Whether this one
    /// does, its tables say ([`ReverseMap::forget_common_page`]).
    #[inline(always)]
    pub fn likely_group_in(&self, space: SpaceId) -> Option<Group> {
        let page = self.common_page()?;
        Some(Group { owner: MapTarget::Space(space), cpu: self.core_window(), first: page, last: page })
    }

    /// Whether it is known without a look that an owner has it at one place at most: spaces that all have it at the same.
    #[inline(always)]
    fn is_once_in(&self, owner: MapTarget) -> bool {
        self.common != NOWHERE && matches!(owner, MapTarget::Space(_))
    }

    fn last_in(&self, owner: MapTarget) -> Option<u64> {
        let last = self.others.at_or_before(end_key(owner)).map(Sharer::of).or(self.first);
        last.filter(|last| last.owner() == owner).map(|last| last.page())
    }

    /// The page at which every space has it, if they all have it at the same one.
    #[inline(always)]
    pub fn common_page(&self) -> Option<u64> {
        (self.common != NOWHERE).then(|| page_of(self.common))
    }

    /// From here on a look at this set alone says who has it: entries are being taken out of spaces' tables whose places are
    /// listed still, for the flush that is due.
    pub fn forget_common_page(&mut self) {
        self.common = NOWHERE;
    }

    /// The CPU whose core window it is in, if it is in one; then it is nowhere else.
    #[inline(always)]
    pub fn core_window(&self) -> Option<usize> {
        self.first?.cpu()
    }

    /// Checks what is kept of the places against the places, as much further as the effort goes for, and calls `each` for
    /// every place; gives whether that was to the end.
    ///
    /// # Panics
    /// If they disagree.
    pub fn check_further(
        &self,
        at: &mut SharerPlace,
        effort: &mut Effort,
        mut each: impl FnMut(&Sharer, &mut Effort),
    ) -> bool {
        while let Some(sharer) = self.after(at.last) {
            if !effort.is_left() {
                return false;
            }
            assert!(at.last.is_none_or(|last| last < sharer), "places are in order");
            let is_elsewhere = sharer.is_in_space() && self.common_page().is_some_and(|page| sharer.page() != page);
            assert!(!is_elsewhere, "a common page is that of all spaces");
            assert!(sharer.cpu().is_none() || self.len() == 1, "a subtree in a core window is nowhere else");
            each(&sharer, effort);
            at.nested += usize::from(!sharer.is_in_space());
            (at.last, at.count) = (Some(sharer), at.count + 1);
            effort.spend(SHARER_UNITS);
        }
        assert_eq!(at.nested, self.nested, "a subtree counts its places in subtrees");
        assert_eq!(at.count, self.len(), "a subtree counts its places");
        true
    }
}

/// Effort of checking a place.
const SHARER_UNITS: u32 = 25;

/// How far a check of the places has come. It holds while they stay as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct SharerPlace {
    /// The last place that was seen.
    last: Option<Sharer>,
    count: usize,
    nested: usize,
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use core::num::NonZeroU64;
    use core::ops::Bound::{Excluded, Unbounded};

    use super::{
        AttachPoint, CPUS_MAX, Effort, MapTarget, PAGE_BYTES, ReverseMap, Sharer, SharerPlace, TOP_SLOT_BYTES,
        entry_pages,
    };
    use crate::object::id::Id;

    fn id<T: ?Sized>(index: u32) -> Id<T> {
        Id::new(index, NonZeroU64::MIN)
    }

    /// The first two owners are subtrees.
    fn owner(index: u32) -> MapTarget {
        if index < 2 { MapTarget::Subtree(id(index)) } else { MapTarget::Space(id(index)) }
    }

    fn ensure_alike(map: &ReverseMap, listed: &BTreeSet<Sharer>, all: &[Sharer]) {
        assert!(map.iter().eq(listed.iter().copied()));
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
                listed.iter().filter(|sharer| sharer.owner() == owner).map(|sharer| sharer.place().page).collect();
            assert!(map.within(owner).map(|sharer| sharer.place().page).eq(places.iter().copied()));
            let ends = places.first().copied().zip(places.last().copied());
            assert_eq!(map.group_in(owner).map(|group| (group.first, group.last)), ends);
            let told = ends.map(|(first, last)| (owner, first, last));
            let next = told.and_then(|_| groups.next());
            assert_eq!(next.map(|group| (group.owner, group.first, group.last)), told);
        }
        assert_eq!(groups.next(), None);
        map.check_further(&mut SharerPlace::default(), &mut Effort::unlimited(), |_, _| {});
    }

    #[test]
    fn a_place_is_read_as_it_was_noted_whatever_the_owner_and_the_cpu() {
        let slot = TOP_SLOT_BYTES / PAGE_BYTES;
        let last = 255 * slot;
        let windows = [0, 1, 31, 32, 62, CPUS_MAX - 1].map(|cpu| AttachPoint { page: slot, cpu: Some(cpu) });
        let at_end = AttachPoint { page: last, cpu: Some(CPUS_MAX - 1) };
        let everywhere = [0, entry_pages(1), slot, last, last + slot - entry_pages(1)];
        let everywhere = everywhere.map(|page| AttachPoint { page, cpu: None });
        let places: Vec<_> = windows.into_iter().chain([at_end]).chain(everywhere).collect();
        for index in [0, 1, u32::MAX - 1, u32::MAX] {
            for owner in [MapTarget::Subtree(id(index)), MapTarget::Space(id(index))] {
                let sharers: Vec<_> = places.iter().map(|place| Sharer::new(owner, *place)).collect();
                assert!(sharers.iter().map(Sharer::owner).all(|found| found == owner));
                assert!(sharers.iter().map(Sharer::place).eq(places.iter().copied()));
                assert_eq!(sharers.iter().collect::<BTreeSet<_>>().len(), places.len(), "no two places are one number");
            }
        }
    }

    #[test]
    fn places_are_in_order_whatever_comes_and_goes() {
        let all: Vec<Sharer> = (0..5)
            .flat_map(|index| (0..3).map(move |number| (index, number * entry_pages(1))))
            .map(|(index, page)| Sharer::new(owner(index), AttachPoint { page, cpu: None }))
            .collect();
        // Each of these steps comes past all fifteen places.
        for (coming, going) in [(1, 1), (2, 7), (4, 14), (7, 2), (11, 4), (14, 1), (14, 11)] {
            let (mut map, mut listed) = (ReverseMap::default(), BTreeSet::new());
            for turn in 0..all.len() {
                let sharer = all[turn * coming % all.len()];
                map.insert(sharer, None);
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
