//! Pages that are copied when they are written to, in spaces and subtrees that were cloned.
//!
//! A read shows what is there, for whoever may not write. A write gives the map a page of its own, which its account pays for, and
//! shows that. What was shown before is invalidated in between (Arm ARM D8.16.1, break-before-make), so that nobody reads the old
//! page when somebody has written to the new one.

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::{Access, Frame};

use crate::mem::FrameList;
use crate::paging::page_table::new_table;
use crate::state::kernel::Kernel;
use crate::vm::map_steps::CLONED_HEAP_PAGES;
use crate::vm::own;
use crate::vm::showing::{AccessError, Found, Location, ensure_showable, ensure_shown, show, take_shown};
use crate::vm::target;

/// Frames that copying a page takes at most: itself, tables of the map's own on the way to it, and those for a large page's part.
const FRAMES: u64 = 8;

/// The frame that the map has of its own for a page.
pub(super) fn private_frame(kernel: &Kernel, found: &Found) -> Option<Frame> {
    target::map_of(kernel, found.location.owner).privates.frame(found.location.page)
}

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
    let written = Found { leaf: map.leaf(rights), ..*found };
    if let Some(frame) = map.privates.written_frame(&kernel.frames, page) {
        ensure_shown(kernel, &written, frame)?;
        return Ok(Some(frame));
    }
    let memory = map.privates.frame(page).or_else(|| kernel.segments.at(found.segment).frame(found.page));
    if access == Access::Write {
        return copy(kernel, &written, memory).map(Some);
    }
    // The first touch brings what is not there yet, for all.
    if let Some(frame) = memory {
        ensure_shown(kernel, found, frame)?;
    }
    Ok(memory)
}

/// Gives the map a page of its own, with what this frame holds, or zeros.
fn copy(kernel: &mut Kernel, found: &Found, memory: Option<Frame>) -> Result<Frame, AccessError> {
    let Location { owner, page, .. } = found.location;
    kernel.reserve_heap(CLONED_HEAP_PAGES).map_err(|_| AccessError::OutOfMemory)?;
    kernel.ensure_frames(FRAMES).map_err(|_| AccessError::OutOfMemory)?;
    own::own_way(kernel, owner, page, 0).map_err(|_| AccessError::OutOfMemory)?;
    let is_new = private_frame(kernel, found).is_none();
    let cost = if is_new { target::map_of(kernel, owner).privates.next_bytes() } else { 0 };
    let tables = ensure_showable(kernel, found)?;
    let bytes = cost + tables * PAGE_BYTES;
    kernel.accounts[found.table_payer].ensure(bytes).map_err(|_| AccessError::AccountExhausted)?;
    let frame = match memory {
        Some(from) => {
            let frame = kernel.frames.allocate(0).expect("enough frames were found free before");
            tessera_arch::move_physical(from.start(), frame.start(), PAGE_BYTES as usize);
            frame
        }
        None => new_table(&mut kernel.frames),
    };
    let mut freed = FrameList::new();
    target::change_map(kernel, owner, |map, frames, _| map.privates.place(frames, page, frame, &mut freed));
    take_shown(kernel, found.location, freed);
    show(kernel, found, frame);
    Ok(frame)
}
