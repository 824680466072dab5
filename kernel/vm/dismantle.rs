//! Taking apart what a space or subtree shows, of which nobody can find it any more: by steps, each of which leaves
//! tables, records and charges as they say of each other.
//!
//! First no CPU holds anything of it: a subtree is attached nowhere, or its last place was flushed when it went; a space has
//! nobody in it, and is flushed once. So what follows needs no flush, in whatever order it goes, and whatever others do
//! between the steps with what is attached or mapped here still: they flush what they change, for those that list it.
//!
//! The tables go from the root down. An entry is taken out and what it led to is seen to: a table of the same tree is cut
//! loose, to be emptied in its turn; an attached subtree forgets the place. Where a step ends, nothing has to be
//! remembered: empty entries are behind it. The mappings, of which no entry tells any more, come last.

use core::sync::atomic::Ordering::Relaxed;

use tessera_arch::{Format, Frame, PageFormat, Share};

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::object::address_map::Lenders;
use crate::object::id::{AttachPoint, MapTarget, Object};
use crate::object::reverse_map::Sharer;
use crate::object::space::SLOT_PAGES;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::own_entries;
use crate::paging::range::EVERYTHING;
use crate::paging::slots::{is_cloned, is_own_table};
use crate::state::kernel::Kernel;
use crate::tlb::flush;
use crate::vm::attach;
use crate::vm::target;

/// Effort of forgetting where a subtree is attached.
const PLACE_UNITS: u32 = 80;

/// Effort of cutting a table loose, and of freeing it.
const TABLE_UNITS: u32 = 25;

/// Effort of taking an entry out that shows a large page.
const LEAF_UNITS: u32 = 4;

/// Entries without anything that a unit of effort goes past.
const PASSED_A_UNIT: u32 = 2;

/// Effort of a look along a root.
const LOOK_UNITS: u32 = 60;

/// Takes apart as much as the effort goes; gives whether nothing is left but a root.
#[inline(always)]
pub(crate) fn dismantle(kernel: &mut Kernel, owner: MapTarget, effort: &mut Effort) -> bool {
    let map = target::map_of(kernel, owner);
    let is_blank = map.is_blank() && !has_other_roots(kernel, owner);
    is_blank || dismantle_some(kernel, owner, effort)
}

#[inline(never)]
fn dismantle_some(kernel: &mut Kernel, owner: MapTarget, effort: &mut Effort) -> bool {
    if !target::map_of(kernel, owner).is_unseen {
        if !is_seeded(Mutant::DismantledUnflushed) {
            flush::invalidate(kernel, owner, EVERYTHING, true);
        }
        target::map_mut(kernel, owner).is_unseen = true;
    }
    let (payer, before) = (target::payer_of(kernel, owner), charged_bytes(kernel, owner));
    let is_done = take_other_roots(kernel, owner, effort)
        && empty_root(kernel, owner, effort)
        && free_loose_tables(kernel, owner, effort)
        && forget_cloned_tables(kernel, owner)
        && forget_mappings(kernel, owner, effort);
    let after = charged_bytes(kernel, owner);
    kernel.adjust_charge(payer, before, after);
    is_done
}

/// Tables that were let go of because clones have them are not counted one by one: nothing is left now but the root.
fn forget_cloned_tables(kernel: &mut Kernel, owner: MapTarget) -> bool {
    target::map_mut(kernel, owner).tree.forget_cloned();
    true
}

fn forget_mappings(kernel: &mut Kernel, owner: MapTarget, effort: &mut Effort) -> bool {
    let Kernel { spaces, subtrees, segments, tables, uses, frames, .. } = kernel;
    let map = target::open(spaces, subtrees, owner).0;
    map.privates.forget_all(frames, effort) && map.forget_mappings(&mut Lenders { segments, tables, uses }, effort)
}

fn charged_bytes(kernel: &Kernel, owner: MapTarget) -> u64 {
    match owner {
        MapTarget::Space(id) => kernel.spaces[id].extra_bytes(),
        MapTarget::Subtree(id) => kernel.subtrees[id].extra_bytes(),
    }
}

fn has_other_roots(kernel: &Kernel, owner: MapTarget) -> bool {
    matches!(owner, MapTarget::Space(id) if kernel.spaces[id].roots().nth(1).is_some())
}

/// Takes what other CPUs' roots show alone out of them, and frees them, the last CPU's first.
fn take_other_roots(kernel: &mut Kernel, owner: MapTarget, effort: &mut Effort) -> bool {
    let MapTarget::Space(id) = owner else { return true };
    while let Some((cpu, root)) = kernel.spaces[id].last_other_root() {
        for (slot, word) in own_entries(root, tessera_arch::TOP_LEVEL).iter().enumerate() {
            let entry = word.load(Relaxed);
            if Format::share(entry) != Some(Share::CoreWindow) {
                continue;
            }
            word.store(0, Relaxed);
            let place = AttachPoint { page: slot as u64 * SLOT_PAGES, cpu: Some(cpu) };
            forget_place(kernel, owner, place, entry, false);
            if !effort.spend(PLACE_UNITS) {
                return false;
            }
        }
        kernel.spaces[id].drop_last_root(&mut kernel.frames);
        if !effort.spend(LOOK_UNITS) {
            return false;
        }
    }
    true
}

