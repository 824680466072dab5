//! Public subtrees: at one slot of every space, with global translations, so that one TLB entry serves all of them.
//!
//! A global translation is used whatever space a CPU is in, so all spaces must show the same there: the same tables,
//! the same bounds. A change concerns every CPU, in whatever space it is.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Error, Rights};
use tessera_arch::{Format, Frame, PageFormat, Share, TOP_LEVEL, table};

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, cut_short, is_seeded};
use crate::object::id::{AttachPoint, MapTarget, SpaceId, SubtreeId};
use crate::object::space::SLOT_PAGES;
use crate::object::subtree::{Public, Stage};
use crate::paging::chunk::entry_pages;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::global;
use crate::vm::attach;
use crate::vm::target::Target;

/// What looking at a space takes, or writing the entry into its root; into each other root, a unit more is enough.
const SPACE_UNITS: u32 = 10;

/// The public subtree that a space shows at a page.
#[inline(always)]
pub fn public_at(kernel: &Kernel, space: SpaceId, page: u64) -> Option<&Public> {
    let public = kernel.public.iter().find(|public| page / SLOT_PAGES == public.slot as u64)?;
    (public.is_shown() || is_shown_in(kernel, space, public)).then_some(public)
}

/// Whether a space shows one that is on the way.
fn is_shown_in(kernel: &Kernel, space: SpaceId, public: &Public) -> bool {
    table(kernel.spaces[space].map.tree.root)[public.slot].load(Relaxed) == public_entry(kernel, public)
}

/// Whether a range of a space meets what its own tables do not show: something public, or a core window.
#[inline(always)]
pub fn is_reserved(kernel: &Kernel, target: &Target<'_>, range: PageRange) -> bool {
    let MapTarget::Space(id) = target.owner else { return false };
    // Mostly there is nothing of the kind.
    (!kernel.public.is_empty() || target.map.core_windows() != 0) && is_reserved_in(kernel, id, range)
}

#[inline(never)]
fn is_reserved_in(kernel: &Kernel, id: SpaceId, range: PageRange) -> bool {
    let meets = |slot: usize| {
        let first = slot as u64 * SLOT_PAGES;
        range.first < first + SLOT_PAGES && first < range.end()
    };
    if kernel.public.iter().any(|public| meets(public.slot)) {
        return true;
    }
    let (space, slots) = (&kernel.spaces[id], range.first / SLOT_PAGES..range.end().div_ceil(SLOT_PAGES));
    space.map.core_windows() != 0 && space.core_windows_in(slots).next().is_some()
}

/// Does a step of making a subtree public; gives whether that was the last. Its slot is reserved in every space from the first
/// on. `is_begun`: a step was done before. If its thread goes no further, whoever publishes it likewise may go on, and whoever
/// withdraws it takes it back.
///
/// # Errors
/// `WrongLevel`, `Overlap` before anything is to be seen of it; `BadState` if it is public, attached, or was withdrawn meanwhile.
pub fn publish_step(
    kernel: &mut Kernel,
    subtree: SubtreeId,
    slot: usize,
    bounds: Rights,
    is_begun: bool,
) -> Result<bool, Error> {
    let mut effort = Effort::of_entry();
    let at = match position(kernel, subtree) {
        None if is_begun => return Err(Error::BadState),
        None => begin(kernel, subtree, slot, bounds)?,
        Some(at) => at,
    };
    let public = kernel.public[at];
    let is_the_same = (public.slot, public.bounds) == (slot, bounds) && (is_begun || !public.is_shown());
    if !is_the_same {
        return Err(Error::BadState);
    }
    loop {
        let is_left = match kernel.public[at].stage {
            Stage::Reserving(from) => reserve(kernel, at, from, &mut effort)?,
            Stage::Marking(page) => mark(kernel, at, page, !is_seeded(Mutant::PublicNotGlobal), &mut effort),
            Stage::Showing(from) => set_in_spaces(kernel, at, from, true, &mut effort),
            Stage::Shown => {
                note_stage(kernel);
                return Ok(true);
            }
            Stage::Hiding(_) | Stage::Unmarking(_) => return Err(Error::BadState),
        };
        if is_left {
            return Ok(false);
        }
    }
}

/// Does a step of taking a public subtree, or one on the way, out of every space; gives whether that was the last.
pub fn unpublish_step(kernel: &mut Kernel, subtree: SubtreeId, effort: &mut Effort) -> bool {
    while let Some(at) = position(kernel, subtree) {
        let is_left = match kernel.public[at].stage {
            Stage::Reserving(_) => {
                forget(kernel, at);
                false
            }
            Stage::Marking(_) => set_stage(kernel, at, Stage::Unmarking(0)),
            Stage::Showing(_) | Stage::Shown => set_stage(kernel, at, Stage::Hiding(0)),
            Stage::Hiding(from) => set_in_spaces(kernel, at, from, false, effort),
            Stage::Unmarking(page) => {
                let is_left = mark(kernel, at, page, is_seeded(Mutant::PublicStaysGlobal), effort);
                if !is_left {
                    forget(kernel, at);
                }
                is_left
            }
        };
        if is_left {
            return false;
        }
    }
    true
}

fn position(kernel: &Kernel, subtree: SubtreeId) -> Option<usize> {
    kernel.subtrees[subtree].public?;
    kernel.public.iter().position(|public| public.subtree == subtree)
}

