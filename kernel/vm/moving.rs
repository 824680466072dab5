//! Moving what is mapped in a range from one space or subtree to another, or showing it in both, without a capability to the memory.
//!
//! What was a use of a capability is one of the same in its new place, so whoever could take it back still can.

use tessera_abi::Error;

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::object::address_map::{AddressMap, CURRENT, Cost, Mapping};
use crate::object::derivation;
use crate::object::id::{CapId, MapTarget, ObjectRef, UseId};
use crate::object::mapping::PINNED;
use crate::object::neighbour::Standing;
use crate::object::use_pool::Use;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::vm::map::split_ends;
use crate::vm::map_steps::{self, ensure_change};
use crate::vm::own::{self, CLONED_HEAP_PAGES};
use crate::vm::public;
use crate::vm::target;

/// Mappings that a range may hold.
const MAPPINGS_MAX: u64 = 16;

/// Pages that are moved at one entry.
const SHORT_PAGES: u64 = 128;

/// Kernel heap that so many more take: nodes of a map, and a page of uses.
const HEAP_PAGES: u64 = 8;

/// What is to be moved where.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Where it is.
    pub from: MapTarget,
    /// The pages there.
    pub range: PageRange,
    /// Where it is to be.
    pub to: MapTarget,
    /// The first page there.
    pub first: u64,
    /// Whether it stays where it is as well.
    pub stays: bool,
}

/// What is being done: nothing yet, taking it out where it was, showing it where it is.
const BEGINNING: u64 = 0;
const TAKING: u64 = 1;
const SHOWING: u64 = 2;
const PHASE_BITS: u32 = 2;

/// By what a mapping is to be noted.
#[derive(Clone, Copy, Debug)]
enum Noted {
    /// Not at all.
    Not,
    /// As another one is.
    Like(UseId),
    /// As one that was made by a capability.
    By(CapId),
}

/// A step of a move, told what the one before gave, the first 0. Gives what the next is to be told, if there must be one.
///
/// # Errors
/// `NotMapped`, `Overlap`, `LimitReached`, `BadState`, `AccountExhausted`, `OutOfMemory`, with nothing changed; `OutOfMemory` also if
/// what clones have in common cannot be taken apart, with all of it in the new place, and some in the old one still.
pub fn move_step(kernel: &mut Kernel, moved: &Move, word: u64) -> Result<Option<u64>, Error> {
    let (mut phase, mut inner) = (word % (1 << PHASE_BITS), word >> PHASE_BITS);
    if moved.stays && phase == TAKING {
        // It was another call's, which was to take: what stays need not even be such as may change.
        (phase, inner) = (BEGINNING, 0);
    }
    if phase == BEGINNING {
        begin(kernel, moved)?;
        (phase, inner) = if moved.stays { (SHOWING, 0) } else { (TAKING, map_steps::UNMAP_CHANGING) };
    }
    if phase == TAKING {
        match map_steps::unmap_step(kernel, moved.from, moved.range, inner)? {
            Some(left) => return Ok(Some(left << PHASE_BITS | TAKING)),
            // What is shown by few entries is shown at once.
            None if moved.range.count > SHORT_PAGES => return Ok(Some(SHOWING)),
            None => inner = 0,
        }
    }
    let done = show(kernel, moved, inner);
    Ok((done < moved.range.count).then_some(done << PHASE_BITS | SHOWING))
}

/// Checks all, and notes the mappings in their new place.
fn begin(kernel: &mut Kernel, moved: &Move) -> Result<(), Error> {
    let records = ensure_movable(kernel, moved)?;
    let to = PageRange { first: moved.first, count: moved.range.count };
    let (target, mut effort) = (target::look(kernel, moved.to), Effort::of_entry());
    target.map.ensure_vacant(to, &mut effort)?;
    if public::is_reserved(kernel, &target, to) {
        return Err(Error::Overlap);
    }
    let payer = target.payer;
    let mut split = Cost::default();
    if !moved.stays {
        own::own_ends(kernel, moved.from, moved.range)?;
        split = target::map_of(kernel, moved.from).split_cost(moved.range);
        ensure_change(kernel, moved.from, split)?;
    }
    let is_one = payer == target::payer_of(kernel, moved.from);
    let shared = if is_one { split } else { Cost::default() };
    target::ensure_cost(kernel, payer, Cost { records: records + shared.records, ..shared })?;
    kernel.reserve_heap(HEAP_PAGES + 2 * CLONED_HEAP_PAGES)?;
    split_ends(kernel, moved.from, moved.range, split);
    let mut page = moved.range.first;
    while page < moved.range.end() {
        let (_, mapping) = part(target::map_of(kernel, moved.from), moved, page)?;
        let (noted, place) = (noted(kernel, moved.to, &mapping)?, moved.first + page - moved.range.first);
        let mapping = Mapping { lent: note(kernel, noted, Use::mapping(moved.to, place)), ..mapping };
        target::change_map(kernel, moved.to, |map, _, lenders| map.note(lenders, place, &mapping));
        page += mapping.pages;
    }
    Ok(())
}

