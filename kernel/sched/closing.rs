//! Closing a gate for good: because it goes, or its space, its table, or a capability by which it was made.

use tessera_abi::Error;
use tessera_abi::layout::FallbackReason;

use crate::base::cpu_set;
use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::object::derivation;
use crate::object::id::{GateId, ThreadId};
use crate::sched::{activations, ending, entering, fresh, moving, ready, remote, running, way_in};
use crate::state::kernel::Kernel;

/// Effort of taking a thread out of a call.
const UNWIND_UNITS: u32 = 120;

/// Lets nobody into a gate any more, and tells those who wait, as far as the effort goes; gives whether that was all. It is closed
/// before the first is told: more urgent ones that come again at once would wait again, and that for ever.
pub fn close_to_new(kernel: &mut Kernel, gate: u32, effort: &mut Effort) -> bool {
    kernel.shared.gate_words(gate).close();
    while let Some(id) = kernel.gates.at(gate).waiting.first(&kernel.threads) {
        entering::stop_calling(kernel, id, gate);
        moving::give_up_waiting(kernel, id);
        if kernel.threads.at(id.index()).pending.is_none() {
            ready::finish_call(kernel, id, Err(Error::Gone));
        }
        ready::make_ready(kernel, id);
        // Whoever has come so far with nothing left does one thing more, or would never be nearer to the end.
        if !effort.spend(running::wake_units(kernel)) {
            return false;
        }
    }
    true
}

/// Closes a gate: who is inside comes out, the calling CPU's thread last. As far as the effort goes; gives whether that was all.
pub fn close(kernel: &mut Kernel, gate: u32, effort: &mut Effort) -> bool {
    if !close_to_new(kernel, gate, effort) {
        return false;
    }
    // Whoever was about to come in when it closed is seen now, or comes too late.
    note_insiders(kernel, gate, effort) && take_out(kernel, gate, effort) && forget(kernel, gate)
}

/// Notes who is inside a gate that is closed.
fn note_insiders(kernel: &mut Kernel, gate: u32, effort: &mut Effort) -> bool {
    let object = kernel.gates.at(gate);
    let (space, unasked) = (object.space.index(), object.unasked & cpu_set::first(kernel.cpus()));
    let left = fresh::note_fresh(kernel, unasked, Some(space), effort);
    kernel.gates.at_mut(gate).unasked = if fresh::are_others(left) { left } else { 0 };
    !fresh::are_others(left)
}

/// Takes those out of a gate who are inside.
pub fn take_out(kernel: &mut Kernel, gate: u32, effort: &mut Effort) -> bool {
    let Some(id) = kernel.gates.id_at(gate) else { return true };
    let caller = running::current(kernel, tessera_arch::cpu_index());
    for is_last in [false, true] {
        for stack in 0..kernel.gates.at(gate).holders.len() as u32 {
            let holder = kernel.gates.at(gate).holders[stack as usize];
            // For a look none is spent: a step takes somebody out.
            let Some(holder) = holder.filter(|holder| is_last || Some(*holder) != caller) else { continue };
            take_off(kernel, holder);
            lose(kernel, (id, stack), effort);
            if !effort.spend(UNWIND_UNITS) {
                return false;
            }
        }
    }
    true
}

/// Notes all of a thread that may run still.
pub(super) fn take_off(kernel: &mut Kernel, id: ThreadId) {
    let cpu = kernel.threads.at(id.index()).cpu();
    if running::current(kernel, cpu) != Some(id) {
        return;
    }
    if cpu == tessera_arch::cpu_index() {
        way_in::note_here(kernel, id);
    } else {
        remote::preempt_remote(kernel, cpu);
    }
}

fn lose(kernel: &mut Kernel, (gate, stack): (GateId, u32), effort: &mut Effort) {
    if is_seeded(Mutant::HolderStays) {
        kernel.gates.at_mut(gate.index()).holders[stack as usize] = None;
        return;
    }
    if let Some((id, true)) = activations::lose_gate(kernel, gate, stack) {
        ending::unwind(kernel, id, Error::Gone, FallbackReason::SpaceDestroyed, effort);
    }
}

/// A gate on whose stacks nobody is is no use of space and table any more. That is always all at once.
fn forget(kernel: &mut Kernel, gate: u32) -> bool {
    let lent = core::mem::take(&mut kernel.gates.at_mut(gate).lent);
    for lent in lent.into_iter().flatten() {
        derivation::take_back(&mut kernel.tables, &mut kernel.uses, lent);
    }
    true
}
