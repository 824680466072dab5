//! Discarding pages of a segment: they are shown nowhere any more, and their frames go back.
//!
//! Where they are shown, the list of the segment's capabilities says, in which its mappings stand as uses: all of them, if there are as
//! many as the segment counts. Mappings stay; what is touched again gets new memory. All this is done for a few pages at once, so that
//! a page is either shown where it was, or gone.

use tessera_abi::Error;

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameList;
use crate::object::account::close_charge;
use crate::object::address_map::Cost;
use crate::object::derivation;
use crate::object::id::{MapTarget, Object, ObjectRef, SegmentId, UseId};
use crate::object::neighbour::Standing;
use crate::object::segment::REGION_PAGES;
use crate::object::segment_change::{CHANGE_HEAP_PAGES, Credit};
use crate::object::use_pool::UseKind;
use crate::paging::range::{PageRange, page_address};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::map::split_large_at;
use crate::vm::own;
use crate::vm::target;
use crate::vm::view;

/// Mappings that may show a page.
const SHOWN_MAX: usize = 16;

/// Capabilities and mappings that a segment may have; each stands in the list, or begins and ends there.
const LISTED_MAX: u32 = 256;

/// Entries that are taken out at once, at most, and pages that are given back one by one: what that takes, and the flushes, is an
/// entry's work.
const ENTRIES_MAX: u64 = 512;
const PAGES_MAX: u64 = 128;

/// Effort of a look at what is listed, of giving a page back, and of a flush.
const LOOK_UNITS: u32 = 2;
const PAGE_UNITS: u32 = 10;
const FLUSH_UNITS: u32 = 60;

/// The mappings that show a part of what is discarded, and how many they are.
type Shown = ([Option<UseId>; SHOWN_MAX], usize);

/// A step of discarding so many pages from one on, told what the one before gave, the first 0. Gives what the next is to be told,
/// if there must be one.
///
/// # Errors
/// `BadState`, `LimitReached`, `OutOfMemory`, with nothing more changed.
pub fn discard_step(
    kernel: &mut Kernel,
    segment: SegmentId,
    (first, pages): (u64, u64),
    word: u64,
) -> Result<Option<u64>, Error> {
    let (mut effort, mut at) = (Effort::of_entry(), Reached::from_word(word, pages));
    kernel.segments[segment].ensure_changeable()?;
    loop {
        let page = first + at.done;
        let limit = (pages - at.done).min(REGION_PAGES - page % REGION_PAGES).min((REGION_PAGES >> at.shrunk).max(1));
        match shown(kernel, segment, ((first, pages), page, limit), &mut effort)? {
            Some(shown) => {
                let chunk = limit.min(at_once(kernel, segment, page, shown.1 as u64));
                discard_chunk(kernel, segment, (page, chunk), &shown)?;
                effort.spend(FLUSH_UNITS * shown.1 as u32 + PAGE_UNITS * chunk.min(PAGES_MAX) as u32);
                (at.done, at.shrunk) = (at.done + chunk, 0);
                at.done += missing(kernel, segment, first + at.done, pages - at.done, &mut effort);
            }
            None if limit == 1 => return Err(Error::LimitReached),
            None => at.shrunk = (REGION_PAGES / limit).ilog2() + 1,
        }
        if at.done == pages {
            return Ok(None);
        }
        if !effort.is_left() {
            return Ok(Some(at.to_word()));
        }
    }
}

/// How many pages from one on, which are shown so often, are discarded at once, if there are as many.
fn at_once(kernel: &Kernel, segment: SegmentId, page: u64, shown: u64) -> u64 {
    let most = ENTRIES_MAX / shown.max(1);
    // A region that has its memory in one piece gives it back so.
    let is_piece = || kernel.segments[segment].memory_at_once(page, REGION_PAGES).flatten().is_some();
    if most == REGION_PAGES && is_piece() { REGION_PAGES } else { most.min(PAGES_MAX) }
}

/// How many pages from one on have no memory, as far as the effort goes.
fn missing(kernel: &Kernel, segment: SegmentId, page: u64, pages: u64, effort: &mut Effort) -> u64 {
    let mut done = 0;
    while done < pages {
        let extent = kernel.segments[segment].extent_in_region(page + done, pages - done);
        if extent.frame.is_some() || !effort.spend(LOOK_UNITS + extent.pages.min(REGION_PAGES) as u32 / 8) {
            break;
        }
        done += extent.pages;
    }
    done
}

/// How far the call is: how many pages are done, and how often what is done at once was halved.
struct Reached {
    done: u64,
    shrunk: u32,
}

const SHRUNK_BITS: u32 = 4;

impl Reached {
    /// What a word says; nothing if it is of a call with another range.
    fn from_word(word: u64, pages: u64) -> Reached {
        let (done, shrunk) = (word >> SHRUNK_BITS, word as u32 % (1 << SHRUNK_BITS));
        if done < pages { Reached { done, shrunk } } else { Reached { done: 0, shrunk: 0 } }
    }

    fn to_word(&self) -> u64 {
        self.done << SHRUNK_BITS | u64::from(self.shrunk)
    }
}

