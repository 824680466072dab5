//! Running threads: who is current on a CPU, in which space, and how threads end.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::{FallbackReason, ThreadState};
use tessera_abi::{Error, Handle};

use crate::account::object_bytes;
use crate::cap_table::CapTable;
use crate::kernel::Kernel;
use crate::object::ObjectRef;
use crate::scheduler::SLICE_NS;
use crate::space::Space;
use crate::store::Id;
use crate::thread::{CONTEXT_BYTES, Thread};

impl Kernel {
    /// The thread that runs on a CPU.
    pub fn current(&self, cpu: usize) -> Option<Id<Thread>> {
        self.scheduler.cpus[cpu].current
    }

    /// The space a thread is in, running or not.
    pub fn space_of(&self, id: Id<Thread>) -> Id<Space> {
        let thread = &self.threads[id];
        if self.current(thread.cpu) != Some(id) {
            return thread.space;
        }
        let line = &self.shared.cpus[thread.cpu];
        self.spaces.id_at(line.space.load(Relaxed)).unwrap_or(thread.space)
    }

    /// Makes the CPU's space this one.
    pub fn enter_space(&mut self, cpu: usize, space: Id<Space>, entered_by: Handle) {
        let (line, words) = (&self.shared.cpus[cpu], self.shared.space_words(space.index()));
        let activation = self.tags.activate(self.shared, cpu, words);
        if activation.flush_all {
            tessera_arch::invalidate_all();
        }
        tessera_arch::activate(words.root(), activation.tag.tag(), activation.keep);
        line.space.store(space.index(), Relaxed);
        line.root.store(words.root().number(), Relaxed);
        line.entered_by.store(entered_by.bits(), Relaxed);
        line.counters.space_switches.add(1);
        if activation.keep { line.counters.tag_hits.add(1) } else { line.counters.tag_flushes.add(1) }
    }

    /// Takes the CPU's current thread off it; what it did with its space is noted in the thread.
    pub fn stop_current(&mut self, cpu: usize) -> Option<Id<Thread>> {
        let id = self.current(cpu)?;
        let line = &self.shared.cpus[cpu];
        let space = self.space_of(id);
        let thread = &mut self.threads[id];
        (thread.space, thread.entered_by) = (space, Handle::from_bits(line.entered_by.load(Relaxed)));
        self.scheduler.cpus[cpu].current = None;
        line.slots.set(&[]);
        Some(id)
    }

    /// Makes a thread the CPU's current one.
    pub fn run(&mut self, cpu: usize, id: Id<Thread>) {
        let line = &self.shared.cpus[cpu];
        let (space, entered_by, table) = {
            let thread = &mut self.threads[id];
            thread.cpu = cpu;
            (thread.space, thread.entered_by, thread.table)
        };
        if line.space.load(Relaxed) == space.index() {
            line.entered_by.store(entered_by.bits(), Relaxed);
        } else {
            self.enter_space(cpu, space, entered_by);
        }
        line.slots.set(table.map_or(&[], |table| self.tables[table].hot_slots()));
        line.counters.thread_switches.add(1);
        tessera_arch::resume_context(&self.threads[id].context);
        let run_queue = &mut self.scheduler.cpus[cpu];
        run_queue.current = Some(id);
        run_queue.slice_end_ns = tessera_arch::now_ns() + SLICE_NS;
    }

    /// Chooses who goes on when the kernel is left: the current thread unless it cannot, or one of higher
    /// priority is ready. Gives whether there is anyone.
    pub fn choose(&mut self, cpu: usize) -> bool {
        if let Some(id) = self.current(cpu) {
            if !self.scheduler.is_contended(cpu, self.threads[id].priority, true) {
                self.set_timer(cpu);
                return true;
            }
            self.requeue_current(cpu);
        }
        let next = self.scheduler.take_next(&mut self.threads, cpu);
        if let Some(id) = next {
            self.run(cpu, id);
        } else {
            tessera_arch::leave_context();
        }
        self.set_timer(cpu);
        next.is_some()
    }

    /// Puts the current thread behind the others of its priority.
    pub fn requeue_current(&mut self, cpu: usize) {
        if let Some(id) = self.stop_current(cpu) {
            self.scheduler.make_ready(&mut self.threads, id);
        }
    }

    /// Notes a timer interrupt: wakes sleepers, ends a turn that is over.
    pub fn tick(&mut self, cpu: usize) {
        self.shared.cpus[cpu].counters.timer_interrupts.add(1);
        let now_ns = tessera_arch::now_ns();
        self.scheduler.cpus[cpu].timer_ns = None;
        self.scheduler.wake_sleepers(&mut self.threads, now_ns);
        let Some(id) = self.current(cpu) else { return };
        let run_queue = &mut self.scheduler.cpus[cpu];
        if now_ns < run_queue.slice_end_ns {
            return;
        }
        run_queue.slice_end_ns = now_ns + SLICE_NS;
        if self.scheduler.is_contended(cpu, self.threads[id].priority, false) {
            self.requeue_current(cpu);
        }
    }

