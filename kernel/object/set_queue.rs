//! Set queues: threads that may run on some CPUs only, in order; the first that may run on a given CPU is found at once,
//! and any can be taken out.
//!
//! A balanced tree (Adelson-Velsky and Landis, "An Algorithm for the Organization of Information", 1962) that runs through
//! the threads themselves, so nothing is allocated and nothing can fail. Each thread's reach says which CPUs it and those
//! below it may use (Cormen, Leiserson, Rivest, Stein, "Introduction to Algorithms", "Augmenting Data Structures"). So every
//! step takes as many looks as the logarithm of the number of threads, however many sets of CPUs there are. A thread's
//! rank is its height; its reach lies where its place would be if it waited in a list.

use crate::base::cpu_set::CpuSet;
use crate::base::effort::Effort;
use crate::object::id::ThreadId;
use crate::object::links::{Chain, NONE, Node};
use crate::object::store::Store;
use crate::object::thread::Thread;

/// Threads by their [`Thread::order`], the least first, each with its [`Thread::affinity`], which stays while it is in.
#[derive(Debug)]
pub struct SetQueue {
    root: u32,
}

impl Default for SetQueue {
    fn default() -> SetQueue {
        SetQueue { root: NONE }
    }
}

impl SetQueue {
    /// Whether there is no thread in it.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.root == NONE
    }

    /// The number of the first thread that may run on a CPU.
    pub fn first_on(&self, threads: &Store<Thread>, cpu: usize) -> Option<u32> {
        let reaches = |at: u32| reach_of(threads, at) & (1 << cpu) != 0;
        let mut at = self.root;
        while reaches(at) {
            let thread = threads.at(at);
            if reaches(thread.node.left) {
                at = thread.node.left;
            } else if thread.affinity & (1 << cpu) != 0 {
                return Some(at);
            } else {
                at = thread.node.right;
            }
        }
        None
    }

    /// Puts a thread in.
    pub fn insert(&mut self, threads: &mut Store<Thread>, id: ThreadId) {
        let order = threads[id].order;
        let (mut above, mut at, mut is_left) = (NONE, self.root, false);
        while at != NONE {
            let thread = threads.at(at);
            is_left = order < thread.order;
            above = at;
            at = if is_left { thread.node.left } else { thread.node.right };
        }
        threads[id].node = Node { parent: above, ..Node::default() };
        match above {
            NONE => self.root = id.index(),
            above if is_left => threads.at_mut(above).node.left = id.index(),
            above => threads.at_mut(above).node.right = id.index(),
        }
        self.settle(threads, id.index());
    }

    /// Takes a thread out that is in this one.
    pub fn remove(&mut self, threads: &mut Store<Thread>, id: ThreadId) {
        let Node { left, right, parent, .. } = core::mem::take(&mut threads[id].node);
        let (child, changed) = match (left, right) {
            (NONE, child) | (child, NONE) => (child, parent),
            _ => take_next(threads, left, right),
        };
        if child != NONE {
            threads.at_mut(child).node.parent = parent;
        }
        self.replace(threads, parent, id.index(), child);
        // If the next one stood right below, it is itself the lowest.
        self.settle(threads, if changed == id.index() { child } else { changed });
    }

    /// From a thread up: none has a side that is higher than the other by more than one, and all know their height and reach.
    fn settle(&mut self, threads: &mut Store<Thread>, mut at: u32) {
        while at != NONE {
            at = self.balance(threads, at);
            at = threads.at(at).node.parent;
        }
    }

    /// The same for one thread; gives the one that is in its place then.
    fn balance(&mut self, threads: &mut Store<Thread>, at: u32) -> u32 {
        let Node { left, right, .. } = threads.at(at).node;
        let (left_rank, right_rank) = (rank_of(threads, left), rank_of(threads, right));
        if left_rank.abs_diff(right_rank) <= 1 {
            sum_up(threads, at);
            return at;
        }
        let high = if left_rank > right_rank { left } else { right };
        let node = threads.at(high).node;
        let (outer, inner) = if high == left { (node.left, node.right) } else { (node.right, node.left) };
        if rank_of(threads, inner) > rank_of(threads, outer) {
            self.raise(threads, inner);
            self.raise(threads, inner);
            return inner;
        }
        self.raise(threads, high);
        high
    }

    /// Puts a thread in the place of the one above it, which comes below it.
    fn raise(&mut self, threads: &mut Store<Thread>, child: u32) {
        let Node { left, right, parent, .. } = threads.at(child).node;
        let above = threads.at(parent).node.parent;
        let was_left = threads.at(parent).node.left == child;
        let inner = if was_left { right } else { left };
        let lowered = &mut threads.at_mut(parent).node;
        lowered.parent = child;
        *(if was_left { &mut lowered.left } else { &mut lowered.right }) = inner;
        if inner != NONE {
            threads.at_mut(inner).node.parent = parent;
        }
        let raised = &mut threads.at_mut(child).node;
        raised.parent = above;
        *(if was_left { &mut raised.right } else { &mut raised.left }) = parent;
        self.replace(threads, above, parent, child);
        sum_up(threads, parent);
        sum_up(threads, child);
    }

    /// Hangs a thread, or none, where another hung below a third.
    fn replace(&mut self, threads: &mut Store<Thread>, above: u32, old: u32, new: u32) {
        if above == NONE {
            self.root = new;
            return;
        }
        let node = &mut threads.at_mut(above).node;
        *(if node.left == old { &mut node.left } else { &mut node.right }) = new;
    }

    /// Checks order, balance and reach; calls `each` for every thread; gives how many there are.
    ///
    /// # Panics
    /// If anything is wrong.
    pub fn check(&self, threads: &Store<Thread>, each: impl FnMut(ThreadId)) -> u64 {
        let (mut at, mut effort) = (SetQueuePlace::default(), Effort::unlimited());
        self.check_further(threads, &mut at, &mut effort, each);
        at.count
    }

    /// Checks as much further as the effort goes for; gives whether that was to the end.
    ///
    /// # Panics
    /// Likewise.
    pub fn check_further(
        &self,
        threads: &Store<Thread>,
        at: &mut SetQueuePlace,
        effort: &mut Effort,
        mut each: impl FnMut(ThreadId),
    ) -> bool {
        let mut next = at.last.map_or_else(|| lowest(threads, self.root), |last| behind(threads, last));
        while let Some((id, thread)) = threads.look(next).filter(|_| next != NONE) {
            if !effort.is_left() {
                return false;
            }
            let before = at.last.map(|last| threads.at(last).order);
            assert!(before < Some(thread.order), "who is due sooner stands before");
            self.check_thread(threads, next, thread);
            each(id);
            (at.last, at.count) = (Some(next), at.count + 1);
            effort.spend(THREAD_UNITS);
            next = behind(threads, next);
        }
        true
    }

    fn check_thread(&self, threads: &Store<Thread>, at: u32, thread: &Thread) {
        let Node { left, right, parent, rank } = thread.node;
        for child in [left, right].into_iter().filter(|child| *child != NONE) {
            assert_eq!(threads.at(child).node.parent, at, "a child knows its parent");
        }
        assert!(parent != NONE || self.root == at, "who has no parent is the first of all");
        assert!(rank_of(threads, left).abs_diff(rank_of(threads, right)) <= 1, "no side is much higher");
        assert_eq!(
            (rank, thread.links.cpus(Chain::Queue)),
            sum_of(threads, thread),
            "a thread knows its height and its reach"
        );
    }
}

