//! Changing what is mapped: a record and its entries together, then the flush.

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::VirtAddr;

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::object::address_map::{AddressMap, Mapping};
use crate::object::id::MapTarget;
use crate::object::segment::Segment;
use crate::object::store::Store;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::target;
use crate::vm::view;

/// Makes a planned mapping.
pub fn map(kernel: &mut Kernel, owner: MapTarget, first: u64, mapping: Mapping) {
    target::change_map(kernel, owner, |map, frames, segments| map.map(frames, segments, first, mapping));
}

/// Unmaps a planned range.
pub fn unmap(kernel: &mut Kernel, owner: MapTarget, range: PageRange) {
    split_ends(kernel, owner, range);
    change_translations(kernel, owner, range, |map, frames, segments, freed| map.unmap(frames, segments, range, freed));
}

/// Gives a planned range new rights.
pub fn protect(kernel: &mut Kernel, owner: MapTarget, range: PageRange, rights: Rights) {
    split_ends(kernel, owner, range);
    let count = if is_seeded(Mutant::ProtectUnflushed) { 0 } else { range.count };
    let flushed = PageRange { count, ..range };
    change_translations(kernel, owner, flushed, |map, _, segments, _| map.protect(segments, range, rights));
}

/// Changes live translations: the flush comes before tables are freed, and before memory that is not
/// mapped any more can be (`lifecycle::reap`).
fn change_translations(
    kernel: &mut Kernel,
    owner: MapTarget,
    range: PageRange,
    change: impl FnOnce(&mut AddressMap, &mut FrameAllocator, &mut Store<Segment>, &mut FrameList),
) {
    let mut freed_tables = FrameList::new();
    target::change_map(kernel, owner, |map, frames, segments| change(map, frames, segments, &mut freed_tables));
    flush::execute(kernel, Flush { owner, range, freed_tables });
}

/// Splits the large pages that straddle the ends of a range.
fn split_ends(kernel: &mut Kernel, owner: MapTarget, range: PageRange) {
    for page in [range.first, range.end()] {
        let address = VirtAddr::new(page * PAGE_BYTES);
        while let Some((large, first, count)) = target::tree_mut(kernel, owner).take_straddling(address) {
            view::sync_roots(kernel, owner);
            tessera_arch::publish_tables();
            let count = if is_seeded(Mutant::SplitWithoutBreak) { 0 } else { count };
            flush::invalidate(kernel, owner, PageRange { first, count }, false);
            target::change_map(kernel, owner, |map, frames, _| map.tree.put_split(frames, large));
        }
    }
}
