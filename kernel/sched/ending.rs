//! How threads come and go: made, taken off a CPU, thrown out of a space, ended.

use alloc::boxed::Box;

use tessera_abi::layout::{FallbackReason, ThreadState};
use tessera_abi::{Error, Handle, ObjectKind};

use crate::base::mutants::{Mutant, is_seeded};
use crate::object::id::{SpaceId, TableId, ThreadId};
use crate::object::links::{Chain, Link};
use crate::object::progress::Progress;
use crate::object::thread::{Fallback, Thread};
use crate::sched::{ready, remote, running};
use crate::state::kernel::Kernel;

/// Takes a new thread in, with one reference. Account, heap and store were found to have room.
pub fn add_thread(kernel: &mut Kernel, thread: Box<Thread>) -> ThreadId {
    kernel.charge(&*thread);
    add_paid_thread(kernel, thread)
}

/// The same for one that its account has been charged for.
pub(crate) fn add_paid_thread(kernel: &mut Kernel, thread: Box<Thread>) -> ThreadId {
    let table = thread.table.expect("a thread that has not ended has a table");
    let space = thread.space.index();
    let Kernel { threads, spaces, tables, .. } = kernel;
    let id = threads.insert_boxed(thread);
    let in_space = spaces.at_mut(space).add_thread_last(id);
    let in_table = tables.retained(table).threads.append(id);
    let links = &mut threads.at_mut(id.index()).links;
    links.put(Chain::Space, in_space);
    links.put(Chain::Table, in_table);
    in_space.join(threads, Chain::Space, id);
    in_table.join(threads, Chain::Table, id);
    id
}

/// Makes a new thread ready for the first time; its registers say where.
pub fn start_thread(kernel: &mut Kernel, id: ThreadId) {
    note_use(kernel, id);
    ready::make_ready(kernel, id);
}

/// Ends a thread for good, because it says so, made a mistake, or is told to.
pub fn end_thread(kernel: &mut Kernel, id: ThreadId, state: ThreadState) {
    note_use(kernel, id);
    remove_thread(kernel, id, state);
}

/// From here on the end of the last thread of this one's table empties the table.
fn note_use(kernel: &mut Kernel, id: ThreadId) {
    if let Some(table) = kernel.threads[id].table {
        kernel.tables[table].is_in_use = true;
    }
}

/// Takes a thread off CPU and queues, wakes those who join it, gives up its table.
fn remove_thread(kernel: &mut Kernel, id: ThreadId, state: ThreadState) {
    let mut thread = kernel.threads.at_mut(id.index());
    if thread.has_ended() {
        return;
    }
    // One that was never started is in no queue.
    if thread.state != ThreadState::Created {
        take_off_queues(kernel, id);
        thread = kernel.threads.at_mut(id.index());
    }
    if thread.progress.is_any() {
        abandon_call(kernel, id);
        thread = kernel.threads.at_mut(id.index());
    }
    thread.state = state;
    let (joiners, table) = (thread.joiners, thread.table.take());
    let (in_space, in_table) = (thread.links.take(Chain::Space), thread.links.take(Chain::Table));
    let space = kernel.spaces.at_mut(thread.space.index());
    space.threads.close(&mut kernel.threads, Chain::Space, in_space);
    space.thread_count -= 1;
    if !joiners.is_empty() {
        wake_joiners(kernel, id);
    }
    if let Some(table) = table {
        leave_table(kernel, table, in_table);
    }
}

/// Gives those who join an ended thread its result.
fn wake_joiners(kernel: &mut Kernel, id: ThreadId) {
    let result = join_result(kernel, id);
    while let Some(joiner) = kernel.threads[id].joiners.first(&kernel.threads) {
        stop_joining(kernel, joiner);
        finish_call(kernel, joiner, result);
        ready::make_ready(kernel, joiner);
    }
}

/// What joining an ended thread gives.
pub fn join_result(kernel: &Kernel, id: ThreadId) -> Result<u64, Error> {
    match kernel.threads[id].state {
        ThreadState::Exited => Ok(kernel.threads[id].exit_code()),
        ThreadState::Faulted => Err(Error::Faulted),
        _ => Err(Error::Gone),
    }
}

/// Sets the result of the call that a thread is in.
pub fn finish_call(kernel: &mut Kernel, id: ThreadId, result: Result<u64, Error>) {
    let (status, value) = match result {
        Ok(value) => (0, value),
        Err(error) => (error.status(), 0),
    };
    kernel.threads[id].context.registers_mut().set_result(status, value);
}

/// Forgets the call that a thread was making step by step. What it has done stays done; an object that it was making goes.
pub fn abandon_call(kernel: &mut Kernel, id: ThreadId) {
    let progress = core::mem::replace(&mut kernel.threads[id].progress, Progress::NONE);
    match progress.making() {
        Some((ObjectKind::Segment, index)) => kernel.segments.release_at(index),
        Some((ObjectKind::CapTable, index)) => kernel.tables.release_at(index),
        _ => {}
    }
}

