//! Tables that clones have in common: lending them out whole, and having one's own again where something is to change.
//!
//! An entry that leads to such a table is marked, and lets nobody write; the table counts the entries that lead to it. Whoever is
//! to change what is in it takes the entry out, has it invalidated, and puts an entry in again that leads to a table of its own:
//! the same one, if nobody else has it any more, or a copy. A copy has the tables below in common again, so only the tables on
//! the way to one page are copied ("On-demand-fork: A Microsecond Fork for Memory-Intensive and Latency-Sensitive Applications",
//! Zhao, Gong, Fonseca; EuroSys 2021). Of a lowest table only what lies around that page is: what is missing, the records tell.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::{Format, Frame, Leaf, PageFormat, Share, TOP_LEVEL, VirtAddr, table};

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::{FrameAllocator, FrameList};
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::{Slot, Tree, new_table, own_entries};
use crate::paging::slots::{is_cloned, is_own_table};

/// Entries of a lowest table that are copied beside the one that is to change, and it counted: a power of two.
const AROUND: usize = 8;

/// Tables that having one's own on the way to a page takes at most.
pub const WAY_TABLES: u64 = TOP_LEVEL as u64;

/// An entry that was taken out, to be replaced by one that leads to a table of the tree's own.
#[derive(Debug)]
#[must_use = "what it led to is not mapped until it is put back"]
pub struct Taken {
    address: VirtAddr,
    holder: Frame,
    level: u8,
    lower: Frame,
}

impl Taken {
    /// The pages that it led to: the first, and how many.
    pub fn pages(&self) -> (u64, u64) {
        let (page, count) = (self.address.value() / PAGE_BYTES, entry_pages(self.level));
        (page - page % count, count)
    }

    /// The level of the entry.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Whether others have the table too.
    pub fn is_others(&self, frames: &FrameAllocator) -> bool {
        frames.sharers(self.lower) > 1
    }
}

impl Tree {
    /// Lends all of its tables but the root to another tree, with nothing but its root yet. Both have them in common from now on;
    /// what the root attaches, the other does not get.
    pub fn lend_tables(&mut self, frames: &mut FrameAllocator, to: &mut Tree) {
        copy_entries(frames, self.root, to.root, self.level);
        (self.has_cloned, to.has_cloned) = (true, true);
        (to.tables, to.has_let_go) = (self.tables, self.has_let_go);
        self.note_all_changed();
    }

    /// Whether some of its tables may be in common with clones.
    #[inline(always)]
    pub fn has_cloned(&self) -> bool {
        self.has_cloned
    }

    /// The first entry on the way to an address, above a level, that leads to a table in common: takes it out.
    pub fn take_cloned(&mut self, address: VirtAddr, until: u8) -> Option<Taken> {
        let (holder, level) = self.walk(address, until);
        let entry = table(holder)[address.table_index(level)].load(Relaxed);
        if level == until || !is_cloned(entry) {
            return None;
        }
        // It counts as an entry still: one will be put back, or the table dropped.
        self.write_again(holder, address, level, 0);
        Some(Taken { address, holder, level, lower: Frame::containing(Format::address(entry)) })
    }

    /// Puts an entry back that leads to a table of the tree's own, as do all on the way to the address, down to a level. As many
    /// tables can be allocated as [`WAY_TABLES`]. Gives the place of the page's entry, if the way came to the lowest level.
    #[inline(always)]
    pub fn put_own(&mut self, frames: &mut FrameAllocator, taken: Taken, until: u8) -> Option<Slot> {
        let Taken { address, holder, level, lower } = taken;
        let own = own_table(frames, lower, level - 1, address.table_index(level - 1));
        let (mut lowest, mut at) = (own, level - 1);
        while at > until {
            let (above, index) = (lowest, address.table_index(at));
            let entry = table(above)[index].load(Relaxed);
            if !is_cloned(entry) {
                break;
            }
            at -= 1;
            lowest = own_table(frames, Frame::containing(Format::address(entry)), at, address.table_index(at));
            table(above)[index].store(Format::table_entry(lowest.start(), Rights::ACCESS), Relaxed);
        }
        tessera_arch::publish_tables();
        self.write_again(holder, address, level, Format::table_entry(own.start(), Rights::ACCESS));
        (at == 0).then(|| Slot::new(lowest, address))
    }

    /// Lets go of a table that was taken out, and that others have, with all that is below it. Tables that become empty by that go to
    /// `freed`.
    pub fn let_go_of(&mut self, frames: &mut FrameAllocator, taken: Taken, freed: &mut FrameList) {
        frames.drop_sharer(taken.lower);
        self.tables -= 1;
        // How many are below a lowest one is known.
        self.has_let_go |= taken.level > 1;
        if frames.change_table_entries(taken.holder, -1) == 0 {
            self.prune(frames, taken.address, freed);
        }
    }

    /// Whether a table that was taken out is a lowest one, which others have too.
    pub fn is_others_lowest(&self, frames: &FrameAllocator, taken: &Taken) -> bool {
        taken.level == 1 && taken.is_others(frames)
    }

    /// The page behind those that the entry for a page stands for, in the lowest table of the tree's own on the way there.
    pub fn behind_entry(&self, address: VirtAddr) -> u64 {
        let (_, level) = self.walk(address, 0);
        let (page, size) = (address.value() / PAGE_BYTES, entry_pages(level.max(1)));
        page - page % size + size
    }

    /// Whether a large page covers an address, in tables of the tree's own.
    pub fn is_large(&self, address: VirtAddr) -> bool {
        let (holder, level) = self.walk(address, 0);
        let entry = table(holder)[address.table_index(level)].load(Relaxed);
        level > 0 && Format::is_present(entry) && !Format::is_table(entry, level)
    }

