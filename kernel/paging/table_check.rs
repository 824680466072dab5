//! The check of a tree's tables: each counts its entries, and the tree its tables.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use tessera_arch::{Format, Frame, PageFormat, TOP_LEVEL};

use crate::base::effort::Effort;
use crate::mem::FrameAllocator;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::{LEVELS, Tree, own_entries};
use crate::paging::shared_entry::is_attached;
use crate::paging::slots::{is_cloned, is_own_table};

/// Effort of looking at a table, and for how many of its entries it is one unit more.
const TABLE_UNITS: u32 = 20;
const UNIT_ENTRIES: usize = 2;

/// How far a check of a tree has come. It holds while the tree stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct TreePlace {
    is_begun: bool,
    /// The last of the tables that were cut loose that was begun with, if it has come to these.
    loose: Option<Frame>,
    /// The tables on the way from a root down to where it stands, and how many they are.
    way: [Option<Holder>; TOP_LEVEL as usize + 1],
    depth: usize,
    tables: u64,
}

/// A table on the way.
#[derive(Clone, Copy, Debug)]
struct Holder {
    table: Frame,
    level: u8,
    /// The page that it begins with.
    page: u64,
    /// The next entry, and how many before it are present.
    next: usize,
    present: u16,
}

/// An entry that attaches another tree: its first page, level and word; told with what is left of the effort.
pub type EachAttached<'a> = &'a mut dyn FnMut((u64, u8, u64), &mut Effort);

impl Tree {
    /// Checks every table, as much further as the effort goes for, and calls `each` for all entries that attach other trees,
    /// unless none is counted; gives whether that was to the end.
    ///
    /// # Panics
    /// If a table miscounts its entries or the tree its tables.
    pub fn check_further(
        &self,
        frames: &FrameAllocator,
        (at, effort): (&mut TreePlace, &mut Effort),
        facts: &mut u64,
        each: EachAttached<'_>,
    ) -> bool {
        loop {
            if at.depth == 0 {
                let Some((table, level)) = self.next_root(frames, at) else { break };
                at.descend(table, level, 0);
            }
            if !effort.is_left() {
                return false;
            }
            self.check_holder(frames, (at, effort), facts, each);
        }
        let is_counted = at.tables == self.tables || self.has_let_go && at.tables < self.tables;
        assert!(is_counted, "a tree counts its tables: {} of {}", at.tables, self.tables);
        *facts += 1;
        true
    }

    /// The root, then the tables that were cut loose, each with its level: what is below those is seen to in its turn.
    fn next_root(&self, frames: &FrameAllocator, at: &mut TreePlace) -> Option<(Frame, u8)> {
        if !at.is_begun {
            at.is_begun = true;
            return Some((self.root, self.level));
        }
        let (lower, note) = frames.next_of(&self.loose, at.loose)?;
        at.loose = Some(lower);
        Some((lower, (note % LEVELS) as u8))
    }

    /// Goes further in the table where it stands: to the end, or to the next one below, or as far as the effort goes.
    fn check_holder(
        &self,
        frames: &FrameAllocator,
        (at, effort): (&mut TreePlace, &mut Effort),
        facts: &mut u64,
        each: EachAttached<'_>,
    ) {
        let Some(Holder { table, level, page, next, mut present }) = at.way[at.depth - 1] else { return };
        let entries = own_entries(table, level);
        let is_told = at.loose.is_none() && self.attached != 0;
        effort.spend(TABLE_UNITS);
        // The lowest level holds pages only.
        let further = if level == 0 { entries.len() } else { next };
        present += count_present(&entries[next..further]);
        for (index, slot) in entries.iter().enumerate().skip(further) {
            let entry = slot.load(Relaxed);
            if entry == 0 {
                continue;
            }
            present += u16::from(Format::is_present(entry));
            let is_own = is_own_table(entry, level) || is_cloned(entry);
            let here = page + index as u64 * entry_pages(level);
            if !is_own && is_told && is_attached(entry) {
                each((here, level, entry), effort);
            }
            if is_own || !effort.is_left() {
                at.way[at.depth - 1] = Some(Holder { table, level, page, next: index + 1, present });
                effort.spend(((index - next) / UNIT_ENTRIES) as u32);
            }
            if is_own {
                let lower = Frame::containing(Format::address(entry));
                assert_ne!(frames.table_entries(lower), 0, "no table is empty (entry {index} at level {level})");
                *facts += u64::from(at.loose.is_none());
                return at.descend(lower, level - 1, here);
            }
            if !effort.is_left() {
                return;
            }
        }
        assert_eq!(present, frames.table_entries(table), "a table counts its entries");
        effort.spend(((entries.len() - next) / UNIT_ENTRIES) as u32);
        *facts += u64::from(at.loose.is_none());
        at.depth -= 1;
    }
}

impl TreePlace {
    fn descend(&mut self, table: Frame, level: u8, page: u64) {
        self.way[self.depth] = Some(Holder { table, level, page, next: 0, present: 0 });
        (self.depth, self.tables) = (self.depth + 1, self.tables + 1);
    }
}

fn count_present(entries: &[AtomicU64]) -> u16 {
    entries.iter().map(|slot| u16::from(Format::is_present(slot.load(Relaxed)))).sum()
}
