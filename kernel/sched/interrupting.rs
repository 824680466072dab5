//! The registers of threads that were interrupted to ask a handler: how they come back.

use alloc::boxed::Box;

use tessera_abi::layout::ThreadState;

use crate::base::mutants::{Mutant, is_seeded};
use crate::object::id::{GateId, ThreadId};
use crate::object::interrupted::{INTERRUPTED_BYTES, Why};
use crate::object::thread::{Asking, Pending};
use crate::sched::noting::KNOWN;
use crate::state::kernel::Kernel;

/// Gives the thread its own registers back, which comes out of a handler, above this level, and has gone on with others so far. If it
/// was in none, gives nothing; else why it was interrupted.
pub(super) fn take_registers_back(kernel: &mut Kernel, id: ThreadId, level: usize) -> Option<Why> {
    let thread = kernel.threads.at_mut(id.index());
    let stack = thread.activations.as_mut().expect(KNOWN);
    let mut interrupted = stack.interrupted[level].take()?;
    if !is_seeded(Mutant::HandlersRegistersKept) {
        core::mem::swap(&mut thread.context, &mut interrupted.context);
    }
    let why = interrupted.why;
    // The calling CPU may have these registers still, so that it is the block which was spare before that goes.
    if let Some(before) = stack.spare.replace(interrupted) {
        stack.interrupted_count -= 1;
        let account = thread.account;
        drop(before);
        kernel.accounts[account].credit(INTERRUPTED_BYTES);
    }
    Some(why)
}

/// A thread that has waited for a stack of a handler's gate has this one when it goes on.
pub(super) fn reserve(kernel: &mut Kernel, id: ThreadId, (gate, stack): (u32, u32)) {
    let gate = kernel.gates.id_at(gate).expect("somebody waits for a gate that is there");
    let pending = kernel.threads.at_mut(id.index()).pending.as_deref_mut();
    if let Some(Pending::Asks(asking)) = pending.copied() {
        kernel.threads.at_mut(id.index()).pending = Some(Box::new(Pending::Served(gate, stack, asking)));
    } else {
        give_back(kernel, gate, stack);
    }
}

/// A stack of a gate is not used after all, if the gate is there still.
pub(super) fn give_back(kernel: &mut Kernel, gate: GateId, stack: u32) {
    if kernel.gates.find(gate).is_some() && kernel.shared.gate_words(gate.index()).give_back(stack) {
        kernel.gates.list_due(gate.index());
    }
}

/// Nothing of what was pending happens any more to a thread that ends, or goes on elsewhere; but for what it owes.
pub(super) fn forget_pending(kernel: &mut Kernel, id: ThreadId) {
    let thread = kernel.threads.at_mut(id.index());
    if thread.debt().is_none()
        && let Some(Pending::Served(gate, stack, _)) = thread.pending.take().map(|pending| *pending)
    {
        give_back(kernel, gate, stack);
    }
}

/// A thread has come out of a handler that did not answer: whoever comes next is asked when it goes on.
pub(super) fn leave_unanswered(kernel: &mut Kernel, id: ThreadId, why: Why) {
    if is_seeded(Mutant::QuestionLost) {
        return;
    }
    let pending = match why {
        Why::Fault(fault, asked) => Pending::Asks(Asking::Fault(fault, asked)),
        Why::Call => Pending::Unanswered,
        Why::Return => return,
    };
    let thread = kernel.threads.at_mut(id.index());
    thread.pending = Some(Box::new(pending));
}

/// A thread that has left its CPU in a call of its own, which is over or ends before it goes on, is to tell of that then, if its handler is
/// told of calls.
pub(super) fn note_return(kernel: &mut Kernel, id: ThreadId) {
    let Some(thread) = kernel.threads.find(id) else { return };
    let is_told = thread.activations.as_ref().is_some_and(|stack| stack.told_call != 0 && stack.fast.depth() == 0);
    // Who waits for a stack has not begun, and comes back from the gate.
    if is_told && thread.pending.is_none() && !thread.has_ended() && thread.state != ThreadState::Calling {
        kernel.threads.at_mut(id.index()).pending = Some(Box::new(Pending::Asks(Asking::Return)));
    }
}
