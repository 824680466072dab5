//! Operations that concern a space or subtree together with segments, accounts and translations.

use tessera_abi::{Error, PAGE_BYTES, Rights};
use tessera_arch::{Access, Frame, VirtAddr};

use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::object::account::{self, frame_bytes};
use crate::object::address_map::{AddressMap, Cost, Mapping};
use crate::object::id::{AccountId, AttachPoint, MapTarget, SegmentId, SpaceId, SubtreeId};
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::store::Store;
use crate::object::subtree::Subtree;
use crate::paging::page_table::Tree;
use crate::paging::range::{EVERYTHING, PageRange};
use crate::sched::ending;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::attach::{self, Attachment};
use crate::vm::public;
use crate::vm::view;

/// A page that a memory access concerns, found through attachments.
#[derive(Clone, Copy, Debug)]
pub struct Location {
    /// Whose map covers it.
    pub owner: MapTarget,
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
    segment: SegmentId,
    page: u64,
    /// Whether it could be written by the way it was found, by whoever holds what was mapped.
    may_write: bool,
}

/// Why an access to a space's memory is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessError {
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

/// The address map of an owner.
pub fn map_of(kernel: &Kernel, owner: MapTarget) -> &AddressMap {
    match owner {
        MapTarget::Space(id) => &kernel.spaces[id].map,
        MapTarget::Subtree(id) => &kernel.subtrees[id].map,
    }
}

/// Who pays for an owner's tables and mappings.
pub fn payer_of(kernel: &Kernel, owner: MapTarget) -> AccountId {
    match owner {
        MapTarget::Space(id) => kernel.spaces[id].account,
        MapTarget::Subtree(id) => kernel.subtrees[id].account,
    }
}

/// Tables of the subtrees attached to an owner, and of those attached to them, with or without core windows. Each is
/// counted as often as it shows, and looked at once: where it shows first.
pub fn attached_tables(kernel: &Kernel, owner: MapTarget, with_windows: bool) -> u64 {
    let tables = |(place, attachment): (AttachPoint, Attachment)| {
        steps::count();
        let subtree = &kernel.subtrees[attachment.subtree];
        let mut places = subtree.sharers.within(owner).map(|sharer| sharer.place);
        if !(with_windows || place.cpu.is_none()) || places.next() != Some(place) {
            return 0;
        }
        let within = attached_tables(kernel, MapTarget::Subtree(attachment.subtree), true);
        (1 + places.inspect(|_| steps::count()).count() as u64) * (subtree.map.tree.tables + within)
    };
    attach::attachments(kernel, owner).map(tables).sum()
}

/// Reads an address range of an owner.
///
/// # Errors
/// As `PageRange::new`.
pub fn range_of(kernel: &Kernel, owner: MapTarget, address: u64, length_bytes: u64) -> Result<PageRange, Error> {
    match owner {
        MapTarget::Space(_) => Space::range(address, length_bytes),
        MapTarget::Subtree(id) => kernel.subtrees[id].range(address, length_bytes),
    }
}

/// Checks that what an owner holds may change.
///
/// # Errors
/// `Sealed`.
pub fn ensure_changeable(kernel: &Kernel, owner: MapTarget) -> Result<(), Error> {
    let is_sealed = matches!(owner, MapTarget::Subtree(id) if kernel.subtrees[id].is_sealed);
    if is_sealed && !is_seeded(Mutant::SealIgnored) { Err(Error::Sealed) } else { Ok(()) }
}

/// Checks that account and memory can bear a cost.
///
/// # Errors
/// `AccountExhausted`, `OutOfMemory`.
pub fn ensure_cost(kernel: &Kernel, payer: AccountId, cost: Cost) -> Result<(), Error> {
    kernel.accounts[payer].ensure(cost.bytes())?;
    kernel.ensure_frames(cost.tables)
}

/// Makes a planned mapping.
pub fn map(kernel: &mut Kernel, owner: MapTarget, first: u64, mapping: Mapping) {
    change_map(kernel, owner, |map, frames, segments| map.map(frames, segments, first, mapping));
}

/// Unmaps a planned range.
pub fn unmap(kernel: &mut Kernel, owner: MapTarget, range: PageRange) {
    split_ends(kernel, owner, range);
    change_translations(kernel, owner, range, |map, frames, segments, freed| map.unmap(frames, segments, range, freed));
}

/// Gives a planned range new rights.
pub fn protect(kernel: &mut Kernel, owner: MapTarget, range: PageRange, rights: Rights) {
    split_ends(kernel, owner, range);
    let count = if is_seeded(Mutant::ProtectUnflushed) { 0 } else { range.count };
    let flushed = PageRange { count, ..range };
    change_translations(kernel, owner, flushed, |map, _, segments, _| map.protect(segments, range, rights));
}

