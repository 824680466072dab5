//! The ways into a space that capabilities are: closing one, and finding out who runs in a space by it.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::fence;

use tessera_abi::{Handle, ObjectKind};

use crate::base::mutants::{Mutant, is_seeded};
use crate::object::derivation;
use crate::object::id::{CapId, ThreadId};
use crate::sched::{inside, remote, running};
use crate::state::kernel::Kernel;

/// Whether threads may be in a space by a capability.
#[inline(always)]
pub fn is_way_in(kernel: &Kernel, cap: CapId) -> bool {
    derivation::record(&kernel.tables, cap).object.kind() == Some(ObjectKind::Space)
}

/// Sees that nobody enters a space by a capability any more, and notes who runs in it by that: it is about to go.
#[inline(never)]
pub fn close_way_in(kernel: &mut Kernel, cap: CapId) {
    if is_seeded(Mutant::WayInStaysOpen) {
        return;
    }
    kernel.tables.at(cap.table()).cap_slots()[cap.slot() as usize].close_door();
    let space = derivation::record(&kernel.tables, cap).object.index();
    let here = tessera_arch::cpu_index();
    let cpus = if is_seeded(Mutant::RunnerNotNoted) { 0 } else { kernel.cpus() };
    for cpu in 0..cpus {
        let run_queue = &kernel.scheduler.cpus[cpu];
        let Some(id) = run_queue.current.filter(|_| run_queue.table.index() == cap.table()) else { continue };
        if cpu == here {
            note_here(kernel, id);
        } else if may_be_in(kernel, cpu, space) {
            // It may be in the middle of a switch: it cannot be asked but by an interrupt.
            remote::preempt_remote(kernel, cpu);
        }
    }
}

/// Whether another CPU is in a space, or may yet turn out to be. If it is not, it comes in by the common path only.
fn may_be_in(kernel: &Kernel, cpu: usize, space: u32) -> bool {
    kernel.shared.space_words(space).pass(cpu).make_stale();
    fence(SeqCst);
    kernel.shared.cpus[cpu].presence.is_in(space)
}

/// Notes in the calling CPU's thread where it is; gives whether that was not noted yet.
pub fn note_here(kernel: &mut Kernel, id: ThreadId) -> bool {
    let line = &kernel.shared.cpus[tessera_arch::cpu_index()];
    let entered_by = Handle::from_bits(line.entered_by.load(Relaxed));
    let space = running::space_of(kernel, id);
    let before = core::mem::replace(&mut kernel.threads[id].entered_by, entered_by);
    let is_new = before != entered_by || kernel.threads[id].space != space;
    if is_new {
        running::note_space(kernel, id, space);
        inside::note(kernel, id);
    }
    is_new
}
