//! Upcalls: a thread that cannot go on, or makes a call, calls a handler with its registers kept, and goes on as that answers.
//!
//! It is a gate call that the thread did not make: an activation on a stack of the gate, which is unmade like any other. What is
//! apart: all registers of the thread are kept, in a block of their own that changes places with the one that the handler uses; and
//! whatever unmakes the activation otherwise has not answered, so that whoever comes next is asked.

use alloc::boxed::Box;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::guest::{GuestEnd, GuestException, OWN_NUMBER};
use tessera_abi::layout::{FallbackReason, ThreadState};
use tessera_abi::upcall::{Answer, UpcallKind, asked_of};
use tessera_abi::{Error, Handle};
use tessera_arch::{Access, Fault, FaultKind, Registers, ThreadContext};

use crate::base::effort::Effort;
use crate::cpu::activations::{Activations, IN_HANDLER, SUSPENDED_MAX};
use crate::cpu::gate_words::GateWords;
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::slice_pointer::Kept;
use crate::object::activation_stack::ACTIVATION_BYTES;
use crate::object::handler::Handler;
use crate::object::id::{GateId, ObjectRef, SubtreeId, ThreadId};
use crate::object::interrupted::{Asked, INTERRUPTED_BYTES, Interrupted, Why};
use crate::object::links::Chain;
use crate::object::thread::{Asking, Pending};
use crate::sched::activations::{self, Out};
use crate::sched::noting::KNOWN;
use crate::sched::{closing, ending, enter, entering, handlers, interrupting, locks, running, way_in};
use crate::state::kernel::Kernel;
use crate::state::scheduler::Left;

/// Pages of the heap that asking may take, besides those of a call.
const HEAP_PAGES: u64 = entering::HEAP_PAGES + 2;

/// What a handler is told: the words of its call.
pub(super) type Words = [u64; 6];

/// Asks whoever is to be asked next of a fault of the calling CPU's thread; gives whether there is anybody. The thread is with the
/// handler then, or waits for it.
pub fn ask(
    kernel: &mut Kernel,
    cpu: usize,
    id: ThreadId,
    fault: Fault,
    (within, asked): (Option<(SubtreeId, u64)>, Asked),
) -> bool {
    let (mut asked, space) = (asked, running::space_of(kernel, id));
    while let Some(next) = handlers::next(kernel, (id, space), &fault, (within, asked)) {
        if kernel.shared.cpus[cpu].activations.get().is_in_guest() {
            // The thread has the guest's registers from then on.
            way_in::note_here(kernel, id);
        }
        let registers = kernel.threads.at(id.index()).context.registers();
        let seen = if next.handler.sees_registers { registers.instruction_pointer() } else { 0 };
        let words = fault_words(&fault, next.place, seen);
        let why = Why::Fault(fault, next.asked);
        if deliver(kernel, cpu, id, why, (&next.handler, words), asked) == Ok(()) {
            return true;
        }
        asked = next.asked;
    }
    false
}

/// What is told of a fault.
#[inline(always)]
pub(super) fn fault_words(fault: &Fault, place: u64, seen: u64) -> Words {
    let (end, [number, address, access]) = told_of_fault(fault);
    [end as u64, number, address, access, place, seen]
}

/// What a guest's supervisor is told of a fault, which a handler is told as well: number, address and access.
#[inline(always)]
pub fn told_of_fault(fault: &Fault) -> (GuestEnd, [u64; 3]) {
    let access = match fault.access {
        Access::Read => 0,
        Access::Write => 1,
        Access::Execute => 2,
    };
    let (end, number) = match fault.kind {
        FaultKind::Page => (GuestEnd::Fault, 0),
        FaultKind::Instruction => (GuestEnd::Exception, GuestException::Instruction as u64),
        FaultKind::Address => (GuestEnd::Exception, GuestException::Address as u64),
        FaultKind::Arithmetic => (GuestEnd::Exception, GuestException::Arithmetic as u64),
        FaultKind::Breakpoint => (GuestEnd::Breakpoint, 0),
        FaultKind::Step => (GuestEnd::Step, 0),
        FaultKind::Other(number) => (GuestEnd::Exception, OWN_NUMBER | u64::from(number)),
    };
    (end, [number, fault.address.value(), access])
}

/// What a thread's handler is asked of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfCall {
    /// Nothing: there is none, or the thread is in a call or a guest.
    Nothing,
    /// Before it is made.
    Before,
    /// Nothing before, but perhaps it is told when it is over.
    After,
}

