//! Entries that attach subtrees: writing them into a tree, taking them out, finding them. What they mean is
//! `attachment`'s business.

use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

use tessera_arch::{Format, Frame, PageFormat, Share, VirtAddr, table};

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::{Tree, own_entries, walk_from};
use crate::paging::slots::is_own_table;

impl Tree {
    /// Tables that must be added before an entry at `level` for `address` can be written.
    pub fn missing_tables(&self, address: VirtAddr, level: u8) -> u64 {
        u64::from(self.walk(address, level).1 - level)
    }

    /// Writes the entry that attaches another tree's root; there is nothing at its place, and as many tables as
    /// [`Tree::missing_tables`] said can be allocated.
    #[inline(always)]
    pub fn attach(&mut self, frames: &mut FrameAllocator, address: VirtAddr, level: u8, entry: u64) {
        let holder = if level == self.level {
            self.root
        } else {
            self.attached_below += 1;
            self.grow_to(frames, address, level)
        };
        self.write(frames, holder, address, level, entry);
        self.attached += 1;
    }

    /// Takes such an entry out. Tables that become empty go to `freed`.
    #[inline(always)]
    pub fn detach(&mut self, frames: &mut FrameAllocator, address: VirtAddr, level: u8, freed: &mut FrameList) {
        let holder = if level == self.level {
            self.root
        } else {
            self.attached_below -= 1;
            self.walk(address, level).0
        };
        self.attached -= 1;
        let entries = self.write(frames, holder, address, level, 0);
        if entries == 0 && level != self.level && !is_seeded(Mutant::AttachTableLeaked) {
            self.prune(frames, address, freed);
        }
    }

    /// The entry by which a subtree is attached that covers an address, and its level; `root` is the tree's own, or
    /// one of those that other CPUs have instead.
    #[inline(always)]
    pub fn attached_over(&self, root: Frame, address: VirtAddr) -> Option<(u64, u8)> {
        let (holder, level) = walk_from(root, self.level, address, 1);
        let entry = table(holder)[address.table_index(level)].load(Relaxed);
        is_attached(entry).then_some((entry, level))
    }

    /// The first attached subtree's entry that covers a page behind `page`, or `page` itself, and begins before `end`:
    /// its first page, level and entry.
    #[inline(always)]
    pub fn next_attached(&self, page: u64, end: u64) -> Option<(u64, u8, u64)> {
        if self.attached == 0 {
            return None;
        }
        next_attached_below(self.root, self.level, 0, page..end, self.attached_below != 0)
    }
}

/// Whether an entry attaches a subtree.
#[inline(always)]
fn is_attached(entry: u64) -> bool {
    Format::is_shared(entry) && Format::share(entry) != Some(Share::Copy)
}

fn next_attached_below(
    holder: Frame,
    level: u8,
    base: u64,
    pages: Range<u64>,
    is_deep: bool,
) -> Option<(u64, u8, u64)> {
    let first = (pages.start.saturating_sub(base) / entry_pages(level)) as usize;
    for (index, slot) in own_entries(holder, level).iter().enumerate().skip(first) {
        let page = base + index as u64 * entry_pages(level);
        if page >= pages.end {
            break;
        }
        let entry = slot.load(Relaxed);
        if is_attached(entry) {
            return Some((page, level, entry));
        }
        // The lowest level holds pages only.
        if is_deep && level > 1 && is_own_table(entry, level) {
            let lower = Frame::containing(Format::address(entry));
            let found = next_attached_below(lower, level - 1, page, pages.clone(), true);
            if found.is_some() {
                return found;
            }
        }
    }
    None
}
