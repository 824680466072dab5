//! How a run of pages is cut into entries of page tables.

use tessera_abi::PAGE_BYTES;
use tessera_arch::{Frame, TABLE_ENTRIES, VirtAddr};

/// A part of a mapping that fills consecutive entries of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) level: u8,
    pub(crate) entries: u64,
}

/// Chooses the largest pages that alignment and length allow, and the tree, whose root's entries are the highest.
#[inline(always)]
pub(crate) fn chunk(highest: u8, address: VirtAddr, frame: Frame, pages: u64) -> Chunk {
    let page = address.value() / PAGE_BYTES;
    let fits = |level: u8| {
        let size = entry_pages(level);
        level <= highest && page.is_multiple_of(size) && frame.number().is_multiple_of(size) && pages >= size
    };
    let level = if fits(2) && tessera_arch::largest_leaf_level() >= 2 { 2 } else { u8::from(fits(1)) };
    let room = (TABLE_ENTRIES - address.table_index(level)) as u64;
    Chunk { level, entries: room.min(pages / entry_pages(level)) }
}

/// Pages that one entry at `level` stands for.
#[inline(always)]
pub const fn entry_pages(level: u8) -> u64 {
    1 << (9 * level as u32)
}
