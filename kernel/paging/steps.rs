//! Parts of long changes: each does a piece of a range, says how far it came, and what that took.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::PAGE_BYTES;
use tessera_arch::{Format, Frame, Leaf, PageFormat, VirtAddr, table};

use crate::base::effort::Effort;
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::paging::chunk::{Chunk, chunk, entry_pages};
use crate::paging::page_table::Tree;
use crate::paging::range::page_address;
use crate::paging::slots::{Slots, is_own_table};

/// What finding the entries for a page takes.
const LOOK_UNITS: u32 = 6;

/// What changing so many entries of a table takes, and finding them.
fn entry_units(entries: usize) -> u32 {
    8 + entries as u32 / 2
}

impl Tree {
    /// Takes all translations out of the front of a range of pages; gives the first page behind them. No large page straddles
    /// the range's ends. Tables that become empty go to `freed`.
    pub fn unmap_front(
        &mut self,
        frames: &mut FrameAllocator,
        (first, end): (u64, u64),
        effort: &mut Effort,
        freed: &mut FrameList,
    ) -> u64 {
        let mut page = first;
        while page < end {
            let (slots, advance) = self.chunk_at(page_address(page), end - page);
            self.clear_slots(frames, slots, page_address(page), freed);
            page = (page + advance).min(end);
            if !effort.spend(entry_units(slots.len())) {
                break;
            }
        }
        page
    }

    /// Gives all translations at the front of a range new rights, on the same conditions. Code was published before.
    pub fn protect_front(&mut self, (first, end): (u64, u64), leaf: Leaf, effort: &mut Effort) -> u64 {
        let mut page = first;
        while page < end {
            let (slots, advance) = self.chunk_at(page_address(page), end - page);
            slots.protect(leaf);
            page = (page + advance).min(end);
            if !effort.spend(entry_units(slots.len())) {
                break;
            }
        }
        page
    }

    /// Makes leaves global or not, from a page on; gives the page that it came to. No CPU can reach them.
    pub fn set_global_from(&mut self, mut page: u64, global: bool, effort: &mut Effort) -> u64 {
        let (end, size, root) = (entry_pages(self.level + 1), entry_pages(self.level), table(self.root));
        while page < end && effort.is_left() {
            let entry = || root[page_address(page).table_index(self.level)].load(Relaxed);
            if page.is_multiple_of(size) && !Format::is_present(entry()) {
                effort.spend(1);
                page += size;
                continue;
            }
            let (slots, advance) = self.chunk_at(page_address(page), end - page);
            slots.set_global(global);
            page = (page + advance).min(end);
            effort.spend(if slots.len() == 1 { 12 } else { 2 * entry_units(slots.len()) });
        }
        page
    }

    /// Makes what is at the front of a range fit to be fetched as code, but for `publish_code`, which the caller has done
    /// when all is; it may stop within a large page.
    pub fn clean_front(&self, (first, end): (u64, u64), effort: &mut Effort) -> u64 {
        if !tessera_arch::must_clean_code() {
            return end;
        }
        let mut page = first;
        while page < end && effort.is_left() {
            let (slots, _) = self.chunk_at(page_address(page), end - page);
            page = slots.clean_front((page, end), effort);
            effort.spend(LOOK_UNITS);
        }
        page
    }

    /// The tables that showing the first entries of a run of frames takes at most.
    pub fn tables_for(&self, address: VirtAddr, first: Frame, pages: u64) -> u64 {
        self.missing_tables(address, chunk(self.level, address, first, pages).level)
    }

    /// Shows the first pages of a run of frames, as far as the entries are in one table, where nothing is shown yet: others
    /// may have come before. Gives how many pages that are. The tables that it takes can be had.
    pub fn show_front(
        &mut self,
        frames: &mut FrameAllocator,
        address: VirtAddr,
        first: Frame,
        pages: u64,
        leaf: Leaf,
        effort: &mut Effort,
    ) -> u64 {
        let chunk = chunk(self.level, address, first, pages);
        let (holder, level) = self.walk(address, chunk.level);
        let is_filled = level == chunk.level && chunk.level > 0 && {
            let entry = table(holder)[address.table_index(level)].load(Relaxed);
            is_own_table(entry, level)
        };
        if is_filled {
            // Somebody has touched pages here before they were shown: what is left is shown page by page.
            return self.show_small(frames, address, first, entry_pages(chunk.level), leaf, effort);
        }
        let holder = self.grow_to(frames, address, chunk.level);
        let slots = Slots::new(holder, address, chunk);
        if frames.table_entries(holder) == 0 {
            effort.spend(entry_units(slots.len()));
            slots.fill(frames, first, leaf);
            return chunk.entries * entry_pages(chunk.level);
        }
        let shown = slots.fill_vacant(frames, first, leaf);
        effort.spend(entry_units(shown as usize));
        shown * entry_pages(chunk.level)
    }

    /// The same for the pages of what might have been a large page, in small pages or smaller large ones.
    fn show_small(
        &mut self,
        frames: &mut FrameAllocator,
        address: VirtAddr,
        first: Frame,
        pages: u64,
        leaf: Leaf,
        effort: &mut Effort,
    ) -> u64 {
        let (holder, level) = self.walk(address, 0);
        if level > 0 {
            // Below a table that is there, one is missing: the rest of it waits for the first touch.
            effort.spend(entry_units(1));
            return entry_pages(level).min(pages);
        }
        let entries = pages.min((tessera_arch::TABLE_ENTRIES - address.table_index(0)) as u64);
        let count = Slots::new(holder, address, Chunk { level, entries }).fill_vacant(frames, first, leaf);
        effort.spend(entry_units(count as usize));
        count
    }
}

const _: () = assert!(PAGE_BYTES == 4096, "units are for pages of this size");