/// What the handler of the calling CPU's thread is asked of a call with this number.
pub fn of_call(kernel: &mut Kernel, id: ThreadId, number: u64) -> OfCall {
    let thread = kernel.threads.at_mut(id.index());
    let is_outside = thread.depth() == 0;
    let Some(stack) = thread.activations.as_mut().filter(|_| is_outside) else { return OfCall::Nothing };
    let is_again = core::mem::take(&mut stack.asked_call) == number.wrapping_add(1);
    let asks = handlers::of(kernel, ObjectRef::Thread(id)).filter(|handler| is_open(kernel, handler));
    let asks = asks.map_or(0, |handler| handler.asks);
    match asks & (asked_of::CALLS | asked_of::RETURNS) {
        0 => OfCall::Nothing,
        of_calls if of_calls & asked_of::CALLS != 0 && !is_again => OfCall::Before,
        _ => OfCall::After,
    }
}

/// A call with this number is about to be made; its handler is told when it is over, if it is to be.
pub fn begin_call(kernel: &mut Kernel, id: ThreadId, number: u64) {
    let asks = handlers::of(kernel, ObjectRef::Thread(id)).map_or(0, |handler| handler.asks);
    if let Some(stack) = kernel.threads.at_mut(id.index()).activations.as_mut() {
        stack.told_call = if asks & asked_of::RETURNS != 0 { number.wrapping_add(1) } else { 0 };
    }
}

/// A call, of which its handler was asked if it is asked of calls, is made again.
pub fn note_again(kernel: &mut Kernel, id: ThreadId, number: u64) {
    if let Some(stack) = kernel.threads.at_mut(id.index()).activations.as_mut() {
        (stack.asked_call, stack.told_call) = (number.wrapping_add(1), 0);
    }
}

/// The calling CPU's thread has come out of a gate or a guest: if that was a call of its own, its handler is told, when the thread goes on
/// if that is not here.
#[inline(always)]
pub fn tell_out(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    let stack = kernel.threads.at(id.index()).activations.as_ref();
    if stack.is_some_and(|stack| stack.told_call != 0 && stack.fast.depth() == 0) {
        tell_or_note(kernel, cpu, id);
    }
}

#[cold]
#[inline(never)]
fn tell_or_note(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    if running::current(kernel, cpu) == Some(id) {
        tell_of_return(kernel, cpu, id);
    } else {
        interrupting::note_return(kernel, id);
    }
}

/// Asks the thread's handler before a call is made.
///
/// # Errors
/// Why it cannot be asked; the call fails with that.
pub fn ask_of_call(kernel: &mut Kernel, cpu: usize, id: ThreadId) -> Result<(), Error> {
    let handler = *handlers::of(kernel, ObjectRef::Thread(id)).ok_or(Error::Gone)?;
    let words = call_words(&handler, kernel.threads.at(id.index()).context.registers());
    deliver(kernel, cpu, id, Why::Call, (&handler, words), Asked::Nobody)
}

/// What is told of a call.
#[inline(always)]
pub(super) fn call_words(handler: &Handler, registers: &Registers) -> Words {
    let [first, second, third, ..] = registers.call_arguments();
    let seen = |word: u64| if handler.sees_registers { word } else { 0 };
    let (number, at) = (registers.call_number(), registers.instruction_pointer());
    [UpcallKind::Call as u64, number, seen(first), seen(second), seen(third), seen(at)]
}

/// Tells the thread's handler that a call is over, whose result the thread has, if it is to be told.
pub fn tell_of_return(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    let thread = kernel.threads.at_mut(id.index());
    let Some(stack) = thread.activations.as_mut() else { return };
    let told = stack.told_call;
    if told == 0 {
        return;
    }
    let number = told.wrapping_sub(1);
    let Some(handler) = handlers::of(kernel, ObjectRef::Thread(id)).copied() else { return };
    let registers = kernel.threads.at(id.index()).context.registers();
    let (at, [status, value]) = (registers.instruction_pointer(), registers.call_result());
    let words = [UpcallKind::Return as u64, number, status, value, 0, if handler.sees_registers { at } else { 0 }];
    // Who cannot be told is not; who has to wait is told then.
    let _ = deliver(kernel, cpu, id, Why::Return, (&handler, words), Asked::Nobody);
    let thread = kernel.threads.at_mut(id.index());
    if thread.calling().is_none()
        && let Some(stack) = thread.activations.as_mut()
    {
        stack.told_call = 0;
    }
}

