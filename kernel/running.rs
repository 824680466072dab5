//! Running threads: who is current on a CPU, in which space, and how threads end.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::fence;

use tessera_abi::layout::{FallbackReason, ThreadState};
use tessera_abi::{Error, Handle};
use tessera_arch::{Frame, Interrupt};

use crate::account::object_bytes;
use crate::cap_table::CapTable;
use crate::handshake::{NO_SPACE, Request};
use crate::kernel::Kernel;
use crate::mutants::{Mutant, is_seeded};
use crate::object::ObjectRef;
use crate::scheduler::SLICE_NS;
use crate::shared::CpuLine;
use crate::space::Space;
use crate::store::Id;
use crate::tags::TagWord;
use crate::thread::{CONTEXT_BYTES, Fallback, Thread};

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
        let space = self.shared.cpus[thread.cpu].presence.space();
        self.spaces.id_at(space).unwrap_or(thread.space)
    }

    /// Makes the calling CPU's space this one.
    pub fn enter_space(&mut self, cpu: usize, space: Id<Space>, entered_by: Handle) {
        let (shared, line) = (self.shared, &self.shared.cpus[cpu]);
        let words = shared.space_words(space.index());
        let tag = self.tag_for(cpu, space);
        if tag != words.tag() {
            words.set_tag(tag);
        }
        let flush_all = self.tags.take_flush_pending(cpu);
        if flush_all {
            // From the empty root, or the CPU might hold translations of the space it leaves again, and no pass says.
            shared.leave_space(line);
            tessera_arch::invalidate_all();
        }
        // The lock is held, so nobody changes the pass between a look at it and the entry.
        let pass = words.pass(cpu).read();
        let is_tagged = tag.tag() != 0 || is_seeded(Mutant::UntaggedKept);
        let keep = is_tagged && !flush_all && !pass.is_stale();
        line.presence.enter(space.index(), words.pass(cpu), pass);
        words.pass(cpu).make_good();
        let root = Frame::from_word(pass.root());
        tessera_arch::activate(root, tag.tag(), keep);
        line.root.store(root.to_word(), Relaxed);
        line.entered_by.store(entered_by.bits(), Relaxed);
        if keep { line.counters.tag_hits.add(1) } else { line.counters.tag_flushes.add(1) }
    }

    /// The tag under which a CPU is to enter a space; begins a new generation of tags if there is none left.
    fn tag_for(&mut self, cpu: usize, space: Id<Space>) -> TagWord {
        let (shared, words) = (self.shared, self.shared.space_words(space.index()));
        if self.tags.bits() != 0 && words.tag().tag() == 0 {
            // It may get a tag now. Whoever enters it untagged at this moment is seen below, or comes too late.
            words.forget_passes();
            fence(SeqCst);
        }
        let elsewhere = |line: &CpuLine| line.index != cpu && line.presence.is_in(space.index());
        if let Some(tag) = self.tags.renew(words.tag(), shared.cpus.iter().any(elsewhere)) {
            return tag;
        }
        shared.cpus[cpu].counters.tag_rollovers.add(1);
        // Nobody enters by a pass from here on. Who was entering meanwhile is either seen to, or goes back to the
        // space that it had loaded: both count as live.
        if !is_seeded(Mutant::PassesSurviveRollOver) {
            self.spaces.ids().for_each(|id| shared.space_words(id.index()).forget_passes());
        }
        fence(SeqCst);
        let spaces = shared.cpus.iter().flat_map(|line| line.presence.places());
        let live = spaces.filter(|space| *space != NO_SPACE).map(|space| shared.space_words(space).tag());
        self.tags.roll_over(live, words.tag())
    }

    /// Checks that a CPU may enter a space.
    ///
    /// # Errors
    /// `WrongCpu` if the space is local to another one.
    pub fn ensure_enterable(&self, cpu: usize, space: Id<Space>) -> Result<(), Error> {
        let only_cpu = self.shared.space_words(space.index()).only_cpu();
        if only_cpu.is_none_or(|only| only == cpu) { Ok(()) } else { Err(Error::WrongCpu) }
    }

    /// The CPUs on which a thread may go on, a bit each: its affinity, or the CPU its space is local to.
    pub fn allowed_cpus(&self, thread: &Thread) -> u32 {
        let only_cpu = self.shared.space_words(thread.space.index()).only_cpu();
        let running = (1_u32 << self.cpus()) - 1;
        only_cpu.map_or(thread.affinity, |cpu| 1 << cpu) & running
    }

    /// Notes that something changed for a thread that its CPU may have to heed when it next leaves the kernel.
    pub fn unsettle(&mut self, id: Id<Thread>) {
        let cpu = self.threads[id].cpu;
        self.scheduler.cpus[cpu].is_settled = false;
    }

    /// Makes a thread ready on the CPU that suits it best.
    pub fn make_ready(&mut self, id: Id<Thread>) {
        let allowed = self.allowed_cpus(&self.threads[id]);
        let cpu = self.scheduler.place(&self.threads, id, self.cpus(), allowed);
        self.threads[id].cpu = cpu;
        self.scheduler.make_ready(&mut self.threads, id);
        if cpu != tessera_arch::cpu_index() {
            // It may have to run at once there, or to share the CPU's time from now on.
            tessera_arch::send_interrupt(cpu, Interrupt::Reschedule);
        }
    }

    /// Takes the CPU's current thread off it; what it did with its space is noted in the thread.
    pub fn stop_current(&mut self, cpu: usize) -> Option<Id<Thread>> {
        let id = self.current(cpu)?;
        let line = &self.shared.cpus[cpu];
        let space = self.space_of(id);
        let thread = &mut self.threads[id];
        (thread.space, thread.entered_by) = (space, Handle::from_bits(line.entered_by.load(Relaxed)));
        let run_queue = &mut self.scheduler.cpus[cpu];
        (run_queue.current, run_queue.is_settled) = (None, false);
        line.slots.set_slots(&[]);
        Some(id)
    }

    /// Makes a thread the calling CPU's current one.
    fn run(&mut self, cpu: usize, id: Id<Thread>) {
        let line = &self.shared.cpus[cpu];
        let (space, entered_by, table) = {
            let thread = &mut self.threads[id];
            thread.cpu = cpu;
            (thread.space, thread.entered_by, thread.table)
        };
        if line.presence.space() == space.index() {
            line.entered_by.store(entered_by.bits(), Relaxed);
        } else {
            self.enter_space(cpu, space, entered_by);
        }
        line.slots.set_slots(table.map_or(&[], |table| self.tables[table].hot_slots()));
        line.counters.thread_switches.add(1);
        tessera_arch::resume_context(&self.threads[id].context);
        let run_queue = &mut self.scheduler.cpus[cpu];
        run_queue.current = Some(id);
        run_queue.slice_end_ns = tessera_arch::now_ns() + SLICE_NS;
    }

    /// Chooses who goes on when the kernel is left: the current thread unless it cannot, or may not be here any
    /// more, or one of higher priority is ready. Gives whether there is anyone.
    pub fn choose(&mut self, cpu: usize) -> bool {
        if let Some(id) = self.current(cpu) {
            let urgent = self.scheduler.is_contended(cpu, self.threads[id].priority, true);
            if !urgent && self.threads[id].affinity & (1 << cpu) != 0 {
                self.set_timer(cpu);
                self.scheduler.cpus[cpu].is_settled = true;
                return true;
            }
            self.requeue_current(cpu);
        }
        let next = self.next_thread(cpu);
        if let Some(id) = next {
            self.run(cpu, id);
        } else {
            tessera_arch::leave_context();
            self.shared.leave_space(&self.shared.cpus[cpu]);
        }
        self.set_timer(cpu);
        next.is_some()
    }

    /// Whether no thread can ever run again: none runs or is ready, and none sleeps. There are no interrupts from
    /// outside that could wake one.
    pub fn is_at_end(&self) -> bool {
        let mut cpus = 0..self.cpus();
        cpus.all(|cpu| {
            let is_idle = self.current(cpu).is_none() && !self.scheduler.is_contended(cpu, 0, false);
            is_idle && self.scheduler.next_deadline_ns(cpu, None).is_none()
        })
    }

    fn next_thread(&mut self, cpu: usize) -> Option<Id<Thread>> {
        if let Some(id) = self.scheduler.take_next(&mut self.threads, cpu) {
            return Some(id);
        }
        let (shared, running) = (self.shared, (1_u32 << self.cpus()) - 1);
        let may_take = |thread: &Thread| {
            let only_cpu = shared.space_words(thread.space.index()).only_cpu();
            only_cpu.map_or(thread.affinity, |only| 1 << only) & running & (1 << cpu) != 0
        };
        self.scheduler.steal(&mut self.threads, cpu, may_take)
    }

    /// Puts the current thread behind the others of its priority.
    pub fn requeue_current(&mut self, cpu: usize) {
        if let Some(id) = self.stop_current(cpu) {
            self.make_ready(id);
        }
    }

    /// Notes a timer interrupt: wakes sleepers, ends a turn that is over.
    pub fn tick(&mut self, cpu: usize) {
        self.shared.cpus[cpu].counters.timer_interrupts.add(1);
        let now_ns = tessera_arch::now_ns();
        let run_queue = &mut self.scheduler.cpus[cpu];
        (run_queue.timer_ns, run_queue.is_settled) = (None, false);
        self.shared.console.tick(cpu, now_ns);
        while let Some(id) = self.scheduler.take_woken(cpu, now_ns) {
            self.make_ready(id);
        }
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
            self.make_ready(joiner);
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

    /// Sends every thread in a space that goes to its fallback, or ends it. Nobody can enter it any more: the last
    /// capability went before.
    pub(crate) fn evict_threads(&mut self, space: Id<Space>) {
        self.shared.space_words(space.index()).retire();
        for cpu in (0..self.cpus()).filter(|cpu| *cpu != tessera_arch::cpu_index()) {
            if self.shared.cpus[cpu].presence.is_in(space.index()) {
                self.let_go(cpu);
            }
        }
        for index in 0..self.threads.limit() {
            let Some(id) = self.threads.id_at(index) else { continue };
            if self.space_of(id) == space && !self.threads[id].has_ended() {
                self.evict(id, space);
            }
        }
        let line = &self.shared.cpus[tessera_arch::cpu_index()];
        if line.presence.space() == space.index() && !is_seeded(Mutant::DestroyerStays) {
            self.shared.leave_space(line);
        }
    }

    fn evict(&mut self, id: Id<Thread>, space: Id<Space>) {
        let fallback = self.threads[id].fallback;
        let usable = |fallback: &Fallback| {
            let enterable = |only: usize| self.threads[id].affinity & (1 << only) != 0;
            fallback.space != space
                && self.spaces.find(fallback.space).is_some()
                && self.shared.space_words(fallback.space.index()).only_cpu().is_none_or(enterable)
        };
        match fallback.filter(usable) {
            Some(fallback) => self.land(id, fallback),
            None => self.end_thread(id, ThreadState::Stopped),
        }
    }

    /// Makes another CPU let go of its thread and its space, and makes the thread ready again: its call, if it was
    /// in one that had not begun, is made anew.
    pub fn let_go(&mut self, cpu: usize) {
        if let Some(id) = self.park(cpu) {
            self.make_ready(id);
        }
    }

    /// Moves a thread off a CPU that its affinity does not allow any more. The calling thread moves when the
    /// kernel is left.
    pub fn move_if_misplaced(&mut self, id: Id<Thread>) {
        let (cpu, state) = (self.threads[id].cpu, self.threads[id].state);
        if state != ThreadState::Ready || self.threads[id].affinity & (1 << cpu) != 0 {
            return;
        }
        if self.current(cpu) != Some(id) {
            self.scheduler.remove(&mut self.threads, id);
            self.make_ready(id);
        } else if cpu != tessera_arch::cpu_index() {
            self.let_go(cpu);
        }
    }

    /// Makes another CPU let go of its thread and its space; the thread is in no queue then.
    fn park(&mut self, cpu: usize) -> Option<Id<Thread>> {
        let line = &self.shared.cpus[cpu];
        self.ask(line, Request::Park);
        self.await_acknowledgements(1 << cpu);
        let run_queue = &mut self.scheduler.cpus[cpu];
        run_queue.is_settled = false;
        let id = run_queue.current.take()?;
        let space = self.spaces.id_at(line.parked_space.load(Relaxed));
        let thread = &mut self.threads[id];
        thread.space = space.unwrap_or(thread.space);
        thread.entered_by = Handle::from_bits(line.entered_by.load(Relaxed));
        Some(id)
    }

    /// Takes a thread apart that no capability names any more.
    pub(crate) fn destroy_thread(&mut self, id: Id<Thread>) {
        self.end_thread(id, ThreadState::Stopped);
        let thread = self.threads.remove(id);
        self.credit_object::<Thread>(thread.account, CONTEXT_BYTES);
    }

    /// What a thread costs its account, bytes.
    pub const THREAD_BYTES: u64 = object_bytes::<Thread>() + CONTEXT_BYTES;

    fn land(&mut self, id: Id<Thread>, fallback: Fallback) {
        let was = self.threads[id].state;
        self.take_off_queues(id);
        let thread = &mut self.threads[id];
        (thread.space, thread.entered_by) = (fallback.space, Handle::NONE);
        if was != ThreadState::Created {
            let reason = FallbackReason::SpaceDestroyed as u64;
            let registers = thread.context.registers_mut();
            registers.set_entry(fallback.instruction_pointer, fallback.stack_pointer, [reason, 0]);
            // It lands in the middle of anything: what it had set for its own arithmetic is not what a function expects.
            thread.context.reset_floating_point();
            self.make_ready(id);
        }
    }

    fn take_off_queues(&mut self, id: Id<Thread>) {
        let (state, cpu) = (self.threads[id].state, self.threads[id].cpu);
        match state {
            ThreadState::Ready if self.current(cpu) == Some(id) && cpu != tessera_arch::cpu_index() => {
                self.park(cpu);
            }
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
        let deadline_ns = deadline_ns.into_iter().chain(self.shared.console.deadline_ns(cpu)).min();
        let run_queue = &mut self.scheduler.cpus[cpu];
        if run_queue.timer_ns != deadline_ns {
            run_queue.timer_ns = deadline_ns;
            tessera_arch::set_timer(deadline_ns);
        }
    }
}
