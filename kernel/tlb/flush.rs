//! Flushes: the duty to invalidate that changing a live translation leaves behind.
//!
//! A [`Flush`] holds what one call changed and the tables it took out, and is executed once by
//! [`execute`]: invalidate on exactly the CPUs that may hold a translation, wait for those that had
//! to be interrupted, then free. Whoever drops it otherwise gets a compiler warning.
//!
//! Who may hold one: a CPU that is *in* a space that sees the change (it is interrupted), and a CPU that was in
//! it under its present tag (the tag is marked stale there: no interrupt). Where the hardware broadcasts
//! invalidation, nobody is interrupted or marked (`broadcast`); what all spaces see is in `global`.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::PAGE_BYTES;
use tessera_arch::{Trap, VirtAddr};

use crate::base::cpu_set::CpuSet;
use crate::base::mutants::{Mutant, cut_short, is_seeded};
use crate::cpu::handshake::{NO_SPACE, Request};
use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::cpu::requests;
use crate::mem::FrameList;
use crate::object::id::{MapTarget, SpaceId};
use crate::object::subtree::Subtree;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::PAGES_MAX;
use crate::tlb::audience::{self, AffectedRange};
use crate::tlb::broadcast;
use crate::tlb::global;

/// What must be invalidated before the call returns.
#[derive(Debug)]
#[must_use = "stale translations stay behind unless the flush is executed"]
pub struct Flush {
    /// Whose map changed.
    pub owner: MapTarget,
    /// The pages that changed.
    pub range: PageRange,
    /// Tables that were taken out, to be freed after the invalidation.
    pub freed_tables: FrameList,
}

/// Invalidates what changed wherever it may be held, then frees the tables.
#[inline(always)]
pub fn execute(kernel: &mut Kernel, flush: Flush) {
    let is_alone = is_alone(kernel, flush.owner);
    execute_seen(kernel, flush, is_alone);
}

/// The same for one of whom it is known whether a space sees the change alone.
#[inline(always)]
pub fn execute_seen(kernel: &mut Kernel, mut flush: Flush, is_alone: bool) {
    tessera_arch::publish_tables();
    if is_seeded(Mutant::FreedBeforeFlush) {
        kernel.frames.free_list(core::mem::take(&mut flush.freed_tables));
    }
    let frees_tables = flush.freed_tables.count() != 0;
    if !(is_seeded(Mutant::TablesFreedUnflushed) && frees_tables) {
        invalidate_seen(kernel, flush.owner, flush.range, frees_tables, is_alone);
    }
    kernel.frames.free_list(flush.freed_tables);
}

/// Invalidates pages of an owner wherever a translation may be held. `frees_tables`: tables go as well.
#[inline(always)]
pub fn invalidate(kernel: &Kernel, owner: MapTarget, range: PageRange, frees_tables: bool) {
    invalidate_seen(kernel, owner, range, frees_tables, is_alone(kernel, owner));
}

/// The CPUs that were asked to invalidate something, and have not answered yet.
#[derive(Debug, Default)]
#[must_use = "what was asked for may not be done yet unless it is waited for"]
pub struct Asked(CpuSet);

impl Asked {
    /// Adds those that were asked something else.
    pub fn join(&mut self, Asked(others): Asked) {
        self.0 |= others;
    }

    /// Waits until all have done what was asked.
    #[inline(always)]
    pub fn wait(self, shared: &Shared) {
        if self.0 != 0 {
            requests::await_acknowledgements(shared, self.0);
        }
    }
}

/// Begins to invalidate pages of an owner wherever a translation may be held, tables that went among them. What one space sees alone
/// is done when those who were asked have answered, so that what changes in many spaces can be waited for together; what others
/// see as well is done at once.
pub fn begin(kernel: &Kernel, owner: MapTarget, range: PageRange) -> Asked {
    tessera_arch::publish_tables();
    match owner {
        MapTarget::Space(id) if is_alone(kernel, owner) && !tessera_arch::broadcasts_invalidation() => {
            if may_be_held(kernel, id) { ask_those_inside(kernel, id, range) } else { Asked::default() }
        }
        _ => {
            invalidate(kernel, owner, range, true);
            Asked::default()
        }
    }
}

/// Whether a space sees alone what changes in it.
#[inline(always)]
pub fn is_alone(kernel: &Kernel, owner: MapTarget) -> bool {
    matches!(owner, MapTarget::Space(id) if kernel.spaces.at(id.index()).views.is_empty())
}

