//! The end of a space under those who are in it, fall back to it, or come back to it, and of the gates that lead there.

use tessera_abi::layout::FallbackReason;
use tessera_arch::CPUS_MAX;

use crate::base::cpu_set;
use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::object::derivation;
use crate::object::id::{SpaceId, ThreadId};
use crate::object::neighbour::Standing;
use crate::object::use_pool::UseKind;
use crate::sched::{activations, closing, ending, fresh, inside, landing, remote, running, way_in};
use crate::state::kernel::Kernel;

/// Effort of sending a thread out of a space.
const EVICTION_UNITS: u32 = 50;

/// Effort of forgetting that a thread falls back to a space.
const USE_UNITS: u32 = 15;

/// So many threads of a space are sent out of it in one step; fewer if that means more looks at CPUs than these.
const EVICTED_AT_ONCE: u64 = 16;
const LOOKS_AT_ONCE: u64 = 128;

/// Sends threads in a space that goes to their fallbacks, or ends them; gives whether nobody is in it any more, nor falls
/// back to it. Nobody can enter it but those: the last capability went before. Threads that are elsewhere are not looked at,
/// however many there are.
///
/// While there are many, no way in is closed: between two steps one of them may run, and finds its space as it was. Where there are
/// many CPUs, gates that lead there are closed before, and who runs there is noted by steps.
pub(crate) fn evict_threads(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    let are_gone = if fresh::are_few(kernel) {
        evict_most(kernel, space, effort)
    } else {
        evict_among_many(kernel, space, effort)
    };
    if !are_gone {
        return false;
    }
    evict_last(kernel, space, effort);
    forget_uses(kernel, space, effort)
}

/// Sends threads elsewhere until they are few; gives whether they are.
#[inline(always)]
fn evict_most(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    let at_once = EVICTED_AT_ONCE.min(LOOKS_AT_ONCE / kernel.cpus() as u64);
    while kernel.spaces[space].thread_count > at_once {
        if !effort.is_left() {
            return false;
        }
        evict_first(kernel, space, effort);
    }
    true
}

/// The same where there are so many CPUs that in one entry it cannot be noted who is there.
#[cold]
#[inline(never)]
fn evict_among_many(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    if !forget_uses(kernel, space, effort) {
        return false;
    }
    while evict_most(kernel, space, effort) && effort.is_left() {
        if note_more_in(kernel, space, effort) {
            return true;
        }
    }
    false
}

/// Notes which of the threads that run on other CPUs are in a space into which nobody comes any more, as far as the effort goes;
/// gives whether that was known of all before.
fn note_more_in(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    let (unasked, number) = (kernel.spaces[space].unasked & cpu_set::first(kernel.cpus()), space.index());
    if !fresh::are_others(unasked) {
        return true;
    }
    let left = fresh::note_on_others(kernel, unasked, effort, |kernel, cpu| {
        kernel.shared.cpus[cpu].presence.is_in(number) || may_come_back(kernel, cpu)
    });
    kernel.spaces[space].unasked = left;
    false
}

/// Whether a CPU's thread has suspended something that is fresh. Without a thread that has ever made a call, it has not.
fn may_come_back(kernel: &Kernel, cpu: usize) -> bool {
    kernel.shared.cpus[cpu % CPUS_MAX].activations.get().has_room() && fresh::may_be_in(kernel, cpu, None)
}

/// Sends the first thread of a space's list elsewhere, or finds out where it is; gives whether there was one.
fn evict_first(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    let Some(id) = kernel.spaces[space].threads.first(&kernel.threads) else { return false };
    evict_one(kernel, (space, id), effort);
    true
}

/// The same of one that is in the list.
#[inline(always)]
fn evict_one(kernel: &mut Kernel, (space, id): (SpaceId, ThreadId), effort: &mut Effort) {
    let (cpu, here) = (kernel.threads[id].cpu(), tessera_arch::cpu_index());
    let runs = running::current(kernel, cpu) == Some(id);
    if runs && cpu != here {
        // It may have left long ago. By which capability, its CPU must say.
        remote::preempt_remote(kernel, cpu);
    } else if !(runs && way_in::note_here(kernel, id)) {
        let is_revoked = kernel.spaces[space].is_revoked;
        let reason = if is_revoked { FallbackReason::SpaceRevoked } else { FallbackReason::SpaceDestroyed };
        // For a look none is spent: whoever was taken off its CPU would run again before the next step.
        effort.spend(EVICTION_UNITS + running::place_units(kernel));
        ending::evict(kernel, id, landing::landing(kernel, id), reason, effort);
    }
}

/// Closes every way into a space, and sends those elsewhere that are in it: few.
fn evict_last(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) {
    kernel.shared.space_words(space.index()).retire();
    note_all_in(kernel, space.index());
    while evict_first(kernel, space, effort) {}
    let line = &kernel.shared.cpus[tessera_arch::cpu_index()];
    if line.presence.space() == space.index() && !is_seeded(Mutant::DestroyerStays) {
        kernel.shared.leave_space(line);
    }
}

/// Notes which of the threads that run now are in a space. Those on other CPUs are taken off them: what they have suspended there was
/// noted before, if there are many CPUs.
fn note_all_in(kernel: &mut Kernel, space: u32) {
    let (here, are_few) = (tessera_arch::cpu_index(), fresh::are_few(kernel));
    for cpu in (0..kernel.cpus()).filter(|cpu| *cpu != here) {
        let line = &kernel.shared.cpus[cpu % CPUS_MAX];
        if line.presence.is_in(space) || line.activations.get().has_room() && are_few && may_come_back(kernel, cpu) {
            remote::preempt_remote(kernel, cpu);
        }
    }
    fresh::note_fresh_here(kernel);
    let is_here = kernel.shared.cpus[here].presence.is_in(space);
    if let Some(id) = running::current(kernel, here).filter(|_| is_here) {
        way_in::note_here(kernel, id);
    }
}

/// Nobody falls back to a space any more that goes, nor goes back to it, and no gate leads there. Views that were made from one
/// that was a view itself are lent by whoever lent that. Gives whether that was all.
fn forget_uses(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    let list = kernel.spaces.capabilities(space.index());
    while let Some(Standing::Use(lent)) = derivation::first_in_list(&kernel.uses, list) {
        if !effort.is_left() {
            return false;
        }
        let of_space = *kernel.uses.get(lent);
        let thread = || kernel.threads.id_at(of_space.number).expect("a thread that ends gives up its uses");
        if of_space.kind == UseKind::Inside {
            // A look takes no effort here either.
            evict_one(kernel, (space, thread()), effort);
            continue;
        }
        effort.spend(USE_UNITS);
        match of_space.kind {
            UseKind::View => {
                let Kernel { spaces, tables, uses, .. } = &mut *kernel;
                match spaces[space].lent {
                    Some(own) => derivation::lend_like(tables, uses, lent, own),
                    None => {
                        spaces.at_mut(of_space.number).lent = None;
                        derivation::take_back(tables, uses, lent);
                    }
                }
            }
            UseKind::Gate => {
                if !closing::close(kernel, of_space.number, effort) {
                    return false;
                }
            }
            UseKind::Suspended => activations::lose_space(kernel, thread(), of_space.level()),
            UseKind::Marker => inside::forget_marker(kernel, thread()),
            _ => inside::set_fallback(kernel, thread(), None),
        }
    }
    true
}
