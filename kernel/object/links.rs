//! Places of a thread in lists and agendas, which run through the threads themselves (`list`, `agenda`).

use crate::base::cpu_set::CpuSet;

/// Where there is no thread.
pub(super) const NONE: u32 = u32::MAX;

/// Which of a thread's links a list runs through; a thread is in at most one list of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// What it waits in: a run queue, or those who join a thread.
    Queue,
    /// The threads of its space.
    Space,
    /// The threads of its table.
    Table,
}

/// A thread's place in its lists, one for each [`Chain`]. Links are numbers of threads that exist: who goes leaves its
/// lists first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links(pub(super) [Link; 3]);

impl Links {
    /// Takes the thread's place in one of its lists; [`List::close`] takes it out of the list then.
    #[inline(always)]
    pub fn take(&mut self, chain: Chain) -> Link {
        core::mem::take(&mut self.0[chain as usize])
    }

    /// The set of CPUs in the place of a thread's place in a list of a kind in which it is not.
    #[inline(always)]
    pub(super) fn cpus(&self, chain: Chain) -> CpuSet {
        let Link { previous, next } = self.0[chain as usize];
        u64::from(next) << 32 | u64::from(previous)
    }

    /// Sets it.
    #[inline(always)]
    pub(super) fn put_cpus(&mut self, chain: Chain, cpus: CpuSet) {
        self.0[chain as usize] = Link { previous: cpus as u32, next: (cpus >> 32) as u32 };
    }

    /// Notes the thread's place in one of its lists, which it is put into ([`List::append`]).
    #[inline(always)]
    pub fn put(&mut self, chain: Chain, link: Link) {
        self.0[chain as usize] = link;
    }
}

/// A thread's place in one list.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Default for Link {
    fn default() -> Link {
        Link { previous: NONE, next: NONE }
    }
}

/// A list of threads in the order in which they came.
#[derive(Clone, Copy, Debug)]
pub struct List {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Default for List {
    fn default() -> List {
        List { first: NONE, last: NONE }
    }
}

/// A thread's place in an agenda. Links are numbers of threads that exist: who goes leaves its agenda first.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) parent: u32,
    pub(super) rank: u32,
}

impl Default for Node {
    fn default() -> Node {
        Node { left: NONE, right: NONE, parent: NONE, rank: 1 }
    }
}
