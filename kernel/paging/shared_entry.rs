//! Entries that attach subtrees: writing them into a tree, taking them out, finding them. What they mean is
//! `vm/attach.rs`'s business.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use tessera_arch::{Format, Frame, PageFormat, Share, VirtAddr, table};

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::{Tree, own_entries, walk_from};
use crate::paging::range::page_address;
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

    /// The first attached subtree's entry that ends behind a page and begins before `end`: its first page, level and entry. Where
    /// no mapping meets the range, that looks along the tables on the ways to its ends; elsewhere it goes as far as it must.
    #[inline(always)]
    pub fn next_attached(&self, page: u64, end: u64) -> Option<(u64, u8, u64)> {
        if self.attached == 0 {
            return None;
        }
        if self.attached_below == 0 {
            return self.next_in_root(page, end);
        }
        match self.search_attached(page, end, &mut Effort::of(u32::MAX)) {
            Search::Found(page, level, entry) => Some((page, level, entry)),
            Search::Nothing | Search::Left(_) => None,
        }
    }

    /// The same where subtrees are attached to the root only.
    #[inline(always)]
    fn next_in_root(&self, page: u64, end: u64) -> Option<(u64, u8, u64)> {
        let size = entry_pages(self.level);
        for (index, slot) in own_entries(self.root, self.level).iter().enumerate().skip((page / size) as usize) {
            let first = index as u64 * size;
            if first >= end {
                break;
            }
            let entry = slot.load(Relaxed);
            if is_attached(entry) {
                return Some((first, self.level, entry));
            }
        }
        None
    }

    /// The same, as far as the effort goes.
    #[inline(never)]
    pub fn search_attached(&self, mut page: u64, end: u64, effort: &mut Effort) -> Search {
        let end = end.min(entry_pages(self.level) * own_entries(self.root, self.level).len() as u64);
        if self.attached == 0 {
            return Search::Nothing;
        }
        // The lowest level holds pages only.
        let lowest = if self.attached_below == 0 { self.level } else { 1 };
        while page < end {
            let (holder, level) = self.walk(page_address(page), lowest);
            let size = entry_pages(level);
            let (first, index) = (page - page % size, page_address(page).table_index(level));
            let behind = &own_entries(holder, level)[index..];
            let most = behind.len().min((end - first).div_ceil(size) as usize).min(most_passed(effort));
            let (passed, entry) = pass_unattached(&behind[..most], level > lowest, level);
            effort.spend(WAY_UNITS + passed as u32 / PASSED_A_UNIT);
            page = first + passed * size;
            match entry {
                _ if page >= end => break,
                Some(entry) if is_attached(entry) => return Search::Found(page, level, entry),
                _ if !effort.is_left() => return Search::Left(page),
                _ => {}
            }
        }
        Search::Nothing
    }
}

/// What a search for attached subtrees has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The first page, level and entry of one.
    Found(u64, u8, u64),
    /// There is none.
    Nothing,
    /// There is none before this page, behind that where the search began; from there on it has to go on.
    Left(u64),
}

/// What finding the table takes that is to be looked along.
const WAY_UNITS: u32 = 6;

/// Entries without an attached subtree that a unit of effort goes past.
const PASSED_A_UNIT: u32 = 2;

/// How many entries may be gone past with so much effort: one at least.
fn most_passed(effort: &Effort) -> usize {
    (effort.left() as usize).saturating_mul(PASSED_A_UNIT as usize).max(1)
}

/// Goes past entries of a level that neither attach a subtree nor lead, if that `may_lead` on, to a table below. Gives how many
/// these are, and the entry behind them, if there is one.
fn pass_unattached(entries: &[AtomicU64], may_lead: bool, level: u8) -> (u64, Option<u64>) {
    for (passed, slot) in entries.iter().enumerate() {
        steps::count();
        let entry = slot.load(Relaxed);
        if entry != 0 && (is_attached(entry) || may_lead && is_own_table(entry, level)) {
            return (passed as u64, Some(entry));
        }
    }
    (entries.len() as u64, None)
}

/// Whether an entry attaches a subtree.
#[inline(always)]
pub(super) fn is_attached(entry: u64) -> bool {
    !matches!(Format::share(entry), None | Some(Share::Copy | Share::Cloned))
}
