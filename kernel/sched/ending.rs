//! How threads come and go: made, taken off a CPU, thrown out of a space, ended.

use alloc::boxed::Box;

use tessera_abi::Error;
use tessera_abi::layout::{FallbackReason, ThreadState};

use crate::base::effort::Effort;
use crate::cpu::slice_pointer::Kept;
use crate::object::id::{CapId, TableId, ThreadId};
use crate::object::links::{Chain, Link};
use crate::object::thread::{Fallback, Thread};
use crate::sched::activations::{self, Out};
use crate::sched::{deletion, entering, inside, interrupting, landing, locks, moving, ready, remote, running, way_in};
use crate::state::kernel::Kernel;

/// Takes a new thread in, with one reference. Account, heap and store were found to have room.
pub fn add_thread(kernel: &mut Kernel, thread: Box<Thread>) -> ThreadId {
    kernel.charge(&*thread);
    add_paid_thread(kernel, thread, None)
}

/// The same for one that its account has been charged for; it is in its space by this capability, if one is known.
pub(crate) fn add_paid_thread(kernel: &mut Kernel, thread: Box<Thread>, by: Option<CapId>) -> ThreadId {
    let table = thread.table.expect("a thread that has not ended has a table");
    let space = thread.space;
    let id = kernel.threads.insert_boxed(thread);
    let inside = by.and_then(|by| inside::first_use(kernel, id, (by, space)));
    let Kernel { threads, spaces, tables, uses, .. } = kernel;
    if inside.is_none() {
        uses.promise();
    }
    let in_space = spaces.at_mut(space.index()).add_thread_last(id);
    let table = tables.retained(table);
    let in_table = table.threads.append(id);
    let thread = threads.at_mut(id.index());
    (thread.inside, thread.table_view) = (inside, Kept::of(&table.view));
    thread.links.put(Chain::Space, in_space);
    thread.links.put(Chain::Table, in_table);
    in_space.join(threads, Chain::Space, id);
    in_table.join(threads, Chain::Table, id);
    id
}

/// Makes a new thread ready for the first time; its registers say where.
pub fn start_thread(kernel: &mut Kernel, id: ThreadId) {
    note_use(kernel, kernel.threads.at(id.index()).table);
    ready::make_ready(kernel, id);
}

/// Stops a thread. In a call, it leaves its program at once, and ends when it comes out: what called whom must not be torn
/// apart. What takes longer than the effort goes is left to be done, as a debt.
pub fn stop_thread(kernel: &mut Kernel, id: ThreadId, effort: &mut Effort) {
    let thread = kernel.threads.at(id.index());
    let table = thread.table;
    if thread.activations.is_some() && is_in_call(kernel, id) {
        return leave_program(kernel, id, effort);
    }
    note_use(kernel, table);
    remove_thread(kernel, id, ThreadState::Stopped, effort);
}

/// Whether a thread is in a call. All that it has suspended is noted then.
#[cold]
#[inline(never)]
fn is_in_call(kernel: &mut Kernel, id: ThreadId) -> bool {
    let thread = kernel.threads.at(id.index());
    if thread.has_ended() {
        return false;
    }
    let cpu = thread.cpu();
    if running::current(kernel, cpu) == Some(id) {
        if cpu == tessera_arch::cpu_index() {
            way_in::note_here(kernel, id);
        } else {
            remote::preempt_remote(kernel, cpu);
        }
    }
    let thread = kernel.threads.at(id.index());
    // A guest is nobody else's: it need not come out.
    thread.depth() != 0 && !(thread.depth() == 1 && thread.is_in_guest())
}

/// A thread in a call is of no program any more. It is kept until it comes out.
#[cold]
#[inline(never)]
fn leave_program(kernel: &mut Kernel, id: ThreadId, effort: &mut Effort) {
    let thread = kernel.threads.at_mut(id.index());
    if core::mem::replace(&mut thread.is_stopping, true) {
        return;
    }
    let (table, in_table) = (thread.table.take(), thread.links.take(Chain::Table));
    kernel.threads.retain_at(id.index());
    note_use(kernel, table);
    if let Some(table) = table {
        leave_table(kernel, table, in_table, effort);
    }
}

/// Has a thread leave the call that it is in, which ends with this error, wherever it is. If nobody is there to go on, it
/// lands, or ends.
pub fn unwind(kernel: &mut Kernel, id: ThreadId, error: Error, reason: FallbackReason, effort: &mut Effort) {
    unwind_with(kernel, id, Err(error), reason, effort);
}

/// The same with whatever result the call has.
pub(super) fn unwind_with(
    kernel: &mut Kernel,
    id: ThreadId,
    result: Result<u64, Error>,
    reason: FallbackReason,
    effort: &mut Effort,
) {
    take_off_queues(kernel, id);
    landing::forget_call(kernel, id);
    // What it has in any register is the callee's; a guest's go where its state is.
    let thread = kernel.threads.at_mut(id.index());
    if !thread.is_in_guest() {
        thread.context.registers_mut().clear();
        thread.context.reset_floating_point();
    }
    let out = activations::pop(kernel, id, result);
    come_out_for(kernel, id, out, reason, effort);
}

