//! Who is told of what: ends of threads and processes, signals, and words of memory that wake.

use crate::process::{Ended, Identity, NO_PARENT, Process};
use crate::signals::{Action, CHILD, CONTINUE, Effect, KILL, Reason, bit};
use crate::world::World;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

impl<'a> World<'a> {
    /// Puts away a thread that has ended; its process ends with the last one, or with all at once.
    pub(crate) fn bury(&mut self, thread: Process<'a>, ended: Ended) {
        let Identity { number, .. } = thread.identity;
        if thread.clears != 0 && thread.memory.is_shared() {
            // As on Linux, a place that is not there is not written to.
            let _ = thread.memory.write(thread.clears, &[0; 4]);
            self.wake(&thread, thread.clears, 1);
        }
        let mut others = self.processes.values_mut().filter(|other| other.identity.number == number).peekable();
        if others.peek().is_none() {
            self.end(thread, ended);
        } else if !thread.is_alone {
            others.for_each(|other| (other.ended, other.is_alone) = (Some(ended), false));
        } else if thread.identity.thread == number {
            self.first_threads.insert(number, ended);
        }
    }

    /// A process has ended, with all it has: tells its parent.
    fn end(&mut self, process: Process<'a>, ended: Ended) {
        let identity = process.identity;
        let ended_before = self.first_threads.remove(&identity.number).filter(|_| process.is_alone);
        let ended = ended_before.unwrap_or(ended);
        drop(process);
        if identity.number == self.leader.0 {
            self.leader.1 = Some(ended);
        }
        for child in self.processes.values_mut().filter(|child| child.identity.parent == identity.number) {
            child.identity.parent = NO_PARENT;
        }
        self.dead.retain(|_, (child, _)| child.parent != identity.number);
        let Some(parent) = self.processes.values_mut().find(|other| other.identity.number == identity.parent) else {
            return;
        };
        let action = parent.signals.action(CHILD);
        let is_asked_for = action.handler == 0 || action.effect(CHILD) != Effect::Nothing;
        if is_asked_for && action.flags & Action::NOBODY_WAITS == 0 {
            self.dead.insert(identity.number, (identity, ended));
        }
        let reason = match ended {
            Ended::Exited(status) => Reason::exited(identity.number, status),
            Ended::Killed(signal) => Reason::killed(identity.number, signal),
        };
        self.raise(None, identity.parent, CHILD, reason);
    }

    /// Takes out a child that has ended and is among those that are meant, if there is one.
    pub(crate) fn take_dead(&mut self, is_meant: impl Fn(&Identity) -> bool) -> Option<(u64, Ended)> {
        let found = self.dead.values().find(|(identity, _)| is_meant(identity)).map(|(identity, _)| identity.number)?;
        self.dead.remove(&found).map(|(_, ended)| (found, ended))
    }

    /// Whether there is such a process that runs.
    pub(crate) fn has(&self, is_meant: impl Fn(&Identity) -> bool) -> bool {
        self.processes.values().any(|process| is_meant(&process.identity))
    }

    /// Sends a signal, 0 for none, to all processes that are meant, the sender among them; says whether there is one, even if it has
    /// ended.
    pub(crate) fn send(
        &mut self,
        from: &mut Process<'a>,
        number: u8,
        reason: Reason,
        is_meant: impl Fn(&Identity) -> bool,
    ) -> bool {
        let living = self.processes.values().chain([&*from]).map(|thread| &thread.identity);
        let meant: BTreeSet<u64> =
            living.filter(|identity| is_meant(identity)).map(|identity| identity.number).collect();
        if number != 0 {
            meant.iter().for_each(|process| self.raise(Some(from), *process, number, reason));
        }
        !meant.is_empty() || self.dead.values().any(|(identity, _)| is_meant(identity))
    }

    /// The same for one thread.
    pub(crate) fn send_to_thread(&mut self, from: &mut Process<'a>, number: u8, reason: Reason, thread: u64) -> bool {
        let found = self.processes.values_mut().chain([from]).find(|each| each.identity.thread == thread);
        if let Some(thread) = found {
            if number != 0 {
                thread.raise(number, reason);
            }
            return true;
        }
        false
    }

    /// A signal comes to a process: to a thread that does not keep it out, if there is one. The one whose turn it is may be its own.
    fn raise(&mut self, current: Option<&mut Process<'a>>, process: u64, number: u8, reason: Reason) {
        let threads = current.into_iter().chain(self.processes.values_mut());
        let mut threads: Vec<_> = threads.filter(|thread| thread.identity.number == process).collect();
        if matches!(number, CONTINUE | KILL) {
            threads.iter_mut().for_each(|thread| thread.is_stopped = false);
        }
        let is_open = |thread: &&mut Process<'_>| thread.signals.mask() & bit(number) == 0;
        let chosen = threads.iter().position(is_open).unwrap_or(0);
        if let Some(thread) = threads.get_mut(chosen) {
            thread.raise(number, reason);
        }
    }

    /// All threads of a process stop as one has.
    pub(crate) fn stop_others(&mut self, process: u64) {
        let others = self.processes.values_mut().filter(|thread| thread.identity.number == process);
        others.for_each(|thread| thread.is_stopped = true);
    }

    /// Wakes threads that wait at a word of the memory that a thread has, so many at most; says how many.
    pub(crate) fn wake(&mut self, whose: &Process<'a>, word: u64, most: u64) -> u64 {
        let waiting = self.processes.values_mut().filter(|other| {
            other.progress.word == Some(word) && !other.progress.is_woken && other.memory.is_same(&whose.memory)
        });
        let mut count = 0;
        for thread in waiting.take(usize::try_from(most).unwrap_or(usize::MAX)) {
            thread.progress.is_woken = true;
            count += 1;
        }
        count
    }
}
