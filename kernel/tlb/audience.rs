//! Who sees a change of a space or subtree, and where.
//!
//! A subtree may be at many places of another, that at many places of a space, and the space may have views. What a
//! change costs grows with the sum of these, not with their product: each owner counts once, with the union of all places
//! at which it has the subtree; each space once, with the union of what all ways to it show; and so does each view.

use core::sync::atomic::Ordering::Relaxed;

use tessera_arch::{Format, Frame, PageFormat};

use crate::base::cpu_set::{self, CpuSet};
use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::cpu::handshake::NO_SPACE;
use crate::cpu::note::Note;
use crate::object::id::{MapTarget, SpaceId, SubtreeId};
use crate::object::reverse_map::{Group, ReverseMap};
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::paging::range::{PageRange, page_address};
use crate::state::kernel::Kernel;

/// A page range of a space that sees a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AffectedRange {
    pub(crate) space: SpaceId,
    pub(crate) range: PageRange,
    /// The CPUs on which it is seen: all but for core windows and CPU-local spaces.
    pub(crate) cpus: CpuSet,
}

/// What a space sees of a change, views aside.
#[derive(Clone, Copy, Debug)]
struct Sight {
    range: PageRange,
    cpus: CpuSet,
    /// Whether views of the space see it too: not what is in core windows only.
    in_views: bool,
}

impl Sight {
    fn noted(note: &Note) -> Sight {
        let range = PageRange { first: note.first.load(Relaxed), count: note.count.load(Relaxed) };
        Sight { range, cpus: note.cpus.load(Relaxed), in_views: note.in_views.load(Relaxed) }
    }

    fn note(self, note: &Note) {
        note.first.store(self.range.first, Relaxed);
        note.count.store(self.range.count, Relaxed);
        note.cpus.store(self.cpus, Relaxed);
        note.in_views.store(self.in_views, Relaxed);
    }

    /// What two ways show together.
    fn joined(self, other: Sight) -> Sight {
        let cpus = if is_seeded(Mutant::SecondWayOtherCpus) { self.cpus } else { self.cpus | other.cpus };
        let in_views = self.in_views || other.in_views && !is_seeded(Mutant::SecondWayUnseenInViews);
        Sight { range: union(self.range, other.range), cpus, in_views }
    }
}

/// Calls `each` once for every space and view that sees pages of an owner, with the union of what it sees.
pub(crate) fn for_each_seen(kernel: &Kernel, owner: MapTarget, range: PageRange, each: &mut dyn FnMut(AffectedRange)) {
    let subtree = match owner {
        MapTarget::Space(space) => return tell(kernel, space, sight_of(kernel, space, range, None), each),
        MapTarget::Subtree(id) => id,
    };
    let sharers = &kernel.subtrees[subtree].sharers;
    if !sharers.is_nested() {
        // Each space is in one group.
        for group in told(sharers) {
            if let MapTarget::Space(space) = group.owner {
                tell(kernel, space, sight_of(kernel, space, group.union_of(range), group.cpu), each);
            }
        }
        return;
    }
    let mut next = NO_SPACE;
    gather(kernel, subtree, range, &mut next);
    while let Some(space) = kernel.spaces.id_at(next) {
        let note = kernel.shared.space_words(next).note();
        let sight = Sight::noted(note);
        note.cpus.store(0, Relaxed);
        next = note.next.load(Relaxed);
        tell(kernel, space, sight, each);
    }
}

/// When more spaces than these see a change, it is not told to each: all CPUs drop everything, which takes the same for any
/// number.
const TOLD_MOST: usize = 128;

/// Where each CPU's pass is to be turned, for each space, they are no more than make so many passes.
const PASSES_MOST: usize = 512;

/// Where each CPU is asked what it shows of a subtree, by each subtree in which that is, they are no more than make so many looks;
/// where the hardware reaches every CPU, no more than so many.
pub(super) const LOOKS_MOST: usize = 128;

/// So many of what is looked at for each CPU; where the hardware reaches every CPU, none is looked at.
fn for_each_cpu(kernel: &Kernel, most: usize) -> usize {
    let cpus = if tessera_arch::broadcasts_invalidation() { 1 } else { kernel.cpus() };
    (most / cpus).min(TOLD_MOST)
}

