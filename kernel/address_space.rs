//! Operations that concern a space or subtree together with segments, accounts and translations.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Error, Rights};
use tessera_arch::{Access, Frame, VirtAddr};

use crate::account::{Account, frame_bytes};
use crate::address_map::{AddressMap, Cost, Mapping, PageRange};
use crate::flush::{Flush, Target};
use crate::kernel::Kernel;
use crate::segment::Segment;
use crate::shared::NO_SPACE;
use crate::space::{SLOT_PAGES, Space};
use crate::mem::FrameAllocator;
use crate::store::{Id, Store};
use crate::subtree::Subtree;

/// What `map`, `unmap` and `protect` work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapOwner {
    /// A space's own mappings.
    Space(Id<Space>),
    /// The mappings in a subtree.
    Subtree(Id<Subtree>),
}

/// A page that a memory access concerns, found through attachments.
#[derive(Clone, Copy, Debug)]
pub struct Location {
    /// Whose map covers it.
    pub owner: MapOwner,
    /// The page within that map.
    pub page: u64,
    /// What the attachment it was found through allows; everything for a space's own.
    pub bounds: Rights,
}

/// Why an access to a space's memory is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Nothing is mapped there.
    NothingMapped,
    /// The mapping does not allow it.
    MappingForbids(Rights),
    /// The mapping would, but the attachment's bounds do not.
    BoundsForbid(Rights),
    /// The page has no memory yet, and the account cannot pay for it.
    AccountExhausted,
    /// The page has no memory yet, and there is none.
    OutOfMemory,
}

impl Kernel {
    /// The address map of an owner.
    pub fn map_of(&self, owner: MapOwner) -> &AddressMap {
        match owner {
            MapOwner::Space(id) => &self.spaces[id].map,
            MapOwner::Subtree(id) => &self.subtrees[id].map,
        }
    }

    /// Who pays for an owner's tables and mappings.
    pub fn payer_of(&self, owner: MapOwner) -> Id<Account> {
        match owner {
            MapOwner::Space(id) => self.spaces[id].account,
            MapOwner::Subtree(id) => self.subtrees[id].account,
        }
    }

    /// Reads an address range of an owner.
    ///
    /// # Errors
    /// As `PageRange::new`.
    pub fn range_of(owner: MapOwner, address: u64, length_bytes: u64) -> Result<PageRange, Error> {
        match owner {
            MapOwner::Space(_) => Space::range(address, length_bytes),
            MapOwner::Subtree(_) => Subtree::range(address, length_bytes),
        }
    }

    /// Checks that account and memory can bear a cost.
    ///
    /// # Errors
    /// `AccountExhausted`, `OutOfMemory`.
    pub fn ensure_cost(&self, payer: Id<Account>, cost: Cost) -> Result<(), Error> {
        self.accounts[payer].ensure(cost.bytes())?;
        self.ensure_frames(cost.tables)
    }

    /// Makes a planned mapping.
    pub fn map(&mut self, owner: MapOwner, first: u64, mapping: Mapping) {
        self.change_map(owner, |map, frames, segments| map.map(frames, segments, first, mapping));
    }

    /// Unmaps a planned range.
    pub fn unmap(&mut self, owner: MapOwner, range: PageRange) {
        self.change_translations(owner, |map, frames, segments, flush| map.unmap(frames, segments, range, flush));
    }

    /// Gives a planned range new rights.
    pub fn protect(&mut self, owner: MapOwner, range: PageRange, rights: Rights) {
        self.change_translations(owner, |map, frames, segments, flush| {
            map.protect(frames, segments, range, rights, flush);
        });
    }

    /// Finds whose map covers a page of a space.
    pub fn locate(&self, space: Id<Space>, page: u64) -> Location {
        match self.spaces[space].attachment(page) {
            Some((slot, attachment)) => Location {
                owner: MapOwner::Subtree(attachment.subtree),
                page: page - slot as u64 * SLOT_PAGES,
                bounds: attachment.bounds,
            },
            None => Location { owner: MapOwner::Space(space), page, bounds: Rights::ACCESS },
        }
    }

    /// The frame behind an address of a space, if the access is allowed; populates on first touch.
    ///
    /// # Errors
    /// Why it is not.
    pub fn resolve(&mut self, space: Id<Space>, address: VirtAddr, access: Access) -> Result<Frame, Denial> {
        if !address.is_user() {
            return Err(Denial::NothingMapped);
        }
        let location = self.locate(space, address.value() / tessera_abi::PAGE_BYTES);
        let (first, mapping) = self.map_of(location.owner).find(location.page).ok_or(Denial::NothingMapped)?;
        let needed = match access {
            Access::Read => Rights::READ,
            Access::Write => Rights::WRITE,
            Access::Execute => Rights::EXECUTE,
        };
        if !mapping.rights.contains(needed) {
            return Err(Denial::MappingForbids(mapping.rights));
        }
        if !location.bounds.contains(needed) {
            return Err(Denial::BoundsForbid(location.bounds));
        }
        let (segment, segment_page) = (mapping.segment, mapping.offset + location.page - first);
        if let Some(frame) = self.segments[segment].frame(segment_page) {
            self.ensure_shown(location, frame)?;
            return Ok(frame);
        }
        self.populate(segment, segment_page, location)
    }