/// Which mappings show pages of a segment; nothing if these are too many. Checks as well that all mappings are known, and that no page of
/// the whole range has a guest's state.
///
/// # Errors
/// `BadState`, `LimitReached`.
fn shown(
    kernel: &Kernel,
    segment: SegmentId,
    ((first, pages), page, count): ((u64, u64), u64, u64),
    effort: &mut Effort,
) -> Result<Option<Shown>, Error> {
    let list = kernel.list_of(ObjectRef::Segment(segment));
    let (mut shown, mut found, mut known, mut looks) = ([None; SHOWN_MAX], 0, 0, 0);
    for standing in derivation::listed(&kernel.tables, &kernel.uses, list) {
        looks += 1;
        if looks > 2 * LISTED_MAX {
            return Err(Error::LimitReached);
        }
        let Standing::Use(id) = standing else { continue };
        let lent = kernel.uses.get(id);
        if lent.kind == UseKind::State {
            let state = kernel.guests.at(lent.number).state.as_ref();
            if state.is_some_and(|state| (first..first + pages).contains(&state.page)) {
                return Err(Error::BadState);
            }
        }
        if lent.kind != UseKind::Mapping {
            continue;
        }
        // Of one that is being taken back, and that nobody can use any more, nobody knows what it showed.
        known += u32::from(!is_forbidden(kernel, id));
        if place(kernel, id, (page, count)).is_some() {
            if let Some(place) = shown.get_mut(found) {
                *place = Some(id);
            }
            found += 1;
        }
    }
    effort.spend(looks * LOOK_UNITS);
    if known != kernel.segments[segment].mappings {
        return Err(Error::BadState);
    }
    Ok((found <= SHOWN_MAX).then_some((shown, found)))
}

fn is_forbidden(kernel: &Kernel, id: UseId) -> bool {
    let lent = kernel.uses.get(id);
    let found = target::owner_of(kernel, lent).and_then(|owner| target::map_of(kernel, owner).find(lent.page()));
    found.is_some_and(|(_, mapping)| mapping.maximum.is_empty())
}

/// Where a mapping shows pages of its segment. One that is being taken apart shows nothing that anybody holds.
fn place(kernel: &Kernel, id: UseId, (page, count): (u64, u64)) -> Option<(MapTarget, PageRange)> {
    let lent = kernel.uses.get(id);
    let owner = target::owner_of(kernel, lent)?;
    let map = target::map_of(kernel, owner);
    let (at, mapping) = map.find(lent.page()).filter(|_| !map.is_unseen)?;
    let (start, end) = (page.max(mapping.offset), (page + count).min(mapping.offset + mapping.pages));
    (start < end).then(|| (owner, PageRange { first: at + start - mapping.offset, count: end - start }))
}

/// Discards pages that are shown at these places, or parts of these.
fn discard_chunk(
    kernel: &mut Kernel,
    segment: SegmentId,
    (page, count): (u64, u64),
    shown: &Shown,
) -> Result<(), Error> {
    kernel.reserve_heap(CHANGE_HEAP_PAGES)?;
    let ids = shown.0.iter().take(shown.1).flatten();
    for id in ids.clone() {
        if let Some((owner, range)) = place(kernel, *id, (page, count)) {
            own::own_front(kernel, owner, range, &mut Effort::unlimited())?;
        }
    }
    for id in ids {
        if let Some((owner, range)) = place(kernel, *id, (page, count)) {
            hide(kernel, owner, range);
        }
    }
    let Kernel { segments, frames, .. } = &mut *kernel;
    let object = segments.at_mut(segment.index());
    let (account, before) = (object.account, object.extra_bytes());
    let mut unpaid = object.discard(page, count, frames);
    while let Some(Credit { account, bytes, is_last }) = kernel.segments[segment].next_credit(&mut unpaid) {
        if is_last {
            close_charge(&mut kernel.accounts, account, bytes);
        } else {
            kernel.accounts[account].credit(bytes);
        }
    }
    let after = kernel.segments[segment].extra_bytes();
    kernel.adjust_charge(account, before, after);
    Ok(())
}

/// Takes out what shows a range. Mappings stay.
fn hide(kernel: &mut Kernel, owner: MapTarget, range: PageRange) {
    for page in [range.first, range.end()] {
        let tables = target::map_of(kernel, owner).tree.split_tables(page_address(page));
        if tables == 0 {
            continue;
        }
        let cost = Cost { tables, ..Cost::default() };
        if target::ensure_cost(kernel, target::payer_of(kernel, owner), cost).is_ok() {
            split_large_at(kernel, owner, page);
        } else {
            take_large_at(kernel, owner, page);
        }
    }
    let mut freed_tables = FrameList::new();
    let Kernel { spaces, subtrees, frames, accounts, .. } = &mut *kernel;
    let (map, payer) = target::open(spaces, subtrees, owner);
    let before = map.bytes();
    map.tree.unmap_front(frames, (range.first, range.end()), &mut Effort::unlimited(), &mut freed_tables);
    accounts[payer].credit(before - map.bytes());
    if map.tree.is_root_changed() {
        view::sync_roots(kernel, owner);
    }
    let count = if is_seeded(Mutant::DiscardUnflushed) { 0 } else { range.count };
    flush::execute(kernel, Flush { owner, range: PageRange { count, ..range }, freed_tables });
}

/// Takes a large page out that straddles the start of a page, where there is nothing to split it with: what lies around is shown again
/// when it is touched.
#[cold]
fn take_large_at(kernel: &mut Kernel, owner: MapTarget, page: u64) {
    let mut large = None;
    target::change_map(kernel, owner, |map, frames, _| large = map.tree.take_large(frames, page_address(page)));
    if let Some((first, count)) = large.map(|large| large.pages()) {
        flush::execute(kernel, Flush { owner, range: PageRange { first, count }, freed_tables: FrameList::new() });
    }
}
