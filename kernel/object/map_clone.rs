//! Cloning address maps: another one begins with what this one has.

use tessera_abi::{Error, PAGE_BYTES, Rights};
use tessera_arch::Leaf;

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameAllocator;
use crate::object::address_map::AddressMap;
use crate::object::derivation;
use crate::object::id::MapTarget;
use crate::object::mapping::{CURRENT, Lenders, Mapping, PINNED, PRIVATE, Record};
use crate::object::page_node::Copies;
use crate::object::segment;
use crate::object::use_pool::Use;
use crate::paging::range::PageRange;

/// Mappings that can be taken back by themselves, in a map that is cloned, at most: each is seen to at once.
pub const LENT_MOST: usize = 16;

/// Among how many mappings they are looked for, at most.
const LOOKED_MOST: usize = 400;

/// Kernel heap that seeing to them takes at most, pages: for their uses, for a leaf each, and for three nodes above it.
const LENT_HEAP_PAGES: u64 = 16;

/// The mappings of a map that can be taken back by themselves: where they begin.
#[derive(Clone, Copy, Debug)]
pub struct Lent {
    firsts: [u64; LENT_MOST],
    count: usize,
}

impl Lent {
    /// Kernel heap that seeing to them takes at most, pages.
    pub fn heap_pages(&self) -> u64 {
        if self.count == 0 { 0 } else { LENT_HEAP_PAGES }
    }
}

/// What a clone notes of a leaf that it has for itself: what is lent there is lent to the clone as well, by the same.
struct LentAlike<'a, 'b> {
    owner: MapTarget,
    lenders: &'a mut Lenders<'b>,
}

impl Copies<Record> for LentAlike<'_, '_> {
    fn copy(&mut self, page: u64, record: &Record) -> Record {
        let Lenders { segments, tables, uses } = &mut *self.lenders;
        segment::add_mapping(segments, record.segment());
        let mapping = record.mapping();
        let lent = mapping.lent.filter(|_| !is_seeded(Mutant::CloneNotLent));
        let lent = lent.map(|lent| derivation::lend_alike(tables, uses, lent, Use::mapping(self.owner, page)));
        Record::of(&Mapping { lent, ..mapping })
    }
}

impl AddressMap {
    /// The mappings that can be taken back by themselves.
    ///
    /// # Errors
    /// `LimitReached` if they are too many, or too far behind others.
    pub fn lent(&self) -> Result<Lent, Error> {
        let (mut lent, most) = (Lent { firsts: [0; LENT_MOST], count: 0 }, self.noted as usize);
        if most == 0 {
            return Ok(lent);
        }
        let looked = self.mappings.from(0).take(LOOKED_MOST);
        let firsts = looked.filter(|(_, record)| record.mapping().lent.is_some()).map(|(first, _)| first);
        for (place, first) in lent.firsts.iter_mut().zip(firsts.take(most)) {
            *place = first;
            lent.count += 1;
        }
        if lent.count == most { Ok(lent) } else { Err(Error::LimitReached) }
    }

    /// Has the nodes for itself that hold what can be taken back by itself, as a clone that has just begun with what its source has:
    /// whoever takes it back from there finds it here by a use of its own.
    pub fn own_lent(&mut self, lenders: &mut Lenders<'_>, owner: MapTarget, lent: &Lent) {
        let mut copies = LentAlike { owner, lenders };
        for first in &lent.firsts[..lent.count] {
            let record = self.mappings.get_mut(*first, &mut copies);
            self.noted += u32::from(record.is_some_and(|record| record.mapping().lent.is_some()));
        }
    }

    /// Lets nobody do anything by a mapping that can be taken back by itself, and begins at a page. So many of its pages are out of the
    /// tables.
    pub fn forbid(&mut self, lenders: &mut Lenders<'_>, first: u64, hidden_pages: u64) {
        debug_assert!(!self.mappings.is_shared(first), "what can be taken back is in one map only");
        if let Some(record) = self.mappings.get_mut(first, lenders) {
            record.forbid(hidden_pages);
        }
    }

    /// How many pages of a mapping are out of the tables because nobody can do anything by it any more.
    pub fn hidden_pages(mapping: &Mapping) -> u64 {
        if mapping.maximum.is_empty() { mapping.offset } else { 0 }
    }

