//! Running threads: who is current on a CPU, in which space, and who goes on when the kernel is left.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;
use tessera_abi::layout::ThreadState;
use tessera_arch::{CPUS_MAX, Stamp};

use crate::base::effort::Effort;
use crate::cpu::activations::{Activations, NO_ACTIVATIONS};
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::slice_pointer::Kept;
use crate::cpu::switch;
use crate::cpu::table_view::TableView;
use crate::object::doomed::Debt;
use crate::object::id::{SpaceId, ThreadId};
use crate::object::thread::{Pending, Thread};
use crate::sched::noting::{self, Place};
use crate::sched::{enter, locks, ready};
use crate::state::kernel::Kernel;
use crate::state::scheduler::{Rotation, Standing, earlier};

/// Effort of waking a thread, with one CPU.
const WAKE_UNITS: u32 = 25;

/// Effort of a look at another CPU, whether a thread is to go on there.
const CPU_UNITS: u32 = 4;

/// The thread that runs on a CPU.
pub fn current(kernel: &Kernel, cpu: usize) -> Option<ThreadId> {
    kernel.scheduler.cpus[cpu % CPUS_MAX].current
}

/// The space a thread is in, running or not.
pub fn space_of(kernel: &Kernel, id: ThreadId) -> SpaceId {
    let thread = &kernel.threads[id];
    if current(kernel, thread.cpu()) != Some(id) {
        return thread.space;
    }
    let space = kernel.shared.cpus[thread.cpu()].presence.space();
    kernel.spaces.id_at(space).unwrap_or(thread.space)
}

/// The space that the thread is in which runs on a CPU.
#[inline(always)]
pub fn space_here(kernel: &Kernel, cpu: usize, id: ThreadId) -> SpaceId {
    let space = kernel.spaces.id_at(kernel.shared.cpus[cpu % CPUS_MAX].presence.space());
    space.unwrap_or_else(|| kernel.threads.at(id.index()).space)
}

/// How many threads are in a space that have not ended.
pub fn threads_in(kernel: &Kernel, space: SpaceId) -> u64 {
    let mut count = kernel.spaces[space].thread_count;
    for id in (0..kernel.cpus()).filter_map(|cpu| current(kernel, cpu)) {
        count += u64::from(space_of(kernel, id) == space);
        count -= u64::from(kernel.threads[id].space == space);
    }
    count
}

/// Takes the CPU's current thread off it; what it did with its space is noted in the thread.
#[inline(always)]
pub fn stop_current(kernel: &mut Kernel, cpu: usize) -> Option<ThreadId> {
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    let id = run_queue.current.take()?;
    run_queue.need_resched.set(true);
    let line = &kernel.shared.cpus[cpu];
    let place = Place::of_line(line);
    let is_noted = note_where(line, kernel.threads.at_mut(id.index()));
    leave_line(line);
    if !is_noted {
        note_place(kernel, id, place);
    }
    Some(id)
}

/// Takes the CPU's current thread off it, of which all is noted.
pub(super) fn forget_current(kernel: &mut Kernel, cpu: usize) {
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    run_queue.current = None;
    run_queue.need_resched.set(true);
    leave_line(&kernel.shared.cpus[cpu]);
}

/// A CPU's thread is taken off it: the CPU knows nothing of it any more.
pub(super) fn leave_line(line: &PerCpu) {
    line.leave_table();
    line.activations.set(Kept::of(&NO_ACTIVATIONS));
}

/// Has the calling CPU's thread, which has moved with the lock held, go on where it is noted to be; if only another CPU may be
/// there, it waits for that one.
pub fn go_on_as_noted(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    let thread = kernel.threads.at(id.index());
    let (space, entered_by) = (thread.space, thread.entered_by);
    let line = &kernel.shared.cpus[cpu];
    if enter::ensure_enterable(kernel, cpu, space).is_err() {
        forget_current(kernel, cpu);
        return ready::make_ready(kernel, id);
    }
    line.table.set(thread.table_view);
    line.activations.set(thread.goes_back_to());
    if line.presence.space() == space.index() {
        line.entered_by.store(entered_by.bits(), Relaxed);
    } else if !switch::enter_by_pass(line, space.index(), entered_by) {
        enter::enter_space(kernel, cpu, space.index(), entered_by);
    }
}

