//! Running guests: a thread goes on with a guest's registers in a space, and comes out again.
//!
//! What it does then is suspended as by a gate call, and the guest is the topmost activation; it has no table. Whatever it does that
//! is not resolved for it brings the thread back to where it was.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::guest::GuestEnd;
use tessera_abi::layout::FallbackReason;
use tessera_abi::{Error, Handle};
use tessera_arch::{FaultKind, Registers};

use crate::base::effort::Effort;
use crate::cpu::activations::Activations;
use crate::cpu::gate_words::GUEST_WORDS;
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::slice_pointer::Kept;
use crate::object::derivation;
use crate::object::guest::{Came, Standing};
use crate::object::id::{GuestId, SpaceId, ThreadId};
use crate::object::thread::{Asking, Pending};
use crate::sched::activations::{self, Out};
use crate::sched::exchange::runner;
use crate::sched::{calling, closing, ending, enter, exchange, running, upcall};
use crate::state::kernel::Kernel;
use crate::state::scheduler::Left;

/// What a thread asks for that runs a guest.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The guest, and the handle by which it is named.
    pub guest: (GuestId, Handle),
    /// The space, and the handle by which it is entered.
    pub space: (SpaceId, Handle),
    /// Whether it is to execute one instruction.
    pub steps: bool,
    /// When it is to come out, nanoseconds since boot.
    pub deadline_ns: u64,
}

/// Whether a CPU's thread runs a guest.
#[inline(always)]
pub fn is_in_guest(line: &PerCpu) -> bool {
    line.activations.get().is_in_guest()
}

/// The registers of a CPU's thread, with which it came in; a guest's if it runs one.
pub fn registers(kernel: &Kernel, cpu: usize, id: ThreadId) -> &Registers {
    let stack = kernel.shared.cpus[cpu].activations.get();
    let is_fresh = stack.is_in_guest() && stack.is_any_fresh();
    let context = if is_fresh {
        &kernel.guests.at(stack.last().stack.load(Relaxed)).context
    } else {
        &kernel.threads.at(id.index()).context
    };
    context.registers()
}

/// Has the calling CPU's thread run a guest. If that is over before it begins, gives why.
///
/// # Errors
/// Those of `guest_run`.
pub fn run(kernel: &mut Kernel, cpu: usize, id: ThreadId, run: Run) -> Result<Option<GuestEnd>, Error> {
    let (guest, object) = (run.guest.0, kernel.guests.at(run.guest.0.index()));
    if object.is_run() {
        return Err(Error::Busy);
    }
    if object.state.is_none() {
        return Err(Error::Gone);
    }
    enter::ensure_enterable(kernel, cpu, run.space.0)?;
    calling::ensure_room(kernel, id)?;
    load(kernel, guest, run.steps)?;
    let object = kernel.guests.at_mut(guest.index());
    if core::mem::take(&mut object.is_kicked) {
        object.settle();
        return Ok(Some(end_unrun(kernel, guest, GuestEnd::Kick)));
    }
    if run.deadline_ns != u64::MAX && run.deadline_ns <= tessera_arch::now_ns() {
        return Ok(Some(end_unrun(kernel, guest, GuestEnd::Deadline)));
    }
    if kernel.threads.at(id.index()).activations.is_none() {
        activations::make_room(kernel, id);
        let line = &kernel.shared.cpus[cpu];
        line.activations.set(kernel.threads.at(id.index()).goes_back_to());
    }
    let (is_traced, object) = (kernel.threads.at(id.index()).context.is_traced(), kernel.guests.at_mut(guest.index()));
    if is_traced || run.deadline_ns != u64::MAX {
        object.context.end_commonly();
    }
    if run.deadline_ns != u64::MAX {
        object.deadline_ns = run.deadline_ns;
        kernel.guests_until += 1;
        kernel.scheduler.cpus[cpu].need_resched.set(true);
    }
    let line = &kernel.shared.cpus[cpu];
    let stack = line.activations.get();
    suspend(line, (stack, stack.depth()), (guest.index(), run.guest.1));
    let object = kernel.guests.at_mut(guest.index());
    object.standing = Standing::fresh_on(cpu);
    tessera_arch::resume_context(&object.context);
    let (space, by) = run.space;
    enter::go_to(kernel, cpu, space.index(), by);
    Ok(None)
}

/// Takes the guest's registers from its state.
fn load(kernel: &mut Kernel, guest: GuestId, steps: bool) -> Result<(), Error> {
    let state = kernel.guests.at(guest.index()).state.ok_or(Error::Gone)?;
    let page = &tessera_arch::table(state.frame)[..];
    let is_sound = kernel.guests.at_mut(guest.index()).context.load_guest(page, steps);
    if is_sound { Ok(()) } else { Err(Error::BadAddress) }
}

/// The run of a guest is over before it has begun: its registers stay as they are.
fn end_unrun(kernel: &Kernel, guest: GuestId, end: GuestEnd) -> GuestEnd {
    if let Some(page) = exchange::page_of(kernel, guest.index()) {
        page[..4].iter().zip([end as u64, 0, 0, 0]).for_each(|(to, word)| to.store(word, Relaxed));
    }
    end
}

