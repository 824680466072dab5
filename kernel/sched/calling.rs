//! `gate_call` and `gate_return` on the common path: all that the fast path leaves to be seen to. A thread's first call, a stack
//! that has to be waited for, a capability that goes along, a way in that is not open yet, and every refusal.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Error;

use crate::base::effort::Effort;
use crate::cpu::activations::SUSPENDED_MAX;
use crate::cpu::per_cpu::NO_GATE;
use crate::object::activation_stack::ACTIVATION_BYTES;
use crate::object::id::{GateId, ThreadId};
use crate::object::links::Chain;
use crate::sched::activations::{self, Out};
use crate::sched::entering::{Given, HEAP_PAGES, WAITS};
use crate::sched::moving::{self, MOVES};
use crate::sched::{enter, entering, running, upcall, way_in};
use crate::state::kernel::Kernel;

/// How a call ends for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the thread may be gone from its CPU"]
pub enum Calling {
    /// The thread is in the gate.
    Entered,
    /// It waits.
    Waits,
    /// It is to call again: more CPUs have to be asked who is in a space by what it moves along.
    Again,
}

/// Has the calling CPU's thread call a gate, with the words of the call.
///
/// # Errors
/// Those of `gate_call`.
pub fn call(kernel: &mut Kernel, cpu: usize, id: ThreadId, words: &[u64; 6]) -> Result<Calling, Error> {
    serve_due(kernel, cpu);
    let table = kernel.shared.cpus[cpu].table.get().number();
    let (gate, given) = entering::plan(kernel, table, words)?;
    let space = kernel.gates.at(gate.index()).space;
    enter::ensure_enterable(kernel, cpu, space)?;
    ensure_room(kernel, id)?;
    if !moving::close(kernel, table, given.and_then(Given::moved), &mut Effort::of_entry()) {
        return Ok(Calling::Again);
    }
    entering::serve(kernel, gate.index());
    let stack = kernel.shared.gate_words(gate.index()).take_stack();
    if stack.is_none() && words[1] & WAITS == 0 {
        return Err(Error::Busy);
    }
    if kernel.threads.at(id.index()).activations.is_none() {
        activations::make_room(kernel, id);
    }
    way_in::note_here(kernel, id);
    let Some(stack) = stack else {
        wait(kernel, cpu, id, gate);
        return Ok(Calling::Waits);
    };
    entering::enter_gate(kernel, id, (gate, stack), words);
    running::go_on_as_noted(kernel, cpu, id);
    Ok(Calling::Entered)
}

/// Checks that a thread may be in one more call.
pub(super) fn ensure_room(kernel: &mut Kernel, id: ThreadId) -> Result<(), Error> {
    let thread = kernel.threads.at(id.index());
    if thread.depth() >= SUSPENDED_MAX {
        return Err(Error::TooDeep);
    }
    if thread.activations.is_none() {
        let account = thread.account;
        kernel.accounts[account].ensure(ACTIVATION_BYTES)?;
    }
    kernel.reserve_heap(HEAP_PAGES)
}

/// Has the calling CPU's thread wait for a stack of a gate.
fn wait(kernel: &mut Kernel, cpu: usize, id: ThreadId, gate: GateId) {
    running::stop_current(kernel, cpu);
    let mut waiting = kernel.gates.at(gate.index()).waiting;
    waiting.push(&mut kernel.threads, Chain::Queue, id);
    let object = kernel.gates.at_mut(gate.index());
    (object.waiting, object.waiting_count) = (waiting, object.waiting_count + 1);
    kernel.threads.at_mut(id.index()).set_calling(gate.index());
    kernel.shared.gate_words(gate.index()).set_waited_for(true);
    // A stack may have been given back just before that was to be seen.
    entering::serve(kernel, gate.index());
}