    /// Takes the entry out that shows a page, in a lowest table of the tree's own; the table stays. Gives whether there was one.
    pub fn take_page(&mut self, frames: &mut FrameAllocator, address: VirtAddr) -> bool {
        let (holder, level) = self.walk(address, 0);
        let is_shown = level == 0 && table(holder)[address.table_index(0)].load(Relaxed) != 0;
        if is_shown {
            self.write(frames, holder, address, 0, 0);
        }
        is_shown
    }

    /// Takes a large page out that covers an address; gives what [`Tree::put_around`] needs to show a part of it in small pages.
    pub fn take_large(&mut self, frames: &mut FrameAllocator, address: VirtAddr) -> Option<LargeTaken> {
        if !self.is_large(address) {
            return None;
        }
        let (holder, level) = self.walk(address, 0);
        let entry = table(holder)[address.table_index(level)].load(Relaxed);
        self.write(frames, holder, address, level, 0);
        Some(LargeTaken { address, entry, level })
    }

    /// Shows what lies around an address of a large page that was taken out, for whoever may not write. The tables that it takes
    /// can be had.
    pub fn put_around(&mut self, frames: &mut FrameAllocator, large: LargeTaken) {
        let LargeTaken { address, entry, level } = large;
        let leaf = Format::leaf(entry);
        let (page, first) = (address.value() / PAGE_BYTES, Frame::containing(Format::address(entry)));
        let start = page - page % AROUND as u64;
        for page in start..start + AROUND as u64 {
            let frame = first.offset(page % entry_pages(level));
            self.map_page(frames, VirtAddr::new(page * PAGE_BYTES), frame, without_write(leaf));
        }
    }
}

/// A large page that was taken out.
#[derive(Debug)]
#[must_use = "what it showed is not mapped until a part of it is put back"]
pub struct LargeTaken {
    address: VirtAddr,
    entry: u64,
    level: u8,
}

impl LargeTaken {
    /// The pages that it showed: the first, and how many.
    pub fn pages(&self) -> (u64, u64) {
        let (page, count) = (self.address.value() / PAGE_BYTES, entry_pages(self.level));
        (page - page % count, count)
    }
}

fn without_write(leaf: Leaf) -> Leaf {
    Leaf { rights: leaf.rights - Rights::WRITE, ..leaf }
}

/// A table like this one, which was in common, that is the tree's own. In a lowest one, the entry at `index` may be missing.
#[inline(always)]
fn own_table(frames: &mut FrameAllocator, cloned: Frame, level: u8, index: usize) -> Frame {
    if !frames.leave_to_others(cloned) {
        mark_entries(frames, cloned, level);
        return cloned;
    }
    let own = new_table(frames);
    if level == 0 {
        copy_around(frames, cloned, own, index);
    } else {
        copy_entries(frames, cloned, own, level);
    }
    own
}

/// Copies entries of a lowest table around one to another: all but this one, which is about to be written. Nobody writes by them.
fn copy_around(frames: &mut FrameAllocator, from: Frame, to: Frame, index: usize) {
    let (start, mut copied) = (index - index % AROUND, 0);
    for (source, target) in table(from)[start..start + AROUND].iter().zip(&table(to)[start..start + AROUND]) {
        let entry = source.load(Relaxed);
        if entry != 0 {
            target.store(Format::read_only(entry), Relaxed);
            copied += 1;
        }
    }
    let written = &table(to)[index];
    copied -= i32::from(written.load(Relaxed) != 0);
    written.store(0, Relaxed);
    frames.change_table_entries(to, copied);
}

/// Copies the entries of a table to another, of nothing: both let nobody write by them from now on, and what they lead to is in
/// common.
fn copy_entries(frames: &mut FrameAllocator, from: Frame, to: Frame, level: u8) {
    let (mut left, mut copied) = (frames.table_entries(from), 0);
    for (source, target) in own_entries(from, level).iter().zip(own_entries(to, level)) {
        // Behind the last entry nothing is left to do.
        if left == 0 {
            break;
        }
        let entry = source.load(Relaxed);
        if entry == 0 {
            continue;
        }
        left -= 1;
        let common = in_common(frames, entry, level, true);
        if common != 0 {
            source.store(common, Relaxed);
            target.store(common, Relaxed);
            copied += 1;
        }
    }
    frames.change_table_entries(to, copied);
}

/// Marks what a table leads to as in common, though nobody else has it: what its leaves lead to may be.
fn mark_entries(frames: &mut FrameAllocator, own: Frame, level: u8) {
    let mut left = frames.table_entries(own);
    for slot in own_entries(own, level) {
        if left == 0 {
            break;
        }
        let entry = slot.load(Relaxed);
        if entry != 0 {
            left -= 1;
            slot.store(in_common(frames, entry, level, false), Relaxed);
        }
    }
}

/// The entry by which something is had in common, which is counted, by one more or by the one that there is; 0 for what it is not.
fn in_common(frames: &mut FrameAllocator, entry: u64, level: u8, is_one_more: bool) -> u64 {
    if is_own_table(entry, level) {
        let lower = Frame::containing(Format::address(entry));
        frames.set_sharers(lower, 1 + u32::from(is_one_more));
        let rights = if is_seeded(Mutant::CloneMayWrite) { Rights::ACCESS } else { Rights::READ_EXECUTE };
        return Format::shared_entry(lower.start(), rights, Share::Cloned);
    }
    if !Format::is_table(entry, level) {
        return Format::read_only(entry);
    }
    if !is_cloned(entry) {
        return if is_one_more { 0 } else { entry };
    }
    if is_one_more && !is_seeded(Mutant::CloneUncounted) {
        frames.add_sharer(Frame::containing(Format::address(entry)));
    }
    entry
}
