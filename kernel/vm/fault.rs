//! What an access to a space's memory meets: whose map covers the page, whether it is allowed, and its frame, which the
//! first touch brings.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::{Access, Format, Frame, PageFormat, VirtAddr, table};

use crate::object::account::{self, frame_bytes};
use crate::object::id::{AccountId, MapTarget, SpaceId, SubtreeId};
use crate::object::mapping::PRIVATE;
use crate::object::segment::Touch;
use crate::object::space::{SLOT_PAGES, Space};
use crate::object::subtree::Public;
use crate::paging::page_table::new_table;
use crate::state::kernel::Kernel;
use crate::vm::attach;
use crate::vm::copied;
use crate::vm::own;
use crate::vm::public;
use crate::vm::showing::{AccessError, Found, Location, ensure_showable, ensure_shown, publish_code, show, slot_of};
use crate::vm::target;

/// Finds whose map covers a page of a space, as the calling CPU sees it.
#[inline(always)]
pub fn locate(kernel: &Kernel, space: SpaceId, page: u64) -> Location {
    let object = kernel.spaces.at(space.index());
    if object.seen.is_none() && is_own((&kernel.public, tessera_arch::cpu_index()), object, page) {
        return Location { owner: MapTarget::Space(space), page, bounds: Rights::ACCESS, view: Rights::ACCESS };
    }
    if let Some(public) = public::public_at(kernel, space, page) {
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

/// Whether whatever covers a page of a space, which is no view, is mapped in its own map: nothing is attached there, nor public, as the
/// CPU with this number sees it.
#[inline(always)]
fn is_own((public, cpu): (&[Public], usize), space: &Space, page: u64) -> bool {
    if public.is_empty() && space.map.attachments() == 0 {
        return true;
    }
    // Either would be shown by an entry that is not the space's own: in the root, or, of what is attached, further down.
    let (slot, root) = (page / SLOT_PAGES, space.root(cpu));
    let Some(entry) = table(root).get(slot as usize).map(|entry| entry.load(Relaxed)) else { return false };
    let tree = &space.map.tree;
    entry == 0
        || !Format::is_shared(entry)
            && (tree.attached_below == 0 || tree.attached_over(root, VirtAddr::new(page * PAGE_BYTES)).is_none())
}

/// Whether nothing is at an address of a space, or what is there does not allow an access, as far as a short look tells: at what is
/// public, and at what the CPU with this number sees.
#[inline(always)]
pub fn is_denied(seen: (&[Public], usize), space: &Space, address: VirtAddr, access: Access) -> bool {
    let page = address.value() / PAGE_BYTES;
    if !address.is_user() || space.seen.is_some() || !is_own(seen, space, page) {
        return false;
    }
    space.map.find(page).is_none_or(|(_, mapping)| !mapping.rights.contains(needed_for(access)))
}

/// The right that an access takes.
#[inline(always)]
fn needed_for(access: Access) -> Rights {
    match access {
        Access::Read => Rights::READ,
        Access::Write => Rights::WRITE,
        Access::Execute => Rights::EXECUTE,
    }
}

/// The subtree in which an address of a space lies, if it lies in one, and where there, bytes from its beginning.
pub fn subtree_at(kernel: &Kernel, space: SpaceId, address: VirtAddr) -> Option<(SubtreeId, u64)> {
    let location = locate(kernel, space, address.value() / PAGE_BYTES);
    let MapTarget::Subtree(subtree) = location.owner else { return None };
    Some((subtree, location.page * PAGE_BYTES + address.value() % PAGE_BYTES))
}

/// The frame behind an address of a space, if the access is allowed; populates on first touch.
///
/// # Errors
/// Why it is not.
pub fn handle_fault(
    kernel: &mut Kernel,
    space: SpaceId,
    address: VirtAddr,
    access: Access,
) -> Result<Frame, AccessError> {
    let found = find_page(kernel, space, address, access)?;
    if let Some(rights) = found.copied
        && let Some(frame) = copied::handle(kernel, &found, rights, access)?
    {
        return Ok(frame);
    }
    let segment = kernel.segments.at(found.segment);
    if let Some(frame) = segment.frame(found.page) {
        ensure_shown(kernel, &found, frame)?;
        return Ok(frame);
    }
    // Whoever may write pays by the segment's account, for it is they whom the memory is for. Who may not must not
    // make others pay for pages that nobody has written.
    let payer = if found.may_write { segment.account } else { kernel.spaces[space].account };
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
    let own = &target::map_of(kernel, found.location.owner).privates;
    let private = if found.copied.is_some() { own.frame(found.location.page) } else { None };
    Ok(private.or_else(|| kernel.segments.at(found.segment).frame(found.page)))
}

/// The page of a segment behind an address of a space, if the access is allowed.
#[inline(always)]
fn find_page(kernel: &Kernel, space: SpaceId, address: VirtAddr, access: Access) -> Result<Found, AccessError> {
    if !address.is_user() {
        return Err(AccessError::NothingMapped);
    }
    let location = locate(kernel, space, address.value() / PAGE_BYTES);
    let target = target::look(kernel, location.owner);
    let (first, mapping) = target.map.find(location.page).ok_or(AccessError::NothingMapped)?;
    let needed = needed_for(access);
    if !mapping.rights.contains(needed) {
        return Err(AccessError::MappingForbids(mapping.rights));
    }
    if !location.bounds.contains(needed) {
        return Err(AccessError::BoundsForbid(location.bounds));
    }
    if !location.view.contains(needed) {
        return Err(AccessError::ViewForbids(location.view));
    }
    // What is copied in any case is not written to itself.
    let is_private = mapping.epoch == PRIVATE;
    let may_write = !is_private && (mapping.maximum & location.bounds & location.view).contains(Rights::WRITE);
    let (page, leaf) = (mapping.offset + location.page - first, target.map.leaf_of(&mapping));
    let copied = target.map.is_copied(&mapping).then_some(mapping.rights);
    Ok(Found { location, segment: mapping.segment, page, leaf, table_payer: target.payer, may_write, copied })
}

/// Gives a page of a segment its frame, which an account pays for, and shows it where it was missed.
#[inline(always)]
fn populate(kernel: &mut Kernel, found: &Found, payer: AccountId) -> Result<Frame, AccessError> {
    // The heap first: it may take frames, and those that are found free after it stay so.
    kernel.reserve_heap(4).map_err(|_| AccessError::OutOfMemory)?;
    kernel.ensure_frames(4).map_err(|_| AccessError::OutOfMemory)?;
    // Mostly the table is there that will have the entry.
    let slot = slot_of(kernel, found.location);
    let tables = if slot.is_some() { 0 } else { ensure_showable(kernel, found)? };
    let with_tables = if found.table_payer == payer { frame_bytes(tables) } else { 0 };
    let segment = kernel.segments.at_mut(found.segment);
    let Touch { bytes, is_new_payer } = segment.touch(found.page, payer);
    kernel.accounts[payer].ensure(bytes + with_tables).map_err(|_| AccessError::AccountExhausted)?;
    let frame = new_table(&mut kernel.frames);
    if is_new_payer {
        account::open_charge(&mut kernel.accounts, payer, bytes);
    } else {
        kernel.accounts[payer].charge(bytes);
    }
    segment.place_page(found.page, frame, payer);
    // A page that had no memory is shown nowhere.
    match slot {
        Some(slot) => {
            publish_code(found.leaf, frame);
            slot.fill(&mut kernel.frames, frame, found.leaf);
            tessera_arch::publish_tables();
        }
        None => {
            own::own_found(kernel, found.location.owner, found.location.page);
            show(kernel, found, frame);
        }
    }
    Ok(frame)
}
