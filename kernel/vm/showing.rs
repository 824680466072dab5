//! Showing a page of a segment, or of a map's own, where an access has missed it.

use tessera_abi::{Error, PAGE_BYTES, Rights};
use tessera_arch::{Frame, Leaf, VirtAddr};

use crate::mem::FrameList;
use crate::object::address_map::Cost;
use crate::object::id::{AccountId, MapTarget};
use crate::paging::page_table::Slot;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::own;
use crate::vm::target;
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
pub(super) struct Found {
    pub(super) location: Location,
    /// The segment's number: the mapping keeps it.
    pub(super) segment: u32,
    pub(super) page: u64,
    /// What an entry that shows it says.
    pub(super) leaf: Leaf,
    /// Who pays for the tables that showing it takes, and for a page that is copied.
    pub(super) table_payer: AccountId,
    /// Whether it could be written by the way it was found, by whoever holds what was mapped.
    pub(super) may_write: bool,
    /// What the mapping allows, if it is copied when it is written to: the entry lets nobody write then.
    pub(super) copied: Option<Rights>,
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

/// Where the entry of a page goes, if the table that will have it is there.
#[inline(always)]
pub(super) fn slot_of(kernel: &Kernel, location: Location) -> Option<Slot> {
    target::map_of(kernel, location.owner).tree.slot(VirtAddr::new(location.page * PAGE_BYTES))
}

/// Checks that the tables that showing a page takes are affordable; gives how many they are.
#[inline(never)]
pub(super) fn ensure_showable(kernel: &Kernel, found: &Found) -> Result<u64, AccessError> {
    let address = VirtAddr::new(found.location.page * PAGE_BYTES);
    let tables = target::map_of(kernel, found.location.owner).tree.missing_tables(address, 0);
    let cost = Cost { tables, ..Cost::default() };
    target::ensure_cost(kernel, found.table_payer, cost).map_err(|error| match error {
        Error::AccountExhausted => AccessError::AccountExhausted,
        _ => AccessError::OutOfMemory,
    })?;
    Ok(tables)
}

#[inline(never)]
pub(super) fn ensure_shown(kernel: &mut Kernel, found: &Found, frame: Frame) -> Result<(), AccessError> {
    let address = VirtAddr::new(found.location.page * PAGE_BYTES);
    if target::map_of(kernel, found.location.owner).tree.translate(address) == Some((frame, found.leaf.rights)) {
        return Ok(());
    }
    own::own_way(kernel, found.location.owner, found.location.page, 0).map_err(|_| AccessError::OutOfMemory)?;
    ensure_showable(kernel, found)?;
    take_shown(kernel, found.location);
    show(kernel, found, frame);
    Ok(())
}

/// Shows a page where it was missed; the tables that this takes were found affordable.
#[inline(never)]
pub(super) fn show(kernel: &mut Kernel, found: &Found, frame: Frame) {
    let (address, leaf) = (VirtAddr::new(found.location.page * PAGE_BYTES), found.leaf);
    publish_code(leaf, frame);
    target::change_map(kernel, found.location.owner, |map, frames, _| map.tree.map_page(frames, address, frame, leaf));
    tessera_arch::publish_tables();
}

/// Makes a page fit to be fetched as code, if it may be.
#[inline(always)]
pub(super) fn publish_code(leaf: Leaf, frame: Frame) {
    if leaf.rights.contains(Rights::EXECUTE) {
        tessera_arch::clean_code(frame, 1);
        tessera_arch::publish_code();
    }
}

/// Takes the entry out that shows a page, if there is one, and has it invalidated.
fn take_shown(kernel: &mut Kernel, location: Location) {
    let Location { owner, page, .. } = location;
    let address = VirtAddr::new(page * PAGE_BYTES);
    split_large(kernel, owner, address);
    let mut taken = false;
    target::change_map(kernel, owner, |map, frames, _| taken = map.tree.take_page(frames, address));
    if taken {
        let range = PageRange { first: page, count: 1 };
        flush::execute(kernel, Flush { owner, range, freed_tables: FrameList::new() });
    }
}

/// Takes a large page out that covers an address, and shows what lies around the address in small ones.
pub(super) fn split_large(kernel: &mut Kernel, owner: MapTarget, address: VirtAddr) {
    let map = target::map_mut(kernel, owner);
    if !map.tree.is_large(address) {
        return;
    }
    let mut large = None;
    target::change_map(kernel, owner, |map, frames, _| large = map.tree.take_large(frames, address));
    let Some(large) = large else { return };
    let (first, count) = large.pages();
    view::sync_roots(kernel, owner);
    flush::execute(kernel, Flush { owner, range: PageRange { first, count }, freed_tables: FrameList::new() });
    target::change_map(kernel, owner, |map, frames, _| map.tree.put_around(frames, large));
}
