//! The ways of a thread into its handler and back that most go, with the kernel's lock, and by few looks. When a handler answers, none
//! of its registers is saved.
//!
//! What stands in the way sends either to the common path (`sched::upcall`), which does the same, and tells what is wrong.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;
use tessera_abi::upcall::{Answer, asked_of};
use tessera_arch::{Access, Fault, FaultKind, HandlerStart, ThreadContext, UserPlace, VirtAddr};

use crate::cpu::activations::SUSPENDED_MAX;
use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::object::activation_stack::ActivationStack;
use crate::object::gate::Gate;
use crate::object::handler::Handler;
use crate::object::id::SpaceId;
use crate::object::interrupted::{Asked, Why};
use crate::object::space::Space;
use crate::object::store::Store;
use crate::object::thread::Thread;
use crate::sched::enter;
use crate::sched::upcall;
use crate::state::kernel::Kernel;

/// Asks the handler of the space or of the thread of a page's fault of the calling CPU's thread, which is in this space. No other handler
/// comes before, and the page is none that the kernel brings. Gives where the handler begins; or nothing has changed.
#[inline(always)]
pub fn ask_of_fault(
    (shared, gates, line): (&Shared, &Store<Gate>, &PerCpu),
    threads: &mut Store<Thread>,
    (space, object): (SpaceId, &Space),
    (access, address): (Access, VirtAddr),
    start: &mut HandlerStart,
) -> Option<UserPlace> {
    let stack = line.activations.get();
    let depth = stack.depth();
    // A guest's thread is noted first.
    if depth >= SUSPENDED_MAX || depth != 0 && stack.is_in_guest() {
        return None;
    }
    let Thread { context, activations, .. } = threads.at_mut(stack.thread());
    let own = activations.as_deref_mut()?;
    let (handler, asked) = match (&object.handler, &own.handler) {
        (Some(handler), _) => (**handler, Asked::Space),
        (None, Some(handler)) if depth == 0 && handler.asks & asked_of::FAULTS != 0 => (**handler, Asked::Thread),
        _ => return None,
    };
    let seen = if handler.sees_registers { context.registers().instruction_pointer() } else { 0 };
    let fault = Fault { kind: FaultKind::Page, address, access };
    start.words = upcall::fault_words(&fault, address.value(), seen);
    interrupt(line, (shared, gates), (own, context), space, (Why::Fault(fault, asked), &handler), start)
}

/// Asks the handler of the calling CPU's thread before a call is made, which is not made again. Gives the same.
#[inline(always)]
pub fn ask_of_call(kernel: &mut Kernel, line: &PerCpu, start: &mut HandlerStart) -> Option<UserPlace> {
    let stack = line.activations.get();
    if stack.depth() != 0 {
        return None;
    }
    let Kernel { threads, spaces, gates, shared, .. } = kernel;
    let Thread { context, activations, .. } = threads.at_mut(stack.thread());
    let own = activations.as_deref_mut()?;
    let handler = own.handler.as_deref().copied()?;
    if handler.asks & asked_of::CALLS == 0 || own.asked_call != 0 {
        return None;
    }
    let space = spaces.id_at(line.presence.space())?;
    start.words = upcall::call_words(&handler, context.registers());
    interrupt(line, (shared, gates), (own, context), space, (Why::Call, &handler), start)
}

/// Has the calling CPU's thread, which is in this space, call a handler; gives where that begins, if it does.
#[inline(always)]
fn interrupt(
    line: &PerCpu,
    (shared, gates): (&Shared, &Store<Gate>),
    (own, context): (&mut ActivationStack, &mut ThreadContext),
    space: SpaceId,
    (why, handler): (Why, &Handler),
    start: &mut HandlerStart,
) -> Option<UserPlace> {
    // One that is about to be taken apart is there no more, though its words may still be those of an open gate.
    if own.spare.is_none() || gates.find(handler.gate).is_none() {
        return None;
    }
    let gate = shared.gate_words(handler.gate.index());
    // A gate that is closed leads to no space; as long as it is open its table is there. One that another CPU may not enter leads to it by
    // no good pass.
    let door = gate.door();
    let pass = line.numbered_pass(door).read();
    if !pass.is_good() {
        return None;
    }
    let stack = gate.take_stack()?;
    start.badge = handler.badge;
    upcall::push(line, gate, (own, context), space, (why, handler.sees_registers, stack));
    tessera_arch::begin_context(context);
    enter::by_good_pass(line, door.wrapping_sub(1), pass, Handle::NONE.bits());
    Some(UserPlace { instruction_pointer: gate.entry(), stack_pointer: gate.stack_end(stack) })
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
    let last = stack.at(level);
    let gate = last.gate.get();
    // Nobody begins to wait meanwhile. A guest may have been kicked.
    if gate.is_waited_for() || level != 0 && stack.is_guest_at(level.wrapping_sub(1)) {
        return None;
    }
    let thread = kernel.threads.at_mut(stack.thread());
    let own = thread.activations.as_deref_mut()?;
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
