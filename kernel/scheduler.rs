//! The scheduler: preemptive, strict priorities, round robin within one.
//!
//! Each CPU has its own run queue, linked through the threads themselves, so making a thread ready allocates
//! nothing. A thread that becomes ready goes to the CPU it ran on last if that is idle or runs something less
//! urgent, else to the CPU whose thread is least urgent (an idle one, if there is any) and whose queue is shortest:
//! caches and tags stay warm, and no CPU idles while a thread waits elsewhere. A CPU that runs out of threads takes
//! the most urgent one it may run from the other queues. Both are cheap at the eight CPUs the kernel supports.

use alloc::collections::BTreeSet;

use tessera_abi::PRIORITY_MAX;
use tessera_abi::layout::ThreadState;
use tessera_arch::CPUS_MAX;

use crate::store::{Id, Store};
use crate::thread::Thread;

/// How long a thread runs before another of its priority gets its turn.
pub const SLICE_NS: u64 = 10_000_000;

const LEVELS: usize = PRIORITY_MAX as usize + 1;

#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    first: Option<Id<Thread>>,
    last: Option<Id<Thread>>,
}

/// One CPU's threads.
#[derive(Debug, Default)]
pub struct RunQueue {
    queues: [Queue; LEVELS],
    /// A bit for each level that has threads.
    ready_levels: u32,
    ready_count: usize,
    /// The thread that runs.
    pub current: Option<Id<Thread>>,
    /// When its turn ends.
    pub slice_end_ns: u64,
    /// What the CPU's timer is set to.
    pub timer_ns: Option<u64>,
    /// Whether nothing has changed here since it was found that the current thread goes on, and the timer set.
    pub is_settled: bool,
    /// Threads that sleep, by the time they wake up. Their CPU's timer wakes them.
    sleepers: BTreeSet<(u64, Id<Thread>)>,
}

/// Who runs next.
#[derive(Debug, Default)]
pub struct Scheduler {
    /// A queue for each CPU.
    pub cpus: [RunQueue; CPUS_MAX],
}

impl Scheduler {
    /// Puts a thread behind the others of its priority.
    pub fn make_ready(&mut self, threads: &mut Store<Thread>, id: Id<Thread>) {
        let thread = &mut threads[id];
        (thread.state, thread.next) = (ThreadState::Ready, None);
        let (cpu, level) = (thread.cpu, usize::from(thread.priority));
        let run_queue = &mut self.cpus[cpu];
        run_queue.is_settled = false;
        match run_queue.queues[level].last.replace(id) {
            Some(last) => threads[last].next = Some(id),
            None => run_queue.queues[level].first = Some(id),
        }
        run_queue.ready_levels |= 1 << level;
        run_queue.ready_count += 1;
    }

    /// Takes a ready thread out of its queue, wherever in it it stands. Nothing happens if it is in none.
    pub fn remove(&mut self, threads: &mut Store<Thread>, id: Id<Thread>) {
        let (cpu, level) = (threads[id].cpu, usize::from(threads[id].priority));
        let run_queue = &mut self.cpus[cpu];
        let mut previous = None;
        let mut next = run_queue.queues[level].first;
        while let Some(at) = next {
            let behind = threads[at].next;
            if at != id {
                (previous, next) = (Some(at), behind);
                continue;
            }
            match previous {
                Some(previous) => threads[previous].next = behind,
                None => run_queue.queues[level].first = behind,
            }
            if behind.is_none() {
                run_queue.queues[level].last = previous;
            }
            threads[id].next = None;
            run_queue.note_departure(level);
            return;
        }
    }

    /// How urgent what a CPU runs is: the current thread's priority plus one, 0 if it idles.
    pub fn urgency(&self, threads: &Store<Thread>, cpu: usize) -> u8 {
        let queued = self.cpus[cpu].ready_levels.checked_ilog2().map_or(0, |level| level as u8 + 1);
        let running = self.cpus[cpu].current.map_or(0, |id| threads[id].priority + 1);
        queued.max(running)
    }

    /// The CPU on which a thread that becomes ready goes on, among `allowed` (a bit each).
    pub fn place(&self, threads: &Store<Thread>, id: Id<Thread>, cpus: usize, allowed: u32) -> usize {
        let (last, urgency) = (threads[id].cpu, threads[id].priority + 1);
        let may_use = |cpu: &usize| allowed & (1 << *cpu) != 0;
        if may_use(&last) && self.urgency(threads, last) < urgency {
            return last;
        }
        let burden = |cpu: &usize| (self.urgency(threads, *cpu), self.cpus[*cpu].ready_count, *cpu != last);
        let least = (0..cpus).filter(may_use).min_by_key(burden);
        least.unwrap_or(last)
    }

