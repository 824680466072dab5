//! The scheduler: preemptive, strict priorities, round robin within one.
//!
//! Each CPU has its own run queue, linked through the threads themselves, so making a thread ready allocates
//! nothing. A thread that becomes ready goes to the CPU it ran on last if that is idle or runs something less
//! urgent, else to the CPU whose thread is least urgent (an idle one, if there is any) and whose queue is shortest:
//! caches and tags stay warm, and no CPU idles while a thread waits elsewhere. A CPU that runs out of threads takes
//! the most urgent one it may run from the other queues.
//!
//! So that a CPU never has to look at threads that it may not run, they wait apart: in a CPU's queue those that may run
//! anywhere, which others may take, and those that may run only there, which nobody else looks at; and all that may run on
//! some CPUs but not on all in one queue, from which each CPU takes the first that it may run ([`SetQueue`]). Of what a CPU
//! may run, the most urgent goes first, and among equals who came first, wherever they waited. Choosing takes a look at each
//! CPU, and at as many threads as the logarithm of how many wait for some CPUs only.

use alloc::boxed::Box;
use core::cell::Cell;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::PRIORITY_MAX;
use tessera_abi::layout::ThreadState;
use tessera_arch::{CPUS_MAX, Fault, Stamp};

use crate::base::cpu_set::{self, CpuSet};
use crate::base::steps;
use crate::cpu::per_cpu::Shared;
use crate::mem::FrameAllocator;
use crate::object::agenda::Agenda;
use crate::object::id::ThreadId;
use crate::object::interrupted::Asked;
use crate::object::links::{Chain, Link, List};
use crate::object::set_queue::SetQueue;
use crate::object::store::{Opened, Store};
use crate::object::thread::{Thread, Wait};

/// How long a thread runs before another of its priority gets its turn.
pub const SLICE_NS: u64 = 10_000_000;

/// Why a thread's CPU has lists.
const HAS_CPU: &str = "threads wait for CPUs that there are";

pub(super) const LEVELS: usize = PRIORITY_MAX as usize + 1;

/// A list for each priority.
pub(super) type Levels = [List; LEVELS];

/// The threads that wait on one CPU.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) anywhere: Levels,
    pub(super) here: Levels,
    /// Of the threads that may run on some CPUs, how many of each priority were placed on this one, which sees that they run.
    pub(super) placed: [u32; LEVELS],
    /// How many of these a check has found.
    pub(super) found: [Cell<u32>; LEVELS],
}