/// The same of one that has come out of a call, or out of a handler, in which it may have had other registers. If it came past a handler
/// that did not answer, whoever comes next is asked before it goes on.
pub fn go_on_out_of_call(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    tessera_arch::resume_context(&kernel.threads.at(id.index()).context);
    go_on_as_noted(kernel, cpu, id);
    if kernel.threads.at(id.index()).pending.is_some() && current(kernel, cpu) == Some(id) {
        requeue_current(kernel, cpu);
    }
}

/// Notes in a CPU's thread, which is taken off it, what it did with its space. Gives whether all else is noted: the thread is
/// in that space's list, by the capability that it is noted to have entered by, and has made no call.
#[inline(always)]
pub(super) fn note_where(line: &PerCpu, thread: &mut Thread) -> bool {
    note_entry(line, thread) && !line.activations.get().is_any_fresh()
}

/// The same of one that has made no call.
#[inline(always)]
fn note_entry(line: &PerCpu, thread: &mut Thread) -> bool {
    let entered_by = Handle::from_bits(line.entered_by.load(Relaxed));
    let before = core::mem::replace(&mut thread.entered_by, entered_by);
    // The same number is the same space: a thread does not stay noted in one that goes.
    line.presence.space() == thread.space.index() && before == entered_by
}

#[cold]
#[inline(never)]
fn note_place(kernel: &mut Kernel, id: ThreadId, place: Place) {
    noting::note(kernel, id, place);
}

/// Ends the turn of a CPU's current thread: others of its priority that are ready there run first.
#[inline(always)]
pub fn end_turn(kernel: &mut Kernel, cpu: usize) {
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    if run_queue.has_ready() {
        run_queue.turn_is_over = true;
        run_queue.need_resched.set(true);
    }
}

/// In the usual case, takes the calling CPU's thread off it and goes on with the first of those that wait for it with the same
/// priority; with the thread itself, if none does. `None` in other cases: nothing has changed then.
///
/// Nothing was due here before, so the timer is set for the end of an earlier turn at the latest: it need not be set anew. (A guest's
/// deadline waits for that, too.)
#[inline(always)]
pub fn rotate(kernel: &mut Kernel, line: &PerCpu) -> Option<Next> {
    let (cpu, activations) = (line.number(), line.activations.get());
    let mut is_noted = true;
    let may_leave = || !activations.has_room() || !activations.is_any_fresh();
    let leave = |thread: &mut Thread| is_noted = note_entry(line, thread);
    let to = match kernel.scheduler.rotate(&mut kernel.threads, cpu, &kernel.cpus, may_leave, leave) {
        Rotation::Other(to) => to,
        Rotation::Same => return Some(Next::Runs),
        Rotation::Open => return None,
    };
    // Taking what is not there would copy it.
    let pending = if to.object.pending.is_some() { to.object.pending.take() } else { None };
    let id = to.id;
    let entry = take_up(to.object, cpu);
    if !is_noted {
        note_place(kernel, kernel.scheduler.cpus[cpu].caller, Place::of_line(line));
    }
    line.table.set(entry.table);
    go_on_with(kernel, line, id, entry);
    Some(Next::with(pending.map(|pending| *pending)))
}

/// Makes a thread the calling CPU's current one; gives what must be seen to first, if there is anything.
fn switch_to(kernel: &mut Kernel, cpu: usize, id: ThreadId) -> Option<Pending> {
    let thread = kernel.threads.at_mut(id.index());
    let (priority, standing) = (thread.priority, Standing::of(thread, cpu, kernel.cpus));
    let pending = thread.pending.take().map(|pending| *pending);
    let entry = take_up(thread, cpu);
    let line = &kernel.shared.cpus[cpu];
    line.table.set(entry.table);
    go_on_with(kernel, line, id, entry);
    kernel.scheduler.cpus[cpu].standing = standing;
    set_timer(kernel, cpu, Some(priority));
    kernel.scheduler.cpus[cpu].need_resched.set(pending.is_some());
    pending
}