/// Effort of checking a thread.
const THREAD_UNITS: u32 = 20;

/// How far a check of a set queue has come. It holds while the queue stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetQueuePlace {
    /// The last thread that was seen.
    last: Option<u32>,
    count: u64,
}

/// Takes the first thread of the right side of one that goes, and hangs both its sides below it. Gives that thread, and
/// the lowest below which something changed.
fn take_next(threads: &mut Store<Thread>, left: u32, right: u32) -> (u32, u32) {
    let mut next = right;
    while threads.at(next).node.left != NONE {
        next = threads.at(next).node.left;
    }
    let Node { right: behind, parent, .. } = threads.at(next).node;
    threads.at_mut(next).node.left = left;
    threads.at_mut(left).node.parent = next;
    if next == right {
        return (next, parent);
    }
    threads.at_mut(parent).node.left = behind;
    if behind != NONE {
        threads.at_mut(behind).node.parent = parent;
    }
    threads.at_mut(next).node.right = right;
    threads.at_mut(right).node.parent = next;
    (next, parent)
}

/// A thread's height and reach, by what those below it say.
fn sum_of(threads: &Store<Thread>, thread: &Thread) -> (u32, CpuSet) {
    let Node { left, right, .. } = thread.node;
    let reach = thread.affinity | reach_of(threads, left) | reach_of(threads, right);
    (1 + rank_of(threads, left).max(rank_of(threads, right)), reach)
}

fn sum_up(threads: &mut Store<Thread>, at: u32) {
    let (rank, reach) = sum_of(threads, threads.at(at));
    let thread = threads.at_mut(at);
    thread.node.rank = rank;
    thread.links.put_cpus(Chain::Queue, reach);
}

fn reach_of(threads: &Store<Thread>, at: u32) -> CpuSet {
    if at == NONE { 0 } else { threads.at(at).links.cpus(Chain::Queue) }
}

fn rank_of(threads: &Store<Thread>, at: u32) -> u32 {
    if at == NONE { 0 } else { threads.at(at).node.rank }
}

/// The first of a thread and those below it.
fn lowest(threads: &Store<Thread>, mut at: u32) -> u32 {
    while at != NONE && threads.at(at).node.left != NONE {
        at = threads.at(at).node.left;
    }
    at
}

/// The thread behind another.
fn behind(threads: &Store<Thread>, mut at: u32) -> u32 {
    let Node { right, mut parent, .. } = threads.at(at).node;
    if right != NONE {
        return lowest(threads, right);
    }
    while parent != NONE && threads.at(parent).node.right == at {
        (at, parent) = (parent, threads.at(parent).node.parent);
    }
    parent
}
