//! Running threads: who is current on a CPU, in which space, and who goes on when the kernel is left.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;
use tessera_arch::{Fault, Stamp};

use crate::base::effort::Effort;
use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::cpu::switch;
use crate::object::doomed::Debt;
use crate::object::id::{SpaceId, TableId, ThreadId};
use crate::object::thread::{Pending, Thread};
use crate::sched::{enter, inside, ready};
use crate::state::kernel::Kernel;
use crate::state::scheduler::{Rotation, Standing, earlier};

/// Effort of waking a thread, with one CPU.
const WAKE_UNITS: u32 = 25;

/// Effort of a look at another CPU, whether a thread is to go on there.
const CPU_UNITS: u32 = 4;

/// The thread that runs on a CPU.
pub fn current(kernel: &Kernel, cpu: usize) -> Option<ThreadId> {
    kernel.scheduler.cpus[cpu].current
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

/// Puts a thread into the list of the space that it is in, if it is in another's. A thread that runs may be in
/// another space than the one whose list it is in: threads change spaces far more often than a space goes.
pub(crate) fn note_space(kernel: &mut Kernel, id: ThreadId, space: SpaceId) {
    let noted = core::mem::replace(&mut kernel.threads[id].space, space);
    if noted != space {
        kernel.spaces[noted].remove_thread(&mut kernel.threads, id);
        kernel.spaces[space].add_thread(&mut kernel.threads, id);
    }
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
    run_queue.need_resched = true;
    let line = &kernel.shared.cpus[cpu];
    line.slots.set_slots(&[]);
    if !note_where(line, kernel.threads.at_mut(id.index())) {
        note_space_at(kernel, id, line.presence.space());
    }
    Some(id)
}

/// Notes in a CPU's thread, which is taken off it, what it did with its space. Gives whether the thread is in that space's
/// list, by the capability that it is noted to have entered by.
#[inline(always)]
fn note_where(line: &PerCpu, thread: &mut Thread) -> bool {
    let entered_by = Handle::from_bits(line.entered_by.load(Relaxed));
    let before = core::mem::replace(&mut thread.entered_by, entered_by);
    // The same number is the same space: a thread does not stay noted in one that goes.
    line.presence.space() == thread.space.index() && before == entered_by
}

#[cold]
#[inline(never)]
fn note_space_at(kernel: &mut Kernel, id: ThreadId, space: u32) {
    if let Some(space) = kernel.spaces.id_at(space) {
        note_space(kernel, id, space);
        inside::note(kernel, id);
    }
}

/// Ends the turn of a CPU's current thread: others of its priority that are ready there run first.
#[inline(always)]
pub fn end_turn(kernel: &mut Kernel, cpu: usize) {
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    if run_queue.has_ready() {
        (run_queue.turn_is_over, run_queue.need_resched) = (true, true);
    }
}

/// In the usual case, takes the calling CPU's thread off it and goes on with the first of those that wait for it with the same
/// priority; with the thread itself, if none does. `None` in other cases: nothing has changed then.
///
/// Nothing was due here before, so the timer is set for the end of an earlier turn at the latest: it need not be set anew.
#[inline(always)]
pub fn rotate(kernel: &mut Kernel, shared: &Shared, cpu: usize) -> Option<Next> {
    let line = &shared.cpus[cpu];
    let (from, here) = (kernel.scheduler.cpus[cpu].caller, line.presence.space());
    let mut is_noted = true;
    let leave = |thread: &mut Thread| is_noted = note_where(line, thread);
    let to = match kernel.scheduler.rotate(&mut kernel.threads, cpu, kernel.cpus, leave) {
        Rotation::Other(to) => to,
        Rotation::Same => return Some(Next::Runs),
        Rotation::Open => return None,
    };
    // Taking what is not there would copy it.
    let pending = if to.object.pending.is_some() { to.object.pending.take() } else { None };
    let id = to.id;
    let entry = take_up(to.object, cpu);
    if !is_noted {
        note_space_at(kernel, from, here);
    }
    // The slots at hand are those of the thread before, mostly of the same table.
    if kernel.scheduler.cpus[cpu].table.index() != entry.table.index() {
        set_table(kernel, shared, cpu, entry.table);
    }
    go_on_with(kernel, shared, cpu, id, entry);
    Some(Next::with(pending.map(|pending| *pending)))
}

/// Makes a thread the calling CPU's current one; gives what must be seen to first, if there is anything.
fn switch_to(kernel: &mut Kernel, cpu: usize, id: ThreadId) -> Option<Pending> {
    let thread = kernel.threads.at_mut(id.index());
    let (priority, standing) = (thread.priority, Standing::of(thread, cpu, kernel.cpus));
    let pending = thread.pending.take().map(|pending| *pending);
    let entry = take_up(thread, cpu);
    set_table(kernel, kernel.shared, cpu, entry.table);
    go_on_with(kernel, kernel.shared, cpu, id, entry);
    kernel.scheduler.cpus[cpu].standing = standing;
    set_timer(kernel, cpu, Some(priority));
    kernel.scheduler.cpus[cpu].need_resched = pending.is_some();
    pending
}

/// Where a thread goes on, and with what.
struct Entry {
    space: SpaceId,
    entered_by: Handle,
    table: TableId,
}

/// Takes a thread's registers into the calling CPU.
#[inline(always)]
fn take_up(thread: &mut Thread, cpu: usize) -> Entry {
    thread.set_cpu(cpu);
    tessera_arch::resume_context(&thread.context);
    let table = thread.table.expect("a thread that has not ended has a table");
    Entry { space: thread.space, entered_by: thread.entered_by, table }
}

/// Has the calling CPU use a capability table.
fn set_table(kernel: &mut Kernel, shared: &Shared, cpu: usize, table: TableId) {
    kernel.scheduler.cpus[cpu].table = table;
    shared.cpus[cpu].slots.set_slots(kernel.tables.at(table.index()).cap_slots());
}

/// Makes a thread, whose registers and table the calling CPU has, its current one. A turn begins.
#[inline(always)]
fn go_on_with(kernel: &mut Kernel, shared: &Shared, cpu: usize, id: ThreadId, entry: Entry) {
    let Entry { space, entered_by, .. } = entry;
    let line = &shared.cpus[cpu];
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    (run_queue.current, run_queue.caller) = (Some(id), id);
    run_queue.turn_began = Stamp::now();
    line.counters.thread_switches.add(1);
    if line.presence.space() == space.index() {
        line.entered_by.store(entered_by.bits(), Relaxed);
    } else if !switch::enter_by_pass(line, space.index(), entered_by) {
        enter::enter_space(kernel, cpu, space, entered_by);
    }
}

/// What a CPU does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a fault must be seen to"]
pub enum Next {
    /// It runs the thread that is current now.
    Runs,
    /// The thread that is current now came into the kernel with this fault when it was taken off its CPU.
    Faults(Fault),
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
            Some(Pending::Fault(fault)) => Next::Faults(fault),
            Some(Pending::Debt(debt)) => Next::Owes(debt),
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
            kernel.scheduler.cpus[cpu].need_resched = false;
            return Next::Runs;
        }
        requeue_current(kernel, cpu);
    }
    match next_thread(kernel, cpu) {
        Some(id) => Next::with(switch_to(kernel, cpu, id)),
        None => {
            // The thread that it had may wait for another CPU now.
            kernel.note_activity();
            tessera_arch::leave_context();
            kernel.shared.leave_space(&kernel.shared.cpus[cpu]);
            set_timer(kernel, cpu, None);
            Next::Nothing
        }
    }
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
pub(super) fn place_units(kernel: &Kernel) -> u32 {
    CPU_UNITS * (kernel.cpus() as u32 - 1)
}