/// A word of a CPU's line that says yes or no. Changed with the lock held.
#[derive(Debug)]
pub struct Flag(&'static AtomicBool);

impl Default for Flag {
    /// One that nobody looks at.
    fn default() -> Flag {
        static NOWHERE: AtomicBool = AtomicBool::new(false);
        Flag(&NOWHERE)
    }
}

impl Flag {
    /// What it says.
    #[inline(always)]
    pub fn get(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Has it say this.
    #[inline(always)]
    pub fn set(&self, is_set: bool) {
        self.0.store(is_set, Relaxed);
    }
}

/// What is left to be done of a call that was an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    #[default]
    Nothing,
    /// The thread, which is back in its own registers, makes the call that it was about to make.
    Call,
    /// Who was asked last of a fault of the thread has passed it on.
    Fault(Fault, Asked),
}

/// What runs on one CPU, and which threads wait there, by priorities.
#[derive(Debug, Default)]
pub struct RunQueue {
    /// A bit for each priority of which threads wait that may run anywhere.
    pub(super) anywhere: u32,
    /// The same for those that may run only here, and those that may run on some CPUs and were placed on this one.
    pub(super) here: u32,
    pub(super) placed: u32,
    /// The threads that wait, if the machine has this CPU.
    pub(super) waiting: Option<Box<Waiting>>,
    pub(super) ready_count: usize,
    /// The thread that runs.
    pub current: Option<ThreadId>,
    /// The thread that runs, or ran last: whose calls come from this CPU.
    pub caller: ThreadId,
    /// What decides where that thread waits.
    pub standing: Standing,
    /// When its turn began.
    pub turn_began: Stamp,
    /// Whether its turn is over: the next of its priority goes on when the kernel is left, if there is one.
    pub turn_is_over: bool,
    /// What the CPU's timer is set to.
    pub timer_ns: Option<u64>,
    /// Whether the call that the CPU is in the kernel for has done a step and is to be made again.
    pub is_again: bool,
    /// What is left to be done when the call is served that the CPU is in the kernel for.
    pub left: Left,
    /// Whether a thread that was chosen here was seen to and does not go on: a break comes before the next one.
    pub needs_break: bool,
    /// What the entry on this CPU has spent of its effort for taking apart.
    pub spent_units: u32,
    /// Whether anything has changed here since it was found that the current thread goes on, and the timer set. It lies in the
    /// CPU's line, where every call finds it by one load.
    pub need_resched: Flag,
    /// Threads that sleep, by the time they wake up. Their CPU's timer wakes them.
    pub(super) sleepers: Agenda,
}

/// A duty: a CPU must look again who goes on there (`sched::ready::reschedule`), for a thread became ready, or what decides
/// has changed.
#[derive(Debug)]
#[must_use = "a CPU that is not told goes on with what it runs"]
pub struct Reschedule(usize);

impl Reschedule {
    /// The CPU; asking for it is the first half of the duty.
    pub fn cpu(self) -> usize {
        self.0
    }
}

/// Who goes on after the running thread has given way.
pub enum Rotation<'a> {
    /// The same: nobody of its priority is ready, nor anybody more urgent.
    Same,
    /// This one, which is in no queue any more; the other waits behind all others.
    Other(Opened<'a, Thread>),
    /// Not known: a case in which there is a choice. Nothing has changed.
    Open,
}

/// What decides where the running thread waits when its turn is over, as it was when it was chosen to run: whatever changes
/// it has the CPU choose anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    priority: u8,
    affinity: CpuSet,
    /// Where it waits; `None` where that takes a look at other CPUs, or at its space.
    waits: Option<Wait>,
}

impl Standing {
    /// Of a thread that is chosen to run on a CPU, of so many.
    #[inline(always)]
    pub fn of(thread: &Thread, cpu: usize, cpus: usize) -> Standing {
        let is_pinned = thread.affinity & cpu_set::first(cpus) == 1 << cpu;
        let waits = match cpus {
            1 => Some(Wait::Anywhere),
            _ if is_pinned => Some(Wait::Here),
            _ => None,
        };
        Standing { priority: thread.priority, affinity: thread.affinity, waits }
    }
}

/// Who runs next.
#[derive(Debug)]
pub struct Scheduler {
    /// A queue for each CPU that a machine can have.
    pub cpus: [RunQueue; CPUS_MAX],
    /// The threads that may run on several CPUs but not on all.
    pub(super) somewhere: SetQueue,
    /// How many threads became ready or went to sleep so far: in 64 bits more than there will be.
    arrivals: u64,
}

impl Scheduler {
    /// The scheduler of a machine with so many CPUs.
    pub fn new(frames: &mut FrameAllocator, shared: &'static Shared, cpus: usize) -> Scheduler {
        crate::mem::provide_list::<Waiting>(frames, cpus);
        let run_queue = |cpu: usize| RunQueue {
            waiting: (cpu < cpus).then(Box::default),
            need_resched: Flag(&shared.cpus[cpu].need_resched),
            ..RunQueue::default()
        };
        Scheduler { cpus: core::array::from_fn(run_queue), somewhere: SetQueue::default(), arrivals: 0 }
    }

