//! `map`, `unmap`, `protect` and the list of mappings, on spaces and subtrees alike.

use tessera_abi::layout::{MappingInfo, Words};
use tessera_abi::{Error, Handle, ObjectKind, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::Access;

use super::{Caller, Result};
use crate::address_map::{Cost, Mapping};
use crate::address_space::MapOwner;
use crate::kernel::Kernel;
use crate::object::ObjectRef;
use crate::space::SLOT_PAGES;
use crate::user_memory::{UserSlice, write_structure};

/// The most entries that one call lists.
const LIST_MAX: u64 = 1024;

impl Caller<'_> {
    pub(super) fn map(
        &mut self,
        target: Handle,
        segment: Handle,
        offset: u64,
        address: u64,
        length_bytes: u64,
        rights: Rights,
    ) -> Result<u64> {
        let owner = self.map_owner(target, Rights::MAP)?;
        let (_, object, held) = self.capability(segment)?;
        let ObjectRef::Segment(segment) = object else { return Err(Error::WrongObject) };
        ensure_access(rights)?;
        if !held.contains(rights) {
            return Err(Error::MissingRight);
        }
        let range = Kernel::range_of(owner, address, length_bytes)?;
        if !offset.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        let offset = offset / PAGE_BYTES;
        if offset.saturating_add(range.count) > self.kernel.segments[segment].pages() {
            return Err(Error::BadArgument);
        }
        let maximum = held & Rights::ACCESS;
        let mapping = Mapping { pages: range.count, segment, offset, rights, maximum };
        if matches!(owner, MapOwner::Space(id) if self.kernel.spaces[id].is_attached(range)) {
            return Err(Error::Overlap);
        }
        let cost = self.kernel.map_of(owner).plan_map(range.first, &mapping, &self.kernel.segments[segment])?;
        self.kernel.ensure_cost(self.kernel.payer_of(owner), cost)?;
        self.kernel.ensure_heap(4)?;
        self.kernel.map(owner, range.first, mapping);
        Ok(0)
    }

    pub(super) fn unmap(&mut self, target: Handle, address: u64, length_bytes: u64) -> Result<u64> {
        let owner = self.map_owner(target, Rights::MAP)?;
        let range = Kernel::range_of(owner, address, length_bytes)?;
        let cost = self.kernel.map_of(owner).plan_change(range)?;
        self.ensure_change(owner, cost)?;
        self.kernel.unmap(owner, range);
        Ok(0)
    }

    pub(super) fn protect(&mut self, target: Handle, address: u64, length_bytes: u64, rights: Rights) -> Result<u64> {
        let owner = self.map_owner(target, Rights::MAP)?;
        ensure_access(rights)?;
        let range = Kernel::range_of(owner, address, length_bytes)?;
        let cost = self.kernel.map_of(owner).plan_protect(range, rights)?;
        self.ensure_change(owner, cost)?;
        self.kernel.protect(owner, range, rights);
        Ok(0)
    }

    pub(super) fn mappings_list(&mut self, target: Handle, from: u64, buffer: u64, capacity: u64) -> Result<u64> {
        let owner = self.map_owner(target, Rights::INSPECT)?;
        let capacity = capacity.min(LIST_MAX) as usize;
        let count = self.mappings_from(owner, from).take(capacity).count() as u64;
        // All or nothing: a list that does not fit is not begun.
        let list = UserSlice::new(self.space, buffer, count * MappingInfo::BYTES as u64)?;
        list.ensure(self.kernel, Access::Write)?;
        let (mut from, mut address) = (from, buffer);
        for _ in 0..count {
            let Some(info) = self.mappings_from(owner, from).next() else { break };
            write_structure(self.kernel, self.space, address, &info)?;
            (from, address) = (end_of(&info), address + MappingInfo::BYTES as u64);
        }
        Ok(count)
    }

    /// Checks that a change can be borne. One that splits nothing takes nothing: memory can always be given back.
    fn ensure_change(&mut self, owner: MapOwner, cost: Cost) -> Result<()> {
        if cost == Cost::default() {
            return Ok(());
        }
        self.kernel.ensure_cost(self.kernel.payer_of(owner), cost)?;
        self.kernel.ensure_heap(4)
    }

    /// Mappings and attachments that end after an address, in order.
    fn mappings_from(&self, owner: MapOwner, from: u64) -> impl Iterator<Item = MappingInfo> + '_ {
        let first = self.next_mapping(owner, from / PAGE_BYTES);
        core::iter::successors(first, move |info| self.next_mapping(owner, end_of(info) / PAGE_BYTES))
    }

    /// The first mapping or attachment that ends after a page.
    fn next_mapping(&self, owner: MapOwner, page: u64) -> Option<MappingInfo> {
        let own = self.kernel.map_of(owner).from(page).next().map(|(first, mapping)| MappingInfo {
            address: first * PAGE_BYTES,
            length_bytes: mapping.pages * PAGE_BYTES,
            offset: mapping.offset * PAGE_BYTES,
            rights: u64::from(mapping.rights.bits()),
            kind: ObjectKind::Segment as u64,
            object: u64::from(mapping.segment.index()),
        });
        let MapOwner::Space(space) = owner else { return own };
        let mut attachments = self.kernel.spaces[space].attachments_from((page / SLOT_PAGES) as usize);
        let attached = attachments.next().map(|(place, attachment)| MappingInfo {
            address: place.slot as u64 * TOP_SLOT_BYTES,
            length_bytes: TOP_SLOT_BYTES,
            offset: 0,
            rights: u64::from(attachment.bounds.bits()),
            kind: ObjectKind::Subtree as u64,
            object: u64::from(attachment.subtree.index()),
        });
        own.into_iter().chain(attached).min_by_key(|info| info.address)
    }
}

/// The first address behind a mapping or attachment.
fn end_of(info: &MappingInfo) -> u64 {
    info.address.saturating_add(info.length_bytes)
}

/// Checks rights asked for a mapping.
fn ensure_access(rights: Rights) -> Result<()> {
    if !rights.contains(Rights::READ) || !Rights::ACCESS.contains(rights) {
        return Err(Error::BadArgument);
    }
    if rights.is_write_execute() { Err(Error::WriteExecute) } else { Ok(()) }
}
