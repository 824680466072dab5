//! Operations that concern a space or subtree together with segments, accounts and translations.

use tessera_abi::{Error, PAGE_BYTES, Rights};
use tessera_arch::{Access, Frame, VirtAddr};

use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::mem::{FrameAllocator, FrameList};
use crate::object::account::{self, Account, frame_bytes};
use crate::object::address_map::{AddressMap, Cost, Mapping, PageRange};
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::store::{Id, Store};
use crate::object::subtree::Subtree;
use crate::paging::page_table::Tree;
use crate::sched::ending;
use crate::state::kernel::Kernel;
use crate::tlb::flush;
use crate::tlb::flush::Flush;
use crate::vm::attach::{Attachment, Place};

/// A range that holds all pages of any owner.
pub const EVERYTHING: PageRange = PageRange { first: 0, count: u64::MAX / PAGE_BYTES };

/// What `map`, `unmap` and `protect` work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapOwner {
    /// The mappings in a subtree.
    Subtree(Id<Subtree>),
    /// A space's own mappings.
    Space(Id<Space>),
}

/// A page that a memory access concerns, found through attachments.
#[derive(Clone, Copy, Debug)]
pub struct Location {
    /// Whose map covers it.
    pub owner: MapOwner,
    /// The page within that map.
    pub page: u64,
    /// What the attachments it was found through allow; everything for a space's own.
    pub bounds: Rights,
    /// What the view it was found through allows; everything in a space that is none.
    pub view: Rights,
}

/// A page of a segment that a memory access concerns.
#[derive(Clone, Copy, Debug)]
struct Found {
    location: Location,
    segment: Id<Segment>,
    page: u64,
    /// Whether it could be written by the way it was found, by whoever holds what was mapped.
    may_write: bool,
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
    /// Mapping and attachments would, but the space is a view that does not.
    ViewForbids(Rights),
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

    /// Tables of the subtrees attached to an owner, and of those attached to them, with or without core windows. Each is
    /// counted as often as it shows, and looked at once: where it shows first.
    pub fn attached_tables(&self, owner: MapOwner, with_windows: bool) -> u64 {
        let tables = |(place, attachment): (Place, Attachment)| {
            steps::count();
            let subtree = &self.subtrees[attachment.subtree];
            let mut places = subtree.sharers.within(owner).map(|sharer| sharer.place);
            if !(with_windows || place.cpu.is_none()) || places.next() != Some(place) {
                return 0;
            }
            let within = self.attached_tables(MapOwner::Subtree(attachment.subtree), true);
            (1 + places.inspect(|_| steps::count()).count() as u64) * (subtree.map.tree.tables + within)
        };
        self.attachments(owner).map(tables).sum()
    }

    /// Reads an address range of an owner.
    ///
    /// # Errors
    /// As `PageRange::new`.
    pub fn range_of(&self, owner: MapOwner, address: u64, length_bytes: u64) -> Result<PageRange, Error> {
        match owner {
            MapOwner::Space(_) => Space::range(address, length_bytes),
            MapOwner::Subtree(id) => self.subtrees[id].range(address, length_bytes),
        }
    }

    /// Checks that what an owner holds may change.
    ///
    /// # Errors
    /// `Sealed`.
    pub fn ensure_changeable(&self, owner: MapOwner) -> Result<(), Error> {
        let is_sealed = matches!(owner, MapOwner::Subtree(id) if self.subtrees[id].is_sealed);
        if is_sealed && !is_seeded(Mutant::SealIgnored) { Err(Error::Sealed) } else { Ok(()) }
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
        self.split_ends(owner, range);
        self.change_translations(owner, range, |map, frames, segments, freed| {
            map.unmap(frames, segments, range, freed)
        });
    }

    /// Gives a planned range new rights.
    pub fn protect(&mut self, owner: MapOwner, range: PageRange, rights: Rights) {
        self.split_ends(owner, range);
        let count = if is_seeded(Mutant::ProtectUnflushed) { 0 } else { range.count };
        let flushed = PageRange { count, ..range };
        self.change_translations(owner, flushed, |map, _, segments, _| map.protect(segments, range, rights));
    }

