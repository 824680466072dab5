//! Views: spaces that show what another one holds, within bounds.
//!
//! A view is a space with a tag of its own and without mappings of its own. Its root's entries lead to the tables that the
//! base's entries lead to, attenuated; views of a base with the same bounds have one root (`object/view_roots.rs`). Only
//! roots are copies, so what happens below needs no care; what happens in the base's root is brought over entry by entry
//! (`sync_roots`), in a time that does not grow with the views.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Rights, TOP_SLOTS};
use tessera_arch::{Format, Frame, PageFormat, Share, table};

use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::object::derivation;
use crate::object::id::{AccountId, CapId, MapTarget, SpaceId};
use crate::object::space::{Space, ViewOf, free_root};
use crate::object::use_pool::{Use, UseKind};
use crate::paging::page_table::new_table;
use crate::paging::range::EVERYTHING;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};

/// Makes a view, through a capability to what it shows. Its account has been charged; memory and stores were found to have room.
pub fn make_paid_view(kernel: &mut Kernel, account: AccountId, seen: ViewOf, through: CapId) -> SpaceId {
    let Kernel { spaces, frames, .. } = &mut *kernel;
    let base = spaces.retained(seen.base);
    let shared = base.view_roots.share(frames, seen.bounds);
    let root = shared.unwrap_or_else(|| make_root(frames, base, seen.bounds));
    let mut view = Space::on_root(account, root);
    view.seen = Some(seen);
    let id = kernel.spaces.insert(view);
    let lent = kernel.lend(through, Use::of_number(UseKind::View, id.index()));
    kernel.spaces.at_mut(id.index()).lent = Some(lent);
    let only_cpu = kernel.shared.space_words(seen.base.index()).only_cpu();
    kernel.shared.space_words(id.index()).initialise(root, only_cpu);
    if kernel.shared.space_words(seen.base.index()).takes_locks() {
        kernel.shared.space_words(id.index()).set_takes_locks(true);
    }
    kernel.spaces.at_mut(seen.base.index()).views.insert(id);
    id
}

/// Makes the root of the first view of a space with certain bounds.
fn make_root(frames: &mut FrameAllocator, base: &mut Space, bounds: Rights) -> Frame {
    let root = new_table(frames);
    tessera_arch::prepare_root(root);
    // Behind the last entry that the base has, nothing is to be seen.
    let entries = frames.table_entries(base.map.tree.root);
    let base_root = table(base.map.tree.root);
    let shown = (0..TOP_SLOTS).filter(|slot| base_root[*slot].load(Relaxed) != 0).take(usize::from(entries));
    shown.for_each(|slot| sync_entry(frames, base, (bounds, root), slot));
    base.map.tree.forget_changed();
    tessera_arch::publish_tables();
    base.view_roots.begin(frames, bounds, root);
    root
}

/// Takes a view, which nobody is in any more, off its base's list; what is held under its tag goes.
pub fn forget_view(kernel: &mut Kernel, view: SpaceId) {
    let Some(seen) = kernel.spaces[view].seen else { return };
    let Kernel { spaces, frames, .. } = &mut *kernel;
    let base = spaces.released(seen.base);
    base.views.remove(&view);
    let gone = base.view_roots.remove(frames, seen.bounds);
    if gone.is_some() {
        // It has entries and no tables of its own below them.
        spaces[view].map.tree.clear_root(frames);
    }
    flush::execute(kernel, Flush { owner: MapTarget::Space(view), range: EVERYTHING, freed_tables: FrameList::new() });
    if let Some(root) = gone {
        free_root(&mut kernel.frames, root);
    }
    let Kernel { spaces, tables, uses, .. } = kernel;
    if let Some(lent) = spaces[view].lent.take() {
        derivation::take_back(tables, uses, lent);
    }
}

/// After a change to a space's root: other CPUs' roots, if there are any, and those of views get it too.
pub(crate) fn sync_roots(kernel: &mut Kernel, owner: MapTarget) {
    let MapTarget::Space(id) = owner else { return };
    let space = kernel.spaces.at_mut(id.index());
    if let Some(changed) = space.map.tree.take_changed()
        && space.has_copies()
    {
        sync_slots(kernel, id, changed);
    }
}

/// Brings some entries over.
#[inline(never)]
fn sync_slots(kernel: &mut Kernel, id: SpaceId, (first, last): (usize, usize)) {
    let Kernel { spaces, frames, .. } = kernel;
    let space = &spaces[id];
    for slot in first..=last {
        space.sync_other_roots(slot);
        if space.views.is_empty() {
            continue;
        }
        space.view_roots.iter().for_each(|shown| sync_entry(frames, space, shown, slot));
    }
    tessera_arch::publish_tables();
}

/// Brings one entry of the root of a base's views up to date.
fn sync_entry(frames: &mut FrameAllocator, base: &Space, (bounds, root): (Rights, Frame), slot: usize) {
    steps::count();
    let entry = entry_in_view(base, slot, bounds);
    if is_seeded(if entry == 0 { Mutant::ViewMissesLoss } else { Mutant::ViewMissesGain }) {
        return;
    }
    let before = table(root)[slot].swap(entry, Relaxed);
    frames.change_table_entries(root, i32::from(entry != 0) - i32::from(before != 0));
}

/// What a view's root has to say about a slot. What differs by CPU, it does not show.
pub fn entry_in_view(base: &Space, slot: usize, bounds: Rights) -> u64 {
    let entry = table(base.map.tree.root)[slot].load(Relaxed);
    if !Format::is_present(entry) {
        return 0;
    }
    let windows = if is_seeded(Mutant::WindowsMistaken) { Share::Attached } else { Share::Window };
    let (share, own_bounds) = match Format::share(entry) {
        // A public subtree: one translation serves all spaces, so none can have it otherwise.
        Some(Share::Copy) => return entry,
        Some(Share::Cloned) => (Share::Copy, Format::bounds(entry)),
        // Beside core windows of other CPUs the first one has one itself, or nothing.
        Some(Share::CoreWindow) => return 0,
        Some(share) if share == windows => return entry,
        Some(share) => (share, Format::bounds(entry)),
        None => (Share::Copy, Rights::ACCESS),
    };
    let bounds = if is_seeded(Mutant::ViewUnbounded) { own_bounds } else { own_bounds & bounds };
    Format::shared_entry(Format::address(entry), bounds, share)
}
