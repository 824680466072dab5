//! Before anything is taken away that a thread may be in, or may come back to: what threads that run have suspended without the lock
//! is noted. So what is fresh is sound, and going back to it takes no look at anything (`cpu::activations`).

use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::fence;

use tessera_arch::CPUS_MAX;

use crate::base::cpu_set::CpuSet;
use crate::base::effort::{ENTRY_UNITS, Effort};
use crate::base::mutants::{Mutant, is_seeded};
use crate::sched::noting::{self, Place};
use crate::sched::{remote, running};
use crate::state::kernel::Kernel;

/// Effort of taking a thread off another CPU for a moment, which notes where it is, and of each activation of it that is fresh.
pub(super) const MOMENT_UNITS: u32 = 90;
const FRESH_UNITS: u32 = 60;

/// Takes threads off those of these CPUs for a moment which are meant, as far as the effort goes, one at least; so it is noted where
/// they are, and what they have suspended. Gives the CPUs that are left: those that were not come to, and the calling one, for which
/// the caller has other means.
///
/// A CPU that was looked at need not be once more if what leads there was closed before: whoever comes to run on it since then was
/// noted when it was taken off another one.
#[inline(always)]
pub(super) fn note_on_others(
    kernel: &mut Kernel,
    cpus: CpuSet,
    effort: &mut Effort,
    is_meant: impl Fn(&Kernel, usize) -> bool,
) -> CpuSet {
    let here = 1 << tessera_arch::cpu_index();
    let mut left = cpus & !here;
    while left != 0 {
        let cpu = left.trailing_zeros() as usize % CPUS_MAX;
        left &= left - 1;
        if is_meant(kernel, cpu) && !note_on(kernel, cpu, effort) {
            break;
        }
    }
    left | cpus & here
}

/// Takes another CPU's thread off it for a moment; gives whether any effort is left.
#[cold]
#[inline(never)]
fn note_on(kernel: &mut Kernel, cpu: usize, effort: &mut Effort) -> bool {
    let fresh = kernel.shared.cpus[cpu].activations.get().fresh() as u32;
    remote::preempt_remote(kernel, cpu);
    effort.spend(MOMENT_UNITS + fresh * FRESH_UNITS)
}

/// Whether other CPUs are in a set than the calling one.
#[inline(always)]
pub(super) fn are_others(cpus: CpuSet) -> bool {
    cpus & !(1 << tessera_arch::cpu_index()) != 0
}

/// The threads of so many CPUs can be taken off them in one entry.
const FEW_CPUS: usize = (ENTRY_UNITS / MOMENT_UNITS) as usize;

/// Whether the threads of all CPUs can be taken off them in one entry.
#[inline(always)]
pub(super) fn are_few(kernel: &Kernel) -> bool {
    kernel.cpus() <= FEW_CPUS
}

/// Notes what the threads of these CPUs have suspended that is fresh, and where those are who are in a space, or may yet come in, as
/// far as the effort goes. What leads there was closed before. Gives the CPUs that are left.
pub fn note_fresh(kernel: &mut Kernel, cpus: CpuSet, space: Option<u32>, effort: &mut Effort) -> CpuSet {
    if is_seeded(Mutant::FreshNotNoted) {
        return 0;
    }
    let left = note_on_others(kernel, cpus, effort, |kernel, cpu| {
        kernel.scheduler.cpus[cpu].current.is_some() && may_be_in(kernel, cpu, space)
    });
    note_fresh_here(kernel);
    left
}

/// Notes what the calling CPU's thread has suspended that is fresh.
pub fn note_fresh_here(kernel: &mut Kernel) {
    let here = tessera_arch::cpu_index();
    if let Some(id) = running::current(kernel, here)
        && is_any_fresh(kernel, here)
    {
        noting::note(kernel, id, Place::of_line(&kernel.shared.cpus[here]));
    }
}

/// Whether another CPU, which has a thread, is in a space, or may yet turn out to be, or may come back by what is fresh. If not, it
/// comes in by the common path only.
///
/// In this order: a thread that leaves the space by a call has suspended where it was before it is seen to come elsewhere.
pub fn may_be_in(kernel: &Kernel, cpu: usize, space: Option<u32>) -> bool {
    if let Some(space) = space {
        kernel.shared.space_words(space).pass(cpu).make_stale();
    }
    fence(SeqCst);
    space.is_some_and(|space| kernel.shared.cpus[cpu].presence.is_in(space)) || is_any_fresh(kernel, cpu)
}

/// Whether a CPU's thread has suspended something that is fresh.
#[inline(always)]
fn is_any_fresh(kernel: &Kernel, cpu: usize) -> bool {
    kernel.shared.cpus[cpu].activations.get().is_any_fresh()
}