fn empty_root(kernel: &mut Kernel, owner: MapTarget, effort: &mut Effort) -> bool {
    let tree = &target::map_of(kernel, owner).tree;
    let (root, level) = (tree.root, tree.level);
    empty_table(kernel, owner, root, level, 0, effort)
}

fn free_loose_tables(kernel: &mut Kernel, owner: MapTarget, effort: &mut Effort) -> bool {
    while let Some((holder, level, page)) = target::map_of(kernel, owner).tree.first_loose(&kernel.frames) {
        // What is cut loose here comes before this one, which is come back to with nothing left in it.
        if !empty_table(kernel, owner, holder, level, page, effort) && !is_seeded(Mutant::LooseTableForgotten) {
            return false;
        }
        let tree = &mut target::open(&mut kernel.spaces, &mut kernel.subtrees, owner).0.tree;
        if tree.first_loose(&kernel.frames).is_some_and(|(first, ..)| first == holder) {
            tree.free_loose(&mut kernel.frames);
        }
        if !effort.spend(TABLE_UNITS) {
            return false;
        }
    }
    true
}

/// Takes entries out of a table whose entries have this level, and which begins with this page; gives whether none is left.
fn empty_table(
    kernel: &mut Kernel,
    owner: MapTarget,
    holder: Frame,
    level: u8,
    page: u64,
    effort: &mut Effort,
) -> bool {
    if level == 0 {
        effort.spend(empty_lowest(kernel, holder));
        return effort.is_left();
    }
    let (mut left, mut passed) = (kernel.frames.table_entries(holder), 0);
    for (index, slot) in own_entries(holder, level).iter().enumerate() {
        // Behind the last entry nothing is left to do; there may be none at all.
        if left == 0 {
            break;
        }
        let entry = slot.load(Relaxed);
        if !Format::is_present(entry) {
            passed += 1;
            continue;
        }
        slot.store(0, Relaxed);
        left = kernel.frames.change_table_entries(holder, -1);
        let units = see_to(kernel, owner, entry, level, page + index as u64 * entry_pages(level));
        if !effort.spend(units + passed / PASSED_A_UNIT) {
            return false;
        }
        passed = 0;
    }
    true
}

/// Takes all entries out of a lowest table, which has nothing but pages; gives the effort.
fn empty_lowest(kernel: &mut Kernel, holder: Frame) -> u32 {
    let entries = kernel.frames.table_entries(holder);
    let (mut left, mut looked) = (entries, 0);
    for slot in own_entries(holder, 0) {
        // Behind the last entry nothing is left to do; there may be none at all.
        if left == 0 {
            break;
        }
        if slot.load(Relaxed) != 0 {
            slot.store(0, Relaxed);
            left -= 1;
        }
        looked += 1;
    }
    kernel.frames.change_table_entries(holder, -i32::from(entries));
    // One that is taken out takes twice as much.
    (looked + u32::from(entries)) / PASSED_A_UNIT
}

/// Sees to what an entry led to that was taken out, and began at this page; gives the effort.
fn see_to(kernel: &mut Kernel, owner: MapTarget, entry: u64, level: u8, page: u64) -> u32 {
    let is_cloned = is_cloned(entry);
    if is_cloned || is_own_table(entry, level) {
        let lower = Frame::containing(Format::address(entry));
        let tree = &mut target::open(&mut kernel.spaces, &mut kernel.subtrees, owner).0.tree;
        if is_cloned && !kernel.frames.drop_sharer(lower) {
            // Others have it, and all that is below it.
            tree.has_let_go = true;
            return TABLE_UNITS;
        }
        tree.cut_loose(&mut kernel.frames, lower, level - 1, page);
        return TABLE_UNITS;
    }
    let cpu = match Format::share(entry) {
        Some(Share::CoreWindow) => Some(0),
        Some(Share::Attached | Share::Window) => None,
        Some(Share::Copy | Share::Cloned) | None => return LEAF_UNITS,
    };
    let is_below = level < target::map_of(kernel, owner).tree.level;
    forget_place(kernel, owner, AttachPoint { page, cpu }, entry, is_below);
    PLACE_UNITS
}

/// The subtree that an entry led to forgets the place. Somebody may have withdrawn it meanwhile, and it may be gone: then
/// what is found by the entry's frame does not list the place.
fn forget_place(kernel: &mut Kernel, owner: MapTarget, place: AttachPoint, entry: u64, is_below: bool) {
    target::map_mut(kernel, owner).forget_attachment(place, is_below);
    let root = Frame::containing(Format::address(entry));
    let sharer = Sharer::new(owner, place);
    let number = kernel.frames.table_owner(root);
    let Some((subtree, object)) = kernel.subtrees.look(number) else { return };
    if object.map.tree.root == root && object.sharers.contains(&sharer) {
        attach::forget_place(kernel, subtree, owner, place);
    }
}
