//! The ways of a thread into its handler and back that most go, with the kernel's lock, and by few looks. When a handler answers, none
//! of its registers is saved.
//!
//! What stands in the way sends either to the common path (`sched::upcall`), which does the same, and tells what is wrong.

use alloc::boxed::Box;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;
use tessera_abi::upcall::{Answer, asked_of};
use tessera_arch::{Access, Fault, FaultKind, HandlerStart, Registers, ThreadContext, UserPlace, VirtAddr};

use crate::cpu::activations::{Activations, Last, SUSPENDED_MAX};
use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::object::activation_stack::ActivationStack;
use crate::object::handler::Handler;
use crate::object::interrupted::{Asked, Interrupted, Why};
use crate::object::space::Space;
use crate::object::store::Store;
use crate::object::thread::Thread;
use crate::sched::enter;
use crate::sched::upcall::{self, Words};
use crate::state::kernel::Kernel;

/// Asks the handler of the space or of the thread of a page's fault of the calling CPU's thread, which is in this space. No other handler
/// comes before, and the page is none that the kernel brings. Gives where the handler begins; or nothing has changed.
#[inline(always)]
pub fn ask_of_fault(
    (shared, line): (&Shared, &PerCpu),
    threads: &mut Store<Thread>,
    (space, object): (u32, &Space),
    (access, address): (Access, VirtAddr),
    start: &mut HandlerStart,
) -> Option<UserPlace> {
    let stack = line.activations.get();
    let depth = stack.depth();
    // Who has room for none, has all taken.
    if depth >= SUSPENDED_MAX {
        return None;
    }
    let Thread { context, activations, .. } = threads.at_mut(stack.thread());
    let ActivationStack { fast, interrupted, spare, handler, .. } = activations.as_deref_mut()?;
    let why = |asked| Why::Fault(Fault { kind: FaultKind::Page, address, access }, asked);
    let Some(of_space) = &object.handler else {
        // It is asked of what the thread does itself.
        let handler = handler.as_deref()?;
        if depth != 0 || handler.asks & asked_of::FAULTS == 0 {
            return None;
        }
        let room = Room { fast, depth: 0, interrupted: &mut interrupted[0], spare, context };
        return interrupt((shared, line), room, space, (why(Asked::Thread), handler), start);
    };
    // A guest's thread is noted first.
    if depth != 0 && stack.is_in_guest() {
        return None;
    }
    let room = Room { fast, depth, interrupted: &mut interrupted[depth], spare, context };
    interrupt((shared, line), room, space, (why(Asked::Space), of_space), start)
}

/// Asks the handler of the calling CPU's thread before a call is made, which is not made again. Gives the same.
#[inline(always)]
pub fn ask_of_call(kernel: &mut Kernel, shared: &Shared, line: &PerCpu, start: &mut HandlerStart) -> Option<UserPlace> {
    let stack = line.activations.get();
    if stack.depth() != 0 {
        return None;
    }
    let Thread { context, activations, .. } = kernel.threads.at_mut(stack.thread());
    let ActivationStack { fast, interrupted, spare, handler, asked_call, .. } = activations.as_deref_mut()?;
    let handler = handler.as_deref()?;
    if handler.asks & asked_of::CALLS == 0 || *asked_call != 0 {
        return None;
    }
    let room = Room { fast, depth: 0, interrupted: &mut interrupted[0], spare, context };
    interrupt((shared, line), room, line.presence.space(), (Why::Call, handler), start)
}

/// What a thread has to be interrupted with.
struct Room<'a> {
    fast: &'a Activations,
    /// How many activations it has suspended.
    depth: usize,
    /// Where its registers are kept then.
    interrupted: &'a mut Option<Box<Interrupted>>,
    /// Room for these.
    spare: &'a mut Option<Box<Interrupted>>,
    /// Those that it has.
    context: &'a mut ThreadContext,
}

