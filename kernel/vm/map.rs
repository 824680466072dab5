//! Changing what is mapped: a record and its entries together, then the flush.

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::VirtAddr;

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameList;
use crate::object::address_map::{Cost, MapPlan, Mapping};
use crate::object::id::MapTarget;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::target;
use crate::vm::view;

/// Makes a planned mapping.
#[inline(always)]
pub fn map(kernel: &mut Kernel, owner: MapTarget, first: u64, mapping: Mapping, plan: MapPlan) {
    if plan.slots.is_none() {
        return map_adding_tables(kernel, owner, first, &mapping);
    }
    let Kernel { spaces, subtrees, frames, segments, accounts, .. } = kernel;
    let (map, payer) = target::open(spaces, subtrees, owner);
    map.map(frames, segments, first, mapping, plan.slots);
    accounts[payer].charge(plan.cost.bytes());
}

#[inline(never)]
fn map_adding_tables(kernel: &mut Kernel, owner: MapTarget, first: u64, mapping: &Mapping) {
    target::change_map(kernel, owner, |map, frames, segments| map.map(frames, segments, first, *mapping, None));
}

/// Unmaps a range, as planned at this cost. The flush comes before tables are freed, and before memory that is not mapped
/// any more can be (`lifecycle::reap`).
#[inline(always)]
pub fn unmap(kernel: &mut Kernel, owner: MapTarget, range: PageRange, cost: Cost) {
    split_ends(kernel, owner, range, cost);
    let mut freed_tables = FrameList::new();
    let Kernel { spaces, subtrees, frames, segments, accounts, .. } = &mut *kernel;
    let (map, payer) = target::open(spaces, subtrees, owner);
    let before = map.bytes();
    map.unmap(frames, segments, range, &mut freed_tables);
    accounts[payer].credit(before - map.bytes());
    if map.tree.is_root_changed() {
        view::sync_roots(kernel, owner);
    }
    flush::execute(kernel, Flush { owner, range, freed_tables });
}

/// Gives a range new rights, as planned at this cost.
#[inline(always)]
pub fn protect(kernel: &mut Kernel, owner: MapTarget, range: PageRange, rights: Rights, cost: Cost) {
    split_ends(kernel, owner, range, cost);
    let count = if is_seeded(Mutant::ProtectUnflushed) { 0 } else { range.count };
    target::map_mut(kernel, owner).protect(range, rights);
    flush::execute(kernel, Flush { owner, range: PageRange { count, ..range }, freed_tables: FrameList::new() });
}

/// Splits the large pages that straddle the ends of a range, then the mappings, if the plan found any that do.
#[inline(always)]
fn split_ends(kernel: &mut Kernel, owner: MapTarget, range: PageRange, cost: Cost) {
    if cost.records != 0 {
        split_at(kernel, owner, range.first);
        split_at(kernel, owner, range.end());
    }
}

#[cold]
fn split_at(kernel: &mut Kernel, owner: MapTarget, page: u64) {
    let address = VirtAddr::new(page * PAGE_BYTES);
    while let Some((large, first, count)) = target::map_mut(kernel, owner).tree.take_straddling(address) {
        view::sync_roots(kernel, owner);
        tessera_arch::publish_tables();
        let count = if is_seeded(Mutant::SplitWithoutBreak) { 0 } else { count };
        flush::invalidate(kernel, owner, PageRange { first, count }, false);
        target::change_map(kernel, owner, |map, frames, _| map.tree.put_split(frames, large));
    }
    target::change_map(kernel, owner, |map, _, segments| map.split_record(segments, page));
}
