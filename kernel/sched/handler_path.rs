//! The ways of a thread into its handler and back that most go, with the kernel's lock, and by few looks. When a handler answers, none
//! of its registers is saved.
//!
//! What stands in the way sends either to the common path (`sched::upcall`), which does the same, and tells what is wrong.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;
use tessera_abi::upcall::{Answer, asked_of};
use tessera_arch::{Fault, FaultKind};

use crate::cpu::activations::SUSPENDED_MAX;
use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::object::gate::Gate;
use crate::object::handler::Handler;
use crate::object::id::SpaceId;
use crate::object::interrupted::{Asked, Why};
use crate::object::space::Space;
use crate::object::store::Store;
use crate::object::subtree::Public;
use crate::object::thread::Thread;
use crate::sched::enter;
use crate::sched::upcall::{self, Words};
use crate::state::kernel::Kernel;

/// Asks the handler of the space or of the thread of a fault of the calling CPU's thread that nobody was asked of yet, if the page
/// is missing there. Gives whether the thread is with the handler; if not, nothing has changed.
#[inline(always)]
pub fn ask_of_fault(
    kernel: &mut Kernel,
    line: &PerCpu,
    fault: &Fault,
    is_missing: impl FnOnce(&[Public], &Space) -> bool,
) -> bool {
    let stack = line.activations.get();
    let depth = stack.depth();
    // A guest's thread is noted first; a stack may have been kept for this one.
    let is_apart = stack.is_in_guest() || kernel.subtree_handlers != 0 || kernel.reserved_stack.is_some();
    if depth >= SUSPENDED_MAX || is_apart || fault.kind != FaultKind::Page {
        return false;
    }
    let id = kernel.scheduler.cpus[line.number()].caller;
    let Kernel { threads, spaces, gates, shared, public, .. } = kernel;
    let Some((space, object)) = spaces.look(line.presence.space()) else { return false };
    let thread = threads.at_mut(id.index());
    let (handler, asked) = match (&object.handler, &thread.activations) {
        (Some(handler), _) => (**handler, Asked::Space),
        (None, Some(own)) if object.seen.is_none() && depth == 0 => match &own.handler {
            Some(handler) if handler.asks & asked_of::FAULTS != 0 => (**handler, Asked::Thread),
            _ => return false,
        },
        _ => return false,
    };
    if !is_missing(public, object) {
        return false;
    }
    let seen = if handler.sees_registers { thread.context.registers().instruction_pointer() } else { 0 };
    let words = upcall::fault_words(fault, fault.address.value(), seen);
    interrupt(line, (shared, gates), thread, space, (Why::Fault(*fault, asked), &handler, words))
}

/// Asks the handler of the calling CPU's thread before a call is made, which is not made again. Gives the same.
#[inline(always)]
pub fn ask_of_call(kernel: &mut Kernel, line: &PerCpu) -> bool {
    if line.activations.get().depth() != 0 || kernel.reserved_stack.is_some() {
        return false;
    }
    let id = kernel.scheduler.cpus[line.number()].caller;
    let Kernel { threads, spaces, gates, shared, .. } = kernel;
    let thread = threads.at_mut(id.index());
    let Some(own) = &thread.activations else { return false };
    let Some(handler) = own.handler.as_deref().copied() else { return false };
    if handler.asks & asked_of::CALLS == 0 || own.asked_call != 0 {
        return false;
    }
    let Some(space) = spaces.id_at(line.presence.space()) else { return false };
    let words = upcall::call_words(&handler, thread.context.registers());
    interrupt(line, (shared, gates), thread, space, (Why::Call, &handler, words))
}

/// Has the calling CPU's thread, which is in this space, call a handler; gives whether it does.
#[inline(always)]
fn interrupt(
    line: &PerCpu,
    (shared, gates): (&Shared, &Store<Gate>),
    thread: &mut Thread,
    space: SpaceId,
    (why, handler, words): (Why, &Handler, Words),
) -> bool {
    let has_room = thread.activations.as_ref().is_some_and(|own| own.spare.is_some());
    if !has_room || gates.find(handler.gate).is_none() {
        return false;
    }
    let gate = shared.gate_words(handler.gate.index());
    // A gate that is closed leads to no space; as long as it is open its table is there. One that another CPU may not enter leads to it by
    // no good pass.
    let door = gate.door();
    let pass = line.numbered_pass(door).read();
    if !pass.is_good() {
        return false;
    }
    let Some(stack) = gate.take_stack() else { return false };
    upcall::push(line, gate, thread, space, (why, handler, words, stack));
    enter::by_good_pass(line, door.wrapping_sub(1), pass, Handle::NONE.bits());
    true
}

/// Has the calling CPU's thread, which is in a handler that answers with this number, go on where it was interrupted. Gives why it was; if
/// that was a call, it is to be made. Nothing has changed if this is for the common path.
#[inline(always)]
pub fn answer(kernel: &mut Kernel, line: &PerCpu, number: u64) -> Option<Why> {
    let stack = line.activations.get();
    let level = stack.depth().wrapping_sub(1);
    // What is fresh is sound.
    if number != Answer::Resume as u64 || !stack.is_any_fresh() {
        return None;
    }
    let (last, id) = (stack.at(level), kernel.scheduler.cpus[line.number()].caller);
    let gate = last.gate.get();
    // Nobody begins to wait meanwhile. A guest may have been kicked.
    if gate.is_waited_for() || level != 0 && stack.is_guest_at(level.wrapping_sub(1)) {
        return None;
    }
    let thread = kernel.threads.at_mut(id.index());
    let own = thread.activations.as_mut()?;
    let place = own.interrupted.get_mut(level)?;
    // A thread has one block to spare.
    if own.spare.is_some() {
        return None;
    }
    let space = place.as_ref()?.space.index();
    let pass = line.pass_to(space).read();
    if !pass.is_good() {
        return None;
    }
    let mut interrupted = place.take()?;
    core::mem::swap(&mut thread.context, &mut interrupted.context);
    let why = interrupted.why;
    // None was there: there is nothing to be dropped.
    core::mem::forget(own.spare.replace(interrupted));
    stack.depth.store(level as u32, Relaxed);
    gate.give_back(last.stack.load(Relaxed));
    line.table.set(last.table.kept());
    tessera_arch::resume_over(&thread.context);
    enter::by_good_pass(line, space, pass, last.entered_by.load(Relaxed));
    Some(why)
}
