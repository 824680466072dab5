//! Large pages: choosing them where alignment, length and the tree allow, and splitting them where a change ends inside.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::{Format, Frame, PageFormat, TABLE_ENTRIES, VirtAddr, table};

use crate::mem::FrameAllocator;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::{Tree, new_table};

/// A large page that was taken out to be split.
#[derive(Debug)]
#[must_use = "its memory is unmapped until it is put back"]
pub struct LargePage {
    address: VirtAddr,
    entry: u64,
    level: u8,
    holder: Frame,
}

impl Tree {
    /// Tables that must be added so that no large page straddles `address`.
    pub fn split_tables(&self, address: VirtAddr) -> u64 {
        let (holder, level) = self.walk(address, 0);
        let entry = table(holder)[address.table_index(level)].load(Relaxed);
        let straddled = |level: u8| !(address.value() / PAGE_BYTES).is_multiple_of(entry_pages(level));
        let is_leaf = Format::is_present(entry) && !Format::is_shared(entry);
        if is_leaf { (1..=level).filter(|level| straddled(*level)).count() as u64 } else { 0 }
    }

    /// Takes the largest page that straddles `address` out; gives what [`Tree::put_split`] needs to put smaller
    /// ones in its place, and the pages that must be invalidated first: both at once in a TLB is an error (Arm
    /// ARM D8.16.1, break-before-make).
    pub fn take_straddling(&mut self, address: VirtAddr) -> Option<(LargePage, u64, u64)> {
        if self.split_tables(address) == 0 {
            return None;
        }
        let (holder, level) = self.walk(address, 0);
        let entry = table(holder)[address.table_index(level)].swap(0, Relaxed);
        let page = address.value() / PAGE_BYTES;
        Some((LargePage { address, entry, level, holder }, page - page % entry_pages(level), entry_pages(level)))
    }

    /// Puts a table of smaller pages in the place of a large one, with the same memory and rights.
    pub fn put_split(&mut self, frames: &mut FrameAllocator, large: LargePage) {
        let LargePage { address, entry, level, holder } = large;
        let lower = new_table(frames);
        let step = entry_pages(level - 1) * PAGE_BYTES;
        let mut small = Format::leaf_entry(Format::address(entry), level - 1, Format::leaf(entry));
        for slot in table(lower) {
            slot.store(small, Relaxed);
            small += step;
        }
        frames.change_table_entries(lower, TABLE_ENTRIES as i32);
        self.tables += 1;
        tessera_arch::publish_tables();
        table(holder)[address.table_index(level)].store(Format::table_entry(lower.start(), Rights::ACCESS), Relaxed);
    }
}
