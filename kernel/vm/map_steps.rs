//! `map`, `unmap` and `protect` of any length: checks in steps, then changes in steps.
//!
//! Nothing has changed while it is checked, so a refused call leaves all as it was. Then the range changes from its front on:
//! each step changes records and entries together, and invalidates what it has changed, so that between two steps the range
//! is a changed one and one that is as it was, side by side.

use tessera_abi::{Error, PAGE_BYTES, Rights};

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::{FrameAllocator, FrameList};
use crate::object::account::frame_bytes;
use crate::object::address_map::{Cost, Lenders, MAPPING_BYTES, Mapping};
use crate::object::id::{CapId, MapTarget};
use crate::object::map_steps::{self, Reached};
use crate::object::segment::LENGTH_MAX_BYTES;
use crate::paging::range::PageRange;
use crate::state::charges::ensure_frames;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::lockable;
use crate::vm::map::{note, split_ends};
use crate::vm::own;
use crate::vm::target;
use crate::vm::view;

// A word that does not fit is of a call with other arguments, in whose place the thread has put this one: it begins anew.

/// What a step of `unmap` is told if all has been checked, and nothing been done yet.
pub(super) const UNMAP_CHANGING: u64 = 1;

/// A step of `unmap`, told what the one before gave, the first 0. Gives what the next is to be told, if there must be one.
///
/// # Errors
/// `NotMapped`; `AccountExhausted`, `OutOfMemory` if a mapping must be split and cannot be: with nothing changed.
pub fn unmap_step(kernel: &mut Kernel, owner: MapTarget, range: PageRange, word: u64) -> Result<Option<u64>, Error> {
    const CHANGING: u64 = UNMAP_CHANGING;
    let word = if word >> 1 < range.count { word } else { 0 };
    let (mut effort, mut page) = (Effort::of_entry(), range.first + (word >> 1));
    let told = |page: u64, phase: u64| Ok(Some((page - range.first) << 1 | phase));
    if word & CHANGING == 0 {
        let (_, left_at) = target::map_of(kernel, owner).covered_from(range, page, &mut effort)?;
        if let Some(page) = left_at {
            return told(page, 0);
        }
        own::own_ends(kernel, owner, range)?;
        let cost = target::map_of(kernel, owner).split_cost(range);
        if cost.records != 0 {
            lockable::ensure_unsplit(kernel, owner, range)?;
        }
        ensure_change(kernel, owner, cost)?;
        split_ends(kernel, owner, range, cost);
        page = range.first;
    }
    let rest = PageRange { first: page, count: range.end() - page };
    let until = own::own_front(kernel, owner, rest, &mut effort)?;
    page = unmap_front(kernel, owner, (rest, until), &mut effort);
    if page < range.end() { told(page, CHANGING) } else { Ok(None) }
}

/// Unmaps the front of a range, up to a page at most, and gives the first page that is left. The flush comes before tables are
/// freed, and before memory that is not mapped any more can be (`lifecycle::reap`).
pub(crate) fn unmap_front(
    kernel: &mut Kernel,
    owner: MapTarget,
    (range, until): (PageRange, u64),
    effort: &mut Effort,
) -> u64 {
    let mut freed_tables = FrameList::new();
    let Kernel { spaces, subtrees, frames, segments, accounts, tables, uses, .. } = &mut *kernel;
    let (map, payer) = target::open(spaces, subtrees, owner);
    let before = map.bytes();
    let lenders = &mut Lenders { segments, tables, uses };
    let end = map.unmap_front(frames, lenders, (range, until), effort, &mut freed_tables);
    accounts[payer].credit(before - map.bytes());
    if map.tree.is_root_changed() {
        view::sync_roots(kernel, owner);
    }
    let range = PageRange { count: end - range.first, ..range };
    flush::execute(kernel, Flush { owner, range, freed_tables });
    end
}

/// How far `protect` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Checking,
    Cleaning,
    Changing,
}