/// Notes a timer interrupt: wakes sleepers, ends a turn that is over.
pub fn tick(kernel: &mut Kernel, cpu: usize) {
    kernel.shared.cpus[cpu].counters.timer_interrupts.add(1);
    let now_ns = tessera_arch::now_ns();
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    (run_queue.timer_ns, run_queue.need_resched) = (None, true);
    kernel.shared.console.tick(cpu, now_ns);
    let mut effort = Effort::of_entry();
    // The timer comes again at once for those that are left.
    while effort.is_left()
        && let Some(id) = kernel.scheduler.take_woken(&mut kernel.threads, cpu, now_ns)
    {
        ready::make_ready(kernel, id);
        effort.spend(wake_units(kernel));
    }
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    run_queue.turn_is_over = now_ns >= run_queue.turn_end_ns();
}

/// Sets the calling CPU's timer for what comes first, with a thread of this priority running, if any. While one runs, a timer
/// that is set for a time before that stays: when it fires there is nothing to be done, and it is set anew. So threads that
/// change often cost the timer nothing.
#[inline(always)]
fn set_timer(kernel: &mut Kernel, cpu: usize, priority: Option<u8>) {
    let deadline_ns = kernel.scheduler.next_deadline_ns(&kernel.threads, cpu, priority);
    let deadline_ns = earlier(deadline_ns, kernel.shared.console.deadline_ns(cpu));
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