fn is_open(kernel: &Kernel, handler: &Handler) -> bool {
    let Some(gate) = kernel.gates.find(handler.gate) else { return false };
    let (space, table) = (gate.space, gate.table);
    kernel.shared.gate_words(handler.gate.index()).is_open()
        && kernel.spaces.find(space).is_some()
        && locks::ensure_none(kernel, space).is_ok()
        && kernel.tables.find(table).is_some()
}

/// Has the calling CPU's thread call a handler, or wait for a stack.
///
/// # Errors
/// Why it cannot: `Gone`, `TooDeep`, `WrongCpu`, `AccountExhausted`, `OutOfMemory`. Nothing has changed then.
fn deliver(
    kernel: &mut Kernel,
    cpu: usize,
    id: ThreadId,
    why: Why,
    (handler, words): (&Handler, Words),
    before: Asked,
) -> Result<(), Error> {
    if !is_open(kernel, handler) {
        return Err(Error::Gone);
    }
    let space = kernel.gates.at(handler.gate.index()).space;
    if !has_room(kernel, id) {
        ensure_room(kernel, id)?;
        make_room(kernel, id);
        let line = &kernel.shared.cpus[cpu];
        line.activations.set(kernel.threads.at(id.index()).goes_back_to());
    }
    enter::ensure_enterable(kernel, cpu, space)?;
    let Some(stack) = take_stack(kernel, handler.gate) else {
        wait(kernel, cpu, id, why, (handler, before));
        return Ok(());
    };
    let (line, gate) = (&kernel.shared.cpus[cpu], kernel.shared.gate_words(handler.gate.index()));
    let thread = kernel.threads.at_mut(id.index());
    let own = thread.activations.as_deref_mut().expect(KNOWN);
    let (mut spare, depth) = (own.spare.take().expect("there is room to be interrupted"), own.fast.depth());
    (spare.why, spare.sees_registers, spare.space) = (why, handler.sees_registers, line.presence.space());
    core::mem::swap(&mut thread.context, &mut spare.context);
    push((line, gate), (&own.fast, depth), stack);
    own.interrupted[depth] = Some(spare);
    thread.context.begin_handler((gate.entry(), gate.stack_end(stack)), handler.badge, words);
    tessera_arch::resume_context(&thread.context);
    enter::go_to(kernel, cpu, space.index(), Handle::NONE);
    Ok(())
}

/// Whether a thread can be interrupted without more ado.
#[inline(always)]
fn has_room(kernel: &Kernel, id: ThreadId) -> bool {
    let stack = kernel.threads.at(id.index()).activations.as_ref();
    stack.is_some_and(|stack| stack.spare.is_some() && stack.fast.depth() < SUSPENDED_MAX)
}

/// A stack of a gate: the one that the thread has waited for, or a free one, unless somebody waits.
fn take_stack(kernel: &mut Kernel, gate: GateId) -> Option<u32> {
    match kernel.reserved_stack.take_if(|(of, _)| *of == gate) {
        Some((_, stack)) => Some(stack),
        None => kernel.shared.gate_words(gate.index()).take_stack(),
    }
}

/// Does something for a thread for which a stack of a gate was kept: who asks that gate has it. If nobody does, it is free again.
pub fn with_stack(kernel: &mut Kernel, reserved: (GateId, u32), act: impl FnOnce(&mut Kernel)) {
    kernel.reserved_stack = Some(reserved);
    act(kernel);
    if let Some((gate, stack)) = kernel.reserved_stack.take() {
        interrupting::give_back(kernel, gate, stack);
    }
}

fn ensure_room(kernel: &mut Kernel, id: ThreadId) -> Result<(), Error> {
    let thread = kernel.threads.at(id.index());
    if thread.depth() >= SUSPENDED_MAX {
        return Err(Error::TooDeep);
    }
    let (first, spare) = match thread.activations.as_ref() {
        None => (ACTIVATION_BYTES, None),
        Some(stack) => (0, stack.spare.as_ref()),
    };
    let bytes = first + if spare.is_some() { 0 } else { INTERRUPTED_BYTES };
    if bytes != 0 {
        kernel.accounts[thread.account].ensure(bytes)?;
    }
    kernel.reserve_heap(HEAP_PAGES)
}

