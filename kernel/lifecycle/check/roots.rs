//! Roots that are copies say what they should: views, other CPUs' roots, public slots.

use core::ops::Bound::{Excluded, Unbounded};
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::TOP_SLOTS;
use tessera_arch::{Format, Frame, PageFormat, Share, table};

use crate::base::effort::Effort;
use crate::object::id::SpaceId;
use crate::object::space::Space;
use crate::state::kernel::Kernel;
use crate::state::self_check::Walk;
use crate::vm::view;

/// Effort of looking at a slot or a view, and at each root there.
const SLOT_UNITS: u32 = 3;
const VIEW_UNITS: u32 = 10;

/// Checks the roots of a space, as much further as the effort goes for.
pub(super) fn check_roots(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let Some((id, space)) = kernel.spaces.look(walk.number) else { return true };
    if kernel.spaces.is_doomed(walk.number) {
        return true;
    }
    if let Some(seen) = space.seen {
        let root = kernel.spaces[seen.base].view_roots.root(seen.bounds);
        assert_eq!(root, Some(space.map.tree.root), "views that allow the same have one root");
    }
    let (at, facts) = (walk.place.roots(), &mut walk.facts);
    let units = SLOT_UNITS + kernel.cpus() as u32 / 2;
    while let Some(public) = kernel.public.get(at.public) {
        if !effort.is_left() {
            return false;
        }
        if public.is_shown() {
            check_public(space, public.slot, kernel.subtrees[public.subtree].map.tree.root);
        }
        effort.spend(units);
        (at.public, *facts) = (at.public + 1, *facts + 1);
    }
    while at.slot < TOP_SLOTS {
        if !effort.is_left() {
            return false;
        }
        check_slot(kernel, space, at.slot);
        effort.spend(units);
        at.slot += 1;
    }
    while let Some(view) = view_behind(space, at.view) {
        if !effort.is_left() {
            return false;
        }
        let is_view = kernel.spaces[view].seen.is_some_and(|seen| seen.base == id);
        assert!(is_view, "what a base lists are its views");
        effort.spend(VIEW_UNITS);
        at.view = Some(view);
    }
    let is_listed = space.seen.is_none_or(|seen| kernel.spaces[seen.base].views.contains(&id));
    assert!(is_listed, "a base knows its views");
    let rooted = space.view_roots.iter().map(|(_, root)| kernel.frames.table_owner(root) as usize).sum::<usize>();
    assert_eq!(rooted, space.views.len(), "a base counts the views that have a root");
    *facts += 5;
    true
}

fn entry_of(root: Frame, slot: usize) -> u64 {
    table(root)[slot].load(Relaxed)
}

fn check_public(space: &Space, slot: usize, shown: Frame) {
    let is_shown = |entry: u64| Format::is_present(entry) && Format::address(entry) == shown.start();
    assert!(space.roots().all(|root| is_shown(entry_of(root, slot))), "all spaces show what is public");
}

fn check_slot(kernel: &Kernel, space: &Space, slot: usize) {
    let entry = entry_of(space.map.tree.root, slot);
    if space.has_core_window(slot) {
        let is_one = entry == 0 || Format::share(entry) == Some(Share::CoreWindow);
        assert!(is_one, "beside a core window the first CPU has one as well, or nothing");
        return;
    }
    assert!(space.roots().all(|root| entry_of(root, slot) == entry), "all CPUs' roots are alike");
    if let Some(seen) = space.seen {
        let due = view::entry_in_view(&kernel.spaces[seen.base], slot, seen.bounds);
        assert_eq!(entry, due, "a view shows what its base holds");
    }
}

/// The first view behind another, or of all.
fn view_behind(space: &Space, view: Option<SpaceId>) -> Option<SpaceId> {
    space.views.range((view.map_or(Unbounded, Excluded), Unbounded)).next().copied()
}
