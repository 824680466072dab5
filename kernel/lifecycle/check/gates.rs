//! Gates, and the activations of threads that are in calls.

use core::sync::atomic::Ordering::Relaxed;

use crate::base::effort::Effort;
use crate::object::activation_stack::ActivationStack;
use crate::object::id::ThreadId;
use crate::object::links::Chain;
use crate::sched::exchange;
use crate::state::kernel::Kernel;
use crate::state::self_check::Walk;

/// Effort of looking at a stack, and at a suspended activation.
const STACK_UNITS: u32 = 3;
const LEVEL_UNITS: u32 = 8;

/// A gate knows who is on its stacks, and who waits for one.
pub(super) fn check_gate(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let Some((id, gate)) = kernel.gates.look(walk.number) else { return true };
    let words = kernel.shared.gate_words(walk.number);
    let at = (walk.place.threads(), &mut *effort);
    let count = gate.waiting.check_further(&kernel.threads, Chain::Queue, at, |_, thread| {
        assert_eq!(thread.calling(), Some(id.index()), "who waits for a stack knows of which gate");
    });
    let Some(count) = count else { return false };
    assert_eq!((words.is_waited_for(), gate.waiting_count), (count != 0, count), "a gate says how many wait");
    for (stack, holder) in gate.holders.iter().enumerate() {
        assert!(
            holder.is_none() || words.free_stacks() >> stack & 1 == 0,
            "nobody else gets a stack that somebody is on"
        );
    }
    assert!(
        !words.is_open() || gate.lent.iter().all(Option::is_some),
        "a gate that is open is a use of space and table"
    );
    assert!(!words.is_open() || words.door() == gate.space.index() + 1, "a gate leads into its space");
    walk.facts += count + 3 + gate.holders.len() as u64;
    effort.spend(STACK_UNITS * gate.holders.len() as u32);
    true
}

/// A guest knows who runs it, and whoever does is in it, or in a handler that is asked of it.
pub(super) fn check_guest(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let Some((_, guest)) = kernel.guests.look(walk.number) else { return true };
    effort.spend(LEVEL_UNITS);
    walk.facts += 1;
    assert!(!guest.is_run() || guest.state.is_some(), "a guest that runs has its state");
    if guest.fresh_cpu().is_none() {
        assert_eq!(guest.standing, guest.settled(), "how a guest stands the rest of it says");
    }
    let Some(runner) = exchange::runner(kernel, walk.number) else { return true };
    let stack = kernel.threads[runner].activations.as_ref().expect("who runs a guest has activations");
    let is_it = |level: usize| stack.fast.is_guest_at(level) && stack.fast.at(level).stack.load(Relaxed) == walk.number;
    assert!((0..stack.fast.depth()).any(is_it), "who runs a guest is in it");
    true
}

/// What is noted of a thread's activations, their gates know.
pub(super) fn check_activations(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let Some((id, thread)) = kernel.threads.look(walk.number) else { return true };
    let Some(stack) = &thread.activations else { return true };
    let noted = stack.fast.noted();
    // Deeper than that it may be at any moment, if it runs elsewhere.
    for level in 0..noted {
        check_level(kernel, id, stack, level);
    }
    assert!(!thread.has_ended() || noted == 0, "who has ended is in no call");
    walk.facts += 1 + 2 * noted as u64;
    effort.spend(LEVEL_UNITS * noted as u32);
    true
}

fn check_level(kernel: &Kernel, id: ThreadId, stack: &ActivationStack, level: usize) {
    let (noted, fast) = (&stack.noted[level], stack.fast.at(level));
    if let Some(gate) = noted.gate {
        let holders = &kernel.gates.at(gate.index()).holders;
        assert_eq!(holders[fast.stack.load(Relaxed) as usize], Some(id), "a gate knows who is on its stacks");
    }
    let is_guest = stack.fast.depth() == level + 1 && stack.fast.is_in_guest();
    assert!(
        noted.called.is_none() || noted.gate.is_some() || is_guest,
        "a call by a capability goes to the gate that this names"
    );
}
