//! System calls on the common path; and those of threads whose handler is asked of them, or told.

use alloc::boxed::Box;

use tessera_abi::Error;
use tessera_abi::layout::{FallbackReason, ThreadState};
use tessera_abi::syscall::number;
use tessera_abi::upcall::asked_of;
use tessera_arch::CallResult;

use crate::base::effort::Effort;
use crate::base::log::{Word, log};
use crate::cpu::per_cpu::PerCpu;
use crate::entry::quick;
use crate::object::id::ThreadId;
use crate::object::thread::{Asking, Pending};
use crate::sched::upcall::{self, OfCall};
use crate::sched::{ending, running};
use crate::state::kernel::Kernel;
use crate::state::scheduler::Left;
use crate::syscall::HANDLERS;

/// How a call ends for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "something may be left to be done"]
pub(super) enum Served {
    /// It is over, or whoever ends it sets the result.
    Done,
    /// A step of it was, and it is to be made again.
    Step,
    /// It was an answer, and what is left to be done for that stands in the run queue.
    Left,
}

/// Serves a call.
#[inline(always)]
pub(super) fn call(kernel: &mut Kernel, cpu: usize) -> Served {
    // A step that was done before the registers were saved is not followed by a second one.
    let is_again = core::mem::take(&mut kernel.scheduler.cpus[cpu].is_again);
    // None if another CPU made this one let the thread go meanwhile, which will make the call anew.
    let Some(id) = running::current(kernel, cpu) else { return if is_again { Served::Step } else { Served::Done } };
    if !is_again && serve(kernel, cpu, id) {
        return Served::Left;
    }
    let is_step = is_again || core::mem::take(&mut kernel.scheduler.cpus[cpu].is_again);
    if is_step {
        // What is pending is served in user mode, before the instruction that makes the call again.
        tessera_arch::restart_call();
        return Served::Step;
    }
    Served::Done
}

/// The same for calls that have a handler in the way.
#[cold]
#[inline(never)]
fn call_out_of_line(kernel: &mut Kernel, cpu: usize) -> Served {
    call(kernel, cpu)
}

/// Serves a call; gives whether something is left to be done.
#[inline(always)]
fn serve(kernel: &mut Kernel, cpu: usize, id: ThreadId) -> bool {
    let line = &kernel.shared.cpus[cpu];
    line.counters.system_calls.add(1);
    let registers = kernel.threads[id].context.registers();
    let (number, words) = (registers.call_number(), registers.call_arguments());
    let bad_call = CallResult { status: Error::BadCall.status(), value: 0 };
    let result = HANDLERS.get(number as usize).map_or(bad_call, |handler| handler(kernel, line, &words));
    if result == CallResult::COMMON {
        return kernel.scheduler.cpus[cpu].left != Left::Nothing;
    }
    kernel.threads[id].context.registers_mut().set_result(result.status, result.value);
    false
}

/// Sees to a call of the CPU's thread, which is made the way of those that are asked of.
pub(super) fn handle(kernel: &mut Kernel, cpu: usize, id: ThreadId) -> Served {
    let number = kernel.threads.at(id.index()).context.registers().call_number();
    match upcall::of_call(kernel, id, number) {
        OfCall::Nothing => call_out_of_line(kernel, cpu),
        OfCall::After => make_told(kernel, cpu, id, number),
        OfCall::Before => {
            ask(kernel, cpu, id);
            Served::Done
        }
    }
}

fn ask(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    if let Err(error) = upcall::ask_of_call(kernel, cpu, id) {
        kernel.threads.at_mut(id.index()).context.registers_mut().set_result(error.status(), 0);
    }
}

/// Makes the call that the CPU's thread was about to make when its handler was asked.
pub(super) fn make(kernel: &mut Kernel, cpu: usize) -> Served {
    let Some(id) = running::current(kernel, cpu) else { return Served::Done };
    let number = kernel.threads.at(id.index()).context.registers().call_number();
    make_told(kernel, cpu, id, number)
}

/// The same of a call that is quick, or does nothing, and of which nobody is told when it is over; gives whether it was made.
#[inline(always)]
pub(super) fn make_quickly(kernel: &mut Kernel, line: &'static PerCpu) -> bool {
    let id = kernel.scheduler.cpus[line.number()].caller;
    let thread = kernel.threads.at_mut(id.index());
    let Some(own) = thread.activations.as_mut() else { return false };
    if own.handler.as_ref().is_none_or(|handler| handler.asks & asked_of::RETURNS != 0) {
        return false;
    }
    own.told_call = 0;
    let registers = thread.context.registers_mut();
    let number = registers.call_number();
    if number == number::null {
        registers.set_result(0, 0);
        line.counters.system_calls.add(1);
        return true;
    }
    let words = registers.call_arguments();
    let Some(handler) = (if number < HANDLERS.len() as u64 { quick::handler(number) } else { None }) else {
        return false;
    };
    let result = handler(kernel, line, &words);
    if result == CallResult::COMMON {
        return false;
    }
    line.counters.system_calls.add(1);
    kernel.threads.at_mut(id.index()).context.registers_mut().set_result(result.status, result.value);
    true
}

/// Makes a call; if its handler is to be told when it is over, and it is, tells that.
fn make_told(kernel: &mut Kernel, cpu: usize, id: ThreadId, number: u64) -> Served {
    let at = kernel.threads.at(id.index()).context.registers().instruction_pointer();
    upcall::begin_call(kernel, id, number);
    let served = call_out_of_line(kernel, cpu);
    // In a gate it is told when it comes back.
    let Some(thread) = kernel.threads.find(id).filter(|thread| thread.depth() == 0) else { return served };
    if served == Served::Step || thread.context.registers().is_before_call(at) {
        upcall::note_again(kernel, id, number);
    } else {
        upcall::tell_out(kernel, cpu, id);
    }
    served
}

/// Sees to what a thread came with that was just chosen to run.
pub(super) fn handle_pending(kernel: &mut Kernel, cpu: usize, pending: Pending) {
    let Some(id) = running::current(kernel, cpu) else { return };
    match pending {
        Pending::Asks(Asking::Call) => ask(kernel, cpu, id),
        Pending::Asks(Asking::Return) => upcall::tell_of_return(kernel, cpu, id),
        Pending::Unanswered => end(kernel, id),
        pending @ (Pending::Asks(Asking::Fault(..)) | Pending::Served(..) | Pending::Debt(_)) => {
            kernel.threads.at_mut(id.index()).pending = Some(Box::new(pending));
        }
    }
}

/// A thread ends, of whose call its handler was asked and did not answer: else it would have made the call.
fn end(kernel: &mut Kernel, id: ThreadId) {
    let thread = kernel.threads.at(id.index());
    log!(
        kernel.shared.console,
        "unanswered: thread={} ip={:#x} : its handler was asked of a system call, and came back without an answer",
        Word(thread.name),
        thread.context.registers().instruction_pointer(),
    );
    if thread.depth() != 0 {
        let (reason, mut effort) = (FallbackReason::SpaceDestroyed, Effort::of_entry());
        return ending::unwind(kernel, id, Error::Faulted, reason, &mut effort);
    }
    ending::end_thread(kernel, id, ThreadState::Faulted);
}
