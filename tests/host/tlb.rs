//! What one CPU's TLB could hold at worst: everything that the tables of an active space ever said, until the
//! kernel gave an instruction that drops it. Nothing is ever evicted.
//!
//! Page-structure caches count: a table that the walker has come by may be used again without a look at the tables
//! above it (Intel SDM volume 3, section 5.10.3; Arm calls it a walk cache).

use std::collections::{BTreeMap, BTreeSet};

use tessera_abi::PAGE_BYTES;
use tessera_arch::fake::Event;
use tessera_arch::{Frame, TOP_LEVEL};

use crate::walker::{Run, merge, survey};

/// The worst case.
#[derive(Debug, Default)]
pub struct Tlb {
    active: Option<(Frame, u16)>,
    held: BTreeMap<u16, Held>,
}

/// What is held under one tag.
#[derive(Debug, Default)]
struct Held {
    pages: BTreeSet<Run>,
    tables: BTreeSet<Run>,
}

impl Held {
    fn drop_page(&mut self, page: u64) {
        self.pages.retain(|run| page < run.page || page >= run.end());
        self.tables.retain(|run| page < run.page || page >= run.end());
    }
}

impl Tlb {
    /// An empty one.
    pub fn new() -> Tlb {
        Tlb::default()
    }

    /// Takes in what the kernel told the hardware, checks that what the active space's tag could still hold is
    /// true, and fills the TLB with all that the active space's tables say now.
    ///
    /// # Errors
    /// The first translation that is not true any more.
    pub fn follow(&mut self, events: Vec<Event>) -> Result<(), String> {
        events.into_iter().for_each(|event| self.obey(event));
        let Some((root, tag)) = self.active else { return Ok(()) };
        let now = survey(root, TOP_LEVEL, &|_, _| false);
        let truth = merge(&now.leaves);
        let held = self.held.entry(tag).or_default();
        if let Some(stale) = held.pages.iter().find(|run| !is_true(&truth, run)) {
            return Err(format!("tag {tag} may still hold {stale:x?}"));
        }
        if let Some(stale) = held.tables.iter().find(|table| !is_table(&now.below, table)) {
            return Err(format!("tag {tag} may still walk through the table {stale:x?}"));
        }
        held.pages.extend(now.leaves);
        held.tables.extend(now.below);
        Ok(())
    }

    fn obey(&mut self, event: Event) {
        match event {
            Event::Activate { root, tag, keep } => {
                self.active = Some((root, tag));
                if !keep {
                    self.held.remove(&tag);
                }
            }
            Event::Page(address, tag) => {
                self.held.entry(tag).or_default().drop_page(address.value() / PAGE_BYTES);
            }
            Event::PageAllTags(address) => {
                let page = address.value() / PAGE_BYTES;
                self.held.values_mut().for_each(|held| held.drop_page(page));
            }
            Event::Tag(tag) => {
                self.held.remove(&tag);
            }
            Event::All => self.held.clear(),
        }
    }
}

/// Whether a table is still where it was, seen through bounds that allow what they did, or more.
fn is_table(now: &[Run], held: &Run) -> bool {
    let same = |table: &Run| (table.page, table.pages, table.frame) == (held.page, held.pages, held.frame);
    now.iter().any(|table| same(table) && table.rights.contains(held.rights))
}

/// Whether the tables still say all that a held translation says, or more.
fn is_true(truth: &[Run], held: &Run) -> bool {
    let mut page = held.page;
    while page < held.end() {
        let behind = truth.partition_point(|run| run.page <= page);
        let Some(run) = truth[..behind].last().filter(|run| page < run.end()) else { return false };
        if run.frame + (page - run.page) != held.frame + (page - held.page) || !run.rights.contains(held.rights) {
            return false;
        }
        page = run.end();
    }
    true
}
