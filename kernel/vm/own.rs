//! Having tables of one's own where something is to change: spaces and subtrees that were cloned have them in common.
//!
//! Between taking an entry out and putting one back that leads elsewhere, what it led to is invalidated (Arm ARM D8.16.1,
//! break-before-make): nobody then holds anything by which a table in common could be written, or one that has gone be read.

use tessera_abi::Error;
use tessera_arch::VirtAddr;

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameList;
use crate::object::id::MapTarget;
use crate::paging::cloned::{Taken, WAY_TABLES};
use crate::paging::page_table::Slot;
use crate::paging::range::{PageRange, page_address};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::target;
use crate::vm::view;

/// Kernel heap that copying nodes takes which clones have in common, pages: those for what a step changes, of each kind.
pub(crate) const CLONED_HEAP_PAGES: u64 = 8;

/// Effort of having a table of one's own, and of going past one.
const TABLE_UNITS: u32 = 150;
const LOOK_UNITS: u32 = 8;

/// Sees that all tables on the way to a page of an owner are its own, down to a level.
///
/// # Errors
/// `OutOfMemory`, with nothing changed.
#[inline(always)]
pub(crate) fn own_way(kernel: &mut Kernel, owner: MapTarget, page: u64, until: u8) -> Result<(), Error> {
    if target::map_of(kernel, owner).tree.has_cloned {
        kernel.ensure_frames(WAY_TABLES)?;
        own_tables(kernel, owner, page, until);
        tessera_arch::publish_tables();
    }
    Ok(())
}

/// The same, if as many frames can be had as [`WAY_TABLES`].
pub(crate) fn own_found(kernel: &mut Kernel, owner: MapTarget, page: u64) {
    if target::map_of(kernel, owner).tree.has_cloned {
        own_tables(kernel, owner, page, 0);
    }
}

/// The same of one that has been cloned, on the same condition; gives the place of the page's entry, if the way was not the owner's own
/// before, and comes to the lowest level. The caller publishes.
#[inline(never)]
pub(crate) fn own_tables(kernel: &mut Kernel, owner: MapTarget, page: u64, until: u8) -> Option<Slot> {
    let taken = take(kernel, owner, page_address(page), until)?;
    put_own(kernel, owner, taken, until)
}

/// Sees that what lies at the front of a range is in tables of the owner's own, or in none; gives the page behind that. Lowest
/// tables that others have too are let go of: what they show beyond the range is found again when it is touched.
///
/// # Errors
/// `OutOfMemory`, with some tables the owner's own that were not.
#[inline(always)]
pub(crate) fn own_front(
    kernel: &mut Kernel,
    owner: MapTarget,
    range: PageRange,
    effort: &mut Effort,
) -> Result<u64, Error> {
    if target::map_of(kernel, owner).tree.has_cloned { own_some(kernel, owner, range, effort) } else { Ok(range.end()) }
}

/// Sees that what straddles the ends of a range is in tables of the owner's own, so that it can be split there.
///
/// # Errors
/// `OutOfMemory`, with some tables the owner's own that were not.
#[inline(always)]
pub(crate) fn own_ends(kernel: &mut Kernel, owner: MapTarget, range: PageRange) -> Result<(), Error> {
    if !target::map_of(kernel, owner).tree.has_cloned {
        return Ok(());
    }
    for first in [range.first, range.end()] {
        let is_straddled = target::map_of(kernel, owner).find(first).is_some_and(|(start, _)| start < first);
        let page = PageRange { first, count: u64::from(is_straddled) };
        own_some(kernel, owner, page, &mut Effort::of(u32::MAX))?;
    }
    Ok(())
}

#[inline(never)]
fn own_some(kernel: &mut Kernel, owner: MapTarget, range: PageRange, effort: &mut Effort) -> Result<u64, Error> {
    // What comes next copies nodes of maps, at each step anew.
    kernel.reserve_heap(CLONED_HEAP_PAGES)?;
    let mut page = range.first;
    while page < range.end() {
        kernel.ensure_frames(WAY_TABLES)?;
        match take(kernel, owner, page_address(page), 0) {
            Some(taken) => {
                let map = target::map_of(kernel, owner);
                if map.tree.is_others_lowest(&kernel.frames, &taken) {
                    let_go_of(kernel, owner, taken);
                } else {
                    let _slot = put_own(kernel, owner, taken, 1);
                }
                effort.spend(TABLE_UNITS);
            }
            None => {
                page = target::map_of(kernel, owner).tree.behind_entry(page_address(page));
                effort.spend(LOOK_UNITS);
            }
        }
        if !effort.is_left() {
            break;
        }
    }
    tessera_arch::publish_tables();
    Ok(page.min(range.end()))
}

/// Takes the first entry out on the way to an address, above a level, that leads to a table in common, and has it invalidated.
fn take(kernel: &mut Kernel, owner: MapTarget, address: VirtAddr, until: u8) -> Option<Taken> {
    let taken = target::map_mut(kernel, owner).tree.take_cloned(address, until)?;
    let (first, count) = taken.pages();
    view::sync_roots(kernel, owner);
    if !is_seeded(Mutant::CloneBreakUnflushed) {
        flush::execute(kernel, Flush { owner, range: PageRange { first, count }, freed_tables: FrameList::new() });
    }
    Some(taken)
}

#[inline(always)]
fn put_own(kernel: &mut Kernel, owner: MapTarget, taken: Taken, until: u8) -> Option<Slot> {
    let Kernel { spaces, subtrees, frames, .. } = &mut *kernel;
    let slot = target::open(spaces, subtrees, owner).0.tree.put_own(frames, taken, until);
    view::sync_roots(kernel, owner);
    slot
}

/// Sees that the first table on the way to a page that is in common, if there is one, is not any more: it is the owner's own from
/// here on, or let go of, with all that is below it. That takes no memory; what is missing then is found again when it is touched.
/// Gives whether there was one.
pub(crate) fn part_with(kernel: &mut Kernel, owner: MapTarget, page: u64) -> bool {
    let Some(taken) = take(kernel, owner, page_address(page), 0) else { return false };
    if taken.is_others(&kernel.frames) {
        let_go_of(kernel, owner, taken);
    } else {
        let below = taken.level() - 1;
        let _slot = put_own(kernel, owner, taken, below);
    }
    tessera_arch::publish_tables();
    true
}

fn let_go_of(kernel: &mut Kernel, owner: MapTarget, taken: Taken) {
    let mut freed_tables = FrameList::new();
    let (first, count) = taken.pages();
    target::change_map(kernel, owner, |map, frames, _| map.tree.let_go_of(frames, taken, &mut freed_tables));
    if freed_tables.count() != 0 {
        flush::execute(kernel, Flush { owner, range: PageRange { first, count }, freed_tables });
    }
}
