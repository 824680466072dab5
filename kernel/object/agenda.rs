//! Agendas: threads by when they are due; the first is found at once, and any can be taken out.
//!
//! A leftist heap (Crane, "Linear Lists and Priority Queues as Balanced Binary Trees", 1972) that runs through the
//! threads themselves, so nothing is allocated and nothing can fail. A thread's rank is the length of the shortest way
//! down from it to where no child is; the right child never has the greater one. So ways to the right are no longer than
//! the logarithm of the number of threads, and putting in and taking out walk only those.

use crate::base::effort::Effort;
use crate::object::id::ThreadId;
use crate::object::links::{NONE, Node};
use crate::object::store::Store;
use crate::object::thread::Thread;

/// Threads by their [`Thread::order`], the least first.
#[derive(Clone, Copy, Debug)]
pub struct Agenda {
    root: u32,
}

impl Default for Agenda {
    fn default() -> Agenda {
        Agenda::EMPTY
    }
}

impl Agenda {
    /// An agenda without threads.
    pub const EMPTY: Agenda = Agenda { root: NONE };

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.root == NONE
    }

    /// The thread that is due first.
    #[inline(always)]
    pub fn first(&self, threads: &Store<Thread>) -> Option<ThreadId> {
        if self.is_empty() { None } else { threads.id_at(self.root) }
    }

    /// Puts a thread in.
    pub fn insert(&mut self, threads: &mut Store<Thread>, id: ThreadId) {
        threads[id].node = Node::default();
        self.root = merge(threads, self.root, id.index());
    }

    /// Takes a thread out that is in this one.
    pub fn remove(&mut self, threads: &mut Store<Thread>, id: ThreadId) {
        let Node { left, right, parent, .. } = core::mem::take(&mut threads[id].node);
        let below = merge(threads, left, right);
        if below != NONE {
            node(threads, below).parent = parent;
        }
        if parent == NONE {
            self.root = below;
            return;
        }
        let above = node(threads, parent);
        *(if above.left == id.index() { &mut above.left } else { &mut above.right }) = below;
        // Each step up that changes a rank makes it one less than the next, so there are no more than a logarithm.
        let mut at = parent;
        while at != NONE && settle(threads, at) {
            at = node(threads, at).parent;
        }
    }

    /// Checks that nobody is due before who is above; calls `each` for every thread; gives how many there are.
    ///
    /// # Panics
    /// If somebody is, or a rank is wrong.
    pub fn check(&self, threads: &Store<Thread>, each: impl FnMut(ThreadId)) -> u64 {
        let (mut at, mut effort) = (AgendaPlace::default(), Effort::unlimited());
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
        at: &mut AgendaPlace,
        effort: &mut Effort,
        mut each: impl FnMut(ThreadId),
    ) -> bool {
        // In order of left links down and parents up: what comes after a thread is found without a stack.
        let mut next = at.last.map_or(self.root, |last| next_in_check(threads, last));
        while let Some(id) = threads.id_at(next).filter(|_| next != NONE) {
            if !effort.is_left() {
                return false;
            }
            check_thread(threads, id);
            each(id);
            (at.last, at.count) = (Some(next), at.count + 1);
            effort.spend(THREAD_UNITS);
            next = next_in_check(threads, next);
        }
        true
    }
}

/// Effort of checking a thread.
const THREAD_UNITS: u32 = 15;

/// How far a check of an agenda has come. It holds while the agenda stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgendaPlace {
    /// The last thread that was seen.
    last: Option<u32>,
    count: u64,
}

fn check_thread(threads: &Store<Thread>, id: ThreadId) {
    let Node { left, right, rank, .. } = threads[id].node;
    for child in [left, right].into_iter().filter_map(|child| threads.id_at(child)) {
        assert_eq!(threads[child].node.parent, id.index(), "a child knows its parent");
        assert!(threads[id].order <= threads[child].order, "nobody is due before who is above");
    }
    assert!(rank_of(threads, left) >= rank_of(threads, right), "the left child has the greater rank");
    assert_eq!(rank, rank_of(threads, right) + 1, "a rank is one more than the right child's");
}

/// Joins two heaps, each given by its root; gives the root, which has no parent.
fn merge(threads: &mut Store<Thread>, one: u32, other: u32) -> u32 {
    let (root, mut rest) = sooner(threads, one, other);
    if root == NONE {
        return root;
    }
    node(threads, root).parent = NONE;
    // Down along right links: each time the rest and what hangs there are both due later.
    let mut at = root;
    while rest != NONE {
        let right = node(threads, at).right;
        let (below, later) = sooner(threads, right, rest);
        node(threads, at).right = below;
        node(threads, below).parent = at;
        (at, rest) = (below, later);
    }
    while at != NONE {
        settle(threads, at);
        at = node(threads, at).parent;
    }
    root
}

/// Two heaps, of which one may be empty: first the one whose root is due first.
fn sooner(threads: &Store<Thread>, one: u32, other: u32) -> (u32, u32) {
    match (threads.id_at(one), threads.id_at(other)) {
        (None, _) => (other, one),
        (_, None) => (one, other),
        (Some(first), Some(second)) if threads[first].order <= threads[second].order => (one, other),
        _ => (other, one),
    }
}

/// Puts a thread's children in the order of their ranks; gives whether that changed its own.
fn settle(threads: &mut Store<Thread>, at: u32) -> bool {
    let Node { left, right, rank, .. } = *node(threads, at);
    let (left_rank, right_rank) = (rank_of(threads, left), rank_of(threads, right));
    let here = node(threads, at);
    if left_rank < right_rank {
        (here.left, here.right) = (right, left);
    }
    here.rank = left_rank.min(right_rank) + 1;
    here.rank != rank
}

fn rank_of(threads: &Store<Thread>, at: u32) -> u32 {
    threads.id_at(at).map_or(0, |id| threads[id].node.rank)
}

fn node(threads: &mut Store<Thread>, at: u32) -> &mut Node {
    &mut threads.open(at).expect("heaps hold threads that exist").object.node
}

/// The thread behind another, parents before children.
fn next_in_check(threads: &Store<Thread>, at: u32) -> u32 {
    let node_of = |at: u32| threads.id_at(at).map_or_else(Node::default, |id| threads[id].node);
    let Node { left, right, .. } = node_of(at);
    if left != NONE || right != NONE {
        return if left != NONE { left } else { right };
    }
    let (mut child, mut above) = (at, node_of(at).parent);
    while above != NONE {
        let Node { left, right, parent, .. } = node_of(above);
        if child == left && right != NONE {
            return right;
        }
        (child, above) = (above, parent);
    }
    NONE
}
