//! What one CPU's translation hardware could hold at worst under one tag, or under all of them: nothing is ever evicted.
//!
//! Two kinds of things are held: leaves (the TLB proper), and ways (the page-structure caches): from which table a
//! walk for some addresses may go on, without a look at the tables above it. A walk that starts from a held way
//! may use a table that is not linked any more.
//!
//! Leaves whose entry is global are held apart, under every tag at once; ways are never global.
//! (Intel SDM volume 3, sections 5.10.2 to 5.10.4; DDI 0487, D8.17 "Translation table walk caches".)

use core::sync::atomic::Ordering::Relaxed;
use std::collections::{BTreeMap, BTreeSet};

use tessera_abi::{Rights, TOP_SLOTS};

use super::format::Format;
use super::memory::quiet_table;
use crate::{Frame, PageFormat, TABLE_ENTRIES, TOP_LEVEL};

/// A table that walks may start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The first page that the table stands for.
    pub page: u64,
    /// Level of its entries.
    pub level: u8,
    /// The table.
    pub table: Frame,
    /// What the entries above it allow.
    pub bounds: Rights,
}

/// A translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// The first page.
    pub page: u64,
    /// Level of the entry.
    pub level: u8,
    /// The first frame.
    pub frame: Frame,
    /// What user mode may do: what the entry and all above it allowed when it was found.
    pub rights: Rights,
    /// Whether it holds under every tag.
    pub global: bool,
}

/// Pages that an entry at a level stands for.
const fn entry_pages(level: u8) -> u64 {
    1 << (9 * level as u32)
}

impl Way {
    /// The way to a root table.
    pub fn of_root(table: Frame) -> Way {
        Way { page: 0, level: TOP_LEVEL, table, bounds: Rights::ACCESS }
    }

    /// Whether walks for a page may start here.
    pub fn covers(&self, page: u64) -> bool {
        self.page <= page && page < self.page + entry_pages(self.level + 1)
    }
}

impl Leaf {
    /// How many pages it translates.
    pub fn pages(&self) -> u64 {
        entry_pages(self.level)
    }

    /// Whether it translates a page.
    pub fn covers(&self, page: u64) -> bool {
        self.page <= page && page < self.page + self.pages()
    }

    /// Whether it leads to one of these frames.
    pub fn leads_to(&self, first: Frame, count: u64) -> bool {
        let (start, end) = (self.frame.number(), self.frame.number() + self.pages());
        start < first.number() + count && first.number() < end
    }

    /// Whether both cannot be held at once: break-before-make was forgotten (DDI 0487, D8.16.1; also when only one of
    /// them is global). Other rights alone are no conflict.
    fn conflicts(&self, other: &Leaf) -> bool {
        (self.level, self.frame, self.global) != (other.level, other.frame, other.global)
    }
}

/// What is held under one tag, or the leaves that are held under all.
#[derive(Clone, Debug, Default)]
pub struct Held {
    leaves: BTreeMap<u64, Vec<Leaf>>,
    ways: BTreeSet<Way>,
}

impl Held {
    /// All that a walk from a root can find now, global or not.
    pub fn of_tables(root: Frame) -> Held {
        let (mut held, mut globals) = (Held::default(), Held::default());
        held.fill(root, &mut globals);
        for leaf in globals.leaves() {
            held.leaves.entry(leaf.page).or_default().push(*leaf);
        }
        held
    }

    /// Takes in all that walks can find now, from a root or from what is held; global leaves go to `globals`. Gives two
    /// translations of one page that cannot be held at once, if there are any.
    pub fn fill(&mut self, root: Frame, globals: &mut Held) -> Option<(Leaf, Leaf)> {
        let mut starts: Vec<Way> = self.ways.iter().copied().collect();
        starts.push(Way::of_root(root));
        let (mut seen, mut conflict) = (BTreeSet::new(), None);
        while let Some(way) = starts.pop() {
            if seen.insert(way) {
                conflict = conflict.or(self.walk(way, &mut starts, globals));
            }
        }
        conflict
    }

