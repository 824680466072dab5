//! Before anything is taken away that a thread may be in, or may come back to: what threads that run have suspended without the lock
//! is noted. So what is fresh is sound, and going back to it takes no look at anything (`cpu::activations`).

use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::fence;

use crate::base::mutants::{Mutant, is_seeded};
use crate::sched::noting::{self, Place};
use crate::sched::{remote, running};
use crate::state::kernel::Kernel;

/// Notes all activations that are fresh, and takes every other CPU's thread off it that is in a space, or may yet come in. What
/// leads there was closed before.
pub fn note_all_fresh(kernel: &mut Kernel, space: Option<u32>) {
    if is_seeded(Mutant::FreshNotNoted) {
        return;
    }
    let here = tessera_arch::cpu_index();
    for cpu in (0..kernel.cpus()).filter(|cpu| *cpu != here) {
        if kernel.scheduler.cpus[cpu].current.is_some() && may_be_in(kernel, cpu, space) {
            remote::preempt_remote(kernel, cpu);
        }
    }
    note_fresh_here(kernel);
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
