//! Spaces: address spaces as objects of their own.

use alloc::collections::BTreeMap;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::Name;
use tessera_abi::{PAGE_BYTES, Rights, TOP_SLOT_BYTES, USER_END, USER_START};
use tessera_arch::{Format, Frame, PageFormat, TOP_LEVEL, table};

use crate::account::Account;
use crate::address_map::{AddressMap, PageRange};
use crate::mem::FrameAllocator;
use crate::page_table::Tree;
use crate::store::Id;
use crate::subtree::Subtree;

/// Pages that one top-level entry stands for.
pub const SLOT_PAGES: u64 = TOP_SLOT_BYTES / PAGE_BYTES;

/// A subtree at a top-level entry of a space.
#[derive(Clone, Copy, Debug)]
pub struct Attachment {
    /// The subtree.
    pub subtree: Id<Subtree>,
    /// What the entry lets the subtree's mappings allow here.
    pub bounds: Rights,
}

/// An address space: root table, mappings, attachments. Its tag lives in `shared::SpaceWords`.
#[derive(Debug)]
pub struct Space {
    /// For people.
    pub name: Name,
    /// Who pays for record, tables and mappings.
    pub account: Id<Account>,
    /// The space's own mappings.
    pub map: AddressMap,
    /// Attached subtrees, by top-level slot.
    pub attachments: BTreeMap<usize, Attachment>,
}

/// What an attachment costs the space's account, bytes.
pub const ATTACHMENT_BYTES: u64 = 64;

impl Space {
    /// An empty space on a cleared root table.
    pub fn new(account: Id<Account>, root: Frame) -> Space {
        tessera_arch::prepare_root(root);
        let tree = Tree { root, level: TOP_LEVEL, tables: 1 };
        Space { name: Name::EMPTY, account, map: AddressMap::new(tree), attachments: BTreeMap::new() }
    }

    /// Reads an address range of the space.
    ///
    /// # Errors
    /// As [`PageRange::new`].
    pub fn range(address: u64, length_bytes: u64) -> Result<PageRange, tessera_abi::Error> {
        PageRange::new(address, length_bytes, USER_START, USER_END)
    }

    /// Whether an attachment meets the range.
    pub fn is_attached(&self, range: PageRange) -> bool {
        let slots = (range.first / SLOT_PAGES) as usize..=((range.end() - 1) / SLOT_PAGES) as usize;
        self.attachments.range(slots).next().is_some()
    }

    /// The attachment that covers a page, and its slot.
    pub fn attachment(&self, page: u64) -> Option<(usize, &Attachment)> {
        let slot = (page / SLOT_PAGES) as usize;
        self.attachments.get(&slot).map(|attachment| (slot, attachment))
    }

    /// Writes the top-level entry of an attachment; the slot holds nothing.
    pub fn attach(&mut self, frames: &mut FrameAllocator, slot: usize, attachment: Attachment, table_root: Frame) {
        let root = self.map.tree.root;
        table(root)[slot].store(Format::table_entry(table_root.start(), attachment.bounds), Relaxed);
        frames.change_table_entries(root, 1);
        self.attachments.insert(slot, attachment);
        tessera_arch::publish_tables();
    }

    /// Takes the entry of an attachment out; the caller flushes.
    pub fn detach(&mut self, frames: &mut FrameAllocator, slot: usize) -> Option<Attachment> {
        let attachment = self.attachments.remove(&slot)?;
        let root = self.map.tree.root;
        table(root)[slot].store(0, Relaxed);
        frames.change_table_entries(root, -1);
        Some(attachment)
    }

    /// What the space's tables, mappings and attachments cost now, bytes.
    pub fn charged_bytes(&self) -> u64 {
        self.map.charged_bytes() + self.attachments.len() as u64 * ATTACHMENT_BYTES
    }
}
