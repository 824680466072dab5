//! Running threads: who is current on a CPU, and in which space.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::fence;

use tessera_abi::{Error, Handle};
use tessera_arch::{Fault, Frame, Interrupt};

use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::handshake::NO_SPACE;
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::switch;
use crate::cpu::tags::TagWord;
use crate::object::id::{SpaceId, ThreadId};
use crate::object::thread::Thread;
use crate::state::kernel::Kernel;
use crate::state::scheduler::{SLICE_NS, earlier};

/// The thread that runs on a CPU.
pub fn current(kernel: &Kernel, cpu: usize) -> Option<ThreadId> {
    kernel.scheduler.cpus[cpu].current
}

/// The space a thread is in, running or not.
pub fn space_of(kernel: &Kernel, id: ThreadId) -> SpaceId {
    let thread = &kernel.threads[id];
    if current(kernel, thread.cpu) != Some(id) {
        return thread.space;
    }
    let space = kernel.shared.cpus[thread.cpu].presence.space();
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

/// Makes the calling CPU's space this one.
pub fn enter_space(kernel: &mut Kernel, cpu: usize, space: SpaceId, entered_by: Handle) {
    let (shared, line) = (kernel.shared, &kernel.shared.cpus[cpu]);
    let words = shared.space_words(space.index());
    let tag = tag_for(kernel, cpu, space);
    if tag != words.tag() {
        words.set_tag(tag);
    }
    let flush_all = kernel.tags.take_flush_pending(cpu);
    if flush_all {
        // From the empty root, or the CPU might hold translations of the space it leaves again, and no pass says.
        shared.leave_space(line);
        tessera_arch::invalidate_all();
    }
    // The lock is held, so nobody changes the pass between a look at it and the entry.
    let pass = words.pass(cpu).read();
    let is_tagged = tag.tag() != 0 || is_seeded(Mutant::UntaggedKept);
    let keep = is_tagged && !flush_all && !pass.is_stale();
    line.presence.enter(space.index(), words.pass(cpu), pass);
    let root = Frame::from_word(pass.root());
    words.pass(cpu).make_good(tessera_arch::root_word(root, tag.tag()));
    tessera_arch::activate(root, tag.tag(), keep);
    line.root.store(root.to_word(), Relaxed);
    line.entered_by.store(entered_by.bits(), Relaxed);
    if keep { line.counters.tag_hits.add(1) } else { line.counters.tag_flushes.add(1) }
}

/// The tag under which a CPU is to enter a space; begins a new generation of tags if there is none left.
fn tag_for(kernel: &mut Kernel, cpu: usize, space: SpaceId) -> TagWord {
    let (shared, words) = (kernel.shared, kernel.shared.space_words(space.index()));
    if kernel.tags.bits() != 0 && words.tag().tag() == 0 {
        // It may get a tag now. Whoever enters it untagged at this moment is seen below, or comes too late.
        words.forget_passes();
        fence(SeqCst);
    }
    let elsewhere = |line: &PerCpu| line.index != cpu && line.presence.is_in(space.index());
    if let Some(tag) = kernel.tags.renew(words.tag(), shared.cpus.iter().any(elsewhere)) {
        return tag;
    }
    shared.cpus[cpu].counters.tag_rollovers.add(1);
    // Nobody enters by a pass from here on. Who was entering meanwhile is either seen to, or goes back to the
    // space that it had loaded: both count as live.
    if !is_seeded(Mutant::PassesSurviveRollOver) {
        kernel.spaces.ids().for_each(|id| shared.space_words(id.index()).forget_passes());
    }
    fence(SeqCst);
    let spaces = shared.cpus.iter().flat_map(|line| line.presence.places());
    let live = spaces.filter(|space| *space != NO_SPACE).map(|space| shared.space_words(space).tag());
    kernel.tags.roll_over(live, words.tag())
}

/// Checks that a CPU may enter a space.
///
/// # Errors
/// `WrongCpu` if the space is local to another one.
pub fn ensure_enterable(kernel: &Kernel, cpu: usize, space: SpaceId) -> Result<(), Error> {
    let only_cpu = kernel.shared.space_words(space.index()).only_cpu();
    if only_cpu.is_none_or(|only| only == cpu) { Ok(()) } else { Err(Error::WrongCpu) }
}

/// The CPUs on which a thread may go on, a bit each: its affinity, or the CPU its space is local to.
pub fn allowed_cpus(kernel: &Kernel, thread: &Thread) -> u32 {
    let only_cpu = kernel.shared.space_words(thread.space.index()).only_cpu();
    only_cpu.map_or(thread.affinity, |cpu| 1 << cpu) & running_cpus(kernel)
}

fn running_cpus(kernel: &Kernel) -> u32 {
    (1 << kernel.cpus()) - 1
}

/// Notes that something changed for a thread that its CPU may have to heed when it next leaves the kernel.
pub fn unsettle(kernel: &mut Kernel, id: ThreadId) {
    let cpu = kernel.threads[id].cpu;
    kernel.scheduler.cpus[cpu].is_settled = false;
}

/// Makes a thread ready on the CPU that suits it best.
pub fn make_ready(kernel: &mut Kernel, id: ThreadId) {
    let thread = &kernel.threads[id];
    let (allowed, running) = (allowed_cpus(kernel, thread), running_cpus(kernel));
    let cpu = kernel.scheduler.place(&kernel.threads, thread, kernel.cpus(), allowed);
    kernel.scheduler.make_ready(&mut kernel.threads, id, cpu, [allowed, running]);
    if cpu != tessera_arch::cpu_index() {
        // It may have to run at once there, or to share the CPU's time from now on.
        tessera_arch::send_interrupt(cpu, Interrupt::Reschedule);
    }
}

/// Takes the CPU's current thread off it; what it did with its space is noted in the thread.
#[inline(always)]
pub fn stop_current(kernel: &mut Kernel, cpu: usize) -> Option<ThreadId> {
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    let id = run_queue.current.take()?;
    run_queue.is_settled = false;
    let line = &kernel.shared.cpus[cpu];
    line.slots.set_slots(&[]);
    let here = line.presence.space();
    let thread = &mut kernel.threads[id];
    thread.entered_by = Handle::from_bits(line.entered_by.load(Relaxed));
    // The same number is the same space: a thread does not stay noted in one that goes.
    if here != thread.space.index() {
        note_space_at(kernel, id, here);
    }
    Some(id)
}

#[cold]
#[inline(never)]
fn note_space_at(kernel: &mut Kernel, id: ThreadId, space: u32) {
    if let Some(space) = kernel.spaces.id_at(space) {
        note_space(kernel, id, space);
    }
}

/// Ends the turn of a CPU's current thread: others of its priority that are ready there run first.
#[inline(always)]
pub fn end_turn(kernel: &mut Kernel, cpu: usize) {
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    if run_queue.has_ready() {
        (run_queue.turn_is_over, run_queue.is_settled) = (true, false);
    }
}

/// Makes a thread the calling CPU's current one; gives the fault that must be seen to first, if there is one.
fn switch_to(kernel: &mut Kernel, cpu: usize, id: ThreadId) -> Option<Fault> {
    let line = &kernel.shared.cpus[cpu];
    let thread = &mut kernel.threads[id];
    thread.cpu = cpu;
    let (space, entered_by, table, priority) = (thread.space, thread.entered_by, thread.table, thread.priority);
    let pending = if thread.pending.is_some() { thread.pending.take() } else { None };
    tessera_arch::resume_context(&thread.context);
    line.slots.set_slots(table.map_or(&[], |table| kernel.tables[table].hot_slots()));
    line.counters.thread_switches.add(1);
    if line.presence.space() == space.index() {
        line.entered_by.store(entered_by.bits(), Relaxed);
    } else if !switch::enter_by_pass(kernel.shared, line, cpu, space.index(), entered_by) {
        enter_space(kernel, cpu, space, entered_by);
    }
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    (run_queue.current, run_queue.table) = (Some(id), table);
    run_queue.slice_end_ns = tessera_arch::now_ns() + SLICE_NS;
    set_timer(kernel, cpu, Some(priority));
    kernel.scheduler.cpus[cpu].is_settled = pending.is_none();
    pending
}

/// What a CPU does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a fault must be seen to"]
pub enum Chosen {
    /// It runs the thread that is current now.
    Runs,
    /// The thread that is current now came into the kernel with this fault when it was taken off its CPU.
    Faults(Fault),
    /// There is nothing to run.
    Nothing,
}

/// Chooses who goes on when the kernel is left: the current thread unless it cannot, or may not be here any
/// more, or its turn is over, or one of higher priority is ready.
pub fn choose(kernel: &mut Kernel, cpu: usize) -> Chosen {
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    let turn_is_over = core::mem::replace(&mut run_queue.turn_is_over, false);
    if let Some(id) = run_queue.current {
        let thread = &kernel.threads[id];
        let priority = thread.priority;
        let is_allowed = thread.affinity & (1 << cpu) != 0;
        if is_allowed && !kernel.scheduler.is_contended(cpu, priority, !turn_is_over) {
            set_timer(kernel, cpu, Some(priority));
            kernel.scheduler.cpus[cpu].is_settled = true;
            return Chosen::Runs;
        }
        requeue_current(kernel, cpu);
    }
    match next_thread(kernel, cpu) {
        Some(id) => switch_to(kernel, cpu, id).map_or(Chosen::Runs, Chosen::Faults),
        None => {
            tessera_arch::leave_context();
            kernel.shared.leave_space(&kernel.shared.cpus[cpu]);
            set_timer(kernel, cpu, None);
            Chosen::Nothing
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
    next.or_else(|| kernel.scheduler.steal(&mut kernel.threads, cpu))
}

/// Puts the current thread behind the others of its priority.
pub fn requeue_current(kernel: &mut Kernel, cpu: usize) {
    if let Some(id) = stop_current(kernel, cpu) {
        make_ready(kernel, id);
    }
}

/// Notes a timer interrupt: wakes sleepers, ends a turn that is over.
pub fn tick(kernel: &mut Kernel, cpu: usize) {
    kernel.shared.cpus[cpu].counters.timer_interrupts.add(1);
    let now_ns = tessera_arch::now_ns();
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    (run_queue.timer_ns, run_queue.is_settled) = (None, false);
    kernel.shared.console.tick(cpu, now_ns);
    while let Some(id) = kernel.scheduler.take_woken(&mut kernel.threads, cpu, now_ns) {
        make_ready(kernel, id);
    }
    let run_queue = &mut kernel.scheduler.cpus[cpu];
    if now_ns >= run_queue.slice_end_ns {
        run_queue.slice_end_ns = now_ns + SLICE_NS;
        run_queue.turn_is_over = true;
    }
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
