//! Several CPUs, and threads that may run on some of them only.

use host_tests::machine::{CODE, STACK_END};
use host_tests::smp::Cpus;
use host_tests::{Machine, Options, config};
use proptest::prelude::*;
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Handle};
use tessera_arch::fake::{self, Flavour};
use tessera_arch::{Interrupt, Trap};
use tessera_kernel::base::steps;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::sched::{ready, running};
use tessera_kernel::state::scheduler::SLICE_NS;

const CPUS: usize = 4;
const ALL: u64 = (1 << CPUS) - 1;

#[derive(Clone, Debug)]
enum Operation {
    Yield,
    Sleep(u64),
    Tick,
    SetAffinity(usize, u64),
    SetPriority(usize, u64),
    Stop(usize),
    /// Another thread, for these CPUs.
    Start(u64, u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let thread = || 0..40_usize;
    prop_oneof![
        6 => Just(Operation::Yield),
        2 => (0..2 * SLICE_NS).prop_map(Operation::Sleep),
        4 => Just(Operation::Tick),
        5 => (thread(), 1..=ALL).prop_map(|(thread, cpus)| Operation::SetAffinity(thread, cpus)),
        2 => (thread(), 28..31_u64).prop_map(|(thread, priority)| Operation::SetPriority(thread, priority)),
        1 => thread().prop_map(Operation::Stop),
        3 => (1..=ALL, 28..31_u64).prop_map(|(cpus, priority)| Operation::Start(cpus, priority)),
    ]
}

struct Scene {
    machine: Machine,
    cpus: Cpus,
    threads: Vec<(Handle, ThreadId)>,
    /// Whether yields take the common path instead of their own.
    is_common: bool,
}

impl Scene {
    /// A thread of the highest priority on each CPU, which makes the calls, and whoever else is started.
    fn new(slots: u32) -> Scene {
        let options = Options { cpus: CPUS, ..Options::new(Flavour::X86).slots(slots).frames(32768) };
        let machine = Machine::boot(&options);
        let cpus = Cpus::new(machine.kernel.shared);
        Scene { machine, cpus, threads: Vec::new(), is_common: false }
    }

    fn start(&mut self, cpus: u64, priority: u64) -> (Handle, ThreadId) {
        let (account, table, space) = (self.machine.account, self.machine.table, self.machine.space);
        let (thread, id) = self.machine.new_thread(Call::ThreadCreate { account, table, space, priority });
        self.machine.call(Call::ThreadSetAffinity { thread, cpus }).expect("these CPUs run");
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        self.machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("new");
        self.threads.push((thread, id));
        (thread, id)
    }

    /// Every CPU looks who is to run, as often as one of them can make another look again.
    fn settle(&mut self) {
        for cpu in (0..CPUS * CPUS).map(|turn| (turn + 1) % CPUS) {
            self.cpus.play(cpu);
            trap::handle(&mut self.machine.kernel, cpu, Trap::Interrupt(Interrupt::Reschedule));
            trap::schedule(&mut self.machine.kernel, cpu);
        }
    }

