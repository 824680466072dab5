//! Cloning address maps: another one begins with what this one has.

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::Leaf;

use crate::mem::FrameAllocator;
use crate::object::address_map::{AddressMap, Mapping};

impl AddressMap {
    /// Has another map, of nothing, begin with all that this one has mapped, and its tables. Whichever is written to from now on,
    /// the other does not see it.
    pub fn clone_to(&mut self, frames: &mut FrameAllocator, clone: &mut AddressMap) {
        clone.privates = self.privates.share();
        clone.mappings = self.mappings.share();
        clone.mapped_pages = self.mapped_pages;
        self.tree.lend_tables(frames, &mut clone.tree);
    }

    /// Whether it can be cloned: nothing is mapped that could be taken back by itself, or attached below the root, and it has been
    /// cloned less often than can be counted.
    pub fn may_be_cloned(&self) -> bool {
        self.noted == 0 && self.tree.attached_below == 0 && self.privates.epoch() != u32::MAX
    }

    /// Whether what a mapping shows is copied when it is written to.
    #[inline(always)]
    pub fn is_copied(&self, mapping: &Mapping) -> bool {
        mapping.epoch < self.privates.epoch()
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