const PHASES: [Phase; 3] = [Phase::Checking, Phase::Cleaning, Phase::Changing];

/// A step of `protect`, as of `unmap`.
///
/// # Errors
/// `NotMapped`, `MissingRight` if a segment capability did not allow these rights, with nothing changed; likewise
/// `AccountExhausted` and `OutOfMemory`, unless others have taken meanwhile what the account had for one more mapping.
pub fn protect_step(
    kernel: &mut Kernel,
    owner: MapTarget,
    range: PageRange,
    rights: Rights,
    word: u64,
) -> Result<Option<u64>, Error> {
    let mut effort = Effort::of_entry();
    let word = if word >> 4 < range.count { word } else { 0 };
    let mut phase = PHASES.get((word & 3) as usize).copied().unwrap_or(Phase::Checking);
    let (mut lacks, is_rest) = (word & 4 != 0, word & 8 != 0);
    let mut from = Reached { page: range.first + (word >> 4), is_rest };
    let told = |page: u64, phase: Phase, lacks: bool, is_rest: bool| {
        let flags = u64::from(lacks) << 2 | u64::from(is_rest) << 3;
        Ok(Some((page - range.first) << 4 | flags | phase as u64))
    };
    let is_begun = phase == Phase::Changing;
    if phase == Phase::Checking {
        let (maximum, left_at) = target::map_of(kernel, owner).covered_from(range, from.page, &mut effort)?;
        lacks |= !maximum.contains(rights);
        if let Some(page) = left_at {
            return told(page, phase, lacks, false);
        }
        if lacks {
            return Err(Error::MissingRight);
        }
        (phase, from.page) = (Phase::Cleaning, range.first);
    }
    if phase == Phase::Cleaning && rights.contains(Rights::EXECUTE) {
        // What is in tables of its own is found there; the rest is cleaned when it is shown.
        let rest = PageRange { first: from.page, count: range.end() - from.page };
        let until = own::own_front(kernel, owner, rest, &mut effort)?;
        let page = target::map_of(kernel, owner).tree.clean_front((from.page, until), &mut effort);
        if page < range.end() {
            return told(page, phase, false, false);
        }
        tessera_arch::publish_code();
    }
    if !is_begun {
        from.page = range.first;
    }
    // First: what that takes of the effort, and how far it comes, says whether the step may end within a mapping.
    let rest = PageRange { first: from.page, count: range.end() - from.page };
    let until = own::own_front(kernel, owner, rest, &mut effort)?;
    let is_cut = until < range.end() || may_be_cut(rest.count, &effort);
    if !is_begun {
        begin_to_protect(kernel, owner, range, is_cut)?;
    } else if is_cut && !goes_on(kernel, owner, from, rights) {
        ensure_change(kernel, owner, Cost { records: 1, ..Cost::default() })?;
    }
    let reached = protect_front(kernel, owner, (range, until), from, rights, &mut effort);
    let is_left = reached.page < range.end();
    if is_left { told(reached.page, Phase::Changing, false, reached.is_rest) } else { Ok(None) }
}

/// Whether what is left begins with the rest of a mapping whose front has its rights, and will be joined to it: others may
/// have changed either.
fn goes_on(kernel: &Kernel, owner: MapTarget, from: Reached, rights: Rights) -> bool {
    from.is_rest && target::map_of(kernel, owner).front_of(&kernel.uses, from.page, rights).is_some()
}

fn begin_to_protect(kernel: &mut Kernel, owner: MapTarget, range: PageRange, is_cut: bool) -> Result<(), Error> {
    own::own_ends(kernel, owner, range)?;
    let ends = target::map_of(kernel, owner).split_cost(range);
    if ends.records != 0 {
        lockable::ensure_unsplit(kernel, owner, range)?;
    }
    // Where a step ends within a mapping, there is one more until the call is done.
    let records = ends.records + u64::from(is_cut);
    ensure_change(kernel, owner, Cost { records, ..ends })?;
    split_ends(kernel, owner, range, ends);
    Ok(())
}

