//! A machine on which operations happen.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::running;

use tessera_abi::{Call, Handle};
use tessera_arch::Interrupt;
use tessera_arch::fake::{cpu, oracle, smp};
use tessera_kernel::cpu::per_cpu::Shared;
use tessera_kernel::cpu::switch;
use tessera_kernel::tlb::flush;

use super::operation::{Kind, Operation, Run, SEGMENTS, SPACES, SUBTREES, THREADS, VIEWS};
use crate::machine::{CODE, STACK_END};
use crate::{Machine, Options, checking};

/// Pages of the segments that have memory of their own.
pub(super) const SEGMENT_PAGES: u64 = 48;

/// A program with a thread or two for each CPU.
pub(super) struct Scene {
    pub(super) machine: Machine,
    pub(super) cpus: usize,
    /// Spaces, then subtrees.
    pub(super) maps: Vec<Handle>,
    pub(super) views: Vec<Handle>,
    /// What CPUs that are interrupted may enter.
    pub(super) known: Rc<RefCell<Vec<Handle>>>,
    pub(super) segments: Vec<Handle>,
    pub(super) threads: Vec<Handle>,
}

impl Scene {
    pub(super) fn new(run: &Run) -> Scene {
        let options = Options { cpus: run.cpus, ..Options::new(run.flavour).tag_bits(run.tag_bits) };
        let mut machine = Machine::boot(&options);
        smp::set_broadcasts(run.broadcasts);
        oracle::watch();
        let known = Rc::new(RefCell::new(Vec::new()));
        answer_interrupts(machine.kernel.shared, known.clone(), run.seed);
        let segments = vec![machine.borrow_frames(1 << 28, 1 << 12)];
        let (maps, threads) = (vec![machine.space], vec![machine.thread]);
        let views = vec![Handle::NONE; VIEWS];
        let mut scene = Scene { machine, cpus: run.cpus, maps, views, known, segments, threads };
        (1..SEGMENTS).for_each(|index| scene.replace_segment(index));
        (1..SPACES).for_each(|index| scene.replace_space(index, None));
        (0..SUBTREES).for_each(|index| scene.replace_subtree(index));
        scene.start_threads();
        scene
    }

    fn start_threads(&mut self) {
        let (account, table, space) = (self.machine.account, self.machine.table, self.machine.space);
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        for _ in 1..THREADS {
            let thread = self.machine.make(Call::ThreadCreate { account, table, space, priority: 31 });
            let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
            self.machine.call(start).expect("a new thread can be started");
            self.threads.push(thread);
        }
    }

    /// Lets something happen on a CPU, if a thread runs there.
    pub(super) fn step(&mut self, operation: &Operation) {
        let playing = operation.cpu % self.cpus;
        cpu::set_cpu_index(playing);
        if running::current(&self.machine.kernel, playing).is_none()
            && !trap::schedule(&mut self.machine.kernel, playing)
        {
            return;
        }
        // Refusals are other tests' business; what counts is what CPUs may still hold.
        let space = self.machine.space;
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        self.machine.call(Call::ThreadSetFallback { space, instruction_pointer, stack_pointer }).ok();
        match operation.kind {
            Kind::Enter { space, fast: true } => drop(self.machine.switch_fast(self.enterable(space))),
            Kind::ReplaceSpace { space, only_cpu } => self.replace_space(space, only_cpu),
            Kind::ReplaceView { view, of, bounds } => self.replace_view(view, of, bounds),
            Kind::ReplaceSubtree { subtree } => self.replace_subtree(subtree),
            Kind::ReplaceSegment { segment } => self.replace_segment(segment),
            Kind::Attach { target, subtree, spot, bounds, way } => self.attach(target, subtree, spot, bounds, way),
            Kind::Detach { target, nth } => drop(self.detach(target, nth)),
            Kind::Publish { subtree, slot, bounds } => drop(self.publish(subtree, slot, bounds)),
            Kind::Touch { slot, place } => self.touch(slot, place),
            Kind::Unmap { target, nth, part } => drop(self.unmap(target, nth, part)),
            Kind::Protect { target, nth, part, rights } => drop(self.protect(target, nth, part, rights)),
            _ => drop(self.machine.call(self.call_for(&operation.kind))),
        }
    }

    /// The first breach of a rule since the last call, in words.
    pub(super) fn find_breach(&self) -> Option<String> {
        super::find_breach(&self.machine.kernel, self.cpus)
    }

    /// So many steps of a check.
    pub(super) fn step_checks(&mut self, steps: u32) {
        checking::go_on(&mut self.machine.kernel, steps);
    }

    /// A check in steps while nobody does anything: it finds what one in one go does.
    pub(super) fn end_checks(&mut self) {
        let facts = checking::check_in_steps(&mut self.machine.kernel);
        assert_eq!(facts, check::check(&self.machine.kernel));
    }

    /// The kernel's own checks.
    pub(super) fn check(&self) {
        check::check(&self.machine.kernel);
    }
}

/// Makes CPUs see to shootdowns; some switch spaces by the fast path before they do, or after.
fn answer_interrupts(shared: &'static Shared, known: Rc<RefCell<Vec<Handle>>>, seed: u64) {
    let state = Cell::new(seed | 1);
    let random = move |limit: usize| {
        state.set(state.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f));
        (state.get() >> 33) as usize % limit
    };
    smp::on_interrupt(move |cpu, interrupt| {
        let line = &shared.cpus[cpu];
        let wander = || {
            let space = known.borrow().get(random(SPACES + VIEWS)).copied().unwrap_or(Handle::NONE);
            switch::space_switch(line, space, CODE, STACK_END);
        };
        if random(3) == 0 {
            wander();
        }
        if interrupt == Interrupt::Shootdown {
            flush::handle_ipi(shared, line, None);
        }
        if random(3) == 0 {
            wander();
        }
    });
}
