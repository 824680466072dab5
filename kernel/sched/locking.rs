//! Taking and giving up the locks of a space, for who enters it and who leaves.
//!
//! All of a space's locks are taken at once or none, so that nobody holds some of them and waits for the rest. Who waits is in the
//! queue of one lock that it cannot have, and keeps what it holds where it is; it is let in by whoever makes the last one free,
//! in the order of coming. Who would wait for itself is told so: that is found by going from it to those who wait for what it
//! holds, and on to those who wait for these.

use tessera_abi::layout::ThreadState;
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, ObjectKind, Rights};

use crate::base::effort::Effort;
use crate::cpu::switch;
use crate::object::activation_stack::{ACTIVATION_BYTES, Awaited};
use crate::object::id::{SpaceId, ThreadId};
use crate::object::links::Chain;
use crate::object::lock::{Held, LOCKS_MAX};
use crate::sched::locks::{self, Count, LOCKABLE};
use crate::sched::noting::{self, KNOWN, stack_of};
use crate::sched::{activations, entering, fresh, inside, ready, running, waits};
use crate::state::kernel::Kernel;

/// Effort of letting somebody in, or of turning it away.
const SERVE_UNITS: u32 = 120;

/// How the entering of a space ends for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the thread may be gone from its CPU"]
pub enum Entering {
    /// The thread has the locks, and is to be taken there.
    May,
    /// It waits.
    Waits,
}

/// Has the calling CPU's thread give up what locks it holds where it is, and take those of a space to which it goes by a handle, until
/// this time at most.
///
/// # Errors
/// `Busy` if it is not to wait at all, `TimedOut`, `Deadlock`; `AccountExhausted`, `OutOfMemory` at the first.
pub fn enter(
    kernel: &mut Kernel,
    cpu: usize,
    id: ThreadId,
    (space, handle): (SpaceId, Handle),
    until_ns: u64,
) -> Result<Entering, Error> {
    ensure_room(kernel, cpu, id)?;
    // What is suspended below must not be gone back to without a look at what is held.
    fresh::note_fresh_here(kernel);
    let Some(segment) = take(kernel, id, space) else { return Ok(Entering::May) };
    if until_ns == 0 {
        return Err(Error::Busy);
    }
    if waits::is_deadlock(kernel, id, segment) {
        return Err(Error::Deadlock);
    }
    if until_ns <= tessera_arch::now_ns() {
        return Err(Error::TimedOut);
    }
    running::stop_current(kernel, cpu);
    let is_timed = until_ns != u64::MAX;
    if is_timed {
        kernel.scheduler.add_sleeper(&mut kernel.threads, id, until_ns);
    }
    wait(kernel, id, Awaited { segment, handle, is_timed });
    Ok(Entering::Waits)
}

/// Sees that the calling CPU's thread has room to note what it holds.
fn ensure_room(kernel: &mut Kernel, cpu: usize, id: ThreadId) -> Result<(), Error> {
    let thread = kernel.threads.at(id.index());
    if thread.activations.is_none() {
        let account = thread.account;
        kernel.accounts[account].ensure(ACTIVATION_BYTES)?;
        kernel.reserve_heap(entering::HEAP_PAGES)?;
        activations::make_room(kernel, id);
        kernel.shared.cpus[cpu].activations.set(kernel.threads.at(id.index()).goes_back_to());
    }
    Ok(())
}

/// Puts a thread that is on no CPU and in no queue behind those who wait for a lock.
fn wait(kernel: &mut Kernel, id: ThreadId, awaited: Awaited) {
    let Kernel { segments, threads, .. } = kernel;
    let lock = segments.at_mut(awaited.segment).lock.as_mut().expect(LOCKABLE);
    lock.waiting.push(threads, Chain::Queue, id);
    lock.waiting_count += 1;
    let thread = threads.at_mut(id.index());
    thread.state = ThreadState::Entering;
    thread.activations.as_mut().expect(KNOWN).awaited = Some(awaited);
}

/// Takes the locks of a space for a thread, instead of those that it holds where it is. If one cannot be had, gives the segment's
/// number, and nothing has changed.
fn take(kernel: &mut Kernel, id: ThreadId, space: SpaceId) -> Option<u32> {
    let level = stack_of(kernel, id).fast.depth();
    let before = stack_of(kernel, id).held[level];
    let goal = wanted(kernel, space);
    // What it gives up by going is in nobody's way, and its own least of all.
    locks::count(kernel, id, before, Count::Off);
    if let Some(segment) = goal.and_then(|goal| first_taken(kernel, id, goal, before)) {
        locks::count(kernel, id, before, Count::On);
        return Some(segment);
    }
    locks::count(kernel, id, goal, Count::On);
    kernel.threads.at_mut(id.index()).activations.as_mut().expect(KNOWN).held[level] = goal;
    locks::note_freed(kernel, before);
    None
}

