//! The scheduler as one would write it without a care for speed: a list of who is ready, in order.

use std::collections::VecDeque;

use tessera_abi::Error;
use tessera_abi::layout::ThreadState;
use tessera_kernel::state::scheduler::SLICE_NS;

/// What the running thread does, or what happens to it.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Yield,
    /// The same by the way that the entry code takes.
    YieldAtOnce,
    Sleep(u64),
    Join(usize),
    Exit(u64),
    Stop(usize),
    SetPriority(usize, u64),
    /// Time passes, then the timer interrupts.
    Tick(u64),
    /// A fault that nothing can be done about.
    Fault,
}

/// What the model knows of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) state: ThreadState,
    pub(crate) priority: u64,
    pub(crate) wake_ns: u64,
    /// How many had gone to sleep before it did.
    asleep_after: u64,
    pub(crate) joining: Option<usize>,
    /// Those who wait for its end, in the order in which they came.
    pub(crate) joiners: Vec<usize>,
    pub(crate) ending: Result<u64, Error>,
    /// What the call it waits in will give; `None` while it waits.
    pub(crate) result: Option<Result<u64, Error>>,
}

/// All threads.
#[derive(Clone, Debug)]
pub(crate) struct Naive {
    pub(crate) threads: Vec<Model>,
    ready: VecDeque<usize>,
    pub(crate) current: Option<usize>,
    turn_ends_ns: u64,
    sleeps: u64,
}

impl Naive {
    /// Ready threads of these priorities, of which the first runs.
    pub(crate) fn new(priorities: impl Iterator<Item = u64>) -> Naive {
        let model = |priority: u64| Model {
            state: ThreadState::Ready,
            priority,
            wake_ns: 0,
            asleep_after: 0,
            joining: None,
            joiners: Vec::new(),
            ending: Err(Error::Gone),
            result: None,
        };
        let threads: Vec<Model> = priorities.map(model).collect();
        let ready = (1..threads.len()).collect();
        Naive { threads, ready, current: Some(0), turn_ends_ns: SLICE_NS, sleeps: 0 }
    }

    pub(crate) fn now() -> u64 {
        tessera_arch::now_ns()
    }

    fn best(&self) -> Option<u64> {
        self.ready.iter().map(|thread| self.threads[*thread].priority).max()
    }

    /// Who goes on: the running thread unless it waits or somebody is more urgent; else the first of the most urgent.
    pub(crate) fn choose(&mut self) {
        if let Some(current) = self.current {
            if self.best().is_none_or(|best| best <= self.threads[current].priority) {
                return;
            }
            self.ready.push_back(current);
        }
        let best = self.best();
        let place = self.ready.iter().position(|thread| Some(self.threads[*thread].priority) == best);
        self.current = place.and_then(|place| self.ready.remove(place));
        self.turn_ends_ns = Naive::now() + SLICE_NS;
    }

    fn wake_sleepers(&mut self) {
        let now = Naive::now();
        let asleep = |thread: &Model| thread.state == ThreadState::Sleeping && thread.wake_ns <= now;
        let mut woken: Vec<usize> = (0..self.threads.len()).filter(|thread| asleep(&self.threads[*thread])).collect();
        woken.sort_by_key(|thread| (self.threads[*thread].wake_ns, self.threads[*thread].asleep_after));
        for thread in woken {
            self.make_ready(thread);
        }
    }

    fn make_ready(&mut self, thread: usize) {
        self.threads[thread].state = ThreadState::Ready;
        self.ready.push_back(thread);
    }

    pub(crate) fn tick(&mut self) {
        self.wake_sleepers();
        let Some(current) = self.current else { return };
        if Naive::now() >= self.turn_ends_ns {
            self.turn_ends_ns = Naive::now() + SLICE_NS;
            if self.best().is_some_and(|best| best >= self.threads[current].priority) {
                self.ready.push_back(current);
                self.current = None;
            }
        }
    }

    fn end(&mut self, thread: usize, state: ThreadState, ending: Result<u64, Error>) {
        if matches!(self.threads[thread].state, ThreadState::Exited | ThreadState::Faulted | ThreadState::Stopped) {
            return;
        }
        self.ready.retain(|other| *other != thread);
        if self.current == Some(thread) {
            self.current = None;
        }
        if let Some(target) = self.threads[thread].joining.take() {
            self.threads[target].joiners.retain(|other| *other != thread);
        }
        (self.threads[thread].state, self.threads[thread].ending) = (state, ending);
        for joiner in std::mem::take(&mut self.threads[thread].joiners) {
            self.threads[joiner].joining = None;
            self.threads[joiner].result = Some(ending);
            self.make_ready(joiner);
        }
    }

    fn would_wait_for_itself(&self, caller: usize, target: usize) -> bool {
        let mut at = Some(target);
        while let Some(thread) = at {
            if thread == caller {
                return true;
            }
            at = self.threads[thread].joining;
        }
        false
    }

    pub(crate) fn has_ended(&self, thread: usize) -> bool {
        !matches!(self.threads[thread].state, ThreadState::Ready | ThreadState::Sleeping | ThreadState::Joining)
    }

    /// What the model says that an operation of the running thread does.
    pub(crate) fn predict(&mut self, caller: usize, operation: &Operation) {
        let result = match *operation {
            Operation::Yield | Operation::YieldAtOnce => {
                self.ready.push_back(caller);
                self.current = None;
                Some(Ok(0))
            }
            Operation::Sleep(time_ns) => {
                (self.threads[caller].state, self.threads[caller].wake_ns) =
                    (ThreadState::Sleeping, Naive::now() + time_ns);
                self.threads[caller].asleep_after = self.sleeps;
                self.sleeps += 1;
                self.current = None;
                Some(Ok(0))
            }
            Operation::Join(target) if self.would_wait_for_itself(caller, target) => Some(Err(Error::Deadlock)),
            Operation::Join(target) if self.has_ended(target) => Some(self.threads[target].ending),
            Operation::Join(target) => {
                (self.threads[caller].state, self.threads[caller].joining) = (ThreadState::Joining, Some(target));
                self.threads[target].joiners.push(caller);
                self.current = None;
                None
            }
            Operation::Exit(code) => {
                self.end(caller, ThreadState::Exited, Ok(code));
                None
            }
            Operation::Stop(target) => {
                self.end(target, ThreadState::Stopped, Err(Error::Gone));
                Some(Ok(0))
            }
            Operation::SetPriority(_, priority) if priority > self.threads[caller].priority.min(31) => {
                Some(Err(Error::BadArgument))
            }
            Operation::SetPriority(target, priority) => Some(Ok(self.set_priority(target, priority))),
            Operation::Fault => {
                self.end(caller, ThreadState::Faulted, Err(Error::Faulted));
                None
            }
            Operation::Tick(_) => {
                self.tick();
                None
            }
        };
        self.threads[caller].result = result;
    }

    fn set_priority(&mut self, target: usize, priority: u64) -> u64 {
        if let Some(place) = self.ready.iter().position(|thread| *thread == target) {
            self.ready.remove(place);
            self.ready.push_back(target);
        }
        std::mem::replace(&mut self.threads[target].priority, priority)
    }
}
