//! The ways into a space that capabilities are: closing one, and finding out who runs in a space by it.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Handle, ObjectKind};
use tessera_arch::CPUS_MAX;

use crate::base::cpu_set::{self, CpuSet};
use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::cap_word::CapWord;
use crate::object::derivation;
use crate::object::id::{CapId, ThreadId};
use crate::sched::noting::{self, Place};
use crate::sched::{exchange, fresh, remote, running};
use crate::state::kernel::Kernel;

/// Whether threads may be in a space by a capability, or in a call of a gate.
#[inline(always)]
pub fn is_way_in(kernel: &Kernel, cap: CapId) -> bool {
    leads_in(derivation::record(&kernel.tables, cap).object)
}

/// Whether a capability with this word is a way into a space, into a gate or into a guest.
#[inline(always)]
pub fn leads_in(word: CapWord) -> bool {
    word.is_one_of(1 << ObjectKind::Space as u64 | 1 << ObjectKind::Gate as u64 | 1 << ObjectKind::Guest as u64)
}

/// How far a way in is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who is inside is not all noted before it is closed"]
pub enum Closing {
    /// Nobody comes in any more, but of some CPUs it is not known whether their threads did. The capability has no rights, and keeps
    /// which CPUs these are, so that whoever deletes it goes on with it.
    Begun,
    /// It is noted of all who are inside by the capability, but for this thread, if it is the calling CPU's.
    Closed(Option<ThreadId>),
}

/// Sees that nobody enters a space by a capability any more, or calls a gate, and notes who runs in it by that: it is about to go.
/// As far as the effort goes; gives whether that was all.
#[inline(always)]
pub fn close_way_in(kernel: &mut Kernel, cap: CapId, effort: &mut Effort) -> bool {
    let closing = close_to_others(kernel, cap, effort);
    if let Closing::Closed(Some(id)) = closing {
        note_here(kernel, id);
    }
    closing != Closing::Begun
}

/// The same, but for the calling CPU's thread, which is given if it is in the space by the capability.
#[inline(always)]
pub fn close_to_others(kernel: &mut Kernel, cap: CapId, effort: &mut Effort) -> Closing {
    if is_seeded(Mutant::WayInStaysOpen) {
        return Closing::Closed(None);
    }
    if is_closed_at_once(kernel) {
        return Closing::Closed(close_at_once(kernel, cap));
    }
    close_further(kernel, cap, effort)
}

/// Whether all CPUs can be asked in one go, because they are few. (A test may give an entry less to spend.)
#[inline(always)]
pub fn is_closed_at_once(kernel: &Kernel) -> bool {
    kernel.cpus() <= (Effort::of_entry().left() / fresh::MOMENT_UNITS) as usize
}

/// The same where that is so.
#[inline(always)]
fn close_at_once(kernel: &mut Kernel, cap: CapId) -> Option<ThreadId> {
    let table = kernel.tables.at(cap.table());
    let (word, slot) = (table.record(cap.slot()).object, &table.cap_slots()[cap.slot() as usize]);
    if word.is_of(ObjectKind::Gate) {
        slot.close(slot.word(), slot.generation());
        note_callers(kernel, word.index(), cpu_set::first(kernel.cpus()), &mut Effort::unlimited());
        return None;
    }
    if word.is_of(ObjectKind::Guest) {
        // Guests are run with the lock, so nobody is on the way.
        let cpus = runner_cpu(kernel, word.index());
        fresh::note_fresh(kernel, cpus, None, &mut Effort::unlimited());
        return None;
    }
    slot.close_door();
    let (space, handle) = (word.index(), table.handle_of(cap.slot()));
    if is_seeded(Mutant::RunnerNotNoted) {
        return None;
    }
    let (here, mut inside) = (tessera_arch::cpu_index(), None);
    for cpu in 0..kernel.cpus() {
        let cpu = cpu % CPUS_MAX;
        let Some(current) = running::current(kernel, cpu) else { continue };
        let line = &kernel.shared.cpus[cpu];
        let (is_its_table, activations) = (line.table_number() == cap.table(), line.activations.get());
        // One that makes gate calls may come back to the table.
        if !is_its_table && !activations.has_room() {
            continue;
        }
        if cpu == here {
            // What its handle was when it came in, it is still: nobody else's can be it before the capability is gone.
            let is_by_it = line.entered_by.load(Relaxed) == handle.bits() && is_its_table;
            inside = is_by_it.then_some(current);
            if activations.has_room() && activations.is_any_fresh() {
                fresh::note_fresh_here(kernel);
            }
        } else if fresh::may_be_in(kernel, cpu, Some(space)) {
            // It may be in the middle of a switch: it cannot be asked but by an interrupt.
            remote::preempt_remote(kernel, cpu);
        }
    }
    inside
}