/// What a thread holds that enters a space, if that takes locks.
pub(super) fn wanted(kernel: &Kernel, space: SpaceId) -> Option<Held> {
    let seen = kernel.seen_in(space);
    let writes = seen.bounds.contains(Rights::WRITE);
    kernel.spaces.at(seen.base.index()).locks.is_some().then_some(Held { space: seen.base, writes })
}

/// The first of the locks that are wanted which a thread cannot have now: others hold it, or wait for it and came before. Who has held
/// it so far waits for nobody who came later.
fn first_taken(kernel: &Kernel, id: ThreadId, wanted: Held, before: Option<Held>) -> Option<u32> {
    let own = before.map_or([None; LOCKS_MAX], |before| locks::locks_of(kernel, before));
    let is_own = |segment: u32| own.iter().flatten().any(|(held, _)| *held == segment);
    let cannot_have = |&(segment, exclusively): &(u32, bool)| {
        let lock = kernel.segments.at(segment).lock.as_ref().expect(LOCKABLE);
        let first = lock.waiting.first(&kernel.threads);
        let is_in_turn = first.is_none_or(|first| first == id) || is_own(segment);
        !lock.is_free(exclusively) || !is_in_turn
    };
    locks::locks_of(kernel, wanted).into_iter().flatten().find(cannot_have).map(|(segment, _)| segment)
}

/// Sees to a segment's lock: forgets the spaces in which it is not mapped any more, and lets in who waits and can be. As far as the effort
/// goes; gives whether that was all.
pub fn go_on(kernel: &mut Kernel, segment: u32, effort: &mut Effort) -> bool {
    locks::forget_places(kernel, segment, effort);
    while serve_first(kernel, segment) {
        if !effort.spend(SERVE_UNITS + running::wake_units(kernel)) {
            return false;
        }
    }
    true
}

/// Where a thread that waits is to go on.
struct Goal {
    space: SpaceId,
    handle: Handle,
}

/// Lets in who waits first for a lock, if it can be, or turns it away if it cannot go there any more; gives whether one of both.
fn serve_first(kernel: &mut Kernel, segment: u32) -> bool {
    let Some(lock) = &kernel.segments.at(segment).lock else { return false };
    let Some(id) = lock.waiting.first(&kernel.threads) else { return false };
    let goal = match plan(kernel, id) {
        Ok(goal) => goal,
        Err(error) => {
            turn_away(kernel, id, error);
            return true;
        }
    };
    match take(kernel, id, goal.space) {
        None => {
            locks::stop_waiting(kernel, id);
            arrive(kernel, id, &goal);
            ready::make_ready(kernel, id);
        }
        Some(other) if other == segment => return false,
        Some(other) if waits::is_deadlock(kernel, id, other) => turn_away(kernel, id, Error::Deadlock),
        Some(other) => {
            let awaited = locks::leave_queue(kernel, id).expect("who waits knows for what");
            wait(kernel, id, Awaited { segment: other, ..awaited });
        }
    }
    true
}

fn turn_away(kernel: &mut Kernel, id: ThreadId, error: Error) {
    locks::stop_waiting(kernel, id);
    ready::finish_call(kernel, id, Err(error));
    ready::make_ready(kernel, id);
}

/// Checks once more what a thread asked for that waits.
fn plan(kernel: &Kernel, id: ThreadId) -> Result<Goal, Error> {
    let (thread, stack) = (kernel.threads.at(id.index()), stack_of(kernel, id));
    let handle = stack.awaited.map_or(Handle::NONE, |awaited| awaited.handle);
    let word = entering::word_in(kernel, thread.table_number(), handle, false)?;
    let number = word.object(ObjectKind::Space, Rights::SWITCH).ok_or_else(|| word.refusal(ObjectKind::Space))?;
    let space = kernel.spaces.id_at(number).ok_or(Error::BadHandle)?;
    let words = kernel.shared.space_words(number);
    if words.only_cpu().is_some_and(|cpu| thread.affinity & (1 << cpu) == 0) {
        return Err(Error::WrongCpu);
    }
    let registers = thread.context.registers();
    if registers.call_number() != number::space_jump {
        let root = |space: SpaceId| kernel.shared.space_words(space.index()).root(thread.cpu());
        let (ip, sp) = (registers.instruction_pointer(), registers.stack_pointer());
        if !switch::is_ground_shared(root(thread.space), root(space), ip, sp) {
            return Err(Error::NotShared);
        }
    }
    Ok(Goal { space, handle })
}

/// Has a thread that waited be in the space for which it did: its call is over.
fn arrive(kernel: &mut Kernel, id: ThreadId, goal: &Goal) {
    let thread = kernel.threads.at_mut(id.index());
    let previous = core::mem::replace(&mut thread.entered_by, goal.handle).bits();
    let table = thread.table_view;
    noting::note_space(kernel, id, goal.space);
    inside::note(kernel, id, table);
    let registers = kernel.threads.at_mut(id.index()).context.registers_mut();
    if registers.call_number() == number::space_jump {
        let [_, ip, sp, argument, ..] = registers.call_arguments();
        registers.set_entry(ip, sp, [argument, previous]);
    } else {
        ready::finish_call(kernel, id, Ok(previous));
    }
}