/// Has the calling CPU's thread, which is in this space, call a handler; gives where that begins, if it does.
#[inline(always)]
fn interrupt(
    (shared, line): (&Shared, &PerCpu),
    Room { fast, depth, interrupted, spare, context }: Room<'_>,
    space: u32,
    (why, handler): (Why, &Handler),
    start: &mut HandlerStart,
) -> Option<UserPlace> {
    // A gate that is about to be taken apart is there no more, though its words may still be those of an open one. When it is gone it is
    // nobody's handler. So while nothing is being taken apart, it is there.
    if shared.debts.reasons() != 0 {
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
    let mut own = spare.take()?;
    (own.why, own.sees_registers, own.space) = (why, handler.sees_registers, space);
    let Some(stack) = gate.take_stack() else {
        core::mem::forget(spare.replace(own));
        return None;
    };
    // What needs most comes first, so that little is kept in registers.
    upcall::push((line, gate), (fast, depth), stack);
    enter::by_good_pass(line, door.wrapping_sub(1), pass, Handle::NONE.bits());
    let place = UserPlace { instruction_pointer: gate.entry(), stack_pointer: gate.stack_end(stack) };
    core::mem::swap(context, &mut own.context);
    tessera_arch::begin_context(context, &mut own.context);
    *start = HandlerStart { words: words(why, handler, own.context.registers()), badge: handler.badge };
    // None was there: there is nothing to be dropped.
    core::mem::forget(interrupted.replace(own));
    Some(place)
}

/// What is told of a fault, or of a call that is about to be made.
#[inline(always)]
fn words(why: Why, handler: &Handler, registers: &Registers) -> Words {
    let Why::Fault(fault, _) = why else { return upcall::call_words(handler, registers) };
    let seen = if handler.sees_registers { registers.instruction_pointer() } else { 0 };
    upcall::fault_words(&fault, fault.address.value(), seen)
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is for the common path, and nothing has changed.
    Not,
    /// The thread is back where it was interrupted.
    Back,
    /// Likewise, and the call that it was about to make is to be made.
    Call,
}

/// Has the calling CPU's thread, which is in a handler that answers with this number, go on where it was interrupted. What that is in is
/// fresh, so it is sound.
#[inline(always)]
pub fn answer(kernel: &mut Kernel, line: &PerCpu, last: Last<'_>, number: u64) -> Answered {
    go_back(kernel, line, last, number).unwrap_or(Answered::Not)
}

#[inline(always)]
fn go_back(kernel: &mut Kernel, line: &PerCpu, last: Last<'_>, number: u64) -> Option<Answered> {
    let Last { activations, last, level } = last;
    let gate = last.gate.get();
    // Nobody begins to wait meanwhile. A guest may have been kicked.
    let is_in_guest = level != 0 && activations.is_guest_at(level.wrapping_sub(1));
    if number != Answer::Resume as u64 || gate.is_waited_for() || is_in_guest {
        return None;
    }
    let thread = kernel.threads.at_mut(activations.thread());
    let own = thread.activations.as_deref_mut()?;
    let place = own.interrupted.get_mut(level)?;
    // A thread has one block to spare.
    if own.spare.is_some() {
        return None;
    }
    let space = place.as_ref()?.space;
    let pass = line.pass_to(space).read();
    if !pass.is_good() {
        return None;
    }
    let mut interrupted = place.take()?;
    let answered = if interrupted.why == Why::Call { Answered::Call } else { Answered::Back };
    core::mem::swap(&mut thread.context, &mut interrupted.context);
    // None was there: there is nothing to be dropped.
    core::mem::forget(own.spare.replace(interrupted));
    activations.depth.store(level as u32, Relaxed);
    gate.give_back(last.stack.load(Relaxed));
    line.table.set(last.table.kept());
    line.counters.system_calls.add(1);
    enter::by_good_pass(line, space, pass, last.entered_by.load(Relaxed));
    tessera_arch::resume_over(&thread.context);
    Some(answered)
}
