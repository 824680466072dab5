//! Flushes: the duty to invalidate that changing a live translation leaves behind.
//!
//! A [`Flush`] collects what one call changed and the tables it took out, and is discharged once by
//! [`Flush::commit`]: invalidate first, then free. Whoever drops it otherwise gets a compiler warning.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::PAGE_BYTES;
use tessera_arch::VirtAddr;

use crate::address_map::PageRange;
use crate::mem::{FrameAllocator, FrameList};
use crate::shared::{Shared, TagWord};

/// More pages than this, and the whole tag is flushed instead of page after page.
pub const PAGES_MAX: u64 = 32;

/// More spaces than this, and everything is flushed instead of tag after tag.
const TARGETS_MAX: usize = 8;

/// Where the translations that changed may be held.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Number of the space.
    pub space: u32,
    /// The page at which the changed map begins in the space: 0 for its own, more for a subtree.
    pub base_page: u64,
}

/// What must be invalidated before the call returns.
#[derive(Debug)]
#[must_use = "stale translations stay behind unless the flush is committed"]
pub struct Flush {
    shared: &'static Shared,
    cpu: usize,
    targets: [Option<Target>; TARGETS_MAX],
    everything: bool,
    range: Option<PageRange>,
    /// Tables that were taken out, to be freed after the invalidation.
    pub freed_tables: FrameList,
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("Shared")
    }
}

impl Flush {
    /// A flush for changes seen by these spaces, begun on this CPU.
    pub fn new(shared: &'static Shared, cpu: usize, targets: impl Iterator<Item = Target>) -> Flush {
        let mut slots = [None; TARGETS_MAX];
        let mut everything = false;
        for (number, target) in targets.enumerate() {
            match slots.get_mut(number) {
                Some(slot) => *slot = Some(target),
                None => everything = true,
            }
        }
        Flush { shared, cpu, targets: slots, everything, range: None, freed_tables: FrameList::new() }
    }

    /// Notes a changed range. Several become the range that covers them.
    pub fn add(&mut self, range: PageRange) {
        let covering = |old: PageRange| {
            let first = old.first.min(range.first);
            PageRange { first, count: old.end().max(range.end()) - first }
        };
        self.range = Some(self.range.map_or(range, covering));
    }

    /// Invalidates one address at once.
    pub fn now(&mut self, address: VirtAddr) {
        self.invalidate(PageRange { first: address.value() / PAGE_BYTES, count: 1 });
    }

    /// Invalidates what was noted, then frees the tables; gives how many those were.
    pub fn commit(self, frames: &mut FrameAllocator) -> u64 {
        if let Some(range) = self.range {
            tessera_arch::publish_tables();
            self.invalidate(range);
        }
        frames.free_list(self.freed_tables)
    }

    fn invalidate(&self, range: PageRange) {
        if self.everything {
            self.shared.cpus[self.cpu].counters.tag_flushes.add(1);
            return tessera_arch::invalidate_all();
        }
        for target in self.targets.iter().flatten() {
            self.invalidate_in(target, range);
        }
    }

    fn invalidate_in(&self, target: &Target, range: PageRange) {
        let line = &self.shared.cpus[self.cpu];
        let active = line.space.load(Relaxed) == target.space;
        let tag = self.shared.space_words(target.space).tag();
        if !active {
            return self.invalidate_inactive(tag);
        }
        if range.count > PAGES_MAX {
            line.counters.tag_flushes.add(1);
            return tessera_arch::invalidate_tag(tag.tag(), true);
        }
        line.counters.page_flushes.add(range.count);
        for page in range.first..range.end() {
            tessera_arch::invalidate_page(VirtAddr::new((target.base_page + page) * PAGE_BYTES), tag.tag(), true);
        }
    }

    /// A tag that is not active: no translation can be used before it is activated, so a mark suffices. A
    /// tag of an old generation, or none, has nothing that will be used again.
    fn invalidate_inactive(&self, tag: TagWord) {
        if tag.tag() != 0 && tag.generation() == self.shared.tag_generation.load(Relaxed) {
            self.shared.cpus[self.cpu].mark_stale(tag.tag());
        }
    }
}