    /// Takes the most urgent thread that `may_take` lets go from the queues of other CPUs.
    pub fn steal(
        &mut self,
        threads: &mut Store<Thread>,
        thief: usize,
        may_take: impl Fn(&Thread) -> bool,
    ) -> Option<Id<Thread>> {
        let mut best: Option<Id<Thread>> = None;
        for cpu in (0..CPUS_MAX).filter(|cpu| *cpu != thief) {
            let candidate = self.first_that(threads, cpu, &may_take);
            let is_better = |id: &Id<Thread>| best.is_none_or(|best| threads[*id].priority > threads[best].priority);
            best = candidate.filter(is_better).or(best);
        }
        let id = best?;
        self.remove(threads, id);
        Some(id)
    }

    fn first_that(&self, threads: &Store<Thread>, cpu: usize, wanted: &dyn Fn(&Thread) -> bool) -> Option<Id<Thread>> {
        let run_queue = &self.cpus[cpu];
        let mut levels = run_queue.ready_levels;
        while let Some(level) = levels.checked_ilog2() {
            let mut next = run_queue.queues[level as usize].first;
            while let Some(id) = next {
                if wanted(&threads[id]) {
                    return Some(id);
                }
                next = threads[id].next;
            }
            levels &= !(1 << level);
        }
        None
    }

    /// Takes the thread that should run now out of its queue.
    pub fn take_next(&mut self, threads: &mut Store<Thread>, cpu: usize) -> Option<Id<Thread>> {
        let run_queue = &mut self.cpus[cpu];
        let level = run_queue.ready_levels.checked_ilog2()? as usize;
        let id = run_queue.queues[level].first?;
        run_queue.queues[level].first = threads[id].next.take();
        if run_queue.queues[level].first.is_none() {
            run_queue.queues[level].last = None;
        }
        run_queue.note_departure(level);
        Some(id)
    }

    /// Whether a thread of at least (or, `above`, more than) this priority is ready on the CPU.
    pub fn is_contended(&self, cpu: usize, priority: u8, above: bool) -> bool {
        let lowest = u32::from(priority) + u32::from(above);
        lowest <= u32::from(PRIORITY_MAX) && self.cpus[cpu].ready_levels >> lowest != 0
    }

    /// Puts a thread to sleep until its `wake_ns`.
    pub fn add_sleeper(&mut self, threads: &mut Store<Thread>, id: Id<Thread>) {
        threads[id].state = ThreadState::Sleeping;
        let run_queue = &mut self.cpus[threads[id].cpu];
        run_queue.is_settled = false;
        run_queue.sleepers.insert((threads[id].wake_ns, id));
    }

    /// Forgets a sleeping thread.
    pub fn remove_sleeper(&mut self, threads: &Store<Thread>, id: Id<Thread>) {
        let run_queue = &mut self.cpus[threads[id].cpu];
        run_queue.is_settled = false;
        run_queue.sleepers.remove(&(threads[id].wake_ns, id));
    }

    /// Takes a thread whose time has come off the CPU's sleepers.
    pub fn take_woken(&mut self, cpu: usize, now_ns: u64) -> Option<Id<Thread>> {
        let sleepers = &mut self.cpus[cpu].sleepers;
        let (wake_ns, id) = *sleepers.first()?;
        if wake_ns > now_ns {
            return None;
        }
        sleepers.pop_first();
        Some(id)
    }

    /// When the CPU must be interrupted: at the first sleeper's time, or when the current thread's turn ends
    /// while others of its priority wait.
    pub fn next_deadline_ns(&self, cpu: usize, current_priority: Option<u8>) -> Option<u64> {
        let slice_end = current_priority
            .filter(|priority| self.is_contended(cpu, *priority, false))
            .map(|_| self.cpus[cpu].slice_end_ns);
        let first_sleeper = self.cpus[cpu].sleepers.first().map(|(wake_ns, _)| *wake_ns);
        match (slice_end, first_sleeper) {
            (Some(slice_end), Some(wake_ns)) => Some(slice_end.min(wake_ns)),
            (one, other) => one.or(other),
        }
    }

    /// Checks queues against thread states; gives how many facts held.
    ///
    /// # Panics
    /// If a queued thread is not ready or a level's bit is wrong.
    pub fn check(&self, threads: &Store<Thread>) -> u64 {
        let mut facts = 0;
        for (cpu, run_queue) in self.cpus.iter().enumerate() {
            for (level, queue) in run_queue.queues.iter().enumerate() {
                let ready = run_queue.ready_levels & (1 << level) != 0;
                assert_eq!(queue.first.is_some(), ready, "a level's bit says whether it has threads");
                let mut next = queue.first;
                while let Some(id) = next {
                    let thread = &threads[id];
                    assert_eq!(thread.state, ThreadState::Ready, "queued threads are ready");
                    assert_eq!((thread.cpu, usize::from(thread.priority)), (cpu, level), "in their own queue");
                    next = thread.next;
                    facts += 2;
                }
            }
        }
        facts
    }
}

impl RunQueue {
    fn note_departure(&mut self, level: usize) {
        self.is_settled = false;
        self.ready_count -= 1;
        if self.queues[level].first.is_none() {
            self.ready_levels &= !(1 << level);
        }
    }
}