/// Where a thread goes on, and with what.
struct Entry {
    space: SpaceId,
    entered_by: Handle,
    table: Kept<TableView>,
    activations: Kept<Activations>,
}

/// Takes a thread's registers into the calling CPU.
#[inline(always)]
fn take_up(thread: &mut Thread, cpu: usize) -> Entry {
    thread.set_cpu(cpu);
    tessera_arch::resume_context(&thread.context);
    Entry {
        space: thread.space,
        entered_by: thread.entered_by,
        table: thread.table_view,
        activations: thread.goes_back_to(),
    }
}

/// Makes a thread, whose registers and table the calling CPU has, its current one. A turn begins.
#[inline(always)]
fn go_on_with(kernel: &mut Kernel, line: &PerCpu, id: ThreadId, entry: Entry) {
    let Entry { space, entered_by, activations, .. } = entry;
    let cpu = line.number();
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    (run_queue.current, run_queue.caller) = (Some(id), id);
    run_queue.turn_began = Stamp::now();
    line.counters.thread_switches.add(1);
    line.activations.set(activations);
    if line.presence.space() == space.index() {
        line.entered_by.store(entered_by.bits(), Relaxed);
    } else if !switch::enter_by_pass(line, space.index(), entered_by) {
        enter::enter_space(kernel, cpu, space.index(), entered_by);
    }
}

/// What a CPU does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is pending must be seen to"]
pub enum Next {
    /// It runs the thread that is current now.
    Runs,
    /// The thread that is current now came into the kernel with this when it was taken off its CPU, or waited.
    Asks(Pending),
    /// The thread that is current now must work its debt off before it goes on.
    Owes(Debt),
    /// There is nothing to run.
    Nothing,
}

impl Next {
    #[inline(always)]
    fn with(pending: Option<Pending>) -> Next {
        match pending {
            None => Next::Runs,
            Some(Pending::Debt(debt)) => Next::Owes(debt),
            Some(pending) => Next::Asks(pending),
        }
    }
}

/// Chooses who goes on when the kernel is left: the current thread unless it cannot, or may not be here any
/// more, or its turn is over, or one of higher priority is ready.
pub fn schedule(kernel: &mut Kernel, cpu: usize) -> Next {
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    let turn_is_over = core::mem::replace(&mut run_queue.turn_is_over, false);
    if let Some(id) = run_queue.current {
        let thread = kernel.threads.at(id.index());
        let priority = thread.priority;
        let is_allowed = thread.affinity & (1 << cpu) != 0;
        let standing = Standing::of(thread, cpu, kernel.cpus);
        if is_allowed && !kernel.scheduler.is_contended(cpu, priority, !turn_is_over) {
            kernel.scheduler.cpus[cpu].standing = standing;
            if turn_is_over {
                kernel.scheduler.cpus[cpu].turn_began = Stamp::now();
            }
            set_timer(kernel, cpu, Some(priority));
            kernel.scheduler.cpus[cpu].need_resched.set(false);
            return Next::Runs;
        }
        requeue_current(kernel, cpu);
    }
    match next_thread(kernel, cpu) {
        Some(id) => Next::with(switch_to(kernel, cpu, id)),
        None => {
            leave(kernel, cpu);
            kernel.shared.cpus[cpu].need_resched.store(false, Relaxed);
            set_timer(kernel, cpu, None);
            Next::Nothing
        }
    }
}

/// A CPU has no thread: it is in no space either.
pub fn leave(kernel: &mut Kernel, cpu: usize) {
    // The thread that it had may wait for another CPU now.
    kernel.note_activity();
    tessera_arch::leave_context();
    kernel.shared.leave_space(&kernel.shared.cpus[cpu]);
}