    /// No CPU runs what it may not, and none idles while somebody waits whom it may run.
    fn check(&self) -> Result<(), TestCaseError> {
        let kernel = &self.machine.kernel;
        check::check(kernel);
        for cpu in 0..CPUS {
            match running::current(kernel, cpu) {
                Some(id) => prop_assert!(kernel.threads[id].affinity & (1 << cpu) != 0, "CPU {} may not run it", cpu),
                None => {
                    let may_run = |id: &ThreadId| {
                        let thread = &kernel.threads[*id];
                        thread.waits.is_some() && ready::allowed_cpus(kernel, thread) & (1 << cpu) != 0
                    };
                    let waiting = kernel.threads.ids().find(may_run);
                    prop_assert_eq!(waiting, None, "CPU {} idles, and somebody waits", cpu);
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, cpu: usize, operation: &Operation) -> Result<(), TestCaseError> {
        // Threads of the claim's own are called for by the first, on CPU 0; what a CPU's thread does itself, there.
        let own = matches!(operation, Operation::Yield | Operation::Sleep(_) | Operation::Tick);
        let cpu = if own { cpu } else { 0 };
        self.cpus.play(cpu);
        let named = |thread: &usize| self.threads.get(*thread % self.threads.len().max(1)).map(|(handle, _)| *handle);
        let call = match operation {
            Operation::Yield => Some(Call::YieldNow {}),
            Operation::Sleep(nanoseconds) => Some(Call::Sleep { nanoseconds: *nanoseconds }),
            Operation::Tick => {
                fake::timer::advance_ns(SLICE_NS);
                (0..CPUS).for_each(|cpu| {
                    self.cpus.play(cpu);
                    trap::handle(&mut self.machine.kernel, cpu, Trap::Interrupt(Interrupt::Timer));
                });
                None
            }
            Operation::SetAffinity(thread, cpus) => {
                named(thread).map(|thread| Call::ThreadSetAffinity { thread, cpus: *cpus })
            }
            Operation::SetPriority(thread, priority) => {
                named(thread).map(|thread| Call::ThreadSetPriority { thread, priority: *priority })
            }
            Operation::Stop(thread) => named(thread).map(|thread| Call::ThreadStop { thread }),
            Operation::Start(cpus, priority) => {
                if self.threads.len() < 40 {
                    self.start(*cpus, *priority);
                }
                None
            }
        };
        // The first thread stays, and so does what it calls for.
        let is_first = running::current(&self.machine.kernel, cpu) == Some(self.machine.thread_id);
        let sleeps = matches!(operation, Operation::Sleep(_));
        if let Some(call) =
            call.filter(|_| running::current(&self.machine.kernel, cpu).is_some() && !(is_first && sleeps))
        {
            if self.is_common && matches!(operation, Operation::Yield) {
                self.machine.call_commonly(call);
            } else {
                self.machine.call(call).ok();
            }
        }
        self.settle();
        self.check()
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn no_cpu_idles_while_somebody_waits_whom_it_may_run(
        operations in prop::collection::vec((0..CPUS, operation()), 1..150),
    ) {
        let mut scene = Scene::new(128);
        let thread = scene.machine.thread;
        scene.machine.call(Call::ThreadSetAffinity { thread, cpus: 1 }).expect("CPU 0 runs");
        scene.settle();
        for (cpu, operation) in &operations {
            scene.step(*cpu, operation)?;
        }
    }
}

/// Who runs on each CPU after each of some operations, yields by their own way or by the common path.
fn who_runs(operations: &[(usize, Operation)], is_common: bool) -> Result<Vec<[Option<u32>; CPUS]>, TestCaseError> {
    let mut scene = Scene { is_common, ..Scene::new(128) };
    let thread = scene.machine.thread;
    scene.machine.call(Call::ThreadSetAffinity { thread, cpus: 1 }).expect("CPU 0 runs");
    // Enough for each CPU that yields find somebody.
    (0..12).for_each(|number| _ = scene.start(1 << (number % CPUS), if number % CPUS == 0 { 31 } else { 29 }));
    scene.settle();
    let kernel = |scene: &Scene, cpu| running::current(&scene.machine.kernel, cpu).map(|id| id.index());
    operations
        .iter()
        .map(|(cpu, operation)| {
            scene.step(*cpu, operation)?;
            Ok(std::array::from_fn(|cpu| kernel(&scene, cpu)))
        })
        .collect()
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn giving_way_at_once_leads_to_whom_the_common_path_leads(
        operations in prop::collection::vec((0..CPUS, operation()), 1..150),
    ) {
        prop_assert_eq!(who_runs(&operations, false)?, who_runs(&operations, true)?);
    }
}

/// What a thread that gives way is told of its place does not come from when it was more urgent.
#[test]
fn who_was_more_urgent_once_waits_for_who_is_now() {
    let mut scene = Scene::new(128);
    let thread = scene.machine.thread;
    scene.machine.call(Call::ThreadSetAffinity { thread, cpus: 1 }).expect("CPU 0 runs");
    for cpu in 2..CPUS {
        scene.start(1 << cpu, 31);
    }
    let [(first, first_id), (second, second_id)] = [25, 25].map(|priority| scene.start(0b10, priority));
    scene.settle();
    let runs = |scene: &Scene| running::current(&scene.machine.kernel, 1);
    assert_eq!(runs(&scene), Some(first_id));
    for thread in [second, first] {
        scene.machine.call(Call::ThreadSetPriority { thread, priority: 20 }).expect("less is allowed");
    }
    scene.settle();
    scene.cpus.play(1);
    scene.machine.call(Call::YieldNow {}).expect("nothing stands against yielding");
    assert_eq!(runs(&scene), Some(second_id));
    scene.cpus.play(0);
    let (_, urgent) = scene.start(ALL, 22);
    scene.cpus.play(1);
    // Once: a wrong choice would be mended by the next look.
    assert!(trap::schedule(&mut scene.machine.kernel, 1));
    assert_eq!(runs(&scene), Some(urgent));
}

/// Threads of one priority take turns on a CPU, whichever CPUs else they might use: by when they came.
#[test]
fn who_came_first_goes_first_whatever_else_it_may_use() {
    let mut scene = Scene::new(128);
    let busy = scene.machine.thread;
    // Nobody else takes them: CPUs 1 to 3 run something more urgent, and more waits there than here.
    for cpu in 1..CPUS {
        scene.start(1 << cpu, 31);
        for _ in 0..10 {
            scene.start(1 << cpu, 10);
        }
    }
    scene.settle();
    let sets = [0b1, 0b11, ALL, 0b101, 0b1, ALL, 0b11, 0b1001];
    let expected: Vec<_> = sets.map(|cpus| scene.start(cpus, 20).1).to_vec();
    scene.machine.call(Call::ThreadSetAffinity { thread: busy, cpus: 0b10 }).expect("CPU 1 runs");
    let mut turns = Vec::new();
    for _ in 0..2 * sets.len() {
        scene.cpus.play(0);
        assert!(trap::schedule(&mut scene.machine.kernel, 0));
        turns.extend(running::current(&scene.machine.kernel, 0));
        running::requeue_current(&mut scene.machine.kernel, 0);
        check::check(&scene.machine.kernel);
    }
    assert_eq!(turns, [expected.clone(), expected].concat());
}

/// What a CPU without work looks at does not depend on how many threads wait that it may not run.
#[test]
fn going_idle_costs_the_same_beside_thousands_that_are_pinned_elsewhere() {
    let costs = [10, 4000].map(|count| {
        let mut scene = Scene::new(8192);
        for number in 0..count {
            // On CPUs 0 and 1 alone, on one of them, or on both of CPUs 0 and 2.
            scene.start([1, 2, 3, 5][number % 4], 10);
        }
        for cpu in 1..3 {
            scene.cpus.play(cpu);
            assert!(trap::schedule(&mut scene.machine.kernel, cpu), "CPU {cpu} may run some of them");
        }
        scene.cpus.play(3);
        steps::take();
        assert!(!trap::schedule(&mut scene.machine.kernel, 3), "CPU 3 may run none of them");
        let idle = steps::take();
        steps::take();
        trap::handle(&mut scene.machine.kernel, 3, Trap::Interrupt(Interrupt::Reschedule));
        trap::schedule(&mut scene.machine.kernel, 3);
        (idle, steps::take())
    });
    assert_eq!(costs[0], costs[1], "look-ups when idle, beside 10 and beside 4,000");
}

/// Of thousands in one queue each ends at the same cost, from either end or the middle.
#[test]
fn ending_one_of_a_long_queue_costs_the_same_wherever_it_stands() {
    for cpus in [1, ALL, 0b11] {
        let mut scene = Scene::new(8192);
        let threads: Vec<_> = (0..3000).map(|_| scene.start(cpus, 10)).collect();
        let mut cost = |number: usize| {
            steps::take();
            scene.machine.call(Call::ThreadStop { thread: threads[number].0 }).expect("the right is there");
            assert_eq!(scene.machine.kernel.threads[threads[number].1].state, ThreadState::Stopped);
            steps::take()
        };
        let most = [2999, 1500, 1, 0, 2000].map(&mut cost).into_iter().max();
        // An agenda takes a logarithm of the number; lists nothing.
        let bound = if cpus == 0b11 { 600 } else { 60 };
        assert!(most < Some(bound), "{most:?} look-ups for the CPUs {cpus:#b}");
        check::check(&scene.machine.kernel);
    }
}