/// The calling CPU's thread has come out of a call, and does not go on here.
pub fn come_out(kernel: &mut Kernel, id: ThreadId, out: Out) {
    running::forget_current(kernel, tessera_arch::cpu_index());
    tessera_arch::leave_context();
    if out == Out::Nowhere {
        kernel.threads.at_mut(id.index()).context.registers_mut().clear();
    }
    let stack = kernel.threads.at_mut(id.index()).activations.as_mut();
    let is_revoked = stack.is_some_and(|stack| core::mem::take(&mut stack.is_revoked));
    let reason = if is_revoked { FallbackReason::SpaceRevoked } else { FallbackReason::SpaceDestroyed };
    come_out_for(kernel, id, out, reason, &mut Effort::of_entry());
}

fn come_out_for(kernel: &mut Kernel, id: ThreadId, out: Out, reason: FallbackReason, effort: &mut Effort) {
    if !activations::ends_here(kernel, id) {
        if out == Out::Sound {
            interrupting::note_return(kernel, id);
            return ready::make_ready(kernel, id);
        } else if let Some(fallback) = landing::landing(kernel, id) {
            landing::land(kernel, id, fallback, reason);
            return ready::make_ready(kernel, id);
        }
    }
    // In no queue, like one that was never started.
    kernel.threads.at_mut(id.index()).state = ThreadState::Created;
    remove_thread(kernel, id, ThreadState::Stopped, effort);
}

/// Ends a thread for good, because it says so, made a mistake, or is told to.
pub fn end_thread(kernel: &mut Kernel, id: ThreadId, state: ThreadState) {
    end_thread_within(kernel, id, state, &mut Effort::of_entry());
}

/// The same as a part of a longer call; what takes longer than the effort goes is left to be done, as a debt.
pub fn end_thread_within(kernel: &mut Kernel, id: ThreadId, state: ThreadState, effort: &mut Effort) {
    note_use(kernel, kernel.threads.at(id.index()).table);
    remove_thread(kernel, id, state, effort);
}

/// From here on the end of the last thread of a table empties the table.
#[inline(always)]
fn note_use(kernel: &mut Kernel, table: Option<TableId>) {
    if let Some(table) = table {
        kernel.tables.at_mut(table.index()).is_in_use = true;
    }
}

/// Takes a thread off CPU and queues, wakes those who join it, gives up its table. What takes longer than the effort goes is
/// left to be done, as a debt. Gives whether somebody waits for its end still.
fn remove_thread(kernel: &mut Kernel, id: ThreadId, state: ThreadState, effort: &mut Effort) -> bool {
    let mut thread = kernel.threads.at_mut(id.index());
    if thread.has_ended() {
        return !thread.joiners.is_empty();
    }
    // One that was never started is in no queue.
    if thread.state != ThreadState::Created {
        take_off_queues(kernel, id);
        thread = kernel.threads.at_mut(id.index());
    }
    if thread.activations.is_some() {
        return remove_caller(kernel, id, state, effort);
    }
    remove_stalled(kernel, id, state, effort)
}

/// The same of one that has made gate calls, and is on no CPU and in no queue.
#[cold]
#[inline(never)]
fn remove_caller(kernel: &mut Kernel, id: ThreadId, state: ThreadState, effort: &mut Effort) -> bool {
    let is_stopping = core::mem::take(&mut kernel.threads.at_mut(id.index()).is_stopping);
    activations::end(kernel, id);
    let is_waited_for = remove_stalled(kernel, id, state, effort);
    if is_stopping {
        kernel.threads.release_at(id.index());
    }
    is_waited_for
}

/// The same of one that is on no CPU, in no queue and in no call.
#[inline(always)]
fn remove_stalled(kernel: &mut Kernel, id: ThreadId, state: ThreadState, effort: &mut Effort) -> bool {
    let mut thread = kernel.threads.at_mut(id.index());
    if thread.progress.is_any() {
        kernel.abandon_call(id);
        thread = kernel.threads.at_mut(id.index());
    }
    thread.state = state;
    let uses = inside::take_uses(thread);
    let (joiners, table, debt) = (thread.joiners, thread.table.take(), thread.take_debt());
    let (in_space, in_table) = (thread.links.take(Chain::Space), thread.links.take(Chain::Table));
    let space = kernel.spaces.at_mut(thread.space.index());
    space.threads.close(&mut kernel.threads, Chain::Space, in_space);
    space.thread_count -= 1;
    inside::end(kernel, uses);
    if !debt.is_none() {
        kernel.leave_unowed(debt);
    }
    let mut is_waited_for = false;
    if !joiners.is_empty() {
        kernel.heir = joiners.first(&kernel.threads);
        is_waited_for = !wake_joiners(kernel, id, effort);
        if is_waited_for {
            kernel.threads.list_due(id.index());
        }
    }
    if let Some(table) = table {
        leave_table(kernel, table, in_table, effort);
    }
    is_waited_for
}