/// Reserves the slot; gives where the subtree is noted.
fn begin(kernel: &mut Kernel, subtree: SubtreeId, slot: usize, bounds: Rights) -> Result<usize, Error> {
    let object = &kernel.subtrees[subtree];
    if object.level() != TOP_LEVEL {
        return Err(Error::WrongLevel);
    }
    // What clones have in common cannot be global for one of them.
    if !object.sharers.is_empty() || object.map.attachments() != 0 || object.map.tree.has_cloned() {
        return Err(Error::BadState);
    }
    if kernel.public.iter().any(|public| public.slot == slot) {
        return Err(Error::Overlap);
    }
    kernel.public.push(Public { slot, subtree, bounds, stage: Stage::Reserving(0) });
    kernel.subtrees[subtree].public = Some(slot);
    note_stage(kernel);
    Ok(kernel.public.len() - 1)
}

fn forget(kernel: &mut Kernel, at: usize) {
    let public = kernel.public.remove(at);
    kernel.subtrees[public.subtree].public = None;
    note_stage(kernel);
}

fn set_stage(kernel: &mut Kernel, at: usize, stage: Stage) -> bool {
    kernel.public[at].stage = stage;
    note_stage(kernel);
    false
}

fn note_stage(kernel: &mut Kernel) {
    kernel.is_publishing = kernel.public.iter().any(|public| !public.is_shown());
}

/// Looks at spaces whether they have the slot free; gives whether some are left.
fn reserve(kernel: &mut Kernel, at: usize, mut from: u32, effort: &mut Effort) -> Result<bool, Error> {
    let place = AttachPoint { page: kernel.public[at].page(), cpu: None };
    loop {
        match kernel.spaces.first_from(from, effort) {
            Err(next) => {
                set_stage(kernel, at, Stage::Reserving(next));
                return Ok(true);
            }
            Ok(None) => return Ok(set_stage(kernel, at, Stage::Marking(0))),
            Ok(Some(id)) => {
                let space = &kernel.spaces[id];
                // A view's map is empty, its root is not; its base is asked. Nobody is in one that is being taken apart.
                let is_asked = space.seen.is_none() && !kernel.spaces.is_doomed(id.index());
                if is_asked && !attach::is_vacant_in(space, place, TOP_LEVEL) {
                    forget(kernel, at);
                    return Err(Error::Overlap);
                }
                from = id.index() + 1;
                effort.spend(SPACE_UNITS);
            }
        }
    }
}

/// Makes leaves of the subtree, which no CPU can reach, global or not, and those to come; gives whether some are left.
fn mark(kernel: &mut Kernel, at: usize, page: u64, global: bool, effort: &mut Effort) -> bool {
    let Public { subtree, stage, .. } = kernel.public[at];
    let map = &mut kernel.subtrees[subtree].map;
    let reached = map.set_global_from(page, global, effort);
    let (is_left, marks) = (reached < entry_pages(TOP_LEVEL), matches!(stage, Stage::Marking(_)));
    kernel.public[at].stage = match (marks, is_left) {
        (true, true) => Stage::Marking(reached),
        (true, false) => Stage::Showing(0),
        (false, _) => Stage::Unmarking(reached),
    };
    is_left
}

/// Writes the entry into spaces, or takes it out; gives whether some are left. When none shows it any more, no CPU holds
/// anything of it.
fn set_in_spaces(kernel: &mut Kernel, at: usize, mut from: u32, shows: bool, effort: &mut Effort) -> bool {
    let public = kernel.public[at];
    let entry = if shows { public_entry(kernel, &public) } else { 0 };
    loop {
        match kernel.spaces.first_from(from, effort) {
            Err(next) => {
                kernel.public[at].stage = if shows { Stage::Showing(next) } else { Stage::Hiding(next) };
                tessera_arch::publish_tables();
                return true;
            }
            Ok(Some(id)) => {
                let other_roots = set_in_space(kernel, id, &public, entry);
                from = id.index() + 1;
                effort.spend(SPACE_UNITS + other_roots);
            }
            Ok(None) => break,
        }
    }
    tessera_arch::publish_tables();
    if !shows && !is_seeded(Mutant::WithdrawUnflushed) {
        global::flush_everywhere(kernel);
    }
    set_stage(kernel, at, if shows { Stage::Shown } else { Stage::Unmarking(0) })
}

/// A space that was made meanwhile may have the entry. One that is being taken apart gets nothing more, and may have lost what
/// it had. Gives how many roots it has besides the first.
#[inline(always)]
fn set_in_space(kernel: &mut Kernel, id: SpaceId, public: &Public, entry: u64) -> u32 {
    if entry != 0 && kernel.spaces.is_doomed(id.index()) {
        return 0;
    }
    let space = &kernel.spaces[id];
    let (root, other_roots) = (space.map.tree.root, space.other_root_count());
    let before = table(root)[public.slot].load(Relaxed);
    space.roots().for_each(|root| table(root)[public.slot].store(entry, Relaxed));
    kernel.frames.change_table_entries(root, i32::from(entry != 0) - i32::from(before != 0));
    other_roots
}

/// Writes what is public into the root of a new space, and shows the root to every walker.
pub fn show_public(kernel: &mut Kernel, root: Frame) {
    for index in 0..cut_short(kernel.public.len(), Mutant::PublicMissing) {
        let public = kernel.public[index];
        if !matches!(public.stage, Stage::Showing(_) | Stage::Shown) {
            continue;
        }
        table(root)[public.slot].store(public_entry(kernel, &public), Relaxed);
        kernel.frames.change_table_entries(root, 1);
    }
    if !is_seeded(Mutant::NewRootUnpublished) {
        tessera_arch::publish_tables();
    }
}

fn public_entry(kernel: &Kernel, public: &Public) -> u64 {
    let root = kernel.subtrees[public.subtree].map.tree.root;
    Format::shared_entry(root.start(), public.bounds, Share::Copy)
}
