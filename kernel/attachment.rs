//! Attaching subtrees to spaces: on every CPU, or on one (a core window).

use tessera_abi::{Error, Rights};
use tessera_arch::Frame;

use crate::address_map::PageRange;
use crate::address_space::MapOwner;
use crate::flush::Flush;
use crate::kernel::Kernel;
use crate::mem::FrameList;
use crate::mutants::{Mutant, is_seeded};
use crate::page_table::new_table;
use crate::space::{SLOT_PAGES, Space};
use crate::store::Id;
use crate::subtree::{Sharer, Subtree};

/// A subtree at a top-level entry of a space.
#[derive(Clone, Copy, Debug)]
pub struct Attachment {
    /// The subtree.
    pub subtree: Id<Subtree>,
    /// What the entry lets the subtree's mappings allow here.
    pub bounds: Rights,
}

/// Where an attachment is: a slot, on every CPU or on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The top-level slot.
    pub slot: usize,
    /// The CPU, for a core window.
    pub cpu: Option<usize>,
}

impl Place {
    /// The pages of the slot.
    pub fn range(&self) -> PageRange {
        PageRange { first: self.slot as u64 * SLOT_PAGES, count: SLOT_PAGES }
    }
}

impl Kernel {
    /// Checks that a subtree can be attached at a place.
    ///
    /// # Errors
    /// `Overlap`, `BadState` for a core window's subtree that is attached already, `AccountExhausted`,
    /// `OutOfMemory`.
    pub fn plan_attach(&mut self, space: Id<Space>, place: Place, subtree: Id<Subtree>) -> Result<(), Error> {
        let object = &self.spaces[space];
        if object.map.overlaps(place.range()) || !object.is_vacant(place) {
            return Err(Error::Overlap);
        }
        let sharers = &self.subtrees[subtree].sharers;
        if sharers.iter().any(|sharer| sharer.cpu.is_some()) || (place.cpu.is_some() && !sharers.is_empty()) {
            return Err(Error::BadState);
        }
        let roots = if place.cpu.is_some() { object.missing_roots(self.cpus()) } else { 0 };
        let account = object.account;
        self.accounts[account].ensure(crate::space::ATTACHMENT_BYTES + crate::account::frame_bytes(roots))?;
        self.ensure_frames(roots)?;
        self.ensure_heap(2)
    }

    /// Attaches a subtree as planned.
    pub fn attach(&mut self, space: Id<Space>, place: Place, attachment: Attachment) {
        let before = self.spaces[space].charged_bytes();
        if place.cpu.is_some() {
            self.separate_roots(space);
        }
        let table_root = self.subtrees[attachment.subtree].map.tree.root;
        self.spaces[space].attach(&mut self.frames, place, attachment, table_root);
        self.subtrees[attachment.subtree].sharers.insert(Sharer { space, slot: place.slot, cpu: place.cpu });
        self.subtrees.retain(attachment.subtree);
        let after = self.spaces[space].charged_bytes();
        self.settle(self.spaces[space].account, before, after);
    }

    /// Takes an attachment out of a space; gives whether there was one.
    pub fn detach(&mut self, space: Id<Space>, place: Place) -> bool {
        let before = self.spaces[space].charged_bytes();
        let Some(attachment) = self.spaces[space].detach(&mut self.frames, place) else { return false };
        let after = self.spaces[space].charged_bytes();
        self.settle(self.spaces[space].account, before, after);
        // What the subtree shows here goes; the subtree still lists the place, so that is where it is flushed.
        let range = PageRange { first: 0, count: SLOT_PAGES };
        let owner = match place.cpu {
            Some(_) => MapOwner::Subtree(attachment.subtree),
            None => MapOwner::Space(space),
        };
        let range = if place.cpu.is_some() { range } else { place.range() };
        let count = if is_seeded(Mutant::DetachUnflushed) { 0 } else { range.count };
        self.discharge(Flush { owner, range: PageRange { count, ..range }, freed_tables: FrameList::new() });
        self.subtrees[attachment.subtree].sharers.remove(&Sharer { space, slot: place.slot, cpu: place.cpu });
        self.subtrees.release(attachment.subtree);
        true
    }

    /// Gives each CPU a root table of its own for the space, all alike.
    fn separate_roots(&mut self, space: Id<Space>) {
        let missing = self.spaces[space].missing_roots(self.cpus());
        for _ in 0..missing {
            let root: Frame = new_table(&mut self.frames);
            tessera_arch::prepare_root(root);
            let cpu = self.spaces[space].add_root(root);
            let way = self.shared.space_words(space.index()).pass(cpu);
            if is_seeded(Mutant::WindowForgetsMarks) {
                way.reset(root.to_word());
            } else {
                way.redirect(root.to_word());
            }
            let line = &self.shared.cpus[cpu];
            if !line.presence.is_in(space.index()) {
                continue;
            }
            // The CPU is in the space on the old root, or was about to enter it.
            if cpu == tessera_arch::cpu_index() {
                let entered_by = line.entered_by.load(core::sync::atomic::Ordering::Relaxed);
                self.enter_space(cpu, space, tessera_abi::Handle::from_bits(entered_by));
            } else {
                self.let_go(cpu);
            }
        }
    }
}