/// Gives those who join an ended thread its result, as many as the effort goes; gives whether that was all.
pub(crate) fn wake_joiners(kernel: &mut Kernel, id: ThreadId, effort: &mut Effort) -> bool {
    let result = join_result(kernel, id);
    while let Some(joiner) = kernel.threads[id].joiners.first(&kernel.threads) {
        if !effort.is_left() {
            return false;
        }
        effort.spend(running::wake_units(kernel));
        stop_joining(kernel, joiner);
        ready::finish_call(kernel, joiner, result);
        ready::make_ready(kernel, joiner);
    }
    true
}

/// What joining an ended thread gives.
pub fn join_result(kernel: &Kernel, id: ThreadId) -> Result<u64, Error> {
    match kernel.threads[id].state {
        ThreadState::Exited => Ok(kernel.threads[id].exit_code()),
        ThreadState::Faulted => Err(Error::Faulted),
        _ => Err(Error::Gone),
    }
}

/// Sends a thread from the space in whose list it is to where it lands, or ends it if that is nowhere.
pub fn evict(
    kernel: &mut Kernel,
    id: ThreadId,
    landing: Option<Fallback>,
    reason: FallbackReason,
    effort: &mut Effort,
) {
    if kernel.threads.at(id.index()).depth() != 0 {
        return unwind(kernel, id, Error::Gone, reason, effort);
    }
    let Some(fallback) = landing else {
        remove_thread(kernel, id, ThreadState::Stopped, effort);
        return;
    };
    take_off_queues(kernel, id);
    landing::land(kernel, id, fallback, reason);
    ready::make_ready(kernel, id);
}

/// Takes a thread apart that no capability names any more; gives whether it has gone. One that never ran leaves its table
/// as it is.
pub(crate) fn destroy_thread(kernel: &mut Kernel, id: ThreadId, effort: &mut Effort) -> bool {
    let is_waited_for = remove_thread(kernel, id, ThreadState::Stopped, effort);
    if is_waited_for && (kernel.threads.is_due(id.index()) || !wake_joiners(kernel, id, effort)) {
        return false;
    }
    let thread = kernel.threads.remove_at(id.index());
    kernel.credit(&*thread);
    true
}

/// Takes a thread out of whatever it is in: a CPU with its registers, a queue, the sleepers, those who join.
#[inline(never)]
fn take_off_queues(kernel: &mut Kernel, id: ThreadId) {
    let thread = kernel.threads.at(id.index());
    let (state, cpu) = (thread.state, thread.cpu());
    let here = tessera_arch::cpu_index();
    if running::current(kernel, here).is_none() {
        // What this CPU is in the kernel for has stopped its thread, perhaps this one; so far the CPU keeps its registers
        // for whoever goes on here.
        tessera_arch::leave_context();
    }
    match state {
        ThreadState::Ready if running::current(kernel, cpu) == Some(id) && cpu != here => {
            // Only who holds the lock, as this CPU does, changes who is current.
            assert_eq!(remote::stall_remote(kernel, cpu), Some(id), "a CPU lets go of its current thread");
        }
        ThreadState::Ready if running::current(kernel, cpu) == Some(id) => {
            running::stop_current(kernel, cpu);
            tessera_arch::leave_context();
        }
        ThreadState::Ready => kernel.scheduler.remove(&mut kernel.threads, id),
        ThreadState::Sleeping => kernel.scheduler.remove_sleeper(&mut kernel.threads, id),
        ThreadState::Joining => stop_joining(kernel, id),
        ThreadState::Calling => {
            let gate = kernel.threads[id].calling().expect("a thread that waits for a stack knows of which gate");
            entering::stop_calling(kernel, id, gate);
            moving::give_up_waiting(kernel, id);
        }
        ThreadState::Entering => locks::stop_waiting(kernel, id),
        _ => {}
    }
}

/// Makes the calling CPU's current thread wait for another's end.
pub fn join(kernel: &mut Kernel, id: ThreadId, target: ThreadId) {
    let mut joiners = kernel.threads[target].joiners;
    joiners.push(&mut kernel.threads, Chain::Queue, id);
    kernel.threads[target].joiners = joiners;
    kernel.threads.at_mut(id.index()).set_joining(target.index());
}

fn stop_joining(kernel: &mut Kernel, id: ThreadId) {
    let Some(target) = kernel.threads.at(id.index()).joining() else { return };
    let mut joiners = kernel.threads.at(target).joiners;
    joiners.remove(&mut kernel.threads, Chain::Queue, id);
    kernel.threads.at_mut(target).joiners = joiners;
}

/// One thread less uses a table, in whose list it had this place. The last one's end empties the table, if any ever used
/// it, so that a program which holds capabilities to itself goes when its threads have gone.
fn leave_table(kernel: &mut Kernel, table: TableId, place: Link, effort: &mut Effort) {
    // If nothing else refers to the table it goes later, with whatever is in it still.
    let object = kernel.tables.released_at(table.index());
    object.threads.close(&mut kernel.threads, Chain::Table, place);
    let is_to_be_emptied = object.threads.is_empty() && object.is_in_use;
    if is_to_be_emptied && !deletion::empty_table(kernel, table, effort) {
        kernel.tables.list_due(table.index());
    }
}
