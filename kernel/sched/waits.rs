//! Who waits for whom: whether a thread that is about to wait for locks would wait for itself.

use crate::base::mutants::{Mutant, is_seeded};
use crate::object::id::ThreadId;
use crate::object::links::Chain;
use crate::object::lock::Held;
use crate::sched::locks;
use crate::state::kernel::Kernel;

/// So many threads are looked at, and so many looks taken at who waits. What goes around more is not seen, and a wait without a
/// deadline has no end then.
pub const WAITING_MOST: usize = 32;
const LOOKS_MOST: usize = 128;

/// Threads that wait for one thread, directly or through others, that one first.
struct Waiting {
    found: [Option<ThreadId>; WAITING_MOST],
    count: usize,
    looks: usize,
}

impl Waiting {
    fn add(&mut self, id: ThreadId) {
        self.looks += 1;
        let is_new = self.looks <= LOOKS_MOST && self.found[..self.count].iter().all(|found| *found != Some(id));
        if is_new && let Some(place) = self.found.get_mut(self.count) {
            *place = Some(id);
            self.count += 1;
        }
    }
}

/// Whether a thread that would wait for a segment's lock would wait for itself: it holds the lock itself where it goes back to, or
/// somebody does who waits for what it holds, or for its end, directly or through others.
#[cold]
#[inline(never)]
pub fn is_deadlock(kernel: &Kernel, id: ThreadId, segment: u32) -> bool {
    if is_seeded(Mutant::DeadlockUnseen) {
        return false;
    }
    let mut holders = all_who_wait_for(kernel, id);
    holders.any(|waiting| {
        // What it holds where it is it gives up when it goes on.
        let kept = held(kernel, waiting).take(if waiting == id { depth(kernel, id) } else { usize::MAX });
        kept.flatten().any(|held| locks::locks_of(kernel, held).iter().flatten().any(|(held, _)| *held == segment))
    })
}

/// Whether a thread waits for another one, directly or through others.
#[cold]
#[inline(never)]
pub fn is_waiting_for(kernel: &Kernel, waiting: ThreadId, id: ThreadId) -> bool {
    all_who_wait_for(kernel, id).any(|found| found == waiting)
}

fn depth(kernel: &Kernel, id: ThreadId) -> usize {
    kernel.threads.at(id.index()).depth()
}

/// What a thread holds, where it goes back to and where it is.
fn held(kernel: &Kernel, id: ThreadId) -> impl Iterator<Item = Option<Held>> {
    let stack = kernel.threads.at(id.index()).activations.as_ref();
    stack.into_iter().flat_map(|stack| stack.held[..=stack.fast.depth()].iter().copied())
}

fn all_who_wait_for(kernel: &Kernel, id: ThreadId) -> impl Iterator<Item = ThreadId> {
    let mut all = Waiting { found: [None; WAITING_MOST], count: 0, looks: 0 };
    all.add(id);
    let mut next = 0;
    while let Some(id) = all.found.get(next).copied().flatten() {
        next += 1;
        for held in held(kernel, id).flatten() {
            for (segment, _) in locks::locks_of(kernel, held).into_iter().flatten() {
                let queue = kernel.segments.at(segment).lock.as_ref().map(|lock| lock.waiting);
                let waiting = queue.into_iter().flat_map(|queue| queue.iter(&kernel.threads, Chain::Queue));
                waiting.take(WAITING_MOST).for_each(|id| all.add(id));
            }
        }
        let joiners = kernel.threads.at(id.index()).joiners;
        joiners.iter(&kernel.threads, Chain::Queue).take(WAITING_MOST).for_each(|id| all.add(id));
    }
    all.found.into_iter().flatten()
}