    /// Puts a thread behind the others of its priority on a CPU. `allowed` are the CPUs it may run on, of those that are
    /// `running`.
    #[inline(always)]
    pub fn make_ready(
        &mut self,
        threads: &mut Store<Thread>,
        id: ThreadId,
        cpu: usize,
        [allowed, running]: [CpuSet; 2],
    ) -> Reschedule {
        self.arrivals += 1;
        let thread = threads.at_mut(id.index());
        let level = usize::from(thread.priority);
        let wait = match allowed {
            _ if allowed == running => Wait::Anywhere,
            _ if allowed.is_power_of_two() => Wait::Here,
            _ => Wait::Somewhere,
        };
        (thread.state, thread.waits) = (ThreadState::Ready, Some(wait));
        thread.set_cpu(cpu);
        thread.order = ((LEVELS - level) as u64, self.arrivals);
        let run_queue = &mut self.cpus[cpu];
        run_queue.ready_count += 1;
        let waiting = run_queue.waiting.as_mut().expect(HAS_CPU);
        let (used, levels) = match wait {
            Wait::Anywhere => (&mut run_queue.anywhere, &mut waiting.anywhere),
            Wait::Here => (&mut run_queue.here, &mut waiting.here),
            Wait::Somewhere => {
                waiting.placed[level] += 1;
                run_queue.placed |= 1 << level;
                self.somewhere.insert(threads, id);
                return Reschedule(cpu);
            }
        };
        *used |= 1 << level;
        // The thread is at hand, and is not looked up once more for its link.
        let link = levels[level].append(id);
        thread.links.put(Chain::Queue, link);
        link.join(threads, Chain::Queue, id);
        Reschedule(cpu)
    }

