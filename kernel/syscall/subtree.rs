//! Calls on subtrees.

use tessera_abi::layout::SubtreeInfo;
use tessera_abi::{Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES, TOP_SLOTS};
use tessera_arch::TOP_LEVEL;

use super::{Caller, Result};
use crate::attachment::{Attachment, Place};
use crate::object::ObjectRef;
use crate::page_table;
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

    /// Attaches on every CPU, or (`cpu`) on one.
    pub(super) fn subtree_attach(
        &mut self,
        space: Handle,
        subtree: Handle,
        address: u64,
        bounds: Rights,
        cpu: Option<u64>,
    ) -> Result<u64> {
        let space = self.space(space, Rights::MAP)?;
        if !bounds.contains(Rights::READ) || !Rights::ACCESS.contains(bounds) {
            return Err(Error::BadArgument);
        }
        let subtree = self.subtree(subtree, bounds)?;
        let place = self.place(address, cpu)?;
        self.kernel.plan_attach(space, place, subtree)?;
        self.kernel.attach(space, place, Attachment { subtree, bounds });
        Ok(0)
    }

    pub(super) fn subtree_detach(&mut self, space: Handle, address: u64, cpu: Option<u64>) -> Result<u64> {
        let space = self.space(space, Rights::MAP)?;
        let place = self.place(address, cpu)?;
        if self.kernel.detach(space, place) { Ok(0) } else { Err(Error::NotMapped) }
    }

    fn place(&self, address: u64, cpu: Option<u64>) -> Result<Place> {
        let slot = attachment_slot(address)?;
        let cpu = cpu.map(|cpu| self.running_cpu(cpu)).transpose()?;
        Ok(Place { slot, cpu })
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