/// Finds whose map covers a page of a space, as the calling CPU sees it.
pub fn locate(kernel: &Kernel, space: SpaceId, page: u64) -> Location {
    if let Some(public) = public::public_at(kernel, page) {
        let owner = MapTarget::Subtree(public.subtree);
        return Location { owner, page: page - public.page(), bounds: public.bounds, view: Rights::ACCESS };
    }
    let seen = kernel.seen_in(space);
    // A view shows no core windows.
    let cpu = (seen.base == space).then(tessera_arch::cpu_index);
    let owner = MapTarget::Space(seen.base);
    let mut location = Location { owner, page, bounds: Rights::ACCESS, view: seen.bounds };
    while let Some((first, attachment)) = attach::attachment_over(kernel, location.owner, location.page, cpu) {
        location = Location {
            owner: MapTarget::Subtree(attachment.subtree),
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
pub fn resolve(kernel: &mut Kernel, space: SpaceId, address: VirtAddr, access: Access) -> Result<Frame, AccessError> {
    let found = find_page(kernel, space, address, access)?;
    if let Some(frame) = kernel.segments[found.segment].frame(found.page) {
        ensure_shown(kernel, found.location, frame)?;
        return Ok(frame);
    }
    // Whoever may write pays by the segment's account, for it is they whom the memory is for. Who may not must not
    // make others pay for pages that nobody has written.
    let payer = if found.may_write { kernel.segments[found.segment].account } else { kernel.spaces[space].account };
    populate(kernel, &found, payer)
}

/// The frame behind an address of a space, if the access is allowed and the page has memory; changes nothing.
///
/// # Errors
/// Why it is not.
pub fn look_at(
    kernel: &Kernel,
    space: SpaceId,
    address: VirtAddr,
    access: Access,
) -> Result<Option<Frame>, AccessError> {
    let found = find_page(kernel, space, address, access)?;
    Ok(kernel.segments[found.segment].frame(found.page))
}

/// The page of a segment behind an address of a space, if the access is allowed.
#[inline(always)]
fn find_page(kernel: &Kernel, space: SpaceId, address: VirtAddr, access: Access) -> Result<Found, AccessError> {
    if !address.is_user() {
        return Err(AccessError::NothingMapped);
    }
    let location = locate(kernel, space, address.value() / PAGE_BYTES);
    let (first, mapping) = map_of(kernel, location.owner).find(location.page).ok_or(AccessError::NothingMapped)?;
    let needed = match access {
        Access::Read => Rights::READ,
        Access::Write => Rights::WRITE,
        Access::Execute => Rights::EXECUTE,
    };
    if !mapping.rights.contains(needed) {
        return Err(AccessError::MappingForbids(mapping.rights));
    }
    if !location.bounds.contains(needed) {
        return Err(AccessError::BoundsForbid(location.bounds));
    }
    if !location.view.contains(needed) {
        return Err(AccessError::ViewForbids(location.view));
    }
    let may_write = (mapping.maximum & location.bounds & location.view).contains(Rights::WRITE);
    Ok(Found { location, segment: mapping.segment, page: mapping.offset + location.page - first, may_write })
}

/// Gives a page of a segment its frame, which an account pays for, and shows it where it was missed.
fn populate(kernel: &mut Kernel, found: &Found, payer: AccountId) -> Result<Frame, AccessError> {
    let Found { location, segment, page, .. } = *found;
    // The heap first: it may take frames, and those that are found free after it stay so.
    kernel.ensure_heap(4).map_err(|_| AccessError::OutOfMemory)?;
    kernel.ensure_frames(4).map_err(|_| AccessError::OutOfMemory)?;
    // Which frame it will be does not matter for the tables that one page takes.
    let tables = ensure_showable(kernel, location, tessera_arch::Frame::new(1))?;
    let tables = if payer_of(kernel, location.owner) == payer { tables } else { 0 };
    let bytes = kernel.segments[segment].touch_bytes(payer);
    kernel.accounts[payer].ensure(bytes + frame_bytes(tables)).map_err(|_| AccessError::AccountExhausted)?;
    let frame = crate::paging::page_table::new_table(&mut kernel.frames);
    if bytes > PAGE_BYTES {
        account::open_charge(&mut kernel.accounts, payer, bytes);
    } else {
        kernel.accounts[payer].charge(bytes);
    }
    kernel.segments[segment].place_page(page, frame, payer);
    ensure_shown(kernel, location, frame)?;
    Ok(frame)
}

/// Checks that the tables that showing a page takes are affordable; gives how many they are.
fn ensure_showable(kernel: &Kernel, location: Location, frame: Frame) -> Result<u64, AccessError> {
    let tables = map_of(kernel, location.owner).show_page_tables(location.page, frame);
    let cost = Cost { tables, ..Cost::default() };
    let ensured = ensure_cost(kernel, payer_of(kernel, location.owner), cost).map_err(|error| match error {
        Error::AccountExhausted => AccessError::AccountExhausted,
        _ => AccessError::OutOfMemory,
    });
    ensured.map(|()| tables)
}

fn ensure_shown(kernel: &mut Kernel, location: Location, frame: Frame) -> Result<(), AccessError> {
    let address = VirtAddr::new(location.page * PAGE_BYTES);
    if map_of(kernel, location.owner).tree.translate(address).is_some() {
        return Ok(());
    }
    ensure_showable(kernel, location, frame)?;
    change_map(kernel, location.owner, |map, frames, segments| map.show_page(frames, location.page, segments));
    Ok(())
}

/// Takes a space apart that no capability names any more.
pub(crate) fn destroy_space(kernel: &mut Kernel, id: SpaceId) {
    ending::evict_threads(kernel, id);
    assert!(kernel.spaces[id].threads.is_empty(), "nobody is in a space that goes");
    if kernel.spaces[id].seen.is_some() {
        view::forget_view(kernel, id);
    } else {
        clear_map(kernel, MapTarget::Space(id));
    }
    let space = kernel.spaces.remove(id);
    space.free_roots(&mut kernel.frames);
    kernel.credit_object::<Space>(space.account, space.charged_bytes());
}

/// Takes a subtree apart that no capability names and no space has attached.
pub(crate) fn destroy_subtree(kernel: &mut Kernel, id: SubtreeId) {
    // Nobody can withdraw it any more.
    public::unpublish(kernel, id);
    clear_map(kernel, MapTarget::Subtree(id));
    let subtree = kernel.subtrees.remove(id);
    kernel.frames.free_table(subtree.map.tree.root);
    kernel.credit_object::<Subtree>(subtree.account, subtree.charged_bytes());
}

/// Changes a map without touching live translations, and settles the bill.
pub(crate) fn change_map(
    kernel: &mut Kernel,
    owner: MapTarget,
    change: impl FnOnce(&mut AddressMap, &mut FrameAllocator, &mut Store<Segment>),
) {
    let (frames, segments) = (&mut kernel.frames, &mut kernel.segments);
    let map = match owner {
        MapTarget::Space(id) => &mut kernel.spaces[id].map,
        MapTarget::Subtree(id) => &mut kernel.subtrees[id].map,
    };
    let before = map.charged_bytes();
    change(map, frames, segments);
    let after = map.charged_bytes();
    view::sync_roots(kernel, owner);
    kernel.settle(payer_of(kernel, owner), before, after);
}

/// Changes live translations: the flush comes before tables are freed, and before memory that is not
/// mapped any more can be (`lifecycle::reap`).
fn change_translations(
    kernel: &mut Kernel,
    owner: MapTarget,
    range: PageRange,
    change: impl FnOnce(&mut AddressMap, &mut FrameAllocator, &mut Store<Segment>, &mut FrameList),
) {
    let mut freed_tables = FrameList::new();
    change_map(kernel, owner, |map, frames, segments| change(map, frames, segments, &mut freed_tables));
    flush::execute(kernel, Flush { owner, range, freed_tables });
}

/// Splits the large pages that straddle the ends of a range.
fn split_ends(kernel: &mut Kernel, owner: MapTarget, range: PageRange) {
    for page in [range.first, range.end()] {
        let address = VirtAddr::new(page * PAGE_BYTES);
        while let Some((large, first, count)) = tree_mut(kernel, owner).take_straddling(address) {
            view::sync_roots(kernel, owner);
            tessera_arch::publish_tables();
            let count = if is_seeded(Mutant::SplitWithoutBreak) { 0 } else { count };
            flush::invalidate(kernel, owner, PageRange { first, count }, false);
            change_map(kernel, owner, |map, frames, _| map.tree.put_split(frames, large));
        }
    }
}

/// Unmaps everything; nobody is in the space any more, or has the subtree attached.
fn clear_map(kernel: &mut Kernel, owner: MapTarget) {
    let mut freed_tables = FrameList::new();
    attach::take_all_entries(kernel, owner, &mut freed_tables);
    change_map(kernel, owner, |map, frames, segments| map.clear(frames, segments, &mut freed_tables));
    flush::execute(kernel, Flush { owner, range: EVERYTHING, freed_tables });
}

fn tree_mut(kernel: &mut Kernel, owner: MapTarget) -> &mut Tree {
    match owner {
        MapTarget::Space(id) => &mut kernel.spaces[id].map.tree,
        MapTarget::Subtree(id) => &mut kernel.subtrees[id].map.tree,
    }
}
