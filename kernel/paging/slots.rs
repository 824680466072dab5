//! Entries of one table, one behind the other: filled, changed, cleared together.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::PAGE_BYTES;
use tessera_arch::{Format, Frame, Leaf, PageFormat, PhysAddr, Share, VirtAddr, table};

use crate::base::effort::{CLEAN_UNITS, Effort};
use crate::mem::FrameAllocator;
use crate::paging::chunk::{Chunk, entry_pages};

/// Entries of one table that is there.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    pub(super) holder: Frame,
    pub(super) level: u8,
    /// The first one's index, and how many they are.
    pub(super) start: usize,
    pub(super) count: usize,
}

impl Slots {
    #[inline(always)]
    pub(super) fn new(holder: Frame, address: VirtAddr, chunk: Chunk) -> Slots {
        let Chunk { level, entries } = chunk;
        Slots { holder, level, start: address.table_index(level), count: entries as usize }
    }

    #[inline(always)]
    pub(super) fn entries(&self) -> &'static [AtomicU64] {
        &table(self.holder)[self.start..self.start + self.count]
    }

    /// How many they are.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Whether the entries are for small pages, so that nothing but pages was ever there.
    #[inline(always)]
    pub fn are_lowest(&self) -> bool {
        self.level == 0
    }

    /// Writes the entries where there are none: they lead to frames one behind the other. No table has come or gone since
    /// they were looked up.
    #[inline(always)]
    pub fn fill(self, frames: &mut FrameAllocator, first: Frame, leaf: Leaf) {
        let Slots { holder, level, start, count } = self;
        // Entries for consecutive frames differ by the page size, in both formats.
        let mut entry = Format::leaf_entry(first.start(), level, leaf);
        if count == 1 {
            table(holder)[start].store(entry, Relaxed);
        } else {
            let step = entry_pages(level) * PAGE_BYTES;
            for slot in self.entries() {
                slot.store(entry, Relaxed);
                entry += step;
            }
        }
        frames.change_table_entries(holder, count as i32);
    }

    /// The same where some are taken: these stay. Gives how many entries it has seen to: it ends where one leads to a table.
    pub(super) fn fill_vacant(self, frames: &mut FrameAllocator, first: Frame, leaf: Leaf) -> u64 {
        let (mut seen, mut filled) = (0, 0);
        let mut vacant = Format::leaf_entry(first.start(), self.level, leaf);
        for slot in self.entries() {
            let entry = slot.load(Relaxed);
            if entry == 0 {
                slot.store(vacant, Relaxed);
                filled += 1;
            } else if is_own_table(entry, self.level) {
                break;
            }
            (seen, vacant) = (seen + 1, vacant + entry_pages(self.level) * PAGE_BYTES);
        }
        frames.change_table_entries(self.holder, filled);
        seen
    }

    /// Makes what these entries show of a range fit to be fetched as code, from its front on, but for `publish_code`. They are
    /// for the front of the range. Gives the page that it came to, which may be within a large one.
    pub(super) fn clean_front(self, (first, end): (u64, u64), effort: &mut Effort) -> u64 {
        let (mut page, size) = (first, entry_pages(self.level));
        for slot in self.entries() {
            let (entry, within) = (slot.load(Relaxed), page % size);
            let mut count = (size - within).min(end - page);
            if Format::is_present(entry) && !Format::is_table(entry, self.level) {
                count = count.min(u64::from(effort.left().div_ceil(CLEAN_UNITS)));
                tessera_arch::clean_code(Frame::containing(Format::address(entry)).offset(within), count);
                effort.spend(count as u32 * CLEAN_UNITS);
            }
            page += count;
            if !effort.is_left() {
                break;
            }
        }
        page
    }

    /// Makes the leaves among them global or not.
    pub(super) fn set_global(self, global: bool) {
        for slot in self.entries() {
            let entry = slot.load(Relaxed);
            if Format::is_present(entry) && !Format::is_table(entry, self.level) {
                let leaf = Leaf { global, ..Format::leaf(entry) };
                slot.store(Format::leaf_entry(Format::address(entry), self.level, leaf), Relaxed);
            }
        }
    }

    /// Gives what these entries show new rights. No large page is among them that is not changed whole.
    #[inline(always)]
    pub fn protect(self, leaf: Leaf) {
        // All but the address, which entries say as it is, in both formats. Above level 2 nothing is a leaf.
        let bits = Format::leaf_entry(PhysAddr::new(0), self.level.min(2), leaf);
        for_each(self.entries(), |slot| {
            let entry = slot.load(Relaxed);
            if Format::is_present(entry) {
                slot.store(bits | Format::address(entry).value(), Relaxed);
            }
        });
    }
}

/// Whether an entry leads to a table of the same tree.
pub(crate) fn is_own_table(entry: u64, level: u8) -> bool {
    Format::is_present(entry) && Format::is_table(entry, level) && !Format::is_shared(entry)
}

/// Whether an entry leads to a table that clones have in common.
pub(crate) fn is_cloned(entry: u64) -> bool {
    Format::share(entry) == Some(Share::Cloned)
}

/// Calls `each` for all of some entries, eight in each round of the loop.
#[inline(always)]
pub(super) fn for_each(entries: &[AtomicU64], mut each: impl FnMut(&AtomicU64)) {
    if let [entry] = entries {
        return each(entry);
    }
    let (rounds, rest) = entries.as_chunks::<8>();
    for round in rounds {
        for entry in round {
            each(entry);
        }
    }
    rest.iter().for_each(each);
}