    /// Gives a page of a segment its frame, and shows it where it was missed.
    fn populate(&mut self, segment: Id<Segment>, page: u64, location: Location) -> Result<Frame, Denial> {
        let payer = self.segments[segment].account;
        self.accounts[payer].ensure(frame_bytes(1)).map_err(|_| Denial::AccountExhausted)?;
        self.ensure_frames(4).map_err(|_| Denial::OutOfMemory)?;
        self.ensure_heap(2).map_err(|_| Denial::OutOfMemory)?;
        // Which frame it will be does not matter for the tables one page takes.
        self.ensure_showable(location, self.empty_root)?;
        let frame = crate::page_table::new_table(&mut self.frames);
        self.accounts[payer].charge(frame_bytes(1));
        self.segments[segment].place_page(page, frame);
        self.ensure_shown(location, frame)?;
        Ok(frame)
    }

    fn ensure_showable(&self, location: Location, frame: Frame) -> Result<(), Denial> {
        let tables = self.map_of(location.owner).show_page_tables(location.page, frame);
        let cost = Cost { tables, records: 0 };
        self.ensure_cost(self.payer_of(location.owner), cost).map_err(|error| match error {
            Error::AccountExhausted => Denial::AccountExhausted,
            _ => Denial::OutOfMemory,
        })
    }

    fn ensure_shown(&mut self, location: Location, frame: Frame) -> Result<(), Denial> {
        let address = VirtAddr::new(location.page * tessera_abi::PAGE_BYTES);
        if self.map_of(location.owner).tree.translate(address).is_some() {
            return Ok(());
        }
        self.ensure_showable(location, frame)?;
        self.change_map(location.owner, |map, frames, segments| map.show_page(frames, location.page, segments));
        Ok(())
    }

    /// Takes a space apart that no capability names any more.
    pub(crate) fn destroy_space(&mut self, id: Id<Space>) {
        self.evict_threads(id);
        for line in &self.shared.cpus {
            if line.space.load(Relaxed) == id.index() {
                line.space.store(NO_SPACE, Relaxed);
                line.root.store(self.empty_root.number(), Relaxed);
                tessera_arch::activate(self.empty_root, 0, false);
            }
        }
        while let Some((slot, _)) = self.spaces[id].attachments.first_key_value() {
            let slot = *slot;
            self.detach(id, slot);
        }
        self.change_translations(MapOwner::Space(id), |map, frames, segments, flush| map.clear(frames, segments, flush));
        let space = self.spaces.remove(id);
        self.frames.free(space.map.tree.root, 0);
        self.credit_object::<Space>(space.account, space.charged_bytes());
    }

    /// Takes a subtree apart that no capability names and no space has attached.
    pub(crate) fn destroy_subtree(&mut self, id: Id<Subtree>) {
        self.change_translations(MapOwner::Subtree(id), |map, frames, segments, flush| {
            map.clear(frames, segments, flush);
        });
        let subtree = self.subtrees.remove(id);
        self.frames.free(subtree.map.tree.root, 0);
        self.credit_object::<Subtree>(subtree.account, subtree.map.charged_bytes());
    }

    /// Takes an attachment out of a space; gives whether there was one.
    pub fn detach(&mut self, space: Id<Space>, slot: usize) -> bool {
        let before = self.spaces[space].charged_bytes();
        let Some(attachment) = self.spaces[space].detach(&mut self.frames, slot) else { return false };
        let after = self.spaces[space].charged_bytes();
        self.settle(self.spaces[space].account, before, after);
        let target = Target { space: space.index(), base_page: 0 };
        let mut flush = Flush::new(self.shared, tessera_arch::cpu_index(), core::iter::once(target));
        flush.add(PageRange { first: slot as u64 * SLOT_PAGES, count: SLOT_PAGES });
        flush.commit(&mut self.frames);
        self.subtrees[attachment.subtree].sharers.remove(&(space, slot));
        self.subtrees.release(attachment.subtree);
        true
    }

    /// Changes a map without touching live translations, and settles the bill.
    fn change_map(
        &mut self,
        owner: MapOwner,
        change: impl FnOnce(&mut AddressMap, &mut FrameAllocator, &mut Store<Segment>),
    ) {
        let (frames, segments) = (&mut self.frames, &mut self.segments);
        let map = match owner {
            MapOwner::Space(id) => &mut self.spaces[id].map,
            MapOwner::Subtree(id) => &mut self.subtrees[id].map,
        };
        let before = map.charged_bytes();
        change(map, frames, segments);
        let after = map.charged_bytes();
        self.settle(self.payer_of(owner), before, after);
    }

    /// Changes live translations: the flush comes before tables are freed, and before memory that is not
    /// mapped any more can be (`Kernel::reap`).
    fn change_translations(
        &mut self,
        owner: MapOwner,
        change: impl FnOnce(&mut AddressMap, &mut FrameAllocator, &mut Store<Segment>, &mut Flush),
    ) {
        let mut flush = self.flush_for(owner);
        self.change_map(owner, |map, frames, segments| change(map, frames, segments, &mut flush));
        flush.commit(&mut self.frames);
    }

    fn flush_for(&self, owner: MapOwner) -> Flush {
        let cpu = tessera_arch::cpu_index();
        match owner {
            MapOwner::Space(id) => {
                let target = Target { space: id.index(), base_page: 0 };
                Flush::new(self.shared, cpu, core::iter::once(target))
            }
            MapOwner::Subtree(id) => Flush::new(self.shared, cpu, self.subtrees[id].targets()),
        }
    }
}