/// Whether a step may end before so many pages have been given new rights.
fn may_be_cut(pages: u64, effort: &Effort) -> bool {
    pages.div_ceil(512) * 264 + 264 > u64::from(effort.left())
}

fn protect_front(
    kernel: &mut Kernel,
    owner: MapTarget,
    (range, until): (PageRange, u64),
    from: Reached,
    rights: Rights,
    effort: &mut Effort,
) -> Reached {
    let Kernel { spaces, subtrees, segments, tables, uses, .. } = &mut *kernel;
    let (map, payer) = target::open(spaces, subtrees, owner);
    let before = map.bytes();
    let reached = map.protect_front(&mut Lenders { segments, tables, uses }, (range, until), from, rights, effort);
    let after = map.bytes();
    kernel.adjust_charge(payer, before, after);
    let count = if is_seeded(Mutant::ProtectUnflushed) { 0 } else { reached.page - from.page };
    let range = PageRange { first: from.page, count };
    flush::execute(kernel, Flush { owner, range, freed_tables: FrameList::new() });
    reached
}

/// Checks that a change can be borne. One that splits nothing takes nothing: memory can always be given back.
pub(super) fn ensure_change(kernel: &mut Kernel, owner: MapTarget, cost: Cost) -> Result<(), Error> {
    if target::map_of(kernel, owner).tree.has_cloned {
        // Nodes on the way to each end may have to be copied.
        kernel.reserve_heap(own::CLONED_HEAP_PAGES)?;
    }
    if cost.records == 0 {
        return Ok(());
    }
    target::ensure_cost(kernel, target::payer_of(kernel, owner), cost)?;
    kernel.reserve_heap(4)
}

/// How far the making of a mapping is: what is being done, to which page of it that has come, and the tables that were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Making {
    phase: MakingPhase,
    done: u64,
    /// How many, and which levels' of them the next page needs as well, a bit each.
    tables: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MakingPhase {
    Counting,
    Cleaning,
    Showing,
}

const LEVEL_BITS: u32 = 4;
const TABLE_BITS: u32 = 20;

const _: () = assert!(
    LENGTH_MAX_BYTES / PAGE_BYTES / 512 * 3 / 2 < 1 << TABLE_BITS && LENGTH_MAX_BYTES / PAGE_BYTES <= 1 << 28,
    "how far the longest mapping is fits into 56 bits"
);

impl Making {
    fn to_word(self) -> u64 {
        let (tables, levels) = self.tables;
        ((self.done << TABLE_BITS | tables) << LEVEL_BITS | levels) << 2 | self.phase as u64
    }

    fn from_word(word: u64) -> Making {
        let phases = [MakingPhase::Counting, MakingPhase::Cleaning, MakingPhase::Showing];
        let phase = phases.get((word & 3) as usize).copied().unwrap_or(MakingPhase::Counting);
        let (levels, rest) = (word >> 2 & ((1 << LEVEL_BITS) - 1), word >> (2 + LEVEL_BITS));
        Making { phase, done: rest >> TABLE_BITS, tables: (rest & ((1 << TABLE_BITS) - 1), levels) }
    }
}

/// Whether a mapping that is made in steps has been made, and its memory is being shown.
pub fn is_mapped(word: u64) -> bool {
    Making::from_word(word).phase == MakingPhase::Showing
}