/// Whether a subtree is in so many others that what changes in it is not told to those who see these.
#[inline(always)]
pub(crate) fn is_in_many(kernel: &Kernel, sharers: &ReverseMap) -> bool {
    sharers.is_nested() && sharers.nested_count() > for_each_cpu(kernel, LOOKS_MOST) && are_many(kernel, sharers)
}

/// Whether those others are many: one may hold it at many places, and is looked at once.
#[cold]
#[inline(never)]
fn are_many(kernel: &Kernel, sharers: &ReverseMap) -> bool {
    sharers.nested_groups().nth(for_each_cpu(kernel, LOOKS_MOST)).is_some()
}

/// Whether so many spaces see an owner's pages, views included, that they are not told one by one. One that sees them through
/// several subtrees counts as often.
pub(crate) fn is_seen_by_many(kernel: &Kernel, owner: MapTarget) -> bool {
    fn count(kernel: &Kernel, owner: MapTarget, most: usize, left: &mut usize) -> bool {
        match owner {
            MapTarget::Space(id) => *left = left.saturating_sub(1 + kernel.spaces[id].views.len()),
            MapTarget::Subtree(id) if kernel.subtrees[id].sharers.are_spaces_over(most) => *left = 0,
            MapTarget::Subtree(id) => {
                return kernel.subtrees[id].sharers.groups().all(|group| count(kernel, group.owner, most, left));
            }
        }
        steps::count();
        *left != 0
    }
    let most = for_each_cpu(kernel, PASSES_MOST);
    !count(kernel, owner, most, &mut { most + 1 })
}

/// Notes at each space what it sees of a subtree, through others or not, and chains those that had nothing noted.
fn gather(kernel: &Kernel, subtree: SubtreeId, range: PageRange, chain: &mut u32) {
    for group in told(&kernel.subtrees[subtree].sharers) {
        let union = group.union_of(range);
        match group.owner {
            MapTarget::Subtree(_) if is_seeded(Mutant::NestedSharerForgotten) => {}
            MapTarget::Subtree(outer) => gather(kernel, outer, union, chain),
            MapTarget::Space(space) => {
                let note = kernel.shared.space_words(space.index()).note();
                let sight = sight_of(kernel, space, union, group.cpu);
                if note.is_empty() {
                    sight.note(note);
                    note.next.store(core::mem::replace(chain, space.index()), Relaxed);
                } else {
                    Sight::noted(note).joined(sight).note(note);
                }
            }
        }
    }
}

/// What a space without views sees of a change of its own, which is the usual case.
#[inline(always)]
pub(crate) fn seen_in_space(kernel: &Kernel, space: SpaceId, range: PageRange) -> AffectedRange {
    let only_cpu = kernel.shared.space_words(space.index()).only_cpu();
    AffectedRange { space, range, cpus: only_cpu.map_or(cpu_set::ALL, |cpu| 1 << cpu) }
}

/// What a space sees of a range of its own, or of one in a core window.
#[inline(always)]
fn sight_of(kernel: &Kernel, space: SpaceId, range: PageRange, window: Option<usize>) -> Sight {
    let cpu = window.map(|cpu| window_cpu(kernel, cpu));
    let cpu = cpu.or_else(|| kernel.shared.space_words(space.index()).only_cpu());
    Sight { range, cpus: cpu.map_or(cpu_set::ALL, |cpu| 1 << cpu), in_views: window.is_none() }
}

#[inline(always)]
fn tell(kernel: &Kernel, space: SpaceId, sight: Sight, each: &mut dyn FnMut(AffectedRange)) {
    let Sight { range, cpus, in_views } = sight;
    steps::count();
    each(AffectedRange { space, range, cpus });
    if in_views && !is_seeded(Mutant::ViewUnflushed) {
        for view in &kernel.spaces[space].views {
            steps::count();
            each(AffectedRange { space: *view, range, cpus });
        }
    }
}