#[inline(never)]
fn close_further(kernel: &mut Kernel, cap: CapId, effort: &mut Effort) -> Closing {
    let (number, cpus) = (cap.table(), cpu_set::first(kernel.cpus()));
    let (word, handle, unasked) = kernel.tables.at_mut(number).close(cap.slot(), cpus);
    let left = if word.is_of(ObjectKind::Gate) {
        note_callers(kernel, word.index(), unasked, effort)
    } else if word.is_of(ObjectKind::Guest) {
        let cpus = runner_cpu(kernel, word.index());
        fresh::note_fresh(kernel, unasked & cpus, None, effort)
    } else if is_seeded(Mutant::RunnerNotNoted) {
        0
    } else {
        // It may be in the middle of a switch: it cannot be asked but by an interrupt.
        let may_be_in = |kernel: &Kernel, cpu: usize| {
            uses_table(kernel, cpu, number) && fresh::may_be_in(kernel, cpu, Some(word.index()))
        };
        fresh::note_on_others(kernel, unasked, effort, may_be_in)
    };
    if fresh::are_others(left) {
        kernel.tables.at_mut(number).set_unasked(cap.slot(), left);
        return Closing::Begun;
    }
    let is_space = word.is_of(ObjectKind::Space) && !is_seeded(Mutant::RunnerNotNoted);
    Closing::Closed(if is_space { caller_inside(kernel, cap, handle) } else { None })
}

/// Notes who is in a gate by a capability by which nobody calls any more, of those who run on these CPUs; gives those that are left.
#[inline(never)]
fn note_callers(kernel: &mut Kernel, gate: u32, cpus: CpuSet, effort: &mut Effort) -> CpuSet {
    // Its door leads to the number of a space, plus one.
    let space = kernel.shared.gate_words(gate).door().checked_sub(1);
    fresh::note_fresh(kernel, cpus, space, effort)
}

/// The CPU of whoever runs a guest.
fn runner_cpu(kernel: &Kernel, guest: u32) -> CpuSet {
    exchange::runner(kernel, guest).map_or(0, |id| 1 << kernel.threads.at(id.index()).cpu())
}

/// Whether a CPU has a thread that uses a table, or may come back to it, because it makes gate calls.
#[inline(always)]
fn uses_table(kernel: &Kernel, cpu: usize, table: u32) -> bool {
    let line = &kernel.shared.cpus[cpu];
    running::current(kernel, cpu).is_some() && (line.table_number() == table || line.activations.get().has_room())
}

/// The calling CPU's thread, if it is in a space by a capability that is closed, of which this is the handle.
#[inline(always)]
fn caller_inside(kernel: &mut Kernel, cap: CapId, handle: Handle) -> Option<ThreadId> {
    let here = tessera_arch::cpu_index() % CPUS_MAX;
    let current = running::current(kernel, here)?;
    let line = &kernel.shared.cpus[here];
    // What its handle was when it came in, it is still: nobody else's can be it before the capability is gone.
    let is_by_it = line.entered_by.load(Relaxed) == handle.bits() && line.table_number() == cap.table();
    let activations = line.activations.get();
    if activations.has_room() && activations.is_any_fresh() {
        fresh::note_fresh_here(kernel);
    }
    is_by_it.then_some(current)
}

/// Notes in the calling CPU's thread where it is; gives whether that was not noted yet.
pub fn note_here(kernel: &mut Kernel, id: ThreadId) -> bool {
    let line = &kernel.shared.cpus[tessera_arch::cpu_index()];
    let is_new = !running::note_where(line, kernel.threads.at_mut(id.index()));
    if is_new {
        noting::note(kernel, id, Place::of_line(line));
    }
    is_new
}
