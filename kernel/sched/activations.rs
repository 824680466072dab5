//! Making and unmaking activations, with the lock: the one place that does, beside the fast path (`cpu::gate_path`).
//!
//! Here all is noted (`noting`): the uses that an activation is stand in the derivation list, and the gate knows who is on its
//! stacks. So whatever is taken away finds all that is in it.
//!
//! A topmost activation that loses what it is in is unmade at once, and the thread goes on at the nearest below that is sound; one
//! that is suspended is passed over when its turn comes.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Error, Handle};

use crate::object::activation_stack::{ACTIVATION_USES, ActivationStack, Noted};
use crate::object::derivation;
use crate::object::id::{GateId, Object, ObjectRef, ThreadId};
use crate::object::interrupted::Why;
use crate::object::use_pool::UseKind;
use crate::sched::noting::{self, KNOWN, stack_of};
use crate::sched::{exchange, handlers, interrupting, locks, ready};
use crate::state::kernel::Kernel;

/// Gives a thread room for activations. Account and heap were found to have it.
pub fn make_room(kernel: &mut Kernel, id: ThreadId) {
    let before = thread_bytes(kernel, id);
    (0..ACTIVATION_USES).for_each(|_| kernel.uses.promise());
    let stack: alloc::boxed::Box<ActivationStack> = alloc::boxed::Box::default();
    stack.fast.thread.store(id.index(), Relaxed);
    let thread = kernel.threads.at_mut(id.index());
    thread.activations = Some(stack);
    let (after, account) = (thread_bytes(kernel, id), kernel.threads.at(id.index()).account);
    kernel.adjust_charge(account, before, after);
}

fn thread_bytes(kernel: &Kernel, id: ThreadId) -> u64 {
    kernel.threads.at(id.index()).extra_bytes()
}

/// How a thread comes out of the call that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a thread that came out nowhere has to land, or to end"]
pub enum Out {
    /// It goes on at the nearest activation that is sound.
    Sound,
    /// There is none.
    Nowhere,
}

/// Has a thread come out of the call that it is in, with this result, and this value for it if it succeeded: what is not sound is
/// passed over, with `Gone`. All is noted, and its registers are in memory, as when it went in.
pub fn pop(kernel: &mut Kernel, id: ThreadId, mut result: Result<u64, Error>) -> Out {
    loop {
        let Some(level) = kernel.threads.at(id.index()).depth().checked_sub(1) else { return Out::Nowhere };
        let was_guest = kernel.threads.at(id.index()).is_in_guest();
        let (is_sound, why) = unmake(kernel, id, level);
        if is_sound {
            if let Some(why) = why {
                if result.is_err() {
                    interrupting::leave_unanswered(kernel, id, why);
                }
                return Out::Sound;
            }
            if was_guest {
                // It has all its registers as they were when it made the call.
                ready::finish_call(kernel, id, result);
                return Out::Sound;
            }
            let thread = kernel.threads.at_mut(id.index());
            let last = thread.activations.as_ref().expect(KNOWN).fast.at(level);
            let place = (last.instruction_pointer.load(Relaxed), last.stack_pointer.load(Relaxed));
            thread.context.registers_mut().leave_call(place, result.map_err(Error::status));
            return Out::Sound;
        }
        if (was_guest || why.is_some()) && !kernel.threads.at(id.index()).is_in_guest() {
            // Whoever ran it, or was interrupted, is passed over, with what it has in any register.
            let context = &mut kernel.threads.at_mut(id.index()).context;
            context.registers_mut().clear();
            context.reset_floating_point();
        }
        result = Err(Error::Gone);
    }
}

/// Unmakes the topmost activation, above this level; gives whether the one at the level is sound, and the thread is there now; and
/// why that was interrupted, if the topmost was a handler.
fn unmake(kernel: &mut Kernel, id: ThreadId, level: usize) -> (bool, Option<Why>) {
    locks::leave(kernel, id, level + 1);
    let inner = kernel.threads.at_mut(id.index()).inside.take();
    if kernel.threads.at(id.index()).is_in_guest() {
        let guest = stack_of(kernel, id).fast.at(level).stack.load(Relaxed);
        exchange::exchange(kernel, id, guest);
        exchange::put_back(kernel, id, guest);
    }
    let why = interrupting::take_registers_back(kernel, id, level);
    let Noted { space, inside, gate, called, is_gone } = take_noted(kernel, id, level);
    for lent in [inner, called].into_iter().flatten() {
        derivation::take_back_promised(&mut kernel.tables, &mut kernel.uses, lent);
    }
    if let Some(gate) = gate {
        let stack = stack_of(kernel, id).fast.at(level).stack.load(Relaxed);
        give_stack_back(kernel, gate, stack);
    }
    let is_sound = !is_gone && kernel.spaces.find(space).is_some();
    let thread = kernel.threads.at_mut(id.index());
    let last = thread.activations.as_ref().expect(KNOWN).fast.at(level);
    (thread.entered_by, thread.table_view) = (Handle::from_bits(last.entered_by.load(Relaxed)), last.table.kept());
    thread.inside = inside;
    if let Some(inside) = inside {
        kernel.uses.set_kind(inside, UseKind::Inside, 0);
    }
    if kernel.spaces.id_at(space.index()) == Some(space) {
        noting::note_space(kernel, id, space);
    }
    (is_sound, why)
}

