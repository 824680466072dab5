//! The ways into a space that capabilities are: closing one, and finding out who runs in a space by it.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::ObjectKind;
use tessera_arch::CPUS_MAX;

use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::cap_word::CapWord;
use crate::object::derivation;
use crate::object::id::{CapId, ThreadId};
use crate::sched::noting::{self, Place};
use crate::sched::{fresh, remote, running};
use crate::state::kernel::Kernel;

/// Whether threads may be in a space by a capability, or in a call of a gate.
#[inline(always)]
pub fn is_way_in(kernel: &Kernel, cap: CapId) -> bool {
    leads_in(derivation::record(&kernel.tables, cap).object)
}

/// Whether a capability with this word is a way into a space, or into a gate.
#[inline(always)]
pub fn leads_in(word: CapWord) -> bool {
    word.is_of(ObjectKind::Space) || word.is_of(ObjectKind::Gate) || word.is_of(ObjectKind::Guest)
}

/// Sees that nobody enters a space by a capability any more, or calls a gate, and notes who runs in it by that: it is about to go.
#[inline(never)]
pub fn close_way_in(kernel: &mut Kernel, cap: CapId) {
    if let Some(id) = close_to_others(kernel, cap) {
        note_here(kernel, id);
    }
}

/// Notes who is in a gate by a capability by which nobody calls any more.
#[inline(never)]
fn close_calls(kernel: &mut Kernel, gate: u32) {
    let door = kernel.shared.gate_words(gate).door();
    fresh::note_all_fresh(kernel, door.checked_sub(1));
}

/// The same, but for the calling CPU's thread, which is given if it is in the space by the capability.
pub fn close_to_others(kernel: &mut Kernel, cap: CapId) -> Option<ThreadId> {
    if is_seeded(Mutant::WayInStaysOpen) {
        return None;
    }
    let table = kernel.tables.at(cap.table());
    let (word, slot) = (table.record(cap.slot()).object, &table.cap_slots()[cap.slot() as usize]);
    if word.is_of(ObjectKind::Gate) {
        slot.close_call();
        close_calls(kernel, word.index());
        return None;
    }
    if word.is_of(ObjectKind::Guest) {
        // Guests are run with the lock, so nobody is on the way; who is in one is noted.
        fresh::note_all_fresh(kernel, None);
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

/// Notes in the calling CPU's thread where it is; gives whether that was not noted yet.
pub fn note_here(kernel: &mut Kernel, id: ThreadId) -> bool {
    let line = &kernel.shared.cpus[tessera_arch::cpu_index()];
    let is_new = !running::note_where(line, kernel.threads.at_mut(id.index()));
    if is_new {
        noting::note(kernel, id, Place::of_line(line));
    }
    is_new
}