/// Gives a thread room to be interrupted once more. Account and heap have it.
pub(super) fn make_room(kernel: &mut Kernel, id: ThreadId) {
    if kernel.threads.at(id.index()).activations.is_none() {
        activations::make_room(kernel, id);
    }
    let thread = kernel.threads.at_mut(id.index());
    let (account, stack) = (thread.account, thread.activations.as_mut().expect(KNOWN));
    if stack.spare.is_none() {
        let (context, why) = (ThreadContext::new(), Why::Return);
        stack.spare = Some(Box::new(Interrupted { context, why, sees_registers: false, space: u32::MAX }));
        stack.interrupted_count += 1;
        kernel.accounts[account].charge(INTERRUPTED_BYTES);
    }
}

/// Suspends a CPU's thread, which has suspended so many activations, to have it call a handler on this stack of its gate: it is fresh, as
/// after a gate call. There is room. The CPU has the handler's table then; it is to have the thread's registers, which are another block
/// then, and to enter the handler's space.
#[inline(always)]
pub(super) fn push((line, gate): (&PerCpu, &GateWords), (activations, level): (&Activations, usize), stack: u32) {
    let next = activations.at(level);
    next.table.set(line.table.kept());
    next.entered_by.store(line.entered_by.load(Relaxed), Relaxed);
    // No space is gone back to without the lock.
    next.space.store(IN_HANDLER, Relaxed);
    next.gate.set(Kept::of(gate));
    next.stack.store(stack, Relaxed);
    activations.depth.store(level as u32 + 1, Relaxed);
    line.table.set(gate.table.kept());
}

/// Has the calling CPU's thread wait for a stack of a handler; what it came with it is asked of again then.
fn wait(kernel: &mut Kernel, cpu: usize, id: ThreadId, why: Why, (handler, before): (&Handler, Asked)) {
    running::stop_current(kernel, cpu);
    let gate = handler.gate.index();
    let mut waiting = kernel.gates.at(gate).waiting;
    waiting.push(&mut kernel.threads, Chain::Queue, id);
    let object = kernel.gates.at_mut(gate);
    (object.waiting, object.waiting_count) = (waiting, object.waiting_count + 1);
    let thread = kernel.threads.at_mut(id.index());
    thread.set_calling(gate);
    thread.pending = Some(Box::new(match why {
        Why::Fault(fault, _) => Pending::Asks(Asking::Fault(fault, before)),
        Why::Call => Pending::Asks(Asking::Call),
        Why::Return => Pending::Asks(Asking::Return),
    }));
    kernel.shared.gate_words(gate).set_waited_for(true);
    // A stack may have been given back just before that was to be seen.
    entering::serve(kernel, gate);
}

/// Whether a thread, which runs, is in a handler itself: the topmost thing that it does is answering.
pub fn is_in_handler(kernel: &Kernel, id: ThreadId) -> bool {
    innermost(kernel, id).is_some()
}

fn innermost(kernel: &Kernel, id: ThreadId) -> Option<&Interrupted> {
    let stack = kernel.threads.at(id.index()).activations.as_ref()?;
    let level = stack.fast.depth().checked_sub(1)?;
    stack.interrupted.get(level)?.as_deref()
}

/// The registers of the thread that the calling one is a handler for.
///
/// # Errors
/// `BadState` if it is none, `MissingRight` if it may not see them.
pub fn interrupted_context(kernel: &mut Kernel, id: ThreadId) -> Result<&mut ThreadContext, Error> {
    let interrupted = innermost(kernel, id).ok_or(Error::BadState)?;
    if !interrupted.sees_registers {
        return Err(Error::MissingRight);
    }
    let stack = kernel.threads.at_mut(id.index()).activations.as_mut().ok_or(Error::BadState)?;
    let level = stack.fast.depth() - 1;
    let interrupted = stack.interrupted[level].as_mut().ok_or(Error::BadState)?;
    Ok(&mut interrupted.context)
}

/// The calling CPU's thread, a handler, answers by returning. Gives how it comes out, if it does not go on here.
///
/// # Errors
/// `BadArgument` for what is no answer to this.
pub fn answer(kernel: &mut Kernel, cpu: usize, id: ThreadId) -> Result<Option<Out>, Error> {
    let [number, status, value, ..] = kernel.threads.at(id.index()).context.registers().words();
    let answer = Answer::from_number(number).ok_or(Error::BadArgument)?;
    let why = innermost(kernel, id).ok_or(Error::BadState)?.why;
    if answer == Answer::Cancel && matches!(why, Why::Fault(..)) {
        return Err(Error::BadArgument);
    }
    if is_fresh(kernel, cpu) {
        come_back(kernel, cpu, id);
        settle(kernel, cpu, id, (answer, why), [status, value]);
        return Ok(None);
    }
    let depth = kernel.threads.at(id.index()).depth();
    let out = activations::pop(kernel, id, Ok(0));
    if out == Out::Nowhere || activations::ends_here(kernel, id) {
        return Ok(Some(out));
    }
    running::go_on_out_of_call(kernel, cpu, id);
    // Where it was is gone, or it goes on at another CPU.
    let is_back = kernel.threads.at(id.index()).depth() + 1 == depth && running::current(kernel, cpu) == Some(id);
    if is_back {
        settle(kernel, cpu, id, (answer, why), [status, value]);
    }
    Ok(None)
}