    /// Puts the thread that runs on a CPU behind the others of its priority, of which the first is taken: what
    /// [`Scheduler::make_ready`] and [`Scheduler::take_next`] do if nobody is more urgent, all that are as urgent wait in one
    /// list, and the thread has to stay on the CPU, of so many `cpus`, which is looked at in few cases. `may_leave` is asked before
    /// anything is changed; `leave` gets the thread when it is looked up.
    #[inline(always)]
    pub fn rotate<'a>(
        &mut self,
        threads: &'a mut Store<Thread>,
        cpu: usize,
        cpus: &usize,
        may_leave: impl FnOnce() -> bool,
        leave: impl FnOnce(&mut Thread),
    ) -> Rotation<'a> {
        let run_queue = &mut self.cpus[cpu];
        let Standing { priority, waits, .. } = run_queue.standing;
        let level = usize::from(priority) % LEVELS;
        if run_queue.ready_levels() >> level == 0 {
            return Rotation::Same;
        }
        let waiting = run_queue.waiting.as_mut().expect(HAS_CPU);
        let (own, others, levels) = if waits == Some(Wait::Anywhere) {
            (run_queue.anywhere, run_queue.here, &mut waiting.anywhere)
        } else if waits == Some(Wait::Here) {
            (run_queue.here, run_queue.anywhere, &mut waiting.here)
        } else {
            return Rotation::Open;
        };
        let is_only_own = (own >> level ^ 1) | others >> level == 0;
        if !is_only_own || !self.somewhere.is_empty() || !may_leave() {
            return Rotation::Open;
        }
        let (list, from) = (&mut levels[level], run_queue.caller);
        self.arrivals += 1;
        let to = list.replace_first(threads, Chain::Queue, from, |thread| {
            thread.waits = waits;
            thread.order = ((LEVELS - level) as u64, self.arrivals);
            leave(thread);
        });
        to.object.waits = None;
        if to.object.affinity != run_queue.standing.affinity {
            run_queue.standing = Standing::of(to.object, cpu, *cpus);
        }
        Rotation::Other(to)
    }

    /// Takes a ready thread out of its queue, wherever in it it stands. Nothing happens if it is in none.
    #[inline(always)]
    pub fn remove(&mut self, threads: &mut Store<Thread>, id: ThreadId) {
        let thread = &mut threads[id];
        let (cpu, level) = (thread.cpu(), usize::from(thread.priority));
        let Some(wait) = thread.waits.take() else { return };
        let link = thread.links.take(Chain::Queue);
        let run_queue = &mut self.cpus[cpu];
        run_queue.need_resched.set(true);
        run_queue.ready_count -= 1;
        let waiting = run_queue.waiting.as_mut().expect(HAS_CPU);
        let (used, is_last) = match wait {
            Wait::Anywhere => (&mut run_queue.anywhere, close(&mut waiting.anywhere[level], threads, link)),
            Wait::Here => (&mut run_queue.here, close(&mut waiting.here[level], threads, link)),
            Wait::Somewhere => {
                waiting.placed[level] -= 1;
                self.somewhere.remove(threads, id);
                (&mut run_queue.placed, waiting.placed[level] == 0)
            }
        };
        *used &= !(u32::from(is_last) << level);
    }

    /// How urgent what a CPU runs is: the current thread's priority plus one, 0 if it idles.
    #[inline(always)]
    pub fn urgency(&self, threads: &Store<Thread>, cpu: usize) -> u8 {
        steps::count();
        let queued = self.cpus[cpu].ready_levels().checked_ilog2().map_or(0, |level| level as u8 + 1);
        let running = self.cpus[cpu].current.map_or(0, |id| threads[id].priority + 1);
        queued.max(running)
    }

    /// The CPU on which a thread that becomes ready goes on, among `allowed`.
    pub fn place(&self, threads: &Store<Thread>, thread: &Thread, cpus: usize, allowed: CpuSet) -> usize {
        let (last, urgency) = (thread.cpu(), thread.priority + 1);
        let may_use = |cpu: &usize| allowed & (1 << *cpu) != 0;
        if allowed == 1 << last {
            return last;
        }
        if may_use(&last) && self.urgency(threads, last) < urgency {
            return last;
        }
        // How urgent what a CPU runs is, how many wait there, whether the thread was elsewhere, and its number, in one word.
        let mut least = u64::MAX;
        for cpu in (0..cpus).filter(may_use) {
            let waiting = (self.cpus[cpu].ready_count as u64) << 9 | u64::from(cpu != last) << 8;
            least = least.min(u64::from(self.urgency(threads, cpu)) << 56 | waiting | cpu as u64);
        }
        if least == u64::MAX { last } else { usize::from(least as u8) }
    }

    /// Takes the most urgent thread from the queues of other CPUs that may run anywhere.
    pub fn steal(&mut self, threads: &mut Store<Thread>, thief: usize, cpus: usize) -> Option<ThreadId> {
        let others = self.cpus.iter().take(cpus).enumerate().filter(|(cpu, _)| *cpu != thief);
        let firsts = others.filter_map(|(_, run_queue)| run_queue.first_anywhere());
        let first = firsts.min_by_key(|index| threads.at(*index).order)?;
        let id = threads.id_at(first)?;
        self.remove(threads, id);
        Some(id)
    }

    /// Takes the thread that should run now out of its queue.
    pub fn take_next(&mut self, threads: &mut Store<Thread>, cpu: usize) -> Option<ThreadId> {
        let run_queue = &mut self.cpus[cpu];
        if self.somewhere.is_empty() && run_queue.here == 0 {
            return run_queue.take_first_anywhere(threads);
        }
        let own = sooner(threads, run_queue.first_anywhere(), run_queue.first_here());
        let first = sooner(threads, own, self.somewhere.first_on(threads, cpu))?;
        let id = threads.id_at(first)?;
        self.remove(threads, id);
        Some(id)
    }

    /// Whether a thread of at least (or, `above`, more than) this priority is ready on the CPU.
    pub fn is_contended(&self, cpu: usize, priority: u8, above: bool) -> bool {
        let lowest = u32::from(priority) + u32::from(above);
        lowest <= u32::from(PRIORITY_MAX) && self.cpus[cpu].ready_levels() >> lowest != 0
    }

    /// Puts a thread to sleep until this time.
    pub fn add_sleeper(&mut self, threads: &mut Store<Thread>, id: ThreadId, wake_ns: u64) {
        self.arrivals += 1;
        let thread = threads.at_mut(id.index());
        (thread.state, thread.order) = (ThreadState::Sleeping, (wake_ns, self.arrivals));
        let run_queue = &mut self.cpus[thread.cpu()];
        run_queue.need_resched.set(true);
        run_queue.sleepers.insert(threads, id);
    }

    /// Forgets a sleeping thread.
    pub fn remove_sleeper(&mut self, threads: &mut Store<Thread>, id: ThreadId) {
        let run_queue = &mut self.cpus[threads[id].cpu()];
        run_queue.need_resched.set(true);
        run_queue.sleepers.remove(threads, id);
    }

    /// Takes a thread whose time has come off the CPU's sleepers.
    pub fn take_woken(&mut self, threads: &mut Store<Thread>, cpu: usize, now_ns: u64) -> Option<ThreadId> {
        let sleepers = &mut self.cpus[cpu].sleepers;
        let id = sleepers.first(threads).filter(|id| threads[*id].order.0 <= now_ns)?;
        sleepers.remove(threads, id);
        Some(id)
    }

    /// When the CPU must be interrupted: at the first sleeper's time, or when the current thread's turn ends
    /// while others of its priority wait.
    pub fn next_deadline_ns(&self, threads: &Store<Thread>, cpu: usize, current_priority: Option<u8>) -> Option<u64> {
        let slice_end = current_priority
            .filter(|priority| self.is_contended(cpu, *priority, false))
            .map(|_| self.cpus[cpu].turn_end_ns());
        let first_sleeper = self.cpus[cpu].sleepers.first(threads).map(|id| threads[id].order.0);
        earlier(slice_end, first_sleeper)
    }
}