/// What a change in a subtree is a change of, if the subtree is at one place, on every CPU: of a range of its owner.
#[inline(always)]
pub(crate) fn only_seen_as(sharers: &ReverseMap, range: PageRange) -> Option<(MapTarget, PageRange)> {
    let (sharer, is_nested) = (sharers.only()?, sharers.is_nested());
    let place = sharer.place();
    // These are bugs of how several places are told.
    let is_told_apart = is_seeded(Mutant::SharerForgotten) || is_nested && is_seeded(Mutant::NestedSharerForgotten);
    let range = PageRange { first: place.page + range.first, ..range };
    (place.cpu.is_none() && !is_told_apart).then_some((sharer.owner(), range))
}

/// The part of the space in which a CPU is, by number, that shows pages of an owner: from the first place to the
/// last. One range, because a CPU is asked once for each space, however often it sees a change there; see
/// `Presence::invalidate`.
pub(crate) fn visible_in(
    kernel: &Kernel,
    cpu: usize,
    space: u32,
    owner: MapTarget,
    range: PageRange,
) -> Option<PageRange> {
    let id = if space == NO_SPACE { None } else { kernel.spaces.id_at(space) }?;
    let seen = kernel.seen_in(id);
    if seen.base != id && is_seeded(Mutant::ViewUnflushed) {
        return None;
    }
    // A view shows no core windows.
    let cpu = (seen.base == id).then_some(cpu);
    visible_from(kernel, seen.base, cpu, owner, range)
}

/// The same for a space that is no view. A subtree lies one deep in others, and no deeper.
#[inline(always)]
fn visible_from(
    kernel: &Kernel,
    from: SpaceId,
    cpu: Option<usize>,
    owner: MapTarget,
    range: PageRange,
) -> Option<PageRange> {
    let id = match owner {
        MapTarget::Space(id) => return (id == from).then_some(range),
        MapTarget::Subtree(id) => id,
    };
    let visible = visible_directly(kernel, from, cpu, id, range);
    if !kernel.subtrees[id].sharers.is_nested() || is_seeded(Mutant::NestedSharerForgotten) {
        return visible;
    }
    let through = |group: Group| match group.owner {
        MapTarget::Subtree(outer) => visible_directly(kernel, from, cpu, outer, group.union_of(range)),
        MapTarget::Space(_) => None,
    };
    visible.into_iter().chain(kernel.subtrees[id].sharers.nested_groups().filter_map(through)).reduce(union)
}

/// The same for a subtree's own places in a space.
#[inline(always)]
fn visible_directly(
    kernel: &Kernel,
    from: SpaceId,
    cpu: Option<usize>,
    subtree: SubtreeId,
    range: PageRange,
) -> Option<PageRange> {
    let Subtree { map, sharers, .. } = &kernel.subtrees[subtree];
    let group = match sharers.likely_group_in(from) {
        Some(likely) => is_shown(&kernel.spaces[from], cpu, likely.page(), map.tree.root).then_some(likely)?,
        None => sharers.group_in(MapTarget::Space(from))?,
    };
    let window = group.cpu.map(|cpu| window_cpu(kernel, cpu));
    let is_forgotten = is_seeded(Mutant::SharerForgotten) && sharers.groups().next() == Some(group);
    let is_seen = (window.is_none() || window == cpu) && !is_forgotten;
    is_seen.then(|| group.union_of(range))
}

/// Whether a space shows the subtree with this root at a page, on a CPU.
#[inline(always)]
fn is_shown(space: &Space, cpu: Option<usize>, page: u64, root: Frame) -> bool {
    let attached = space.map.tree.attached_over(space.root(cpu.unwrap_or(0)), page_address(page));
    attached.is_some_and(|(entry, _)| Format::address(entry) == root.start())
}

/// Those to whom a change in a subtree is told.
#[inline(always)]
fn told(sharers: &ReverseMap) -> impl Iterator<Item = Group> {
    let mut groups = sharers.groups();
    if is_seeded(Mutant::SharerForgotten) {
        groups.next();
    }
    groups
}

/// The shortest range that holds both.
fn union(one: PageRange, other: PageRange) -> PageRange {
    if is_seeded(Mutant::SecondWayForgotten) {
        return one;
    }
    let first = one.first.min(other.first);
    PageRange { first, count: one.end().max(other.end()) - first }
}

/// The CPU that has a core window.
fn window_cpu(kernel: &Kernel, cpu: usize) -> usize {
    if is_seeded(Mutant::WindowFlushedElsewhere) { (cpu + 1) % kernel.cpus() } else { cpu }
}
