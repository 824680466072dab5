//! What one CPU keeps under one tag.

use std::collections::HashMap;

use super::sections::Sections;
use crate::model::WalkEntries;
use crate::walk::{Path, Rights};

/// Sizes of pages, as powers of two, Arm's contiguous ones included.
const SIZES: [u8; 5] = [12, 16, 21, 25, 30];
/// Sizes of what tables below the root translate.
const TABLE_SIZES: [u8; 3] = [21, 30, 39];

/// What is kept: a page's translation, or an upper entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A translation to a frame.
    Page,
    /// A table.
    Table,
}

/// One thing that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub what: What,
    /// The physical address of the page or table.
    pub frame: u64,
    /// How many address bits it translates.
    pub bits: u8,
    /// What it allows.
    pub rights: Rights,
    /// The entries that said so, `references` of them.
    tables: [u64; 5],
    references: u8,
}

/// What is true instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// Nothing is there.
    Nothing,
    /// This page's translation, or this table.
    Other(u64, Rights),
    /// The memory is free.
    Freed,
}

/// All that is kept, by size and number.
#[derive(Debug, Default)]
pub(super) struct Held {
    pages: HashMap<(u8, u64), Kept>,
    tables: HashMap<(u8, u64), Kept>,
}

impl Held {
    /// Keeps the tables of a walk, and its page if that is global or not, as asked for. Tables belong to a tag.
    pub(super) fn keep(&mut self, address: u64, path: &Path, globals: bool) {
        let walk = &path.walk;
        if let Some(found) = walk.result.filter(|found| found.global == globals) {
            let rights = Rights { write: found.writable, user: found.user, execute: found.executable };
            let key = (found.page_bits, address >> found.page_bits);
            let (tables, references) = (walk.tables, walk.references);
            let kept = Kept { what: What::Page, frame: found.frame, bits: found.page_bits, rights, tables, references };
            self.pages.insert(key, kept);
        }
        for depth in (1..walk.references).filter(|_| !globals) {
            let (frame, bits) = walk.table(depth);
            let rights = path.rights[usize::from(depth) - 1];
            let kept = Kept { what: What::Table, frame, bits, rights, tables: walk.tables, references: depth };
            self.tables.insert((bits, address >> bits), kept);
        }
    }

    /// Compares all that is kept for an address with a walk; tells and forgets what is stale. Gives whether something differs
    /// by a change that is not finished.
    pub(super) fn compare(
        &mut self,
        address: u64,
        path: &Path,
        (sections, sizes_conflict): (&Sections, bool),
        tell: &mut dyn FnMut(Kept, Now),
    ) -> bool {
        let mut is_pending = false;
        let mut judge = |map: &mut HashMap<(u8, u64), Kept>, bits: u8| {
            let key = (bits, address >> bits);
            let Some(kept) = map.get(&key) else { return };
            let Some(now) = kept.contradiction(address, path, sizes_conflict) else { return };
            if !sections.are_finished(&kept.tables[..usize::from(kept.references)]) {
                is_pending = true;
                return;
            }
            tell(*kept, now);
            map.remove(&key);
        };
        SIZES.iter().for_each(|bits| judge(&mut self.pages, *bits));
        TABLE_SIZES.iter().for_each(|bits| judge(&mut self.tables, *bits));
        is_pending
    }

    /// Forgets what overlaps a range of addresses.
    pub(super) fn drop_range(&mut self, start: u64, bytes: u64, walk_entries: WalkEntries) {
        drop_overlapping(&mut self.pages, &SIZES, start, bytes);
        match walk_entries {
            WalkEntries::Keep => {}
            WalkEntries::OfAddress => drop_overlapping(&mut self.tables, &TABLE_SIZES, start, bytes),
            WalkEntries::OfTag => self.tables.clear(),
        }
    }

    /// Tells and forgets what leads to a range of physical memory.
    pub(super) fn take_reaching(&mut self, start: u64, bytes: u64, tell: &mut dyn FnMut(Kept)) {
        let is_reached = |kept: &Kept| {
            let size = if kept.what == What::Table { 1 << 12 } else { 1 << kept.bits };
            kept.frame < start + bytes && start < kept.frame + size
        };
        for map in [&mut self.pages, &mut self.tables] {
            map.retain(|_, kept| {
                let is_kept = !is_reached(kept);
                if !is_kept {
                    tell(*kept);
                }
                is_kept
            });
        }
    }
}

/// Few addresses are looked up, many are looked for.
fn drop_overlapping(map: &mut HashMap<(u8, u64), Kept>, sizes: &[u8], start: u64, bytes: u64) {
    let last = start.wrapping_add(bytes - 1);
    for bits in sizes {
        let (first, last) = (start >> bits, last >> bits);
        if last - first < map.len() as u64 {
            for number in first..=last {
                map.remove(&(*bits, number));
            }
        } else {
            map.retain(|(other, number), _| other != bits || !(first..=last).contains(number));
        }
    }
}

impl Kept {
    /// What is true instead of this, at an address that it translates; nothing if it is true, or allows less than is true.
    fn contradiction(&self, address: u64, path: &Path, sizes_conflict: bool) -> Option<Now> {
        let walk = &path.walk;
        let (frame, rights) = match self.what {
            What::Page => {
                let Some(found) = walk.result else { return Some(Now::Nothing) };
                // Of which page the address is, whatever the sizes.
                let page = address & !0xfff;
                let offset = page & ((1 << found.page_bits) - 1);
                let own = page & ((1 << self.bits) - 1);
                let rights = Rights { write: found.writable, user: found.user, execute: found.executable };
                if sizes_conflict && found.page_bits != self.bits {
                    return Some(Now::Other(found.frame, rights));
                }
                ((found.frame + offset).wrapping_sub(own), rights)
            }
            What::Table => {
                let depth = (walk.root_bits - self.bits) / 9;
                if walk.references <= depth {
                    return Some(Now::Nothing);
                }
                (walk.table(depth).0, path.rights[usize::from(depth) - 1])
            }
        };
        (frame != self.frame || !self.rights.is_within(rights)).then_some(Now::Other(frame, rights))
    }
}
