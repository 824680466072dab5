//! How threads come and go: made, taken off a CPU, thrown out of a space, ended.

use alloc::boxed::Box;

use tessera_abi::Error;
use tessera_abi::layout::{FallbackReason, ThreadState};

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::object::derivation;
use crate::object::id::{CapId, SpaceId, TableId, ThreadId};
use crate::object::links::{Chain, Link};
use crate::object::neighbour::Standing;
use crate::object::thread::{Fallback, Thread};
use crate::object::use_pool::{Use, UseKind};
use crate::sched::{deletion, inside, landing, ready, remote, running, way_in};
use crate::state::kernel::Kernel;

/// Effort of sending a thread out of a space.
const EVICTION_UNITS: u32 = 50;

/// Effort of forgetting that a thread falls back to a space.
const USE_UNITS: u32 = 15;

/// So many threads of a space are sent out of it in one step; fewer if that means more looks at CPUs than these.
const EVICTED_AT_ONCE: u64 = 16;
const LOOKS_AT_ONCE: u64 = 128;

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
    let in_table = tables.retained(table).threads.append(id);
    let thread = threads.at_mut(id.index());
    thread.inside = inside;
    thread.links.put(Chain::Space, in_space);
    thread.links.put(Chain::Table, in_table);
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
    end_thread_within(kernel, id, state, &mut Effort::of_entry());
}

/// The same as a part of a longer call; what takes longer than the effort goes is left to be done, as a debt.
pub fn end_thread_within(kernel: &mut Kernel, id: ThreadId, state: ThreadState, effort: &mut Effort) {
    note_use(kernel, id);
    remove_thread(kernel, id, state, effort);
}

/// From here on the end of the last thread of this one's table empties the table.
fn note_use(kernel: &mut Kernel, id: ThreadId) {
    if let Some(table) = kernel.threads[id].table {
        kernel.tables[table].is_in_use = true;
    }
}

