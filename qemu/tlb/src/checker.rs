//! The checker: whether a machine that never forgets a translation by itself could use one that is no longer true.
//!
//! Per CPU and tag it keeps every translation, and every table on the way to one, that an access has needed; nothing is ever
//! evicted. What the CPU is told to invalidate goes. At each access all that is kept for its address is compared with what
//! the tables say now.
//!
//! What is a bug, by the rules of both architectures:
//! * A kept translation whose frame is another now, which allows more than the tables do, or which is not there any more. One
//!   that allows less is none: x86 lets the access fault once more (SDM volume 3, 5.10.4.3 "Optional Invalidation"), and so
//!   does Arm (DDI 0487, D8.16 "Translation Lookaside Buffers").
//! * Likewise a kept upper entry: whose table is another now, or none, or which allows more. Paging-structure caches and
//!   Arm's walk caches may hold it, whatever became of the leaves.
//! * On Arm, also a kept page of another size than the one that is there: two translations of an address may then be found at
//!   once, which aborts (DDI 0487, D8.16, TLB conflicts; D8.17.1, break-before-make). On x86 either may be used, and where both
//!   say the same that is no harm (SDM volume 3, 5.10.2.3).
//! * What is absent is not kept: neither architecture caches entries that are not present (SDM volume 3, 5.10.2; DDI 0487,
//!   D8.16), nor does Arm cache one without the access flag.
//! * A change takes time. From the store to a table until the CPU that did it leaves the kernel, or waits, the old translation
//!   may be used: it has not promised anybody yet that it is gone. Afterwards it is stale.
//! * A frame or table that is freed while a CPU may reach it under the tag that it runs under, or under every tag, is stale
//!   at once: whoever gets it next may be somebody else.
//!
//! An access counts even if a true translation answers it in the emulator, and even if it faults there.

mod held;
mod sections;

use std::collections::HashMap;

use crate::model::Invalidation;
use crate::walk::Path;
use held::Held;
pub use held::{Kept, Now, What};
use sections::Sections;

/// A translation that is used though it is no longer true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The CPU that may use it.
    pub cpu: usize,
    /// The tag under which it is held; none if it is global.
    pub tag: Option<u16>,
    /// What is used: an address, or the freed memory.
    pub address: u64,
    /// What is kept.
    pub kept: Kept,
    /// What is true.
    pub now: Now,
}

#[derive(Debug, Default)]
struct Cpu {
    tag: u16,
    tags: HashMap<u16, Held>,
    globals: Held,
}

/// What the CPUs of a machine keep.
#[derive(Debug)]
pub struct Checker {
    cpus: Vec<Cpu>,
    sections: Sections,
    /// Whether pages of two sizes conflict.
    sizes_conflict: bool,
    /// Translations and tables that were found true.
    confirmed: u64,
}

impl Checker {
    /// For so many CPUs, which hold nothing. `sizes_conflict`: they are Arm's.
    #[must_use]
    pub fn new(cpus: usize, sizes_conflict: bool) -> Checker {
        Checker {
            cpus: (0..cpus).map(|_| Cpu::default()).collect(),
            sections: Sections::new(cpus),
            sizes_conflict,
            confirmed: 0,
        }
    }

    /// How often what a CPU keeps was compared with what is true.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// A CPU stores to a page table, at this physical address.
    pub fn store(&mut self, cpu: usize, place: u64) {
        self.sections.store(cpu, place);
    }

    /// A CPU executes user code, or kernel code.
    pub fn execute(&mut self, cpu: usize, is_user: bool) {
        self.sections.execute(cpu, is_user);
    }

    /// A CPU of which the kernel wants nothing more waits.
    pub fn wait(&mut self, cpu: usize) {
        self.sections.wait(cpu);
    }

    /// A CPU goes on under another tag.
    pub fn set_tag(&mut self, cpu: usize, tag: u16) {
        self.cpus[cpu].tag = tag;
    }

    /// A CPU needs the translation of an address, under its tag; `path` is the walk that it would do. Calls `tell` for what
    /// is stale, once, and forgets that. Gives whether something may yet become so.
    pub fn access(&mut self, cpu: usize, address: u64, path: &Path, tell: &mut dyn FnMut(Stale)) -> bool {
        let tag = self.cpus[cpu].tag;
        let Cpu { tags, globals, .. } = &mut self.cpus[cpu];
        let held = tags.entry(tag).or_default();
        let sections = &self.sections;
        let mut is_pending = false;
        for (held, tag) in [(&mut *held, Some(tag)), (&mut *globals, None)] {
            self.confirmed += 1;
            is_pending |= held.compare(address, path, (sections, self.sizes_conflict), &mut |kept, now| {
                tell(Stale { cpu, tag, address, kept, now });
            });
        }
        if !is_pending {
            held.keep(address, path, false);
            globals.keep(address, path, true);
        }
        is_pending
    }

    /// A CPU invalidates.
    pub fn invalidate(&mut self, cpu: usize, what: &Invalidation) {
        let Cpu { tags, globals, .. } = &mut self.cpus[cpu];
        match *what {
            Invalidation::All { globals: are_globals } => {
                tags.clear();
                if are_globals {
                    *globals = Held::default();
                }
            }
            Invalidation::Tag(tag) => {
                tags.remove(&tag);
            }
            Invalidation::Page { tag, address, globals: are_globals, walk_entries } => {
                each(tags, tag).for_each(|held| held.drop_range(address, 1, walk_entries));
                if are_globals || tag.is_none() {
                    globals.drop_range(address, 1, walk_entries);
                }
            }
            Invalidation::Range { tag, start, bytes, walk_entries } => {
                each(tags, tag).for_each(|held| held.drop_range(start, bytes, walk_entries));
                globals.drop_range(start, bytes, walk_entries);
            }
        }
    }

    /// Physical memory is freed. Calls `tell` for what a CPU may still reach of it.
    pub fn free(&mut self, start: u64, bytes: u64, tell: &mut dyn FnMut(Stale)) {
        for (index, cpu) in self.cpus.iter_mut().enumerate() {
            let own = cpu.tags.get_mut(&cpu.tag).map(|held| (held, Some(cpu.tag)));
            for (held, tag) in own.into_iter().chain([(&mut cpu.globals, None)]) {
                held.take_reaching(start, bytes, &mut |kept| {
                    tell(Stale { cpu: index, tag, address: start, kept, now: Now::Freed });
                });
            }
        }
    }
}

/// What is held under a tag, or under each.
fn each(tags: &mut HashMap<u16, Held>, tag: Option<u16>) -> impl Iterator<Item = &mut Held> {
    tags.iter_mut().filter(move |(other, _)| tag.is_none_or(|tag| tag == **other)).map(|(_, held)| held)
}

#[cfg(test)]
mod tests;
