//! Invalidation where the hardware reaches every CPU by itself.
//!
//! An instruction drops a page under one tag, or under all tags at once. When few spaces see a change, each is told
//! apart by its tag, and nobody else loses anything. When more than [`BY_TAG_MAX`] do, one instruction for each address
//! serves all of them; spaces that have something else at that address lose a translation they might have used.

use tessera_abi::PAGE_BYTES;
use tessera_arch::VirtAddr;

use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::object::id::{MapTarget, SpaceId};
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::PAGES_MAX;
use crate::tlb::audience::{self, AffectedRange};
use crate::tlb::global;

/// In more spaces than this, a page is invalidated under all tags at once.
///
/// In instructions of the CPU that does it, by address is the cheaper from the first space on (816, against 913 by the
/// tag of one and 1,134 by those of two: `protect_shared_N` in `tests/bench`). A few go by tag all the same, to spare
/// the others what they have at that address.
pub const BY_TAG_MAX: usize = 3;

/// Invalidates pages on all CPUs that one space sees alone.
#[inline(always)]
pub(crate) fn broadcast_in_space(kernel: &Kernel, space: SpaceId, range: PageRange) {
    broadcast_by_tag(kernel, &audience::seen_in_space(kernel, space, range));
}

/// Invalidates pages of an owner on all CPUs.
pub(crate) fn broadcast(kernel: &Kernel, owner: MapTarget, range: PageRange) {
    if count_seen(kernel, owner, BY_TAG_MAX) > BY_TAG_MAX {
        let mut pages = 0;
        let is_told = range.count <= PAGES_MAX
            && for_each_address(kernel, owner, range, &mut |range| {
                pages += range.count.max(1);
                pages <= PAGES_MAX
            });
        if is_told {
            for_each_address(kernel, owner, range, &mut |range| broadcast_by_address(kernel, range));
            return;
        }
        if audience::is_seen_by_many(kernel, owner) {
            return global::flush_everywhere(kernel);
        }
    }
    audience::for_each_seen(kernel, owner, range, &mut |seen| broadcast_by_tag(kernel, &seen));
}

/// How many spaces, views included, see an owner's pages; one that sees them through several subtrees counts as
/// often. Counts no further than just over the limit.
fn count_seen(kernel: &Kernel, owner: MapTarget, limit: usize) -> usize {
    let id = match owner {
        MapTarget::Space(id) => return 1 + kernel.spaces[id].views.len(),
        MapTarget::Subtree(id) => id,
    };
    if kernel.subtrees[id].sharers.are_spaces_over(limit) {
        return limit + 1;
    }
    let mut seen = 0;
    for group in kernel.subtrees[id].sharers.groups() {
        seen += count_seen(kernel, group.owner, limit);
        if seen > limit {
            break;
        }
    }
    seen
}

/// Calls `each` for every range of addresses at which some space shows pages of an owner, until it gives false; gives
/// whether these are all. They are not if spaces have a subtree at different places, or others at many: then tags tell the spaces apart.
fn for_each_address(
    kernel: &Kernel,
    owner: MapTarget,
    range: PageRange,
    each: &mut dyn FnMut(PageRange) -> bool,
) -> bool {
    let MapTarget::Subtree(id) = owner else { return each(range) };
    let sharers = &kernel.subtrees[id].sharers;
    let shifted = |page: u64| PageRange { first: page + range.first, ..range };
    if sharers.is_in_spaces() && !is_seeded(Mutant::AddressForgotten) {
        let is_told = sharers.common_page().is_some_and(|page| each(shifted(page)));
        if !is_told {
            return false;
        }
    }
    if sharers.nested_count() > audience::LOOKS_MOST {
        return false;
    }
    let mut nested = sharers.nested();
    nested.all(|sharer| {
        steps::count();
        for_each_address(kernel, sharer.owner(), shifted(sharer.place().page), each)
    })
}

fn broadcast_by_address(kernel: &Kernel, range: PageRange) -> bool {
    let line = &kernel.shared.cpus[tessera_arch::cpu_index()];
    line.counters.shared_page_flushes.add(range.count);
    for page in range.first..range.end() {
        tessera_arch::invalidate_page_all_tags(VirtAddr::new(page * PAGE_BYTES));
    }
    true
}

/// For one space. One that was never activated under a tag of this generation has nothing anywhere that will be
/// used again.
fn broadcast_by_tag(kernel: &Kernel, seen: &AffectedRange) {
    let words = kernel.shared.space_words(seen.space.index());
    let here = tessera_arch::cpu_index();
    let (tag, line) = (words.tag().tag(), &kernel.shared.cpus[here]);
    if words.tag().generation() == 0 {
        return;
    }
    let local = seen.cpus == 1 << here;
    if seen.range.count > PAGES_MAX {
        line.counters.range_flushes.add(1);
        let flush = if local { tessera_arch::invalidate_tag_local } else { tessera_arch::invalidate_tag };
        return flush(tag);
    }
    line.counters.page_flushes.add(seen.range.count);
    let flush = if local { tessera_arch::invalidate_page_local } else { tessera_arch::invalidate_page };
    for page in seen.range.first..seen.range.end() {
        flush(VirtAddr::new(page * PAGE_BYTES), tag);
    }
}
