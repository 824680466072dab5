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
    if let Some(id) = close_to_others(kernel, cap) {
        note_here(kernel, id);
    }
}

/// The same, but for the calling CPU's thread, which is given if it is in the space by the capability.
pub fn close_to_others(kernel: &mut Kernel, cap: CapId) -> Option<ThreadId> {
    if is_seeded(Mutant::WayInStaysOpen) {
        return None;
    }
    let table = kernel.tables.at(cap.table());
    table.cap_slots()[cap.slot() as usize].close_door();
    let (space, handle) = (table.record(cap.slot()).object.index(), table.handle_of(cap.slot()));
    if is_seeded(Mutant::RunnerNotNoted) {
        return None;
    }
    let (here, mut inside) = (tessera_arch::cpu_index(), None);
    for cpu in 0..kernel.cpus() {
        let run_queue = &kernel.scheduler.cpus[cpu];
        if run_queue.table.index() != cap.table() || run_queue.current.is_none() {
            continue;
        }
        if cpu == here {
            // What its handle was when it came in, it is still: nobody else's can be it before the capability is gone.
            let entered_by = kernel.shared.cpus[cpu].entered_by.load(Relaxed);
            inside = run_queue.current.filter(|_| entered_by == handle.bits());
        } else if may_be_in(kernel, cpu, space) {
            // It may be in the middle of a switch: it cannot be asked but by an interrupt.
            remote::preempt_remote(kernel, cpu);
        }
    }
    inside
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
