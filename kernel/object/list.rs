//! Lists of threads that run through the threads themselves: nothing is allocated, and a thread leaves a list in a few
//! steps, wherever in it it stands.

use crate::base::effort::Effort;
use crate::object::id::ThreadId;
use crate::object::store::{Opened, Store};
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

    /// The number of the one that came first.
    #[inline(always)]
    pub fn first_index(&self) -> Option<u32> {
        if self.is_empty() { None } else { Some(self.first) }
    }

    /// Puts a thread behind the others.
    #[inline(always)]
    pub fn push(&mut self, threads: &mut Store<Thread>, chain: Chain, id: ThreadId) {
        let link = self.append(id);
        threads[id].links.put(chain, link);
        link.join(threads, chain, id);
    }

    /// Begins to put a thread behind the others; gives its place, for the caller to put into the thread and to join
    /// ([`Link::join`]).
    #[inline(always)]
    #[must_use = "the thread must know its place"]
    pub fn append(&mut self, id: ThreadId) -> Link {
        let previous = core::mem::replace(&mut self.last, id.index());
        if previous == NONE {
            self.first = id.index();
        }
        Link { previous, next: NONE }
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

    /// Takes the first thread out and puts another behind the last one, in which this is changed besides. Gives the one that was
    /// taken out. The list is not empty.
    #[inline(always)]
    pub fn replace_first<'a>(
        &mut self,
        threads: &'a mut Store<Thread>,
        chain: Chain,
        id: ThreadId,
        change: impl FnOnce(&mut Thread),
    ) -> Opened<'a, Thread> {
        let List { first, last } = *self;
        let thread = threads.at_mut(id.index());
        change(thread);
        let place = &mut thread.links.0[chain as usize];
        if first == last {
            *place = Link { previous: NONE, next: NONE };
            self.first = id.index();
        } else {
            *place = Link { previous: last, next: NONE };
            self.first = threads.at(first).links.0[chain as usize].next;
            link(threads, chain, self.first).previous = NONE;
            link(threads, chain, last).next = id.index();
        }
        self.last = id.index();
        let taken = threads.open(first).expect("a list holds threads that exist");
        taken.object.links.take(chain);
        taken
    }

    /// Checks as much further as the effort goes for that the links agree with each other, and calls `each` for every
    /// thread; gives how many there are once all were seen.
    ///
    /// # Panics
    /// If they do not.
    pub fn check_further(
        &self,
        threads: &Store<Thread>,
        chain: Chain,
        (at, effort): (&mut ListPlace, &mut Effort),
        mut each: impl FnMut(ThreadId, &Thread),
    ) -> Option<u64> {
        let next_of = |at: &ListPlace| at.last.map_or(self.first, |(_, next)| next);
        while next_of(at) != NONE {
            if !effort.is_left() {
                return None;
            }
            let (id, thread) = threads.look(next_of(at)).expect("a list holds threads that exist");
            let Link { previous, next } = thread.links.0[chain as usize];
            assert_eq!(previous, at.last.map_or(NONE, |(last, _)| last), "links run both ways");
            each(id, thread);
            (at.last, at.count) = (Some((id.index(), next)), at.count + 1);
            effort.spend(THREAD_UNITS);
        }
        assert_eq!(self.last, at.last.map_or(NONE, |(last, _)| last), "a list knows its last thread");
        Some(at.count)
    }
}

/// Effort of checking a thread in a list.
const THREAD_UNITS: u32 = 6;

/// How far a check of a list has come. It holds while the list stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListPlace {
    /// The last thread that was seen, and the next one's number.
    last: Option<(u32, u32)>,
    count: u64,
}

impl Link {
    /// Ends putting a thread behind the others of a list: the one before it knows it from here on.
    #[inline(always)]
    pub fn join(self, threads: &mut Store<Thread>, chain: Chain, id: ThreadId) {
        if self.previous != NONE {
            link(threads, chain, self.previous).next = id.index();
        }
    }
}

#[inline(always)]
fn link(threads: &mut Store<Thread>, chain: Chain, index: u32) -> &mut Link {
    &mut threads.at_mut(index).links.0[chain as usize]
}
