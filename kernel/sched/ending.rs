//! How threads come and go: made, taken off a CPU, thrown out of a space, ended.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::{FallbackReason, ThreadState};
use tessera_abi::{Error, Handle};

use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::handshake::Request;
use crate::object::account::object_bytes;
use crate::object::list::Chain;
use crate::object::reference::ObjectRef;
use crate::object::space::Space;
use crate::object::store::Id;
use crate::object::thread::{CONTEXT_BYTES, Fallback, Thread};
use crate::state::kernel::Kernel;
use crate::tlb::flush;

impl Kernel {
    /// What a thread costs its account, bytes.
    pub const THREAD_BYTES: u64 = object_bytes::<Thread>() + CONTEXT_BYTES;

    /// Takes a new thread in, with one reference. Account, heap and store were found to have room.
    pub fn add_thread(&mut self, thread: Thread) -> Id<Thread> {
        self.charge_object::<Thread>(thread.account, CONTEXT_BYTES);
        let (table, space) = (thread.table, thread.space);
        let id = self.threads.insert(thread);
        self.spaces[space].add_thread(&mut self.threads, id);
        if let Some(table) = table {
            self.tables.retain(table);
            self.tables[table].threads.push(&mut self.threads, Chain::Table, id);
        }
        id
    }

    /// Makes a new thread ready for the first time; its registers say where.
    pub fn start_thread(&mut self, id: Id<Thread>) {
        self.note_use(id);
        self.make_ready(id);
    }

    /// Ends a thread for good, because it says so, made a mistake, or is told to.
    pub fn end_thread(&mut self, id: Id<Thread>, state: ThreadState) {
        self.note_use(id);
        self.remove_thread(id, state);
    }

    /// From here on the end of the last thread of this one's table empties the table.
    fn note_use(&mut self, id: Id<Thread>) {
        if let Some(table) = self.threads[id].table {
            self.tables[table].is_in_use = true;
        }
    }

    /// Takes a thread off CPU and queues, wakes those who join it, gives up its table.
    fn remove_thread(&mut self, id: Id<Thread>, state: ThreadState) {
        if self.threads[id].has_ended() {
            return;
        }
        self.take_off_queues(id);
        self.threads[id].state = state;
        let space = self.threads[id].space;
        self.spaces[space].remove_thread(&mut self.threads, id);
        let result = self.join_result(id);
        while let Some(joiner) = self.threads[id].joiners.first(&self.threads) {
            self.stop_joining(joiner);
            self.finish_call(joiner, result);
            self.make_ready(joiner);
        }
        self.leave_table(id);
    }

    /// What joining an ended thread gives.
    pub fn join_result(&self, id: Id<Thread>) -> Result<u64, Error> {
        match self.threads[id].state {
            ThreadState::Exited => Ok(self.threads[id].exit_code),
            ThreadState::Faulted => Err(Error::Faulted),
            _ => Err(Error::Gone),
        }
    }

    /// Sets the result of the call that a thread is in.
    pub fn finish_call(&mut self, id: Id<Thread>, result: Result<u64, Error>) {
        let (status, value) = match result {
            Ok(value) => (0, value),
            Err(error) => (error.status(), 0),
        };
        self.threads[id].context.registers_mut().set_result(status, value);
    }

    /// Sends every thread in a space that goes to its fallback, or ends it. Nobody can enter it any more: the last
    /// capability went before. Threads that are elsewhere are not looked at, however many there are.
    pub(crate) fn evict_threads(&mut self, space: Id<Space>) {
        self.shared.space_words(space.index()).retire();
        let here = tessera_arch::cpu_index();
        for cpu in (0..self.cpus()).filter(|cpu| *cpu != here) {
            if self.shared.cpus[cpu].presence.is_in(space.index()) {
                self.let_go(cpu);
            }
        }
        if let Some(id) = self.current(here) {
            self.note_space(id, self.space_of(id));
        }
        while let Some(id) = self.spaces[space].threads.first(&self.threads) {
            // Who runs elsewhere may have left long ago.
            let now_in = self.space_of(id);
            if now_in == space {
                self.evict(id);
            } else {
                self.note_space(id, now_in);
            }
        }
        let line = &self.shared.cpus[here];
        if line.presence.space() == space.index() && !is_seeded(Mutant::DestroyerStays) {
            self.shared.leave_space(line);
        }
    }

    fn evict(&mut self, id: Id<Thread>) {
        let thread = &self.threads[id];
        let usable = |fallback: &Fallback| {
            let enterable = |only: usize| thread.affinity & (1 << only) != 0;
            fallback.space != thread.space
                && self.spaces.find(fallback.space).is_some()
                && self.shared.space_words(fallback.space.index()).only_cpu().is_none_or(enterable)
        };
        match thread.fallback.filter(usable) {
            Some(fallback) => self.land(id, fallback),
            None => self.remove_thread(id, ThreadState::Stopped),
        }
    }