/// A step of making a mapping, as of `unmap`; the caller has checked all but what is in the way, and that only until it is
/// mapped. The mapping is there from the first change on. What tables cannot be had for, because others have taken meanwhile
/// what was found free, is shown when it is touched.
///
/// # Errors
/// `Overlap`, `AccountExhausted`, `OutOfMemory`, with nothing changed.
pub fn map_step(
    kernel: &mut Kernel,
    owner: MapTarget,
    first: u64,
    (mapping, through): (&Mapping, CapId),
    word: u64,
) -> Result<Option<u64>, Error> {
    let (mut effort, mut making) = (Effort::of_entry(), Making::from_word(word));
    if making.done > mapping.pages {
        making = Making::from_word(0);
    }
    if making.phase == MakingPhase::Showing {
        if !target::map_of(kernel, owner).shows(first, mapping) {
            // Others have changed it.
            return Ok(None);
        }
    } else if !is_made(kernel, owner, (first, mapping, through), &mut making, &mut effort)? {
        return Ok(Some(making.to_word()));
    }
    let mapping = target::map_of(kernel, owner).find(first).map_or(*mapping, |(_, made)| made);
    making.done = show(kernel, owner, first, &mapping, making.done, &mut effort);
    Ok((making.done < mapping.pages).then(|| making.to_word()))
}

/// Goes on with what comes before a mapping is there, and makes it at the end of that; gives whether it has.
fn is_made(
    kernel: &mut Kernel,
    owner: MapTarget,
    (first, mapping, through): (u64, &Mapping, CapId),
    making: &mut Making,
    effort: &mut Effort,
) -> Result<bool, Error> {
    let (map, segment) = (target::map_of(kernel, owner), kernel.segments.at(mapping.segment));
    map.ensure_vacant(PageRange { first, count: mapping.pages }, effort)?;
    if making.phase == MakingPhase::Counting {
        (making.done, making.tables) =
            map.count_further((first, mapping), segment, (making.done, making.tables), effort);
        if making.done < mapping.pages {
            return Ok(false);
        }
        let cost = Cost { tables: making.tables.0, records: 1, attachments: 0 };
        target::ensure_cost(kernel, target::payer_of(kernel, owner), cost)?;
        (making.phase, making.done) = (MakingPhase::Cleaning, 0);
    }
    if mapping.rights.contains(Rights::EXECUTE) {
        let segment = kernel.segments.at(mapping.segment);
        making.done = map_steps::clean_further(segment, mapping, making.done, effort);
        if making.done < mapping.pages {
            return Ok(false);
        }
        tessera_arch::publish_code();
    }
    ensure_change(kernel, owner, Cost { tables: making.tables.0, records: 1, attachments: 0 })?;
    let lent = note(kernel, through, (owner, first), mapping.segment);
    let Kernel { spaces, subtrees, segments, accounts, tables, uses, .. } = &mut *kernel;
    let (map, payer) = target::open(spaces, subtrees, owner);
    map.note(&mut Lenders { segments, tables, uses }, first, &Mapping { lent, ..*mapping });
    accounts[payer].charge(MAPPING_BYTES);
    *making = Making { phase: MakingPhase::Showing, done: 0, tables: (0, 0) };
    Ok(true)
}

/// Shows more of a mapping's memory, from a page of it on; gives where it came to.
pub(super) fn show(
    kernel: &mut Kernel,
    owner: MapTarget,
    first: u64,
    mapping: &Mapping,
    done: u64,
    effort: &mut Effort,
) -> u64 {
    // What tables cannot be had for is shown when it is touched.
    let rest = PageRange { first: first + done, count: mapping.pages - done };
    let Ok(until) = own::own_front(kernel, owner, rest, effort) else { return mapping.pages };
    let Kernel { spaces, subtrees, frames, segments, accounts, .. } = &mut *kernel;
    let (map, payer) = target::open(spaces, subtrees, owner);
    let (before, account) = (map.bytes(), &accounts[payer]);
    let may_take = |frames: &FrameAllocator, tables: u64| {
        account.ensure(frame_bytes(tables)).is_ok() && ensure_frames(frames, tables).is_ok()
    };
    let segment = segments.at(mapping.segment);
    let done = map.show_further(frames, segment, (first, mapping), (done, until - first), effort, may_take);
    accounts[payer].charge(map.bytes() - before);
    if map.tree.is_root_changed() {
        view::sync_roots(kernel, owner);
    }
    tessera_arch::publish_tables();
    done
}