    /// Notes that such a mapping has been taken back, but for its record.
    pub fn forget_lender(&mut self, lenders: &mut Lenders<'_>, first: u64) {
        let lent = self.mappings.get_mut(first, lenders).and_then(Record::take_lent);
        if let Some(lent) = lent {
            self.noted -= 1;
            derivation::take_back(lenders.tables, lenders.uses, lent);
        }
    }

    /// Has another map, of nothing, begin with all that this one has mapped, and its tables. Whichever is written to from now on,
    /// the other does not see it, but for what is pinned. If it is to be frozen, that is all that it may write to.
    pub fn clone_to(&mut self, frames: &mut FrameAllocator, clone: &mut AddressMap, is_frozen: bool) {
        clone.privates = self.privates.share();
        clone.mappings = self.mappings.share();
        clone.mapped_pages = self.mapped_pages;
        // What was frozen stays so.
        clone.frozen_before = if is_frozen { clone.privates.epoch() } else { self.frozen_before };
        self.tree.lend_tables(frames, &mut clone.tree);
    }

    /// A mapping as it is seen: in a map that is frozen, what was there when it was made lets nobody write.
    #[inline(always)]
    pub(super) fn seen(&self, record: &Record) -> Mapping {
        let mapping = record.mapping();
        let is_frozen = mapping.epoch < self.frozen_before && !is_seeded(Mutant::FrozenMayWrite);
        let denied = if is_frozen { Rights::WRITE } else { Rights::empty() };
        Mapping { rights: mapping.rights - denied, maximum: mapping.maximum - denied, ..mapping }
    }

    /// Checks that a range is one mapping, and one that can be pinned: made since the map was cloned last.
    ///
    /// # Errors
    /// `NotMapped`, `BadArgument` if it is not just one, `BadState` if it was made before.
    pub fn ensure_pinnable(&self, range: PageRange) -> Result<(), Error> {
        let (first, mapping) = self.find(range.first).ok_or(Error::NotMapped)?;
        if (first, mapping.pages) != (range.first, range.count) {
            return Err(Error::BadArgument);
        }
        if self.is_copied(&mapping) { Err(Error::BadState) } else { Ok(()) }
    }

    /// Pins the mapping that begins at a page: it stays the same memory in clones.
    pub fn pin(&mut self, lenders: &mut Lenders<'_>, first: u64) {
        if let Some(record) = self.mappings.get_mut(first, lenders).filter(|_| !is_seeded(Mutant::PinForgotten)) {
            record.pin();
        }
    }

    /// Whether it can be cloned: nothing is attached below the root, and it has been cloned less often than can be counted.
    pub fn may_be_cloned(&self) -> bool {
        self.tree.attached_below == 0 && self.privates.epoch() < CURRENT - 1
    }

    /// A mapping that is made now.
    #[inline(always)]
    pub(super) fn as_made(&self, mapping: &Mapping) -> Mapping {
        let epoch = if mapping.epoch == CURRENT { self.privates.epoch() } else { mapping.epoch };
        Mapping { epoch, ..*mapping }
    }

    /// Whether what a mapping shows is copied when it is written to.
    #[inline(always)]
    pub fn is_copied(&self, mapping: &Mapping) -> bool {
        mapping.epoch < self.privates.epoch() && !(mapping.epoch == PRIVATE && is_seeded(Mutant::PrivateShared))
    }

    /// Whether a mapping stays the same memory in clones.
    pub fn is_pinned(mapping: &Mapping) -> bool {
        mapping.epoch == PINNED
    }

    /// What entries say that show a mapping, but for pages of the map's own: what is copied, nobody writes by them.
    #[inline(always)]
    pub fn leaf_of(&self, mapping: &Mapping) -> Leaf {
        let rights = if self.is_copied(mapping) { mapping.rights - Rights::WRITE } else { mapping.rights };
        self.leaf(rights)
    }

    /// What its tables, mappings and pages cost now, but for the root table, bytes.
    pub fn bytes_below_root(&self) -> u64 {
        self.bytes() - PAGE_BYTES
    }

    /// Calls `each` with the segments of some mappings that begin at a page or behind it, unless that was done with this number before,
    /// for this map or one that has them in common; gives where the next ones begin at the earliest.
    pub fn visit_once(&self, page: u64, number: u32, mut each: impl FnMut(u32)) -> Option<u64> {
        self.mappings.visit_once(page, number, |record| each(record.segment()))
    }
}