    /// Finds whose map covers a page of a space, as the calling CPU sees it.
    pub fn locate(&self, space: Id<Space>, page: u64) -> Location {
        if let Some(public) = self.public_at(page) {
            let owner = MapOwner::Subtree(public.subtree);
            return Location { owner, page: page - public.page(), bounds: public.bounds, view: Rights::ACCESS };
        }
        let seen = self.seen_in(space);
        // A view shows no core windows.
        let cpu = (seen.base == space).then(tessera_arch::cpu_index);
        let owner = MapOwner::Space(seen.base);
        let mut location = Location { owner, page, bounds: Rights::ACCESS, view: seen.bounds };
        while let Some((first, attachment)) = self.attachment_over(location.owner, location.page, cpu) {
            location = Location {
                owner: MapOwner::Subtree(attachment.subtree),
                page: location.page - first,
                bounds: location.bounds & attachment.bounds,
                view: if attachment.is_window { Rights::ACCESS } else { location.view },
            };
        }
        location
    }

    /// The frame behind an address of a space, if the access is allowed; populates on first touch.
    ///
    /// # Errors
    /// Why it is not.
    pub fn resolve(&mut self, space: Id<Space>, address: VirtAddr, access: Access) -> Result<Frame, Denial> {
        let found = self.find_page(space, address, access)?;
        if let Some(frame) = self.segments[found.segment].frame(found.page) {
            self.ensure_shown(found.location, frame)?;
            return Ok(frame);
        }
        // Whoever may write pays by the segment's account, for it is they whom the memory is for. Who may not must not
        // make others pay for pages that nobody has written.
        let payer = if found.may_write { self.segments[found.segment].account } else { self.spaces[space].account };
        self.populate(&found, payer)
    }

    /// The frame behind an address of a space, if the access is allowed and the page has memory; changes nothing.
    ///
    /// # Errors
    /// Why it is not.
    pub fn look_at(&self, space: Id<Space>, address: VirtAddr, access: Access) -> Result<Option<Frame>, Denial> {
        let found = self.find_page(space, address, access)?;
        Ok(self.segments[found.segment].frame(found.page))
    }

    /// The page of a segment behind an address of a space, if the access is allowed.
    #[inline(always)]
    fn find_page(&self, space: Id<Space>, address: VirtAddr, access: Access) -> Result<Found, Denial> {
        if !address.is_user() {
            return Err(Denial::NothingMapped);
        }
        let location = self.locate(space, address.value() / PAGE_BYTES);
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
        if !location.view.contains(needed) {
            return Err(Denial::ViewForbids(location.view));
        }
        let may_write = (mapping.maximum & location.bounds & location.view).contains(Rights::WRITE);
        Ok(Found { location, segment: mapping.segment, page: mapping.offset + location.page - first, may_write })
    }

    /// Gives a page of a segment its frame, which an account pays for, and shows it where it was missed.
    fn populate(&mut self, found: &Found, payer: Id<Account>) -> Result<Frame, Denial> {
        let Found { location, segment, page, .. } = *found;
        // The heap first: it may take frames, and those that are found free after it stay so.
        self.ensure_heap(4).map_err(|_| Denial::OutOfMemory)?;
        self.ensure_frames(4).map_err(|_| Denial::OutOfMemory)?;
        // Which frame it will be does not matter for the tables that one page takes.
        let tables = self.ensure_showable(location, tessera_arch::Frame::new(1))?;
        let tables = if self.payer_of(location.owner) == payer { tables } else { 0 };
        let bytes = self.segments[segment].touch_bytes(payer);
        self.accounts[payer].ensure(bytes + frame_bytes(tables)).map_err(|_| Denial::AccountExhausted)?;
        let frame = crate::paging::page_table::new_table(&mut self.frames);
        if bytes > PAGE_BYTES {
            account::open_charge(&mut self.accounts, payer, bytes);
        } else {
            self.accounts[payer].charge(bytes);
        }
        self.segments[segment].place_page(page, frame, payer);
        self.ensure_shown(location, frame)?;
        Ok(frame)
    }

