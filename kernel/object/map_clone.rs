//! Cloning address maps: another one begins with what this one has.

use tessera_abi::{Error, PAGE_BYTES, Rights};
use tessera_arch::Leaf;

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameAllocator;
use crate::object::address_map::AddressMap;
use crate::object::mapping::{CURRENT, Lenders, Mapping, PINNED, PRIVATE, Record};
use crate::paging::range::PageRange;

impl AddressMap {
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

    /// Whether it can be cloned: nothing is mapped that could be taken back by itself, or attached below the root, and it has been
    /// cloned less often than can be counted.
    pub fn may_be_cloned(&self) -> bool {
        self.noted == 0 && self.tree.attached_below == 0 && self.privates.epoch() < CURRENT - 1
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