/// Whether no thread can ever run again: none runs or is ready, and none sleeps. There are no interrupts from
/// outside that could wake one.
pub fn is_at_end(kernel: &Kernel) -> bool {
    let mut cpus = 0..kernel.cpus();
    cpus.all(|cpu| {
        let is_idle = current(kernel, cpu).is_none() && !kernel.scheduler.is_contended(cpu, 0, false);
        is_idle && kernel.scheduler.next_deadline_ns(&kernel.threads, cpu, None).is_none()
    })
}

#[inline(always)]
fn next_thread(kernel: &mut Kernel, cpu: usize) -> Option<ThreadId> {
    let next = kernel.scheduler.take_next(&mut kernel.threads, cpu);
    next.or_else(|| kernel.scheduler.steal(&mut kernel.threads, cpu, kernel.cpus))
}

/// Puts the current thread behind the others of its priority.
pub fn requeue_current(kernel: &mut Kernel, cpu: usize) {
    if let Some(id) = stop_current(kernel, cpu) {
        ready::make_ready(kernel, id);
    }
}

/// Effort of waking a thread.
#[inline(always)]
pub(super) fn wake_units(kernel: &Kernel) -> u32 {
    WAKE_UNITS + place_units(kernel)
}

/// Effort of finding the CPU on which a thread is to go on.
#[inline(always)]
pub fn place_units(kernel: &Kernel) -> u32 {
    CPU_UNITS * (kernel.cpus() as u32 - 1)
}

/// Notes a timer interrupt: wakes sleepers, ends a turn that is over.
pub fn tick(kernel: &mut Kernel, cpu: usize) {
    kernel.shared.cpus[cpu].counters.timer_interrupts.add(1);
    let now_ns = tessera_arch::now_ns();
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    run_queue.timer_ns = None;
    run_queue.need_resched.set(true);
    kernel.shared.console.tick(cpu, now_ns);
    let mut effort = Effort::of_entry();
    // The timer comes again at once for those that are left.
    while effort.is_left()
        && let Some(id) = kernel.scheduler.take_woken(&mut kernel.threads, cpu, now_ns)
    {
        if kernel.threads.at(id.index()).state == ThreadState::Entering {
            locks::give_up(kernel, id);
        }
        ready::make_ready(kernel, id);
        effort.spend(wake_units(kernel));
    }
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    run_queue.turn_is_over = now_ns >= run_queue.turn_end_ns();
}

/// When the guest is to come out that a CPU's thread runs, if that was said.
#[inline(always)]
pub fn guest_deadline_ns(kernel: &Kernel, cpu: usize) -> Option<u64> {
    if kernel.guests_until == 0 { None } else { deadline_of_guest(kernel, cpu) }
}

#[cold]
#[inline(never)]
fn deadline_of_guest(kernel: &Kernel, cpu: usize) -> Option<u64> {
    let stack = kernel.shared.cpus[cpu % CPUS_MAX].activations.get();
    let guest = stack.is_in_guest().then(|| stack.last().stack.load(Relaxed))?;
    Some(kernel.guests.at(guest).deadline_ns).filter(|deadline_ns| *deadline_ns != u64::MAX)
}

/// Sets the calling CPU's timer for what comes first, with a thread of this priority running, if any. While one runs, a timer
/// that is set for a time before that stays: when it fires there is nothing to be done, and it is set anew. So threads that
/// change often cost the timer nothing.
#[inline(always)]
fn set_timer(kernel: &mut Kernel, cpu: usize, priority: Option<u8>) {
    let deadline_ns = kernel.scheduler.next_deadline_ns(&kernel.threads, cpu, priority);
    let deadline_ns = earlier(deadline_ns, kernel.shared.console.deadline_ns(cpu));
    let deadline_ns =
        if kernel.guests_until == 0 { deadline_ns } else { earlier(deadline_ns, deadline_of_guest(kernel, cpu)) };
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    let does = match (run_queue.timer_ns, deadline_ns) {
        (Some(timer_ns), Some(deadline_ns)) if priority.is_some() => timer_ns <= deadline_ns,
        (timer_ns, deadline_ns) => timer_ns == deadline_ns,
    };
    if !does {
        run_queue.timer_ns = deadline_ns;
        tessera_arch::set_timer(deadline_ns);
    }
}
