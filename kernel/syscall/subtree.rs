//! Calls on subtrees.

use tessera_abi::layout::SubtreeInfo;
use tessera_abi::{Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES, TOP_SLOTS};
use tessera_arch::TOP_LEVEL;

use super::{Caller, Result};
use crate::address_map::PageRange;
use crate::object::ObjectRef;
use crate::page_table;
use crate::space::{ATTACHMENT_BYTES, Attachment, SLOT_PAGES};
use crate::subtree::Subtree;

impl Caller<'_> {
    pub(super) fn subtree_create(&mut self, account: Handle, level: u64) -> Result<u64> {
        let account = self.account(account, Rights::CHARGE)?;
        if level != u64::from(TOP_LEVEL) {
            return Err(Error::NotSupported);
        }
        self.kernel.subtrees.ensure_room()?;
        self.kernel.ensure_object::<Subtree>(account, 0, 1)?;
        self.ensure_can_create(0)?;
        let subtree = Subtree::new(account, page_table::new_table(&mut self.kernel.frames));
        self.kernel.charge_object::<Subtree>(account, subtree.map.charged_bytes());
        let id = self.kernel.subtrees.insert(subtree);
        Ok(self.kernel.insert_first(self.table, ObjectRef::Subtree(id)).bits())
    }

    pub(super) fn subtree_info(&mut self, subtree: Handle, buffer: u64) -> Result<u64> {
        let id = self.subtree(subtree, Rights::INSPECT)?;
        let subtree = &self.kernel.subtrees[id];
        let info = SubtreeInfo {
            level: u64::from(TOP_LEVEL),
            alignment_bytes: TOP_SLOT_BYTES,
            table_bytes: subtree.map.tree.tables * PAGE_BYTES,
            mapped_bytes: subtree.map.mapped_pages() * PAGE_BYTES,
            mappings: subtree.map.len() as u64,
            sharers: subtree.sharers.len() as u64,
        };
        self.write(buffer, &info).map(|()| 0)
    }

    pub(super) fn subtree_attach(
        &mut self,
        space: Handle,
        subtree: Handle,
        address: u64,
        bounds: Rights,
    ) -> Result<u64> {
        let space = self.space(space, Rights::MAP)?;
        if !bounds.contains(Rights::READ) || !Rights::ACCESS.contains(bounds) {
            return Err(Error::BadArgument);
        }
        let subtree = self.subtree(subtree, bounds)?;
        let slot = attachment_slot(address)?;
        let range = PageRange { first: slot as u64 * SLOT_PAGES, count: SLOT_PAGES };
        if self.kernel.spaces[space].map.overlaps(range) || self.kernel.spaces[space].is_attached(range) {
            return Err(Error::Overlap);
        }
        let account = self.kernel.spaces[space].account;
        self.kernel.accounts[account].ensure(ATTACHMENT_BYTES)?;
        self.kernel.ensure_heap(2)?;
        self.kernel.accounts[account].charge(ATTACHMENT_BYTES);
        let root = self.kernel.subtrees[subtree].map.tree.root;
        self.kernel.subtrees[subtree].sharers.insert((space, slot));
        self.kernel.subtrees.retain(subtree);
        self.kernel.spaces[space].attach(&mut self.kernel.frames, slot, Attachment { subtree, bounds }, root);
        Ok(0)
    }

    pub(super) fn subtree_detach(&mut self, space: Handle, address: u64) -> Result<u64> {
        let space = self.space(space, Rights::MAP)?;
        let slot = attachment_slot(address)?;
        if self.kernel.detach(space, slot) { Ok(0) } else { Err(Error::NotMapped) }
    }
}

/// The top-level slot that begins at an address.
fn attachment_slot(address: u64) -> Result<usize> {
    if !address.is_multiple_of(TOP_SLOT_BYTES) {
        return Err(Error::Misaligned);
    }
    let slot = address / TOP_SLOT_BYTES;
    // The last slot holds the page before the end of the lower half, which no mapping may reach.
    if slot + 1 >= TOP_SLOTS as u64 { Err(Error::BadAddress) } else { Ok(slot as usize) }
}
