//! Spaces: address spaces as objects of their own.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::Name;
use tessera_abi::{PAGE_BYTES, TOP_SLOT_BYTES, TOP_SLOTS, USER_END, USER_START};
use tessera_arch::{Format, Frame, PageFormat, TOP_LEVEL, table};

use crate::account::{Account, frame_bytes};
use crate::address_map::{AddressMap, PageRange};
use crate::attachment::{Attachment, Place};
use crate::mem::FrameAllocator;
use crate::page_table::Tree;
use crate::store::Id;

/// Pages that one top-level entry stands for.
pub const SLOT_PAGES: u64 = TOP_SLOT_BYTES / PAGE_BYTES;

/// What an attachment costs the space's account, bytes.
pub const ATTACHMENT_BYTES: u64 = 64;

/// An address space: root table, mappings, attachments. Its tag lives in `shared::SpaceWords`.
#[derive(Debug)]
pub struct Space {
    /// For people.
    pub name: Name,
    /// Who pays for record, tables and mappings.
    pub account: Id<Account>,
    /// The space's own mappings.
    pub map: AddressMap,
    attachments: BTreeMap<Place, Attachment>,
    /// Root tables of CPUs 1, 2, ...; CPU 0 uses the map's own. Empty while all CPUs use that one.
    other_roots: Vec<Frame>,
}

impl Space {
    /// An empty space on a cleared root table.
    pub fn new(account: Id<Account>, root: Frame) -> Space {
        tessera_arch::prepare_root(root);
        let map = AddressMap::new(Tree { root, level: TOP_LEVEL, tables: 1 });
        Space { name: Name::EMPTY, account, map, attachments: BTreeMap::new(), other_roots: Vec::new() }
    }

    /// Reads an address range of the space.
    ///
    /// # Errors
    /// As [`PageRange::new`].
    pub fn range(address: u64, length_bytes: u64) -> Result<PageRange, tessera_abi::Error> {
        PageRange::new(address, length_bytes, USER_START, USER_END)
    }

    /// Attachments, in order of slot.
    pub fn attachments(&self) -> impl Iterator<Item = (Place, &Attachment)> {
        self.attachments.iter().map(|(place, attachment)| (*place, attachment))
    }

    /// Attachments at or behind a slot, in order.
    pub fn attachments_from(&self, slot: usize) -> impl Iterator<Item = (Place, &Attachment)> {
        self.attachments.range(Place { slot, cpu: None }..).map(|(place, attachment)| (*place, attachment))
    }

    /// Where the first attachment is.
    pub fn first_attachment(&self) -> Option<Place> {
        self.attachments.keys().next().copied()
    }

    /// How many attachments there are, core windows included.
    pub fn attachment_count(&self) -> usize {
        self.attachments.len()
    }

    /// How many of them are core windows.
    pub fn core_windows(&self) -> usize {
        self.attachments.keys().filter(|place| place.cpu.is_some()).count()
    }

    /// Whether an attachment, on whatever CPU, meets the range.
    pub fn is_attached(&self, range: PageRange) -> bool {
        let last = ((range.end() - 1) / SLOT_PAGES) as usize;
        self.attachments_from((range.first / SLOT_PAGES) as usize).next().is_some_and(|(place, _)| place.slot <= last)
    }

    /// Whether nothing is attached where `place` would be: a window for one CPU leaves the others free.
    pub fn is_vacant(&self, place: Place) -> bool {
        let mut there = self.attachments_from(place.slot).take_while(|(other, _)| other.slot == place.slot);
        !there.any(|(other, _)| other.cpu.is_none() || place.cpu.is_none() || other.cpu == place.cpu)
    }

    /// The attachment that covers a page on a CPU, and its slot.
    pub fn attachment(&self, page: u64, cpu: usize) -> Option<(usize, &Attachment)> {
        let slot = (page / SLOT_PAGES) as usize;
        let here = [Place { slot, cpu: None }, Place { slot, cpu: Some(cpu) }];
        here.iter().find_map(|place| self.attachments.get(place)).map(|attachment| (slot, attachment))
    }

    /// Writes the top-level entry of an attachment; the place holds nothing.
    pub fn attach(&mut self, frames: &mut FrameAllocator, place: Place, attachment: Attachment, table_root: Frame) {
        self.set_entry(place, Format::table_entry(table_root.start(), attachment.bounds));
        if place.cpu.is_none_or(|cpu| cpu == 0) {
            frames.change_table_entries(self.map.tree.root, 1);
        }
        self.attachments.insert(place, attachment);
        tessera_arch::publish_tables();
    }

    /// Takes the entry of an attachment out; the caller flushes.
    pub fn detach(&mut self, frames: &mut FrameAllocator, place: Place) -> Option<Attachment> {
        let attachment = self.attachments.remove(&place)?;
        self.set_entry(place, 0);
        if place.cpu.is_none_or(|cpu| cpu == 0) {
            frames.change_table_entries(self.map.tree.root, -1);
        }
        Some(attachment)
    }

    /// How many root tables a core window would add.
    pub fn missing_roots(&self, cpus: usize) -> u64 {
        (cpus - 1 - self.other_roots.len()) as u64
    }

    /// Gives the next CPU a prepared root table of its own, like the first CPU's; gives which CPU that is.
    pub fn add_root(&mut self, root: Frame) -> usize {
        self.other_roots.push(root);
        self.sync_roots();
        self.other_roots.len()
    }

    /// Copies the first CPU's entries to the other roots, but for core windows.
    pub fn sync_roots(&self) {
        if self.other_roots.is_empty() {
            return;
        }
        for slot in 0..TOP_SLOTS {
            let mut there = self.attachments_from(slot).take_while(|(place, _)| place.slot == slot);
            if there.any(|(place, _)| place.cpu.is_some()) {
                continue;
            }
            let entry = table(self.map.tree.root)[slot].load(Relaxed);
            self.other_roots.iter().for_each(|root| table(*root)[slot].store(entry, Relaxed));
        }
    }

    /// Frees the root tables, which nobody uses any more.
    pub fn free_roots(&self, frames: &mut FrameAllocator) {
        for root in self.other_roots.iter().chain([&self.map.tree.root]) {
            frames.free(*root, 0);
        }
    }

    /// What the space's tables, mappings and attachments cost now, bytes.
    pub fn charged_bytes(&self) -> u64 {
        let attachments = self.attachments.len() as u64 * ATTACHMENT_BYTES;
        self.map.charged_bytes() + attachments + frame_bytes(self.other_roots.len() as u64)
    }

    /// Tables that belong to the space alone, bytes.
    pub fn table_bytes(&self) -> u64 {
        frame_bytes(self.map.tree.tables + self.other_roots.len() as u64)
    }

    fn set_entry(&self, place: Place, entry: u64) {
        let roots = [&self.map.tree.root].into_iter().chain(&self.other_roots);
        for (cpu, root) in roots.enumerate() {
            if place.cpu.is_none_or(|only| only == cpu) {
                table(*root)[place.slot].store(entry, Relaxed);
            }
        }
    }
}