    /// Ends a thread for good: takes it off CPU and queues, wakes those who join it, gives up its table.
    pub fn end_thread(&mut self, id: Id<Thread>, state: ThreadState) {
        if self.threads[id].has_ended() {
            return;
        }
        self.take_off_queues(id);
        self.threads[id].state = state;
        let result = self.join_result(id);
        let mut next = self.threads[id].joiners.take();
        while let Some(joiner) = next {
            next = self.threads[joiner].next.take();
            self.threads[joiner].joining = None;
            self.finish_call(joiner, result);
            self.scheduler.make_ready(&mut self.threads, joiner);
        }
        if let Some(table) = self.threads[id].table.take() {
            self.leave_table(table);
        }
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

    /// Sends every thread in a space that goes to its fallback, or ends it.
    pub(crate) fn evict_threads(&mut self, space: Id<Space>) {
        for index in 0..self.threads.limit() {
            let Some(id) = self.threads.id_at(index) else { continue };
            if self.space_of(id) != space || self.threads[id].has_ended() {
                continue;
            }
            let fallback = self.threads[id].fallback;
            match fallback.filter(|fallback| fallback.space != space && self.spaces.find(fallback.space).is_some()) {
                Some(fallback) => self.land(id, fallback),
                None => self.end_thread(id, ThreadState::Stopped),
            }
        }
    }

    /// Takes a thread apart that no capability names any more.
    pub(crate) fn destroy_thread(&mut self, id: Id<Thread>) {
        self.end_thread(id, ThreadState::Stopped);
        let thread = self.threads.remove(id);
        self.credit_object::<Thread>(thread.account, CONTEXT_BYTES);
    }

    /// What a thread costs its account, bytes.
    pub const THREAD_BYTES: u64 = object_bytes::<Thread>() + CONTEXT_BYTES;

    fn land(&mut self, id: Id<Thread>, fallback: crate::thread::Fallback) {
        let cpu = self.threads[id].cpu;
        let running = self.current(cpu) == Some(id);
        let was = self.threads[id].state;
        if running {
            self.stop_current(cpu);
        } else if was != ThreadState::Created {
            self.take_off_queues(id);
        }
        let thread = &mut self.threads[id];
        (thread.space, thread.entered_by) = (fallback.space, Handle::NONE);
        if was != ThreadState::Created {
            let reason = FallbackReason::SpaceDestroyed as u64;
            let registers = thread.context.registers_mut();
            registers.set_entry(fallback.instruction_pointer, fallback.stack_pointer, [reason, 0]);
            self.scheduler.make_ready(&mut self.threads, id);
        }
    }

    fn take_off_queues(&mut self, id: Id<Thread>) {
        let (state, cpu) = (self.threads[id].state, self.threads[id].cpu);
        match state {
            ThreadState::Ready if self.current(cpu) == Some(id) => {
                self.stop_current(cpu);
                tessera_arch::leave_context();
            }
            ThreadState::Ready => self.scheduler.remove(&mut self.threads, id),
            ThreadState::Sleeping => self.scheduler.remove_sleeper(&self.threads, id),
            ThreadState::Joining => self.stop_joining(id),
            _ => {}
        }
    }

    fn stop_joining(&mut self, id: Id<Thread>) {
        let Some(target) = self.threads[id].joining.take() else { return };
        let behind = self.threads[id].next.take();
        if self.threads[target].joiners == Some(id) {
            self.threads[target].joiners = behind;
            return;
        }
        let mut at = self.threads[target].joiners;
        while let Some(joiner) = at {
            at = self.threads[joiner].next;
            if at == Some(id) {
                self.threads[joiner].next = behind;
                return;
            }
        }
    }

    /// One thread less uses a table; the last one's end empties it, so that a program which holds capabilities
    /// to itself goes when its threads have gone.
    fn leave_table(&mut self, table: Id<CapTable>) {
        self.tables[table].users -= 1;
        if self.tables[table].users == 0 {
            self.empty_table(table);
        }
        self.release(ObjectRef::CapTable(table));
    }

    fn set_timer(&mut self, cpu: usize) {
        let priority = self.current(cpu).map(|id| self.threads[id].priority);
        let deadline_ns = self.scheduler.next_deadline_ns(cpu, priority);
        let run_queue = &mut self.scheduler.cpus[cpu];
        if run_queue.timer_ns != deadline_ns {
            run_queue.timer_ns = deadline_ns;
            tessera_arch::set_timer(deadline_ns);
        }
    }
}