/// Sends every thread in a space that goes to its fallback, or ends it. Nobody can enter it any more: the last
/// capability went before. Threads that are elsewhere are not looked at, however many there are.
pub(crate) fn evict_threads(kernel: &mut Kernel, space: SpaceId) {
    kernel.shared.space_words(space.index()).retire();
    let here = tessera_arch::cpu_index();
    for cpu in (0..kernel.cpus()).filter(|cpu| *cpu != here) {
        if kernel.shared.cpus[cpu].presence.is_in(space.index()) {
            remote::preempt_remote(kernel, cpu);
        }
    }
    if let Some(id) = running::current(kernel, here) {
        running::note_space(kernel, id, running::space_of(kernel, id));
    }
    while let Some(id) = kernel.spaces[space].threads.first(&kernel.threads) {
        // Who runs elsewhere may have left long ago.
        let now_in = running::space_of(kernel, id);
        if now_in == space {
            evict(kernel, id);
        } else {
            running::note_space(kernel, id, now_in);
        }
    }
    let line = &kernel.shared.cpus[here];
    if line.presence.space() == space.index() && !is_seeded(Mutant::DestroyerStays) {
        kernel.shared.leave_space(line);
    }
}

fn evict(kernel: &mut Kernel, id: ThreadId) {
    let thread = &kernel.threads[id];
    let usable = |fallback: &Fallback| {
        let enterable = |only: usize| thread.affinity & (1 << only) != 0;
        fallback.space != thread.space
            && kernel.spaces.find(fallback.space).is_some()
            && kernel.shared.space_words(fallback.space.index()).only_cpu().is_none_or(enterable)
    };
    match thread.fallback.filter(usable) {
        Some(fallback) => enter_fallback(kernel, id, fallback),
        None => remove_thread(kernel, id, ThreadState::Stopped),
    }
}

fn enter_fallback(kernel: &mut Kernel, id: ThreadId, fallback: Fallback) {
    take_off_queues(kernel, id);
    abandon_call(kernel, id);
    running::note_space(kernel, id, fallback.space);
    let thread = &mut kernel.threads[id];
    // A fault that was pending happened in the space that goes.
    (thread.entered_by, thread.pending) = (Handle::NONE, None);
    let reason = FallbackReason::SpaceDestroyed as u64;
    let registers = thread.context.registers_mut();
    registers.set_entry(fallback.instruction_pointer, fallback.stack_pointer, [reason, 0]);
    // It lands in the middle of anything: what it had set for its own arithmetic is not what a function expects.
    thread.context.reset_floating_point();
    ready::make_ready(kernel, id);
}

/// Takes a thread apart that no capability names any more. One that never ran leaves its table as it is.
pub(crate) fn destroy_thread(kernel: &mut Kernel, id: ThreadId) {
    remove_thread(kernel, id, ThreadState::Stopped);
    let thread = kernel.threads.remove_at(id.index());
    kernel.credit(&*thread);
}

/// Takes a thread out of whatever it is in: a CPU with its registers, a queue, the sleepers, those who join.
#[inline(never)]
fn take_off_queues(kernel: &mut Kernel, id: ThreadId) {
    let (state, cpu) = (kernel.threads[id].state, kernel.threads[id].cpu());
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
        _ => {}
    }
}

/// Makes the calling CPU's current thread wait for another's end.
pub fn join(kernel: &mut Kernel, id: ThreadId, target: ThreadId) {
    let mut joiners = kernel.threads[target].joiners;
    joiners.push(&mut kernel.threads, Chain::Queue, id);
    kernel.threads[target].joiners = joiners;
    let waiter = &mut kernel.threads[id];
    (waiter.state, waiter.joining) = (ThreadState::Joining, Some(target));
}

fn stop_joining(kernel: &mut Kernel, id: ThreadId) {
    let Some(target) = kernel.threads[id].joining.take() else { return };
    let mut joiners = kernel.threads[target].joiners;
    joiners.remove(&mut kernel.threads, Chain::Queue, id);
    kernel.threads[target].joiners = joiners;
}

/// One thread less uses a table, in whose list it had this place. The last one's end empties the table, if any ever used
/// it, so that a program which holds capabilities to itself goes when its threads have gone.
fn leave_table(kernel: &mut Kernel, table: TableId, place: Link) {
    // If nothing else refers to the table it goes later, with whatever is in it still.
    let object = kernel.tables.released_at(table.index());
    object.threads.close(&mut kernel.threads, Chain::Table, place);
    if object.threads.is_empty() && object.is_in_use {
        kernel.empty_table(table);
    }
}
