//! Pages that are copied when they are written to, in spaces and subtrees that were cloned.
//!
//! A read shows what is there, for whoever may not write. A write gives the map a page of its own, which its account pays for, and
//! shows that. What was shown before is invalidated in between (Arm ARM D8.16.1, break-before-make), so that nobody reads the old
//! page when somebody has written to the new one.

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::{Access, Frame, Leaf};

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameList;
use crate::paging::page_table::{Slot, new_table};
use crate::paging::range::{PageRange, page_address};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::own::{self, CLONED_HEAP_PAGES};
use crate::vm::showing::{AccessError, Found, Location, ensure_showable, ensure_shown, slot_of, split_large};
use crate::vm::target;

/// Frames that copying a page takes at most: itself, tables of the map's own on the way to it, and those for a large page's part.
const FRAMES: u64 = 8;

/// The frame behind an access, which is allowed, shown as it may be; none if the page has no memory yet and is not written to.
///
/// # Errors
/// `AccountExhausted`, `OutOfMemory`.
#[inline(never)]
pub(super) fn handle(
    kernel: &mut Kernel,
    found: &Found,
    rights: Rights,
    access: Access,
) -> Result<Option<Frame>, AccessError> {
    let (map, page) = (target::map_of(kernel, found.location.owner), found.location.page);
    let (own, leaf) = (map.privates.look(&kernel.frames, page), map.leaf(rights));
    if let Some((frame, true)) = own {
        return show_own(kernel, found, (frame, leaf), access).map(Some);
    }
    let memory = own.map_or_else(|| kernel.segments.at(found.segment).frame(found.page), |(frame, _)| Some(frame));
    if access == Access::Write {
        let cost = if own.is_some() { 0 } else { map.privates.next_bytes() };
        return copy(kernel, found, leaf, (memory, cost)).map(Some);
    }
    // The first touch brings what is not there yet, for all.
    if let Some(frame) = memory {
        ensure_shown(kernel, found, frame)?;
    }
    Ok(memory)
}

/// Shows a page of the map's own. One that nobody has written to since the map was cloned last is shown for reading until somebody does,
/// so that it is known which were.
#[inline(never)]
fn show_own(
    kernel: &mut Kernel,
    found: &Found,
    (frame, leaf): (Frame, Leaf),
    access: Access,
) -> Result<Frame, AccessError> {
    let Location { owner, page, .. } = found.location;
    if target::map_of(kernel, owner).privates.is_written(page) {
        ensure_shown(kernel, &Found { leaf, ..*found }, frame)?;
    } else if access == Access::Write {
        ensure_shown(kernel, &Found { leaf, ..*found }, frame)?;
        let Kernel { spaces, subtrees, frames, .. } = &mut *kernel;
        target::open(spaces, subtrees, owner).0.privates.renew(frames, page);
    } else {
        ensure_shown(kernel, found, frame)?;
    }
    Ok(frame)
}

/// Gives the map a page of its own, with what this frame holds, or zeros, at a cost besides tables, bytes; one that has been paid
/// for takes the place of another.
#[inline(always)]
fn copy(
    kernel: &mut Kernel,
    found: &Found,
    leaf: Leaf,
    (memory, cost): (Option<Frame>, u64),
) -> Result<Frame, AccessError> {
    let Location { owner, page, .. } = found.location;
    kernel.reserve_heap(CLONED_HEAP_PAGES).map_err(|_| AccessError::OutOfMemory)?;
    kernel.ensure_frames(FRAMES).map_err(|_| AccessError::OutOfMemory)?;
    let payer = kernel.accounts.at_mut(found.table_payer.index());
    payer.try_charge(cost).map_err(|_| AccessError::AccountExhausted)?;
    let slot = match slot_of(kernel, found.location) {
        Some(slot) => slot,
        None => make_slot(kernel, found).inspect_err(|_| kernel.accounts[found.table_payer].credit(cost))?,
    };
    let Kernel { spaces, subtrees, frames, .. } = &mut *kernel;
    let (map, _) = target::open(spaces, subtrees, owner);
    let frame = match memory {
        Some(from) => {
            let frame = frames.allocate(0).expect("enough frames were found free before");
            tessera_arch::move_physical(from.start(), frame.start(), PAGE_BYTES as usize);
            frame
        }
        None => new_table(frames),
    };
    let mut freed_tables = FrameList::new();
    if cost == 0 {
        map.privates.replace(frames, page, frame, &mut freed_tables);
    } else {
        map.privates.insert(frames, page, frame);
    }
    if slot.open() {
        let count = if is_seeded(Mutant::CopiedUnflushed) { 0 } else { 1 };
        flush::execute(kernel, Flush { owner, range: PageRange { first: page, count }, freed_tables });
        slot.refill(frame, leaf);
    } else {
        // Where it is not shown, nobody else's page was.
        frames.free_list(freed_tables);
        slot.fill(frames, frame, leaf);
    }
    tessera_arch::publish_tables();
    Ok(frame)
}

/// Makes the table that will have a page's entry, and is the map's own. Of a large page, what lies around stays shown.
#[inline(never)]
fn make_slot(kernel: &mut Kernel, found: &Found) -> Result<Slot, AccessError> {
    let Location { owner, page, .. } = found.location;
    if let Some(slot) = own::own_tables(kernel, owner, page, 0) {
        return Ok(slot);
    }
    ensure_showable(kernel, found)?;
    let address = page_address(page);
    split_large(kernel, owner, address);
    target::change_map(kernel, owner, |map, frames, _| {
        map.tree.grow_to(frames, address, 0);
    });
    Ok(slot_of(kernel, found.location).expect("the table was made"))
}