/// Takes a thread off CPU and queues, wakes those who join it, gives up its table. What takes longer than the effort goes is
/// left to be done, as a debt.
fn remove_thread(kernel: &mut Kernel, id: ThreadId, state: ThreadState, effort: &mut Effort) {
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
    if !joiners.is_empty() {
        kernel.heir = joiners.first(&kernel.threads);
        if !wake_joiners(kernel, id, effort) {
            kernel.threads.list_due(id.index());
        }
    }
    if let Some(table) = table {
        leave_table(kernel, table, in_table, effort);
    }
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
        finish_call(kernel, joiner, result);
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

/// Sets the result of the call that a thread is in.
pub fn finish_call(kernel: &mut Kernel, id: ThreadId, result: Result<u64, Error>) {
    let (status, value) = match result {
        Ok(value) => (0, value),
        Err(error) => (error.status(), 0),
    };
    kernel.threads[id].context.registers_mut().set_result(status, value);
}

/// Notes which of the threads that run now are in a space. Those on other CPUs are taken off them.
pub fn note_all_in(kernel: &mut Kernel, space: u32) {
    let here = tessera_arch::cpu_index();
    for cpu in (0..kernel.cpus()).filter(|cpu| *cpu != here) {
        if kernel.shared.cpus[cpu].presence.is_in(space) {
            remote::preempt_remote(kernel, cpu);
        }
    }
    let is_here = kernel.shared.cpus[here].presence.is_in(space);
    if let Some(id) = running::current(kernel, here).filter(|_| is_here) {
        way_in::note_here(kernel, id);
    }
}

/// Sends threads in a space that goes to their fallbacks, or ends them; gives whether nobody is in it any more, nor falls
/// back to it. Nobody can enter it but those: the last capability went before. Threads that are elsewhere are not looked at,
/// however many there are.
///
/// While there are many, no way in is closed: between two steps one of them may run, and finds its space as it was.
pub(crate) fn evict_threads(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    let at_once = EVICTED_AT_ONCE.min(LOOKS_AT_ONCE / kernel.cpus() as u64);
    while kernel.spaces[space].thread_count > at_once {
        if !effort.is_left() {
            return false;
        }
        evict_first(kernel, space, effort);
    }
    evict_last(kernel, space, effort);
    forget_uses(kernel, space, effort)
}

/// Sends the first thread of a space's list elsewhere, or finds out where it is; gives whether there was one.
fn evict_first(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    let Some(id) = kernel.spaces[space].threads.first(&kernel.threads) else { return false };
    let (cpu, here) = (kernel.threads[id].cpu(), tessera_arch::cpu_index());
    let runs = running::current(kernel, cpu) == Some(id);
    if runs && cpu != here {
        // It may have left long ago. By which capability, its CPU must say.
        remote::preempt_remote(kernel, cpu);
    } else if !(runs && way_in::note_here(kernel, id)) {
        let is_revoked = kernel.spaces[space].is_revoked;
        let reason = if is_revoked { FallbackReason::SpaceRevoked } else { FallbackReason::SpaceDestroyed };
        // For a look none is spent: whoever was taken off its CPU would run again before the next step.
        effort.spend(EVICTION_UNITS + running::place_units(kernel));
        evict(kernel, id, landing::landing(kernel, id), reason, effort);
    }
    true
}

/// Closes every way into a space, and sends those elsewhere that are in it: few.
fn evict_last(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) {
    kernel.shared.space_words(space.index()).retire();
    note_all_in(kernel, space.index());
    while evict_first(kernel, space, effort) {}
    let line = &kernel.shared.cpus[tessera_arch::cpu_index()];
    if line.presence.space() == space.index() && !is_seeded(Mutant::DestroyerStays) {
        kernel.shared.leave_space(line);
    }
}

/// Nobody falls back to a space any more that goes. Views that were made from one that was a view itself are lent by whoever
/// lent that. Gives whether that was all.
fn forget_uses(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    let list = kernel.spaces.capabilities(space.index());
    let Kernel { spaces, threads, tables, uses, .. } = kernel;
    while let Some(Standing::Use(lent)) = derivation::first_in_list(uses, list) {
        if !effort.is_left() {
            return false;
        }
        effort.spend(USE_UNITS);
        let Use { kind, number, .. } = *uses.get(lent);
        match spaces[space].lent.filter(|_| kind == UseKind::View) {
            Some(own) => derivation::lend_like(tables, uses, lent, own),
            None if kind == UseKind::Marker => {
                threads.at_mut(number).marker = None;
                derivation::take_back(tables, uses, lent);
            }
            None => {
                threads.at_mut(number).fallback = None;
                derivation::take_back(tables, uses, lent);
            }
        }
    }
    true
}

/// Sends a thread from the space in whose list it is to where it lands, or ends it if that is nowhere.
pub fn evict(
    kernel: &mut Kernel,
    id: ThreadId,
    landing: Option<Fallback>,
    reason: FallbackReason,
    effort: &mut Effort,
) {
    let Some(fallback) = landing else { return remove_thread(kernel, id, ThreadState::Stopped, effort) };
    take_off_queues(kernel, id);
    landing::land(kernel, id, fallback, reason);
    ready::make_ready(kernel, id);
}

/// Takes a thread apart that no capability names any more; gives whether it has gone. One that never ran leaves its table
/// as it is.
pub(crate) fn destroy_thread(kernel: &mut Kernel, id: ThreadId, effort: &mut Effort) -> bool {
    remove_thread(kernel, id, ThreadState::Stopped, effort);
    let is_waited_for = !kernel.threads.at(id.index()).joiners.is_empty();
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
fn leave_table(kernel: &mut Kernel, table: TableId, place: Link, effort: &mut Effort) {
    // If nothing else refers to the table it goes later, with whatever is in it still.
    let object = kernel.tables.released_at(table.index());
    object.threads.close(&mut kernel.threads, Chain::Table, place);
    let is_to_be_emptied = object.threads.is_empty() && object.is_in_use;
    if is_to_be_emptied && !deletion::empty_table(kernel, table, effort) {
        kernel.tables.list_due(table.index());
    }
}