/// Sees to the gate for a stack of which somebody waits that a CPU has given back without the lock.
#[inline(always)]
pub fn serve_due(kernel: &mut Kernel, cpu: usize) {
    if kernel.shared.cpus[cpu].due_gate.load(Relaxed) != NO_GATE {
        serve_noted(kernel, cpu);
    }
}

#[cold]
fn serve_noted(kernel: &mut Kernel, cpu: usize) {
    let gate = kernel.shared.cpus[cpu].due_gate.swap(NO_GATE, Relaxed);
    // It may have gone meanwhile, and nobody waits then.
    if kernel.gates.id_at(gate).is_some() {
        entering::serve(kernel, gate);
    }
}

/// How a return goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the thread may have nowhere to go on"]
pub enum Returning {
    /// The thread is back at who called.
    Back,
    /// It comes out otherwise, and has to be seen to.
    Out(Out),
    /// It is to return again, as for [`Calling::Again`].
    Again,
}

/// Has the calling CPU's thread return from the call that it is in, with what goes along. Gives whether it goes on
/// there; else it has to be seen to (`ending::come_out`).
///
/// # Errors
/// Those of `gate_return`.
pub fn go_back(kernel: &mut Kernel, cpu: usize, id: ThreadId, given: [u64; 3]) -> Result<Returning, Error> {
    if upcall::is_in_handler(kernel, id) {
        return answer(kernel, cpu, id, given[0]);
    }
    way_in::note_here(kernel, id);
    if given[2] & !MOVES != 0 {
        return Err(Error::BadArgument);
    }
    let (table, into) = (kernel.threads.at(id.index()).table_view.get().number(), table_below(kernel, id)?);
    let mut value = tessera_abi::Handle::NONE;
    // What nobody is there to take stays where it is.
    if let Some(into) = into {
        let given = entering::plan_given(kernel, table, given, into)?;
        kernel.reserve_heap(HEAP_PAGES)?;
        if !moving::close(kernel, table, given.and_then(Given::moved), &mut Effort::of_entry()) {
            return Ok(Returning::Again);
        }
        value = entering::give(kernel, table, given, into);
    }
    let out = activations::pop(kernel, id, Ok(value.bits()));
    if out == Out::Nowhere || activations::ends_here(kernel, id) {
        return Ok(Returning::Out(out));
    }
    running::go_on_out_of_call(kernel, cpu, id);
    upcall::tell_out(kernel, cpu, id);
    Ok(Returning::Back)
}

/// The same of a handler's return, which is an answer.
#[cold]
#[inline(never)]
fn answer(kernel: &mut Kernel, cpu: usize, id: ThreadId, capability: u64) -> Result<Returning, Error> {
    if capability != tessera_abi::Handle::NONE.bits() {
        return Err(Error::BadArgument);
    }
    Ok(upcall::answer(kernel, cpu, id)?.map_or(Returning::Back, Returning::Out))
}

/// The number of the table of whoever made the call that a thread is in, if anybody sound did.
///
/// # Errors
/// `BadState` for a thread that is in no call.
fn table_below(kernel: &Kernel, id: ThreadId) -> Result<Option<u32>, Error> {
    let thread = kernel.threads.at(id.index());
    let stack = thread.activations.as_ref().filter(|stack| stack.fast.depth() != 0).ok_or(Error::BadState)?;
    let level = stack.fast.depth() - 1;
    let noted = &stack.noted[level];
    let is_there = !noted.is_gone && kernel.spaces.find(noted.space).is_some() && !(level == 0 && thread.is_stopping);
    Ok(is_there.then(|| stack.fast.at(level).table.get().number()))
}

/// Whether whoever made the call that a thread is in is there still, and goes on when it returns.
///
/// # Errors
/// `BadState` for a thread that is in no call.
pub fn is_awaited(kernel: &mut Kernel, id: ThreadId) -> Result<bool, Error> {
    way_in::note_here(kernel, id);
    table_below(kernel, id).map(|table| table.is_some() && !kernel.threads.at(id.index()).is_stopping)
}