/// Checks that all mappings in a range can be moved; gives how many they are.
fn ensure_movable(kernel: &Kernel, moved: &Move) -> Result<u64, Error> {
    let (map, mut count, mut page) = (target::map_of(kernel, moved.from), 0, moved.range.first);
    while page < moved.range.end() {
        if count == MAPPINGS_MAX {
            return Err(Error::LimitReached);
        }
        let (stays, mapping) = part(map, moved, page)?;
        if stays || kernel.segments.at(mapping.segment).lock.is_some() {
            return Err(Error::BadState);
        }
        noted(kernel, moved.to, &mapping)?;
        (count, page) = (count + 1, page + mapping.pages);
    }
    Ok(count)
}

/// What a mapping has from a page of a range on, as it is to be in its new place; and whether it cannot be moved, as it is copied when it
/// is written to.
fn part(map: &AddressMap, moved: &Move, page: u64) -> Result<(bool, Mapping), Error> {
    let (first, mapping) = map.find(page).ok_or(Error::NotMapped)?;
    let epoch = if AddressMap::is_pinned(&mapping) { PINNED } else { CURRENT };
    let (offset, pages) = (mapping.offset + page - first, moved.range.end().min(first + mapping.pages) - page);
    // What is being taken back is not to be had elsewhere.
    let stays = map.is_copied(&mapping) || mapping.maximum.is_empty();
    Ok((stays, Mapping { offset, pages, epoch, ..mapping }))
}

/// By what a mapping is to be noted elsewhere: what nobody could take back is noted where another account pays.
///
/// # Errors
/// `BadState` if there is nothing by which it could be.
fn noted(kernel: &Kernel, to: MapTarget, mapping: &Mapping) -> Result<Noted, Error> {
    if let Some(lent) = mapping.lent {
        return Ok(if is_seeded(Mutant::MovedNotLent) { Noted::Not } else { Noted::Like(lent) });
    }
    let segment = kernel.segments.at(mapping.segment);
    if !segment.notes_all && segment.account == target::payer_of(kernel, to) {
        return Ok(Noted::Not);
    }
    let id = kernel.segments.id_at(mapping.segment).ok_or(Error::BadState)?;
    match derivation::first_in_list(&kernel.uses, kernel.list_of(ObjectRef::Segment(id))) {
        Some(Standing::Beginning(cap)) if !kernel.tables.at(cap.table()).is_derived(cap.slot()) => Ok(Noted::By(cap)),
        _ => Err(Error::BadState),
    }
}

fn note(kernel: &mut Kernel, noted: Noted, value: Use) -> Option<UseId> {
    match noted {
        Noted::Not => None,
        Noted::Like(other) => Some(derivation::lend_alike(&mut kernel.tables, &mut kernel.uses, other, value)),
        Noted::By(cap) => Some(kernel.lend(cap, value)),
    }
}

/// Shows more of what was moved, from a page of the range on; gives the page that it came to. Code is shown when it is fetched.
fn show(kernel: &mut Kernel, moved: &Move, mut done: u64) -> u64 {
    let mut effort = Effort::of_entry();
    while done < moved.range.count && effort.is_left() {
        let page = moved.first + done;
        let found = target::map_of(kernel, moved.to).find(page);
        let Some((first, mapping)) =
            found.filter(|(_, mapping)| !mapping.rights.contains(tessera_abi::Rights::EXECUTE))
        else {
            // Others have changed it meanwhile, or it is code.
            let behind = found.map(|(first, mapping)| first + mapping.pages);
            done = behind.map_or(moved.range.count, |behind| behind - moved.first);
            continue;
        };
        let shown = map_steps::show(kernel, moved.to, first, &mapping, page - first, &mut effort);
        done = first + shown - moved.first;
    }
    done.min(moved.range.count)
}
