//! Calls on subtrees.

use tessera_abi::layout::SubtreeInfo;
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES, USER_END};
use tessera_arch::TOP_LEVEL;

use super::{Caller, Outcome, Result};
use crate::base::effort::Effort;
use crate::object::account::{object_bytes, open_charge};
use crate::object::address_map::Cost;
use crate::object::id::{AttachPoint, CapId, MapTarget, ObjectRef, SubtreeId};
use crate::object::space::{SLOT_PAGES, top_slot};
use crate::object::subtree::Subtree;
use crate::paging::chunk;
use crate::paging::page_table;
use crate::vm::attach::{self, Attachment};
use crate::vm::clone;
use crate::vm::fast_attach;
use crate::vm::public;
use crate::vm::target;

/// Of `subtree_attach`'s flags: the attachment keeps its bounds in views.
const WINDOW: u64 = 1;

impl Caller<'_> {
    pub(super) fn subtree_create(&mut self, account: Handle, level: u64) -> Result<u64> {
        let account = self.account(account, Rights::CHARGE)?;
        let levels = 1..=u64::from(TOP_LEVEL);
        let level = u8::try_from(level).ok().filter(|_| levels.contains(&level)).ok_or(Error::WrongLevel)?;
        self.kernel.subtrees.ensure_room()?;
        self.kernel.ensure_object::<Subtree>(account, Subtree::NEW_BYTES, 1)?;
        self.ensure_can_create(0)?;
        let subtree = Subtree::new(account, page_table::new_table(&mut self.kernel.frames), level);
        self.kernel.charge(&subtree);
        let id = attach::add_subtree(self.kernel, subtree);
        let paid = (Rights::all(), Some(account.index()));
        Ok(self.kernel.insert_paid(self.table(), ObjectRef::Subtree(id), paid).bits())
    }

    pub(super) fn subtree_clone(&mut self, account: Handle, subtree: Handle, flags: u64) -> Result<u64> {
        let account = self.account(account, Rights::CHARGE)?;
        let source = self.subtree(subtree, Rights::INSPECT | Rights::MAP | Rights::READ)?;
        let (is_frozen, is_kept) = super::space::clone_flags(flags)?;
        let plan = clone::plan_subtree(self.kernel, source, account)?;
        plan.ensure_kept(is_kept)?;
        let new_bytes = Subtree::NEW_BYTES + plan.extra_bytes;
        let level = self.kernel.subtrees[source].level();
        self.kernel.subtrees.ensure_room()?;
        self.kernel.ensure_object::<Subtree>(account, new_bytes, 1)?;
        self.ensure_can_create(plan.heap_pages)?;
        // Once more: the heap may have taken some.
        self.kernel.ensure_frames(1)?;
        let subtree = Subtree::new(account, page_table::new_table(&mut self.kernel.frames), level);
        let id = clone::clone_subtree(self.kernel, (source, &plan), subtree, is_frozen);
        open_charge(&mut self.kernel.accounts, account, object_bytes::<Subtree>() + new_bytes);
        let paid = (Rights::all(), Some(account.index()));
        Ok(self.kernel.insert_paid(self.table(), ObjectRef::Subtree(id), paid).bits())
    }

    pub(super) fn subtree_info(&mut self, subtree: Handle, buffer: u64) -> Result<u64> {
        let id = self.subtree(subtree, Rights::INSPECT)?;
        let subtree = &self.kernel.subtrees[id];
        let size_bytes = subtree.pages() * PAGE_BYTES;
        let info = SubtreeInfo {
            level: u64::from(subtree.level()),
            alignment_bytes: size_bytes,
            size_bytes,
            table_bytes: subtree.map.tree.tables * PAGE_BYTES,
            mapped_bytes: subtree.map.mapped_pages() * PAGE_BYTES,
            mappings: subtree.map.len() as u64,
            sharers: subtree.sharers.len() as u64,
            attachments: subtree.map.attachments(),
            sealed: u64::from(subtree.is_sealed),
            public_address: subtree.public.map_or(0, |slot| slot as u64 * TOP_SLOT_BYTES),
        };
        self.write(buffer, &info).map(|()| 0)
    }

    pub(super) fn subtree_seal(&mut self, subtree: Handle) -> Result<u64> {
        let id = self.subtree(subtree, Rights::CONTROL)?;
        self.kernel.subtrees[id].is_sealed = true;
        Ok(0)
    }

    pub(super) fn subtree_attach(
        &mut self,
        target: Handle,
        subtree: Handle,
        address: u64,
        bounds: Rights,
        flags: u64,
    ) -> Result<u64> {
        match fast_attach::attach_fast(self.kernel, self.line.table.get(), [target, subtree], address, bounds, flags) {
            Some(()) => Ok(0),
            None => self.attach_anywhere(target, subtree, address, bounds, flags),
        }
    }

    #[inline(never)]
    fn attach_anywhere(
        &mut self,
        target: Handle,
        subtree: Handle,
        address: u64,
        bounds: Rights,
        flags: u64,
    ) -> Result<u64> {
        let owner = self.map_owner(target, Rights::MAP)?;
        let through = CapId::at(self.table(), subtree.slot());
        let subtree = self.attachable(subtree, bounds)?;
        let is_window = match (flags, owner, self.kernel.subtrees[subtree].level()) {
            (0, ..) => false,
            (WINDOW, MapTarget::Space(_), TOP_LEVEL) => true,
            _ => return Err(Error::BadArgument),
        };
        let planned = self.plan_attach(owner, address, None, subtree)?;
        Ok(self.attach(owner, planned, (subtree, through), bounds, is_window))
    }

    /// Attaches on one CPU only.
    pub(super) fn subtree_attach_core(
        &mut self,
        space: Handle,
        subtree: Handle,
        address: u64,
        bounds: Rights,
        cpu: u64,
    ) -> Result<Outcome> {
        // What was done before stands in the space.
        self.progress(number::subtree_attach_core);
        let space = self.space(space, Rights::MAP)?;
        let through = CapId::at(self.table(), subtree.slot());
        let subtree = self.attachable(subtree, bounds)?;
        let cpu = self.running_cpu(cpu)?;
        if self.kernel.subtrees[subtree].level() != TOP_LEVEL {
            return Err(Error::WrongLevel);
        }
        let owner = MapTarget::Space(space);
        let planned = self.plan_attach(owner, address, Some(cpu), subtree)?;
        if !attach::separate_roots(self.kernel, space, &mut Effort::of_entry()) {
            return Ok(self.again(number::subtree_attach_core, 1));
        }
        Ok(self.attach(owner, planned, (subtree, through), bounds, false).into())
    }

    /// Where a subtree is to be attached, and what that takes.
    #[inline(always)]
    fn plan_attach(
        &mut self,
        owner: MapTarget,
        address: u64,
        cpu: Option<usize>,
        subtree: SubtreeId,
    ) -> Result<(AttachPoint, Cost)> {
        target::ensure_changeable(self.kernel, owner)?;
        attach::ensure_level(self.kernel, owner, subtree)?;
        let level = self.kernel.subtrees[subtree].level();
        let place = AttachPoint { page: self.page_to_attach(owner, address, level)?, cpu };
        Ok((place, attach::plan_attach(self.kernel, owner, place, subtree)?))
    }

    #[inline(always)]
    fn attach(
        &mut self,
        owner: MapTarget,
        (place, cost): (AttachPoint, Cost),
        (subtree, through): (SubtreeId, CapId),
        bounds: Rights,
        is_window: bool,
    ) -> u64 {
        let attachment = Attachment { subtree, level: self.kernel.subtrees[subtree].level(), bounds, is_window };
        attach::attach(self.kernel, owner, place, attachment, (cost, Some(through)));
        0
    }

    pub(super) fn subtree_detach(&mut self, target: Handle, address: u64) -> Result<u64> {
        match fast_attach::detach_fast(self.kernel, self.line.table.get(), target, address) {
            Some(()) => Ok(0),
            None => self.detach_anywhere(target, address),
        }
    }

    #[inline(never)]
    fn detach_anywhere(&mut self, target: Handle, address: u64) -> Result<u64> {
        let owner = self.map_owner(target, Rights::MAP)?;
        target::ensure_changeable(self.kernel, owner)?;
        let page = self.page_to_detach(owner, address)?;
        if attach::detach(self.kernel, owner, AttachPoint { page, cpu: None }) { Ok(0) } else { Err(Error::NotMapped) }
    }

    pub(super) fn subtree_detach_core(&mut self, space: Handle, address: u64, cpu: u64) -> Result<u64> {
        let owner = MapTarget::Space(self.space(space, Rights::MAP)?);
        let page = top_slot(address)? as u64 * SLOT_PAGES;
        let cpu = Some(self.running_cpu(cpu)?);
        if attach::detach(self.kernel, owner, AttachPoint { page, cpu }) { Ok(0) } else { Err(Error::NotMapped) }
    }

    pub(super) fn subtree_withdraw(&mut self, subtree: Handle) -> Result<Outcome> {
        const IS_BEGUN: u64 = 1;
        let progress = self.progress(number::subtree_withdraw);
        let id = self.subtree(subtree, Rights::CONTROL)?;
        // Not even a seal keeps it where its own holder does not want it any more: somebody else may have set that.
        let (mut effort, mut places) = (Effort::of_entry(), progress >> 1);
        if progress & IS_BEGUN == 0 {
            let object = &mut self.kernel.subtrees[id];
            (object.withdrawn, places) = (None, u64::from(object.public.is_some()));
        }
        // One that is not public when the call begins has none of that.
        let may_be_public = progress != 0 || places != 0;
        let mut is_left = may_be_public && !public::unpublish_step(self.kernel, id, &mut effort);
        if !is_left {
            let (more, some_are_left) = attach::detach_further(self.kernel, id, &mut effort);
            (places, is_left) = (places + more, some_are_left);
        }
        Ok(if is_left { self.again(number::subtree_withdraw, places << 1 | IS_BEGUN) } else { places.into() })
    }

    pub(super) fn subtree_publish(
        &mut self,
        machine: Handle,
        subtree: Handle,
        address: u64,
        bounds: Rights,
    ) -> Result<Outcome> {
        let is_begun = self.progress(number::subtree_publish) != 0;
        self.machine(machine, Rights::CONTROL)?;
        let subtree = self.attachable(subtree, bounds)?;
        if bounds.contains(Rights::WRITE) {
            return Err(Error::BadArgument);
        }
        let slot = top_slot(address)?;
        if slot == 0 {
            return Err(Error::BadAddress);
        }
        let is_done = public::publish_step(self.kernel, subtree, slot, bounds, is_begun)?;
        Ok(if is_done { Outcome::Done(0) } else { self.again(number::subtree_publish, 1) })
    }

    /// The subtree that a handle names, if it may be attached with these bounds.
    fn attachable(&self, subtree: Handle, bounds: Rights) -> Result<SubtreeId> {
        if !bounds.contains(Rights::READ) || !Rights::ACCESS.contains(bounds) {
            return Err(Error::BadArgument);
        }
        self.subtree(subtree, bounds)
    }

    /// The page at which a subtree of a level would be attached.
    fn page_to_attach(&self, owner: MapTarget, address: u64, level: u8) -> Result<u64> {
        if let (MapTarget::Space(_), TOP_LEVEL) = (owner, level) {
            return top_slot(address).map(|slot| slot as u64 * SLOT_PAGES);
        }
        let size_bytes = chunk::entry_pages(level) * PAGE_BYTES;
        if !address.is_multiple_of(size_bytes) {
            return Err(Error::Misaligned);
        }
        target::range_of(self.kernel, owner, address, size_bytes).map(|range| range.first)
    }

    /// The page of an attachment that is to be taken out, of whatever level.
    fn page_to_detach(&self, owner: MapTarget, address: u64) -> Result<u64> {
        let end = match owner {
            MapTarget::Space(_) => USER_END,
            MapTarget::Subtree(id) => self.kernel.subtrees[id].pages() * PAGE_BYTES,
        };
        if !address.is_multiple_of(chunk::entry_pages(1) * PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        if address < end { Ok(address / PAGE_BYTES) } else { Err(Error::BadAddress) }
    }
}