#[inline(always)]
fn invalidate_seen(kernel: &Kernel, owner: MapTarget, range: PageRange, frees_tables: bool, is_alone: bool) {
    match owner {
        MapTarget::Space(id) if is_alone => invalidate_space(kernel, id, range),
        _ => invalidate_shared(kernel, owner, range, frees_tables),
    }
}

/// Invalidates what one space sees alone, which is the usual case.
#[inline(always)]
fn invalidate_space(kernel: &Kernel, space: SpaceId, range: PageRange) {
    if may_be_held(kernel, space) {
        invalidate_held(kernel, space, range);
    }
}

/// Whether a CPU may hold anything of a space. The first to enter it gives it a tag, or notes that there is none; who has not entered
/// holds nothing.
#[inline(always)]
fn may_be_held(kernel: &Kernel, space: SpaceId) -> bool {
    kernel.shared.space_words(space.index()).tag().generation() != 0
}

#[inline(never)]
fn invalidate_held(kernel: &Kernel, space: SpaceId, range: PageRange) {
    if tessera_arch::broadcasts_invalidation() {
        broadcast::broadcast_in_space(kernel, space, range);
    } else {
        ask_those_inside(kernel, space, range).wait(kernel.shared);
    }
}

#[inline(never)]
fn invalidate_shared(kernel: &Kernel, owner: MapTarget, range: PageRange, frees_tables: bool) {
    if let MapTarget::Subtree(id) = owner {
        let Subtree { public, sharers, .. } = &kernel.subtrees[id];
        if let Some(slot) = *public {
            return global::invalidate_public(kernel, slot, range, frees_tables);
        }
        if sharers.is_empty() {
            // Nobody sees it, and what once was seen of it was invalidated when it went.
            return;
        }
        if let Some((owner, range)) = audience::only_seen_as(sharers, range) {
            return invalidate(kernel, owner, range, frees_tables);
        }
        if audience::is_in_many(kernel, sharers) {
            return global::flush_everywhere(kernel);
        }
    }
    if tessera_arch::broadcasts_invalidation() {
        broadcast::broadcast(kernel, owner, range);
    } else {
        shoot_down(kernel, owner, range);
    }
}

/// Where the hardware reaches its own CPU only: marks and interrupts the others.
///
/// First every space's passes, then a look at each CPU: it is in at most two spaces, so that a change which
/// many spaces see interrupts each CPU once (for each of the two). If they are too many to turn each one's passes, all goes.
fn shoot_down(kernel: &Kernel, owner: MapTarget, range: PageRange) {
    let here = tessera_arch::cpu_index();
    // Without tags nothing is held for longer than a stay, and the change costs the same for any number of sharers.
    if kernel.tags.bits() != 0 {
        if audience::is_seen_by_many(kernel, owner) {
            return global::flush_everywhere(kernel);
        }
        audience::for_each_seen(kernel, owner, range, &mut |seen| mark_stale(kernel, here, &seen));
    }
    let mut interrupted: CpuSet = 0;
    let cpus = cut_short(kernel.cpus(), Mutant::LastCpuForgotten);
    for line in kernel.shared.cpus.iter().take(cpus) {
        if line.index == here {
            let space = line.presence.space();
            audience::visible_in(kernel, here, space, owner, range).inspect(|range| {
                flush_here(line, kernel.shared.space_words(space).tag().tag(), *range);
            });
            continue;
        }
        let [next, entered] = line.presence.places_after_change();
        let other = if entered == next { NO_SPACE } else { entered };
        // Who is idle is mostly nowhere.
        for space in [next, other].into_iter().filter(|space| *space != NO_SPACE) {
            let Some(range) = audience::visible_in(kernel, line.index, space, owner, range) else { continue };
            if !is_seeded(Mutant::MissingInterrupt) {
                interrupt_for(kernel, line, space, range);
                interrupted |= 1 << line.index;
            }
        }
    }
    requests::await_acknowledgements(kernel.shared, interrupted);
}

/// The same for a change that one space sees, but for waiting.
#[inline(always)]
fn ask_those_inside(kernel: &Kernel, space: SpaceId, range: PageRange) -> Asked {
    let (here, words) = (tessera_arch::cpu_index(), kernel.shared.space_words(space.index()));
    if kernel.tags.bits() != 0 {
        mark_stale(kernel, here, &audience::seen_in_space(kernel, space, range));
    }
    let mut interrupted: CpuSet = 0;
    let cpus = cut_short(kernel.cpus(), Mutant::LastCpuForgotten);
    for line in kernel.shared.cpus.iter().take(cpus) {
        if line.index == here {
            if line.presence.space() == space.index() {
                flush_here(line, words.tag().tag(), range);
            }
        } else if line.presence.is_in(space.index()) && !is_seeded(Mutant::MissingInterrupt) {
            interrupt_for(kernel, line, space.index(), range);
            interrupted |= 1 << line.index;
        }
    }
    Asked(interrupted)
}