    fn land(&mut self, id: Id<Thread>, fallback: Fallback) {
        self.take_off_queues(id);
        self.note_space(id, fallback.space);
        let thread = &mut self.threads[id];
        // A fault that was pending happened in the space that goes.
        (thread.entered_by, thread.pending) = (Handle::NONE, None);
        let reason = FallbackReason::SpaceDestroyed as u64;
        let registers = thread.context.registers_mut();
        registers.set_entry(fallback.instruction_pointer, fallback.stack_pointer, [reason, 0]);
        // It lands in the middle of anything: what it had set for its own arithmetic is not what a function expects.
        thread.context.reset_floating_point();
        self.make_ready(id);
    }

    /// Makes another CPU let go of its thread and its space, and makes the thread ready again: its call, if it was
    /// in one that had not begun, is made anew, and a fault that it came in with is seen to when it next runs.
    pub fn let_go(&mut self, cpu: usize) {
        if let Some(id) = self.park(cpu) {
            self.make_ready(id);
        }
    }

    /// Gives a thread another set of CPUs; one that waits for a CPU or runs on another one than the caller's goes where
    /// it may be. The calling thread moves when the kernel is left.
    pub fn set_affinity(&mut self, id: Id<Thread>, affinity: u32) {
        if core::mem::replace(&mut self.threads[id].affinity, affinity) == affinity {
            return;
        }
        self.unsettle(id);
        let cpu = self.threads[id].cpu;
        if self.threads[id].waits.is_some() {
            self.scheduler.remove(&mut self.threads, id);
            self.make_ready(id);
        } else if self.current(cpu) == Some(id) && affinity & (1 << cpu) == 0 && cpu != tessera_arch::cpu_index() {
            self.let_go(cpu);
        }
    }

    /// Makes another CPU let go of its thread and its space; the thread is in no queue then.
    ///
    /// The space's number is looked up before anybody else can get the lock and reuse it.
    fn park(&mut self, cpu: usize) -> Option<Id<Thread>> {
        let line = &self.shared.cpus[cpu];
        flush::ask(self, line, Request::Park);
        flush::await_acknowledgements(self, 1 << cpu);
        let run_queue = &mut self.scheduler.cpus[cpu];
        run_queue.is_settled = false;
        let pending = line.pending.lock().take();
        let id = run_queue.current.take()?;
        if let Some(space) = self.spaces.id_at(line.parked_space.load(Relaxed)) {
            self.note_space(id, space);
        }
        let thread = &mut self.threads[id];
        (thread.entered_by, thread.pending) = (Handle::from_bits(line.entered_by.load(Relaxed)), pending);
        Some(id)
    }

    /// Takes a thread apart that no capability names any more. One that never ran leaves its table as it is.
    pub(crate) fn destroy_thread(&mut self, id: Id<Thread>) {
        self.remove_thread(id, ThreadState::Stopped);
        let thread = self.threads.remove(id);
        self.credit_object::<Thread>(thread.account, CONTEXT_BYTES);
    }

    fn take_off_queues(&mut self, id: Id<Thread>) {
        let (state, cpu) = (self.threads[id].state, self.threads[id].cpu);
        match state {
            ThreadState::Ready if self.current(cpu) == Some(id) && cpu != tessera_arch::cpu_index() => {
                // Only who holds the lock, as this CPU does, changes who is current.
                assert_eq!(self.park(cpu), Some(id), "a CPU lets go of its current thread");
            }
            ThreadState::Ready if self.current(cpu) == Some(id) => {
                self.stop_current(cpu);
                tessera_arch::leave_context();
            }
            ThreadState::Ready => self.scheduler.remove(&mut self.threads, id),
            ThreadState::Sleeping => self.scheduler.remove_sleeper(&mut self.threads, id),
            ThreadState::Joining => self.stop_joining(id),
            _ => {}
        }
    }

    /// Makes the calling CPU's current thread wait for another's end.
    pub fn join(&mut self, id: Id<Thread>, target: Id<Thread>) {
        let mut joiners = self.threads[target].joiners;
        joiners.push(&mut self.threads, Chain::Queue, id);
        self.threads[target].joiners = joiners;
        let waiter = &mut self.threads[id];
        (waiter.state, waiter.joining) = (ThreadState::Joining, Some(target));
    }

    fn stop_joining(&mut self, id: Id<Thread>) {
        let Some(target) = self.threads[id].joining.take() else { return };
        let mut joiners = self.threads[target].joiners;
        joiners.remove(&mut self.threads, Chain::Queue, id);
        self.threads[target].joiners = joiners;
    }

    /// One thread less uses its table. The last one's end empties it, if any ever used it, so that a program which holds
    /// capabilities to itself goes when its threads have gone.
    fn leave_table(&mut self, id: Id<Thread>) {
        let Some(table) = self.threads[id].table.take() else { return };
        self.tables[table].threads.remove(&mut self.threads, Chain::Table, id);
        if self.tables[table].threads.is_empty() && self.tables[table].is_in_use {
            self.empty_table(table);
        }
        self.release(ObjectRef::CapTable(table));
    }
}