/// Whether what the calling CPU's thread was interrupted in was not noted since.
#[inline(always)]
fn is_fresh(kernel: &Kernel, cpu: usize) -> bool {
    kernel.shared.cpus[cpu].activations.get().is_any_fresh()
}

/// Has the calling CPU's thread, a handler of which nothing was noted, go on where it was interrupted: as it is fresh it is sound.
#[inline(always)]
fn come_back(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    let line = &kernel.shared.cpus[cpu];
    let level = line.activations.get().depth() - 1;
    let last = line.activations.get().at(level);
    let space = innermost(kernel, id).expect("whoever answers is in a handler").space;
    let (gate, stack) = (last.gate.get(), last.stack.load(Relaxed));
    let by = Handle::from_bits(last.entered_by.load(Relaxed));
    line.table.set(last.table.kept());
    line.activations.get().depth.store(level as u32, Relaxed);
    if gate.give_back(stack) {
        kernel.gates.list_due(gate.number());
    }
    let _ = interrupting::take_registers_back(kernel, id, level);
    tessera_arch::resume_context(&kernel.threads.at(id.index()).context);
    enter::go_to(kernel, cpu, space, by);
}

/// Does what a handler has answered to a thread that is back where it was interrupted.
fn settle(kernel: &mut Kernel, cpu: usize, id: ThreadId, answered: (Answer, Why), [status, value]: [u64; 2]) {
    let left = &mut kernel.scheduler.cpus[cpu].left;
    match answered {
        (Answer::End, _) => end(kernel, id),
        (Answer::Cancel, _) => kernel.threads.at_mut(id.index()).context.registers_mut().set_result(status, value),
        (Answer::Pass, Why::Fault(fault, asked)) => *left = Left::Fault(fault, asked),
        (_, Why::Call) => *left = Left::Call,
        (Answer::Resume | Answer::Pass, _) => {}
    }
}

/// A thread ends, or the call that it is in, by the word of a handler.
fn end(kernel: &mut Kernel, id: ThreadId) {
    if kernel.threads.at(id.index()).depth() != 0 {
        let (reason, mut effort) = (FallbackReason::SpaceDestroyed, Effort::of_entry());
        return ending::unwind(kernel, id, Error::Faulted, reason, &mut effort);
    }
    ending::end_thread(kernel, id, ThreadState::Faulted);
}

/// A thread is to have a handler that is asked of this, for which there is room, or none. Its calls come in otherwise from here on, if
/// they are asked of.
pub fn prepare(kernel: &mut Kernel, id: ThreadId, asks: u64) {
    closing::take_off(kernel, id);
    if asks != 0 {
        make_room(kernel, id);
    }
    let cpu = kernel.threads.at(id.index()).cpu();
    if running::current(kernel, cpu) == Some(id) {
        let line = &kernel.shared.cpus[cpu];
        line.activations.set(kernel.threads.at(id.index()).goes_back_to());
    }
    own_context(kernel, id).set_traced(asks & (asked_of::CALLS | asked_of::RETURNS) != 0);
}

/// The registers of what a thread does itself: it may be in a handler, or run a guest, with others.
fn own_context(kernel: &mut Kernel, id: ThreadId) -> &mut ThreadContext {
    let thread = kernel.threads.at(id.index());
    let depth = thread.depth();
    let lowest = thread.activations.as_ref().and_then(|stack| {
        let is_apart = |level: &usize| stack.interrupted[*level].is_some() || stack.fast.is_guest_at(*level);
        (0..depth).find(is_apart).map(|level| (level, stack.fast.at(level).stack.load(Relaxed)))
    });
    let Some((level, guest)) = lowest else { return &mut kernel.threads.at_mut(id.index()).context };
    let stack = kernel.threads.at_mut(id.index()).activations.as_mut().expect(KNOWN);
    match stack.interrupted[level].as_mut() {
        Some(interrupted) => &mut interrupted.context,
        None => &mut kernel.guests.at_mut(guest).context,
    }
}
