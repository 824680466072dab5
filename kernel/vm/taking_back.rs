//! Unmapping what is taken back: that must succeed, whatever memory there is.
//!
//! In a space or subtree that was cloned, unmapping takes memory for what it has in common with others and must have for itself then.
//! Where that cannot be had, of the mapping only its record is left, which lets nobody do anything: what showed it is let go of.
//! The record goes when it is unmapped, or with the space.

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameList;
use crate::object::address_map::{AddressMap, Lenders, Mapping};
use crate::object::id::MapTarget;
use crate::paging::range::{PageRange, page_address};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::map_steps;
use crate::vm::own;
use crate::vm::target;

/// Effort of parting with a table, and of a flush.
const TABLE_UNITS: u32 = 150;
const FLUSH_UNITS: u32 = 30;

/// Unmaps the first pages of a mapping that can be taken back by itself; what is left stands where it stood.
pub fn unmap_some(kernel: &mut Kernel, owner: MapTarget, first: u64, effort: &mut Effort) {
    let (first, mapping) = target::map_of(kernel, owner).find(first).expect("what is lent is shown where its use says");
    let range = PageRange { first, count: mapping.pages };
    let until = if is_seeded(Mutant::TakenBackInCommon) {
        Ok(range.end())
    } else {
        own::own_front(kernel, owner, range, effort)
    };
    match until {
        Ok(until) => {
            map_steps::unmap_front(kernel, owner, (range, until), effort);
        }
        Err(_) => forbid(kernel, owner, (first, &mapping), effort),
    }
}

/// Lets nobody do anything by a mapping, and has nothing show it any more, as far as the effort goes; when that is done, it is not
/// noted as a use any more.
#[cold]
#[inline(never)]
fn forbid(kernel: &mut Kernel, owner: MapTarget, (first, mapping): (u64, &Mapping), effort: &mut Effort) {
    let (mut page, end) = (first + AddressMap::hidden_pages(mapping), first + mapping.pages);
    let before = page;
    // A step comes some pages further, whatever it has to part with before.
    while page < end && (effort.is_left() || page == before) {
        page = hide_front(kernel, owner, PageRange { first: page, count: end - page }, effort);
    }
    target::change_map(kernel, owner, |map, _, lenders: &mut Lenders<'_>| {
        map.forbid(lenders, first, page - first);
        if page >= end {
            map.forget_lender(lenders, first);
        }
    });
}

/// Takes what shows the front of a range out of the tables; gives the page behind that.
fn hide_front(kernel: &mut Kernel, owner: MapTarget, range: PageRange, effort: &mut Effort) -> u64 {
    if own::part_with(kernel, owner, range.first) {
        effort.spend(TABLE_UNITS);
        return range.first;
    }
    let (address, mut end, mut freed_tables) = (page_address(range.first), range.first, FrameList::new());
    target::change_map(kernel, owner, |map, frames, _| {
        let until = map.tree.behind_entry(address).min(range.end());
        end = map.tree.unmap_front(frames, (range.first, until), effort, &mut freed_tables);
    });
    effort.spend(FLUSH_UNITS);
    flush::execute(kernel, Flush { owner, range: PageRange { count: end - range.first, ..range }, freed_tables });
    end
}
