//! What the hardware would read from the page tables: bounds of every table on the way and rights of the leaf.
//!
//! Nothing here uses the kernel's own page-table code.

use std::sync::atomic::Ordering::Relaxed;

use tessera_abi::{PAGE_BYTES, Rights, TOP_SLOTS};
use tessera_arch::{Format, Frame, PageFormat, PhysAddr, TABLE_ENTRIES, TOP_LEVEL, table};

/// What an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The physical address.
    pub physical: PhysAddr,
    /// What user mode may do.
    pub rights: Rights,
    /// Level of the leaf.
    pub level: u8,
}

/// Consecutive pages on consecutive frames with the same rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The first page.
    pub page: u64,
    /// How many.
    pub pages: u64,
    /// Number of the first frame.
    pub frame: u64,
    /// What user mode may do.
    pub rights: Rights,
}

impl Run {
    /// The first page behind.
    pub fn end(&self) -> u64 {
        self.page + self.pages
    }
}

/// All that is below a root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The leaves in order of address, one run each.
    pub leaves: Vec<Run>,
    /// Every table but the root: the pages it stands for, its frame, the bounds on the way to what it holds.
    pub below: Vec<Run>,
    /// The leaves that are global.
    pub globals: Vec<Run>,
    /// Leaves by level.
    pub by_level: [u64; 3],
    /// Tables, the root included.
    pub tables: u64,
    /// Tables other than the root without any entry.
    pub empty: u64,
}

impl Survey {
    fn add_leaf(&mut self, entry: u64, level: u8, page: u64, bounds: Rights) {
        let (leaf, frame) = (Format::leaf(entry), Frame::containing(Format::address(entry)).number());
        assert!(frame.is_multiple_of(entry_pages(level)), "a large page's memory is aligned");
        let run = Run { page, pages: entry_pages(level), frame, rights: leaf.rights & bounds };
        self.leaves.push(run);
        self.globals.extend(leaf.global.then_some(run));
        self.by_level[usize::from(level)] += 1;
    }
}

/// Pages that an entry at a level stands for.
pub const fn entry_pages(level: u8) -> u64 {
    1 << (9 * level as u32)
}

/// Walks the tables of a space for an address, as the hardware does.
pub fn translate(root: Frame, address: u64) -> Option<Translation> {
    if address >> 47 != 0 {
        return None;
    }
    let mut bounds = Rights::ACCESS;
    let mut holder = root;
    for level in (0..=TOP_LEVEL).rev() {
        let index = (address >> (12 + 9 * u32::from(level))) as usize % TABLE_ENTRIES;
        let entry = table(holder)[index].load(Relaxed);
        if !Format::is_present(entry) {
            return None;
        }
        if level > 0 && Format::is_table(entry, level) {
            bounds &= Format::bounds(entry);
            holder = Frame::containing(Format::address(entry));
            continue;
        }
        let within = address % (entry_pages(level) * PAGE_BYTES);
        let physical = PhysAddr::new(Format::address(entry).value() + within);
        return Some(Translation { physical, rights: Format::leaf(entry).rights & bounds, level });
    }
    None
}

/// Lists everything below a root whose entries are at `level`. What lies below entries that `skip` names, by first page
/// and level, is left out.
pub fn survey(root: Frame, level: u8, skip: &dyn Fn(u64, u8) -> bool) -> Survey {
    let mut survey = Survey::default();
    visit(&mut survey, root, level, 0, Rights::ACCESS, skip);
    survey
}

fn visit(survey: &mut Survey, holder: Frame, level: u8, first: u64, bounds: Rights, skip: &dyn Fn(u64, u8) -> bool) {
    survey.tables += 1;
    let mut present = 0;
    let entries = if level == TOP_LEVEL { TOP_SLOTS } else { TABLE_ENTRIES };
    for (index, slot) in table(holder)[..entries].iter().enumerate() {
        let entry = slot.load(Relaxed);
        if !Format::is_present(entry) {
            assert_eq!(entry, 0, "an entry that is not present is zero");
            continue;
        }
        present += 1;
        let page = first + index as u64 * entry_pages(level);
        if skip(page, level) {
            continue;
        }
        let target = Frame::containing(Format::address(entry));
        if level > 0 && Format::is_table(entry, level) {
            let bounds = bounds & Format::bounds(entry);
            survey.below.push(Run { page, pages: entry_pages(level), frame: target.number(), rights: bounds });
            visit(survey, target, level - 1, page, bounds, skip);
        } else {
            survey.add_leaf(entry, level, page, bounds);
        }
    }
    survey.empty += u64::from(present == 0 && survey.tables > 1);
}

/// Joins runs that continue each other.
pub fn merge(runs: &[Run]) -> Vec<Run> {
    let mut merged: Vec<Run> = Vec::new();
    for run in runs {
        match merged.last_mut() {
            Some(last)
                if last.end() == run.page && last.frame + last.pages == run.frame && last.rights == run.rights =>
            {
                last.pages += run.pages;
            }
            _ => merged.push(*run),
        }
    }
    merged
}

/// How many tables leaves (or attachments) like these need, the root included, if the root's entries are at `level`.
pub fn tables_needed(leaves: &[Run], level: u8) -> u64 {
    let mut prefixes = std::collections::BTreeSet::new();
    for leaf in leaves {
        let bottom = (0..=TOP_LEVEL).find(|level| entry_pages(*level) == leaf.pages).expect("a leaf is one entry");
        for table_level in bottom..level {
            prefixes.insert((table_level, leaf.page / entry_pages(table_level + 1)));
        }
    }
    1 + prefixes.len() as u64
}