fn take_noted(kernel: &mut Kernel, id: ThreadId, level: usize) -> Noted {
    let stack = kernel.threads.at_mut(id.index()).activations.as_mut().expect(KNOWN);
    stack.fast.depth.store(level as u32, Relaxed);
    stack.fast.noted.store(level as u32, Relaxed);
    core::mem::take(&mut stack.noted[level])
}

/// A stack of a gate is free again. Whoever waits for one gets it before the kernel is left, as a debt: a thread may end in many calls
/// at once, and somebody wait for each of its stacks.
fn give_stack_back(kernel: &mut Kernel, gate: GateId, stack: u32) {
    kernel.gates.at_mut(gate.index()).holders[stack as usize] = None;
    if kernel.shared.gate_words(gate.index()).give_back(stack) {
        kernel.gates.list_due(gate.index());
    }
}

/// Whether a thread that has to leave where it is would come out somewhere.
pub fn comes_out(kernel: &Kernel, id: ThreadId) -> bool {
    let Some(stack) = kernel.threads.at(id.index()).activations.as_ref() else { return false };
    let suspended = &stack.noted[..stack.fast.noted()];
    suspended.iter().any(|noted| !noted.is_gone && kernel.spaces.find(noted.space).is_some())
}

/// Notes that a suspended activation has lost the space that it was in, by a revocation: its use of the capability goes.
pub fn lose_space(kernel: &mut Kernel, id: ThreadId, level: usize) {
    locks::leave(kernel, id, level);
    let stack = kernel.threads.at_mut(id.index()).activations.as_mut().expect(KNOWN);
    stack.noted[level].is_gone = true;
    stack.is_revoked |= level == 0;
    if let Some(inside) = stack.noted[level].inside.take() {
        derivation::take_back_promised(&mut kernel.tables, &mut kernel.uses, inside);
    }
}

/// Notes that the call which an activation had made was by what is gone now: its use of the capability goes. Gives whether
/// the thread is at the callee's, so that it has to leave; if not, the callee is passed over.
pub fn lose_call(kernel: &mut Kernel, id: ThreadId, level: usize) -> bool {
    let stack = kernel.threads.at_mut(id.index()).activations.as_mut().expect(KNOWN);
    let (depth, called) = (stack.fast.depth(), stack.noted[level].called.take());
    let is_topmost = level + 1 == depth;
    if !is_topmost {
        stack.noted[level + 1].is_gone = true;
    }
    if let Some(called) = called {
        derivation::take_back_promised(&mut kernel.tables, &mut kernel.uses, called);
    }
    is_topmost
}

/// Notes that a gate closes on whoever is on one of its stacks; gives who that was, and whether they are at the callee's.
pub fn lose_gate(kernel: &mut Kernel, gate: GateId, stack: u32) -> Option<(ThreadId, bool)> {
    let id = kernel.gates.at_mut(gate.index()).holders[stack as usize].take()?;
    let own = stack_of(kernel, id);
    let is_it =
        |level: &usize| own.noted[*level].gate == Some(gate) && own.fast.at(*level).stack.load(Relaxed) == stack;
    let level = (0..own.fast.noted()).find(is_it)?;
    kernel.threads.at_mut(id.index()).activations.as_mut().expect(KNOWN).noted[level].gate = None;
    // It is closed: nobody else gets the stack.
    kernel.shared.gate_words(gate.index()).give_back(stack);
    Some((id, lose_call(kernel, id, level)))
}

/// A thread has ended, on no CPU: it leaves all calls that it was in, and nothing is promised to it any more.
#[cold]
#[inline(never)]
pub fn end(kernel: &mut Kernel, id: ThreadId) {
    while let Some(level) = kernel.threads.at(id.index()).depth().checked_sub(1) {
        let _ = unmake(kernel, id, level);
    }
    locks::leave(kernel, id, 0);
    handlers::forget(kernel, ObjectRef::Thread(id));
    interrupting::forget_pending(kernel, id);
    (0..ACTIVATION_USES).for_each(|_| kernel.uses.unpromise());
}

/// Whether a thread was stopped in a call and is in none any more.
pub fn ends_here(kernel: &Kernel, id: ThreadId) -> bool {
    let thread = kernel.threads.at(id.index());
    thread.is_stopping && thread.depth() == 0
}