/// The calling CPU's thread has suspended where it is, to run a guest that a handle names, without a table. It is fresh, as after a gate
/// call.
#[inline(always)]
pub(super) fn suspend(line: &PerCpu, (stack, depth): (&Activations, usize), (guest, called): (u32, Handle)) {
    let next = stack.at(depth);
    next.table.set(line.table.kept());
    next.called.store(called.bits(), Relaxed);
    next.entered_by.store(line.entered_by.load(Relaxed), Relaxed);
    next.space.store(line.presence.space(), Relaxed);
    next.gate.set(Kept::of(&GUEST_WORDS));
    next.stack.store(guest, Relaxed);
    stack.depth.store(depth as u32 + 1, Relaxed);
    line.leave_table();
}

/// The calling CPU's thread comes out of the guest that it runs, whose registers are saved.
pub fn leave(kernel: &mut Kernel, cpu: usize, id: ThreadId, came: Came) {
    let line = &kernel.shared.cpus[cpu];
    let stack = line.activations.get();
    let level = stack.depth() - 1;
    let (last, is_fresh) = (stack.at(level), stack.is_any_fresh());
    let guest = last.stack.load(Relaxed);
    kernel.guests.at_mut(guest).came = Some(came);
    tessera_arch::leave_context();
    if !is_fresh {
        return leave_noted(kernel, cpu, id, came.end);
    }
    let (table, by) = (last.table.kept(), Handle::from_bits(last.entered_by.load(Relaxed)));
    // What is fresh is sound.
    let space = kernel.spaces.id_at(last.space.load(Relaxed)).expect("what is gone back to was noted before it went");
    stack.depth.store(level as u32, Relaxed);
    line.table.set(table);
    exchange::put_back(kernel, id, guest);
    let context = &mut kernel.threads.at_mut(id.index()).context;
    context.registers_mut().set_result(0, came.end as u64);
    tessera_arch::resume_context(context);
    enter::go_to(kernel, cpu, space.index(), by);
    upcall::tell_out(kernel, cpu, id);
}

/// The same of one that was noted: what it goes back to may have gone.
#[cold]
#[inline(never)]
fn leave_noted(kernel: &mut Kernel, cpu: usize, id: ThreadId, end: GuestEnd) {
    let out = activations::pop(kernel, id, Ok(end as u64));
    if out == Out::Nowhere || activations::ends_here(kernel, id) {
        return ending::come_out(kernel, id, out);
    }
    running::go_on_out_of_call(kernel, cpu, id);
    upcall::tell_out(kernel, cpu, id);
}

/// Has the calling CPU's thread come out of a guest whose time is over.
pub fn end_overdue(kernel: &mut Kernel, cpu: usize) {
    let Some(deadline_ns) = running::guest_deadline_ns(kernel, cpu) else { return };
    if let Some(id) = running::current(kernel, cpu)
        && deadline_ns <= tessera_arch::now_ns()
    {
        leave(kernel, cpu, id, Came::by(GuestEnd::Deadline));
    }
}

/// Has a guest come out, wherever it runs, or the next time that it is run.
pub fn kick(kernel: &mut Kernel, guest: GuestId) {
    let Some(runner) = runner(kernel, guest.index()) else {
        let object = kernel.guests.at_mut(guest.index());
        object.is_kicked = true;
        return object.settle();
    };
    closing::take_off(kernel, runner);
    if !kernel.threads.at(runner.index()).is_in_guest() {
        // It is in a handler, and comes out when it is back.
        kernel.guests.at_mut(guest.index()).is_kicked = true;
        return;
    }
    // What has happened already and would not happen again comes first.
    let is_behind = |kind| matches!(kind, FaultKind::Breakpoint | FaultKind::Step);
    match kernel.threads.at(runner.index()).pending.as_deref() {
        Some(Pending::Asks(Asking::Fault(fault, _))) if is_behind(fault.kind) => {
            kernel.guests.at_mut(guest.index()).is_kicked = true
        }
        _ => {
            kernel.guests.at_mut(guest.index()).came = Some(Came::by(GuestEnd::Kick));
            take_out(kernel, runner, Ok(GuestEnd::Kick as u64), &mut Effort::of_entry());
        }
    }
}

/// Has the calling CPU's thread come out of the guest that it runs if that was kicked while a handler was asked of what it did.
pub fn end_kicked(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    let stack = kernel.shared.cpus[cpu].activations.get();
    let goes_on = running::current(kernel, cpu) == Some(id) && kernel.scheduler.cpus[cpu].left == Left::Nothing;
    if goes_on
        && stack.is_in_guest()
        && core::mem::take(&mut kernel.guests.at_mut(stack.last().stack.load(Relaxed)).is_kicked)
    {
        leave(kernel, cpu, id, Came::by(GuestEnd::Kick));
    }
}

fn take_out(kernel: &mut Kernel, runner: ThreadId, result: Result<u64, Error>, effort: &mut Effort) {
    ending::unwind_with(kernel, runner, result, FallbackReason::SpaceDestroyed, effort);
}

/// A guest is over: its state is taken back, or it goes. Who runs it comes out.
pub fn close(kernel: &mut Kernel, guest: u32, effort: &mut Effort) {
    // If a handler is asked of what it does, that comes out first.
    while let Some(runner) = runner(kernel, guest) {
        closing::take_off(kernel, runner);
        take_out(kernel, runner, Err(Error::Gone), effort);
    }
    let Kernel { guests, segments, tables, uses, .. } = kernel;
    let object = guests.at_mut(guest);
    if let Some(state) = object.state.take() {
        object.standing = Standing::OTHER;
        derivation::take_back(tables, uses, state.lent);
        segments.release(state.segment);
    }
}