/// Gives a thread that waits in no queue another priority; gives the one it had.
pub fn set_priority(thread: &mut Thread, priority: u8) -> (u8, Reschedule) {
    (core::mem::replace(&mut thread.priority, priority), Reschedule(thread.cpu()))
}

/// Gives a thread another set of CPUs.
pub fn set_affinity(thread: &mut Thread, affinity: CpuSet) -> Reschedule {
    thread.affinity = affinity;
    Reschedule(thread.cpu())
}

/// Of two times, of which there may be fewer, the one that comes first.
#[inline(always)]
pub fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (one, other) => one.or(other),
    }
}

/// Of two threads, by number, of which there may be fewer, the one whose turn comes first.
#[inline(always)]
fn sooner(threads: &Store<Thread>, one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(first), Some(second)) if threads.at(second).order < threads.at(first).order => other,
        (None, _) => other,
        _ => one,
    }
}

/// Takes a thread, which had this place, out of a list; gives whether it was the last.
#[inline(always)]
fn close(list: &mut List, threads: &mut Store<Thread>, link: Link) -> bool {
    list.close(threads, Chain::Queue, link);
    list.is_empty()
}

impl RunQueue {
    /// The number of the most urgent thread that waits here and may run anywhere.
    #[inline(always)]
    fn first_anywhere(&self) -> Option<u32> {
        let level = self.anywhere.checked_ilog2()? as usize;
        self.waiting.as_ref()?.anywhere[level].first_index()
    }

    /// The same of those that may run only here.
    #[inline(always)]
    fn first_here(&self) -> Option<u32> {
        let level = self.here.checked_ilog2()? as usize;
        self.waiting.as_ref()?.here[level].first_index()
    }

    /// Takes the first of the threads that may run anywhere out of its queue: the usual case.
    #[inline(always)]
    fn take_first_anywhere(&mut self, threads: &mut Store<Thread>) -> Option<ThreadId> {
        let level = self.anywhere.checked_ilog2()? as usize;
        let list = &mut self.waiting.as_mut()?.anywhere[level];
        let first = threads.open(list.first_index()?)?;
        first.object.waits = None;
        let (id, link) = (first.id, first.object.links.take(Chain::Queue));
        self.ready_count -= 1;
        self.need_resched.set(true);
        self.anywhere &= !(u32::from(close(list, threads, link)) << level);
        Some(id)
    }

    /// When the turn of the thread that runs ends.
    #[inline(always)]
    pub fn turn_end_ns(&self) -> u64 {
        self.turn_began.ns() + SLICE_NS
    }

    /// Whether any thread is ready that this CPU sees to.
    #[inline(always)]
    pub fn has_ready(&self) -> bool {
        self.ready_levels() != 0
    }

    /// A bit for each priority of which a thread is ready that this CPU sees to.
    #[inline(always)]
    fn ready_levels(&self) -> u32 {
        self.anywhere | self.here | self.placed
    }
}
