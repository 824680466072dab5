//! The checks of the scheduler's queues, each by itself.

use tessera_abi::layout::ThreadState;

use crate::base::effort::Effort;
use crate::object::agenda::AgendaPlace;
use crate::object::links::Chain;
use crate::object::list::ListPlace;
use crate::object::set_queue::SetQueuePlace;
use crate::object::store::Store;
use crate::object::thread::{Thread, Wait};
use crate::state::scheduler::{LEVELS, RunQueue, Scheduler, Waiting};

/// Effort of looking at a priority's list, of comparing the counts of one CPU, and of forgetting them.
const LIST_UNITS: u32 = 5;
const COMPARING_UNITS: u32 = 20;
const CLEARING_UNITS: u32 = 4;

/// How far a check of the threads has come that may run on some CPUs only. It holds while the queues stay as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct SomewherePlace {
    is_begun: bool,
    queue: SetQueuePlace,
    /// The next CPU whose counts are to be compared.
    cpu: usize,
}

/// How far a check of a CPU's queue has come. It holds while the queue stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunQueuePlace {
    /// Which list: two for each priority.
    list: usize,
    place: ListPlace,
    count: u64,
}

impl Scheduler {
    /// Checks the queue of the threads that may run on some CPUs only, and that each CPU counts those that were placed on
    /// it, as much further as the effort goes for; gives whether that was to the end.
    ///
    /// # Panics
    /// If one in the queue is not ready, or a CPU miscounts.
    pub fn check_somewhere(
        &self,
        threads: &Store<Thread>,
        at: &mut SomewherePlace,
        effort: &mut Effort,
        facts: &mut u64,
    ) -> bool {
        if !at.is_begun {
            at.is_begun = true;
            let all = self.cpus.iter().filter_map(|run_queue| run_queue.waiting.as_ref());
            for waiting in all {
                waiting.found.iter().for_each(|found| found.set(0));
                effort.spend(CLEARING_UNITS);
            }
        }
        let is_done = self.somewhere.check_further(threads, &mut at.queue, effort, |id| {
            let thread = &threads[id];
            assert_eq!((thread.state, thread.waits), (ThreadState::Ready, Some(Wait::Somewhere)));
            assert!(thread.affinity & (1 << thread.cpu()) != 0, "a thread is placed on a CPU that it may run on");
            let waiting = self.cpus[thread.cpu()].waiting.as_ref().expect("nobody waits where no CPU is");
            let found = &waiting.found[usize::from(thread.priority)];
            found.set(found.get() + 1);
            *facts += 1;
        });
        while is_done && let Some(run_queue) = self.cpus.get(at.cpu) {
            if !effort.is_left() {
                return false;
            }
            if let Some(waiting) = &run_queue.waiting {
                let is_so = waiting.found.iter().zip(&waiting.placed).all(|(found, placed)| found.get() == *placed);
                assert!(is_so, "a CPU counts the threads that were placed on it");
                effort.spend(COMPARING_UNITS);
            } else {
                assert!(!run_queue.has_ready(), "nobody waits where no CPU is");
            }
            at.cpu += 1;
        }
        is_done
    }

    /// How many threads wait for some CPU.
    pub fn ready_count(&self) -> u64 {
        self.cpus.iter().map(|run_queue| run_queue.ready_count as u64).sum()
    }
}

impl RunQueue {
    /// Checks the queue of a CPU as much further as the effort goes for; gives whether that was to the end.
    ///
    /// # Panics
    /// If a queued thread is not ready, or a level's bit is wrong.
    pub fn check_queue(
        &self,
        threads: &Store<Thread>,
        cpu: usize,
        (at, effort): (&mut RunQueuePlace, &mut Effort),
        facts: &mut u64,
    ) -> bool {
        let Some(waiting) = &self.waiting else { return true };
        while at.list < 2 * LEVELS {
            if !effort.is_left() || !self.check_list(threads, cpu, waiting, (at, effort)) {
                return false;
            }
            (at.list, at.place) = (at.list + 1, ListPlace::default());
            effort.spend(LIST_UNITS);
        }
        let used = (0..LEVELS).filter(|level| waiting.placed[*level] != 0).map(|level| 1 << level).sum::<u32>();
        assert_eq!(self.placed, used, "a level's bit says whether threads were placed");
        let in_sets = waiting.placed.iter().map(|count| u64::from(*count)).sum::<u64>();
        assert_eq!(self.ready_count as u64, at.count + in_sets, "a CPU counts its threads");
        *facts += at.count;
        true
    }

    fn check_list(
        &self,
        threads: &Store<Thread>,
        cpu: usize,
        waiting: &Waiting,
        (at, effort): (&mut RunQueuePlace, &mut Effort),
    ) -> bool {
        let both = [(self.anywhere, &waiting.anywhere, Wait::Anywhere), (self.here, &waiting.here, Wait::Here)];
        let ((used, levels, wait), level) = (both[at.list / LEVELS], at.list % LEVELS);
        let list = &levels[level];
        assert_eq!(used & (1 << level) != 0, !list.is_empty(), "a level's bit says whether it has threads");
        let length = list.check_further(threads, Chain::Queue, (&mut at.place, effort), |_, thread| {
            assert_eq!((thread.state, thread.waits), (ThreadState::Ready, Some(wait)), "queued threads are ready");
            assert_eq!((thread.cpu(), usize::from(thread.priority)), (cpu, level), "in their own queue");
        });
        at.count += length.unwrap_or(0);
        length.is_some()
    }

    /// Checks those that sleep on a CPU, as much further as the effort goes for; gives whether that was to the end.
    ///
    /// # Panics
    /// If one does not, or they are in no order.
    pub fn check_sleepers(
        &self,
        threads: &Store<Thread>,
        cpu: usize,
        (at, effort): (&mut AgendaPlace, &mut Effort),
        facts: &mut u64,
    ) -> bool {
        // Or wait for locks until some time.
        let is_timed = |thread: &Thread| {
            thread.activations.as_ref().is_some_and(|stack| stack.awaited.is_some_and(|awaited| awaited.is_timed))
        };
        let is_asleep = |thread: &Thread| {
            let sleeps = thread.state == ThreadState::Sleeping;
            thread.cpu() == cpu && (sleeps || thread.state == ThreadState::Entering && is_timed(thread))
        };
        self.sleepers.check_further(threads, at, effort, |id| {
            assert!(is_asleep(&threads[id]), "sleepers sleep");
            *facts += 1;
        })
    }
}
