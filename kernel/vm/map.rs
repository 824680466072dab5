//! Making short mappings, and splitting those that straddle the ends of a change.

use tessera_abi::PAGE_BYTES;
use tessera_arch::VirtAddr;

use crate::base::mutants::{Mutant, is_seeded};
use crate::object::address_map::{Cost, Lenders, MapPlan, Mapping};
use crate::object::id::{CapId, MapTarget, UseId};
use crate::object::use_pool::Use;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::flush;
use crate::vm::target;
use crate::vm::view;

/// Makes a planned mapping, through a capability to the segment; through none, if the kernel makes it for itself.
#[inline(always)]
pub fn map(
    kernel: &mut Kernel,
    owner: MapTarget,
    first: u64,
    mut mapping: Mapping,
    (plan, through): (MapPlan, Option<CapId>),
) {
    if let Some(through) = through {
        mapping.lent = note(kernel, through, (owner, first), mapping.segment);
    }
    if plan.slots.is_none() {
        return map_adding_tables(kernel, owner, first, &mapping);
    }
    let Kernel { spaces, subtrees, frames, segments, accounts, tables, uses, .. } = kernel;
    let (map, payer) = target::open(spaces, subtrees, owner);
    map.map(frames, &mut Lenders { segments, tables, uses }, first, mapping, plan.slots);
    accounts[payer].charge(plan.cost.bytes());
}

/// Notes what is about to be mapped as a use, if it is to be noted.
#[inline(always)]
pub(super) fn note(
    kernel: &mut Kernel,
    through: CapId,
    (owner, first): (MapTarget, u64),
    segment: u32,
) -> Option<UseId> {
    let segment = kernel.segments.at(segment);
    let is_noted = segment.notes_all || target::payer_of(kernel, owner) != segment.account;
    kernel.lend_derived_or(through, Use::mapping(owner, first), |_| is_noted)
}

#[inline(never)]
fn map_adding_tables(kernel: &mut Kernel, owner: MapTarget, first: u64, mapping: &Mapping) {
    target::change_map(kernel, owner, |map, frames, lenders| map.map(frames, lenders, first, *mapping, None));
}

/// Splits the large pages that straddle the ends of a range, then the mappings, if the plan found any that do.
pub(crate) fn split_ends(kernel: &mut Kernel, owner: MapTarget, range: PageRange, cost: Cost) {
    if cost.records != 0 {
        split_at(kernel, owner, range.first);
        split_at(kernel, owner, range.end());
    }
}

#[cold]
fn split_at(kernel: &mut Kernel, owner: MapTarget, page: u64) {
    split_large_at(kernel, owner, page);
    target::change_map(kernel, owner, |map, _, lenders| map.split_record(lenders, page));
}

/// Splits the large pages that straddle the start of a page; what that takes was found affordable.
pub(super) fn split_large_at(kernel: &mut Kernel, owner: MapTarget, page: u64) {
    let address = VirtAddr::new(page * PAGE_BYTES);
    while let Some((large, first, count)) = target::map_mut(kernel, owner).tree.take_straddling(address) {
        view::sync_roots(kernel, owner);
        tessera_arch::publish_tables();
        let count = if is_seeded(Mutant::SplitWithoutBreak) { 0 } else { count };
        flush::invalidate(kernel, owner, PageRange { first, count }, false);
        target::change_map(kernel, owner, |map, frames, _| map.tree.put_split(frames, large));
    }
}