    fn walk(&mut self, way: Way, further: &mut Vec<Way>, globals: &mut Held) -> Option<(Leaf, Leaf)> {
        let mut conflict = None;
        let entries = if way.level == TOP_LEVEL { TOP_SLOTS } else { TABLE_ENTRIES };
        for (index, slot) in quiet_table(way.table)[..entries].iter().enumerate() {
            let entry = slot.load(Relaxed);
            if !Format::is_present(entry) {
                continue;
            }
            let page = way.page + index as u64 * entry_pages(way.level);
            let target = Frame::containing(Format::address(entry));
            if way.level > 0 && Format::is_table(entry, way.level) {
                let bounds = way.bounds & Format::bounds(entry);
                let lower = Way { page, level: way.level - 1, table: target, bounds };
                self.ways.insert(lower);
                further.push(lower);
            } else {
                let there = Format::leaf(entry);
                let (level, rights, global) = (way.level, there.rights & way.bounds, there.global);
                let leaf = Leaf { page, level, frame: target, rights, global };
                let found = if global { globals.add(leaf, self) } else { self.add(leaf, globals) };
                conflict = conflict.or(found);
            }
        }
        conflict
    }

    fn add(&mut self, leaf: Leaf, beside: &Held) -> Option<(Leaf, Leaf)> {
        if self.leaves.get(&leaf.page).is_some_and(|there| there.contains(&leaf)) {
            return None;
        }
        let conflict = self.find_conflict(&leaf).or_else(|| beside.find_conflict(&leaf));
        self.leaves.entry(leaf.page).or_default().push(leaf);
        conflict.map(|other| (other, leaf))
    }

    fn find_conflict(&self, leaf: &Leaf) -> Option<Leaf> {
        self.covering(leaf.page, leaf.pages()).find(|other| other.conflicts(leaf)).copied()
    }

    /// The leaves that translate some of these pages.
    fn covering(&self, first: u64, count: u64) -> impl Iterator<Item = &Leaf> {
        let above =
            [1, 2].map(|level| first - first % entry_pages(level)).into_iter().filter(move |page| *page != first);
        let mut above: Vec<u64> = above.collect();
        above.dedup();
        let larger = above.into_iter().filter_map(|page| self.leaves.get(&page)).flatten();
        let larger = larger.filter(move |leaf| leaf.covers(first));
        larger.chain(self.leaves.range(first..first + count).flat_map(|(_, leaves)| leaves))
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.leaves().next().is_none() && self.ways.is_empty()
    }

    /// Drops what translates a page, and the ways to it.
    pub fn drop_page(&mut self, page: u64) {
        for level in 0..TOP_LEVEL {
            let first = page - page % entry_pages(level);
            if let Some(there) = self.leaves.get_mut(&first) {
                there.retain(|leaf| !leaf.covers(page));
            }
        }
        self.ways.retain(|way| !way.covers(page));
    }

    /// All translations.
    pub fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.leaves.values().flatten()
    }

    /// What is held here and not true: what the tables allow less, or not at all.
    pub fn find_false(&self, truth: &Held) -> Option<String> {
        let is_true = |leaf: &&Leaf| {
            let mut there = truth.leaves.get(&leaf.page).into_iter().flatten();
            there.any(|other| !other.conflicts(leaf) && other.rights.contains(leaf.rights))
        };
        let is_way = |way: &&Way| {
            let mut bounds = truth.ways.iter().filter(|other| Way { bounds: way.bounds, ..**other } == **way);
            bounds.any(|other| other.bounds.contains(way.bounds))
        };
        let leaf = self.leaves().find(|leaf| !is_true(leaf)).map(|leaf| format!("{leaf:x?}"));
        leaf.or_else(|| self.ways.iter().find(|way| !is_way(way)).map(|way| format!("{way:x?}")))
    }

    /// A table on some way from a root that holds what walkers need not see.
    pub fn find_unpublished(&self, root: Frame) -> Option<String> {
        let mut ways = self.ways.iter().copied().chain([Way::of_root(root)]);
        ways.find(|way| super::memory::is_unpublished(way.table)).map(|way| format!("{way:x?}"))
    }

    /// What leads to one of these frames, as memory or as a table.
    pub fn find_use(&self, first: Frame, count: u64) -> Option<String> {
        let within = |way: &&Way| first <= way.table && way.table.number() < first.number() + count;
        let leaf = self.leaves().find(|leaf| leaf.leads_to(first, count)).map(|leaf| format!("{leaf:x?}"));
        leaf.or_else(|| self.ways.iter().find(within).map(|way| format!("{way:x?}")))
    }
}