    /// Checks that the tables that showing a page takes are affordable; gives how many they are.
    fn ensure_showable(&self, location: Location, frame: Frame) -> Result<u64, Denial> {
        let tables = self.map_of(location.owner).show_page_tables(location.page, frame);
        let cost = Cost { tables, ..Cost::default() };
        let ensured = self.ensure_cost(self.payer_of(location.owner), cost).map_err(|error| match error {
            Error::AccountExhausted => Denial::AccountExhausted,
            _ => Denial::OutOfMemory,
        });
        ensured.map(|()| tables)
    }

    fn ensure_shown(&mut self, location: Location, frame: Frame) -> Result<(), Denial> {
        let address = VirtAddr::new(location.page * PAGE_BYTES);
        if self.map_of(location.owner).tree.translate(address).is_some() {
            return Ok(());
        }
        self.ensure_showable(location, frame)?;
        self.change_map(location.owner, |map, frames, segments| map.show_page(frames, location.page, segments));
        Ok(())
    }

    /// Takes a space apart that no capability names any more.
    pub(crate) fn destroy_space(&mut self, id: Id<Space>) {
        ending::evict_threads(self, id);
        assert!(self.spaces[id].threads.is_empty(), "nobody is in a space that goes");
        if self.spaces[id].seen.is_some() {
            self.forget_view(id);
        } else {
            self.clear_map(MapOwner::Space(id));
        }
        let space = self.spaces.remove(id);
        space.free_roots(&mut self.frames);
        self.credit_object::<Space>(space.account, space.charged_bytes());
    }

    /// Takes a subtree apart that no capability names and no space has attached.
    pub(crate) fn destroy_subtree(&mut self, id: Id<Subtree>) {
        // Nobody can withdraw it any more.
        self.unpublish(id);
        self.clear_map(MapOwner::Subtree(id));
        let subtree = self.subtrees.remove(id);
        self.frames.free_table(subtree.map.tree.root);
        self.credit_object::<Subtree>(subtree.account, subtree.charged_bytes());
    }

    /// Changes a map without touching live translations, and settles the bill.
    pub(crate) fn change_map(
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
        self.sync_roots(owner);
        self.settle(self.payer_of(owner), before, after);
    }

    /// Changes live translations: the flush comes before tables are freed, and before memory that is not
    /// mapped any more can be (`Kernel::reap`).
    fn change_translations(
        &mut self,
        owner: MapOwner,
        range: PageRange,
        change: impl FnOnce(&mut AddressMap, &mut FrameAllocator, &mut Store<Segment>, &mut FrameList),
    ) {
        let mut freed_tables = FrameList::new();
        self.change_map(owner, |map, frames, segments| change(map, frames, segments, &mut freed_tables));
        flush::discharge(self, Flush { owner, range, freed_tables });
    }

    /// Splits the large pages that straddle the ends of a range.
    fn split_ends(&mut self, owner: MapOwner, range: PageRange) {
        for page in [range.first, range.end()] {
            let address = VirtAddr::new(page * PAGE_BYTES);
            while let Some((large, first, count)) = self.tree_mut(owner).take_straddling(address) {
                self.sync_roots(owner);
                tessera_arch::publish_tables();
                let count = if is_seeded(Mutant::SplitWithoutBreak) { 0 } else { count };
                flush::invalidate(self, owner, PageRange { first, count }, false);
                self.change_map(owner, |map, frames, _| map.tree.put_split(frames, large));
            }
        }
    }

    /// Unmaps everything; nobody is in the space any more, or has the subtree attached.
    fn clear_map(&mut self, owner: MapOwner) {
        let mut freed_tables = FrameList::new();
        self.take_all_entries(owner, &mut freed_tables);
        self.change_map(owner, |map, frames, segments| map.clear(frames, segments, &mut freed_tables));
        flush::discharge(self, Flush { owner, range: EVERYTHING, freed_tables });
    }

    fn tree_mut(&mut self, owner: MapOwner) -> &mut Tree {
        match owner {
            MapOwner::Space(id) => &mut self.spaces[id].map.tree,
            MapOwner::Subtree(id) => &mut self.subtrees[id].map.tree,
        }
    }
}
