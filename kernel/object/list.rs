//! Lists of threads that run through the threads themselves: nothing is allocated, and a thread leaves a list in a few
//! steps, wherever in it it stands.

use crate::object::id::ThreadId;
use crate::object::store::Store;
use crate::object::thread::Thread;

use crate::object::links::{Chain, Link, List, NONE};

impl List {
    /// Whether there is no thread in it.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// The one that came first.
    #[inline(always)]
    pub fn first(&self, threads: &Store<Thread>) -> Option<ThreadId> {
        if self.is_empty() { None } else { threads.id_at(self.first) }
    }

    /// All of them, in order.
    pub fn iter<'a>(&self, threads: &'a Store<Thread>, chain: Chain) -> impl Iterator<Item = ThreadId> + use<'a> {
        core::iter::successors(self.first(threads), move |id| List::after(threads, chain, *id))
    }

    /// The one behind a thread: a step of a walk that takes threads out.
    pub fn after(threads: &Store<Thread>, chain: Chain, id: ThreadId) -> Option<ThreadId> {
        match threads[id].links.0[chain as usize].next {
            NONE => None,
            next => threads.id_at(next),
        }
    }

    /// Puts a thread behind the others.
    #[inline(always)]
    pub fn push(&mut self, threads: &mut Store<Thread>, chain: Chain, id: ThreadId) {
        let last = core::mem::replace(&mut self.last, id.index());
        threads[id].links.0[chain as usize] = Link { previous: last, next: NONE };
        match last {
            NONE => self.first = id.index(),
            last => link(threads, chain, last).next = id.index(),
        }
    }

    /// Takes a thread out that is in this list.
    #[inline(always)]
    pub fn remove(&mut self, threads: &mut Store<Thread>, chain: Chain, id: ThreadId) {
        let link = threads[id].links.take(chain);
        self.close(threads, chain, link);
    }

    /// Joins the neighbours of a thread of this list whose place was taken.
    #[inline(always)]
    pub fn close(&mut self, threads: &mut Store<Thread>, chain: Chain, Link { previous, next }: Link) {
        match previous {
            NONE => self.first = next,
            previous => link(threads, chain, previous).next = next,
        }
        match next {
            NONE => self.last = previous,
            next => link(threads, chain, next).previous = previous,
        }
    }

    /// Checks that the links agree with each other, and calls `each` for every thread; gives how many there are.
    ///
    /// # Panics
    /// If they do not.
    pub fn check(&self, threads: &Store<Thread>, chain: Chain, mut each: impl FnMut(ThreadId)) -> u64 {
        let (mut count, mut previous) = (0, NONE);
        for id in self.iter(threads, chain) {
            assert_eq!(threads[id].links.0[chain as usize].previous, previous, "links run both ways");
            each(id);
            (count, previous) = (count + 1, id.index());
        }
        assert_eq!(self.last, previous, "a list knows its last thread");
        count
    }
}

fn link(threads: &mut Store<Thread>, chain: Chain, index: u32) -> &mut Link {
    let thread = threads.open(index).expect("lists hold threads that exist").object;
    &mut thread.links.0[chain as usize]
}
