//! Public subtrees: at one slot of every space, with global translations, so that one TLB entry serves all of them.
//!
//! A global translation is used whatever space a CPU is in, so all spaces must show the same there: the same tables,
//! the same bounds. A change concerns every CPU, in whatever space it is.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Error;
use tessera_arch::{Format, Frame, PageFormat, Share, TOP_LEVEL, table};

use crate::base::mutants::{Mutant, cut_short, is_seeded};
use crate::object::id::{AttachPoint, MapTarget, SpaceId, SubtreeId};
use crate::object::space::SLOT_PAGES;
use crate::object::subtree::Public;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::global;
use crate::vm::attach;
use crate::vm::target::Target;

/// The public subtree that covers a page of every space.
#[inline(always)]
pub fn public_at(kernel: &Kernel, page: u64) -> Option<&Public> {
    kernel.public.iter().find(|public| page / SLOT_PAGES == public.slot as u64)
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

/// Checks that a subtree can be made public.
///
/// # Errors
/// `WrongLevel`, `BadState`, `Overlap`.
pub fn plan_publish(kernel: &Kernel, subtree: SubtreeId, slot: usize) -> Result<(), Error> {
    let object = &kernel.subtrees[subtree];
    if object.level() != TOP_LEVEL {
        return Err(Error::WrongLevel);
    }
    if !object.sharers.is_empty() || object.public.is_some() || object.map.attachments() != 0 {
        return Err(Error::BadState);
    }
    let place = AttachPoint { page: slot as u64 * SLOT_PAGES, cpu: None };
    // A view's map is empty, its root is not; its base is asked.
    let is_vacant = |id: SpaceId| {
        kernel.spaces[id].seen.is_some()
            || kernel.spaces.is_doomed(id.index())
            || attach::is_vacant(kernel, MapTarget::Space(id), place, TOP_LEVEL)
    };
    if !kernel.spaces.ids().all(is_vacant) {
        return Err(Error::Overlap);
    }
    Ok(())
}

/// Makes a subtree public as planned.
pub fn publish(kernel: &mut Kernel, public: Public) {
    let subtree = &mut kernel.subtrees[public.subtree];
    subtree.map.set_global(!is_seeded(Mutant::PublicNotGlobal));
    subtree.public = Some(public.slot);
    kernel.public.push(public);
    let entry = public_entry(kernel, &public);
    set_everywhere(kernel, public.slot, entry);
    tessera_arch::publish_tables();
}

/// Takes a public subtree out of every space.
pub fn unpublish(kernel: &mut Kernel, subtree: SubtreeId) {
    let Some(slot) = kernel.subtrees[subtree].public.take() else { return };
    kernel.public.retain(|public| public.slot != slot);
    set_everywhere(kernel, slot, 0);
    tessera_arch::publish_tables();
    if !is_seeded(Mutant::WithdrawUnflushed) {
        global::flush_everywhere(kernel);
    }
    kernel.subtrees[subtree].map.set_global(is_seeded(Mutant::PublicStaysGlobal));
}

/// Writes what is public into the root of a new space, and shows the root to every walker.
pub fn show_public(kernel: &mut Kernel, root: Frame) {
    for index in 0..cut_short(kernel.public.len(), Mutant::PublicMissing) {
        let public = kernel.public[index];
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

fn set_everywhere(kernel: &mut Kernel, slot: usize, entry: u64) {
    for id in kernel.spaces.ids() {
        // One that is being taken apart gets nothing more, and may have lost what it had.
        if entry != 0 && kernel.spaces.is_doomed(id.index()) {
            continue;
        }
        let space = &kernel.spaces[id];
        let before = table(space.map.tree.root)[slot].load(Relaxed);
        space.roots().for_each(|root| table(root)[slot].store(entry, Relaxed));
        let change = i32::from(entry != 0) - i32::from(before != 0);
        kernel.frames.change_table_entries(space.map.tree.root, change);
    }
}
