//! Who waits for whom: whether a thread that is about to wait for locks would wait for itself.

use crate::base::mutants::{Mutant, is_seeded};
use crate::object::id::ThreadId;
use crate::object::links::{Chain, List};
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
    /// Looks that are left.
    looks: usize,
}

impl Waiting {
    /// Whether one more look may be taken.
    fn may_look(&mut self) -> bool {
        self.looks = self.looks.saturating_sub(1);
        self.looks != 0
    }

    fn add(&mut self, id: ThreadId) {
        let is_new = self.found[..self.count].iter().all(|found| *found != Some(id));
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
    let kept = all_who_wait_for(kernel, id).flat_map(|waiting| {
        // What it holds where it is it gives up when it goes on.
        held(kernel, waiting).take(if waiting == id { depth(kernel, id) } else { usize::MAX }).flatten()
    });
    let holds = |held: Held| locks::locks_of(kernel, held).iter().flatten().any(|(held, _)| *held == segment);
    kept.take(LOOKS_MOST).any(holds)
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
    let mut all = Waiting { found: [None; WAITING_MOST], count: 0, looks: LOOKS_MOST };
    all.add(id);
    let mut next = 0;
    while let Some(id) = all.found.get(next).copied().flatten() {
        next += 1;
        for held in held(kernel, id).flatten() {
            for (segment, _) in locks::locks_of(kernel, held).into_iter().flatten() {
                if let Some(lock) = &kernel.segments.at(segment).lock {
                    add_all(kernel, &mut all, lock.waiting);
                }
            }
            if !all.may_look() {
                break;
            }
        }
        add_all(kernel, &mut all, kernel.threads.at(id.index()).joiners);
    }
    all.found.into_iter().flatten()
}

fn add_all(kernel: &Kernel, all: &mut Waiting, waiting: List) {
    for id in waiting.iter(&kernel.threads, Chain::Queue) {
        if !all.may_look() {
            return;
        }
        all.add(id);
    }
}