/// Turns each CPU's pass to a space stale if the CPU may hold translations under the space's tag. A tag of 0 needs
/// no mark: what is untagged is flushed at each entry.
fn mark_stale(kernel: &Kernel, here: usize, seen: &AffectedRange) {
    let space = seen.space.index();
    let words = kernel.shared.space_words(space);
    if words.tag().tag() == 0 || is_seeded(Mutant::StaleMarkForgotten) {
        return;
    }
    for line in kernel.shared.cpus.iter().take(kernel.cpus()) {
        // This CPU's own space is flushed at once.
        let is_own = line.index == here && line.presence.space() == space;
        if is_own || seen.cpus & (1 << line.index) == 0 {
            continue;
        }
        if line.pass_to(space).make_stale() && !line.presence.places().contains(&space) {
            line.counters.stale_marks.add(1);
        }
    }
}

fn interrupt_for(kernel: &Kernel, line: &PerCpu, space: u32, range: PageRange) {
    let tag = kernel.shared.space_words(space).tag().tag();
    requests::ask(kernel.shared, line, Request::Pages { space, tag, first: range.first, count: range.count });
}

/// Drops pages of the space that this CPU is in.
fn flush_here(line: &PerCpu, tag: u16, mut range: PageRange) {
    range.count = cut_short(range.count, Mutant::RangeOnePageShort);
    if range.count > PAGES_MAX && is_seeded(Mutant::LongRangeDropped) {
        return;
    }
    if range.count > PAGES_MAX {
        line.counters.range_flushes.add(1);
        return tessera_arch::invalidate_tag_local(tag);
    }
    line.counters.page_flushes.add(range.count);
    for page in range.first..range.end() {
        tessera_arch::invalidate_page_local(VirtAddr::new(page * PAGE_BYTES), tag);
    }
}

/// What a CPU has done for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Nothing was asked.
    Nothing,
    /// It has invalidated what it was asked to.
    Pages,
    /// It has let its thread go.
    Parked,
}

/// Does what another CPU has asked of this one, if anything. `in_hand` is what the CPU's thread came into the kernel with,
/// if nothing was done about it yet.
///
/// Called without the kernel's lock: on a shootdown interrupt, and again and again while waiting for the lock.
pub fn handle_ipi(shared: &Shared, line: &PerCpu, in_hand: Option<Trap>) -> Handled {
    let mut done = Handled::Nothing;
    line.presence.handle_request(|request| {
        let is_park = request == Request::Park;
        done = if is_park { Handled::Parked } else { Handled::Pages };
        act(shared, line, in_hand, request);
    });
    done
}

fn act(shared: &Shared, line: &PerCpu, in_hand: Option<Trap>, request: Request) {
    match request {
        Request::Pages { space, tag, first, count } => {
            let way = line.pass_to(space);
            let flush = || flush_here(line, tag, PageRange { first, count });
            let stays_stale = shared.is_closing_tags.load(Relaxed) || shared.space_words(space).takes_locks();
            if !line.presence.invalidate(space, way, stays_stale, flush) {
                line.counters.shootdowns_spurious.add(1);
            }
        }
        Request::Global { first, count } => {
            let tag = shared.tag_of(line);
            global::flush_global(tag, line, PageRange { first, count });
        }
        Request::Park => {
            line.parked_space.store(line.presence.space(), Relaxed);
            line.parked_table.set(line.table.kept());
            line.leave_table();
            put_away(line, in_hand);
            tessera_arch::leave_context();
            if !is_seeded(Mutant::ParkedStays) {
                shared.leave_space(line);
            }
        }
    }
}

/// Sees that nothing is lost of what a thread came in with that is let go. It makes a call that has not begun anew. A
/// fault is kept for it, of whatever kind: an instruction that cannot be executed would fault again, but one that has
/// been executed and trapped (a breakpoint, a single step on x86_64) would not. Who wanted to wait has waited.
fn put_away(line: &PerCpu, in_hand: Option<Trap>) {
    let pending = match in_hand {
        Some(Trap::Fault(fault)) => Some(fault),
        _ => None,
    };
    *line.pending.lock() = pending.filter(|_| !is_seeded(Mutant::PendingFaultLost));
    if matches!(in_hand, Some(Trap::Call | Trap::GuestCall)) {
        tessera_arch::restart_call();
    }
}
