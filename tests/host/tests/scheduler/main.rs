//! The scheduler against a naive one: strict priorities, turns, sleep, joining, stopping, on one CPU. And on several,
//! with threads that may run on some of them only.

mod naive;
mod several;

use host_tests::machine::{CODE, STACK_END, UNFINISHED};
use host_tests::{Machine, Options, config};
use naive::{Naive, Operation};
use proptest::prelude::*;
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Error, Handle};
use tessera_arch::fake::{self, Flavour};
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr};
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::sched::running;
use tessera_kernel::state::scheduler::SLICE_NS;

fn operation(threads: usize) -> impl Strategy<Value = Operation> {
    let time = || prop_oneof![Just(0), Just(SLICE_NS), 1..3 * SLICE_NS];
    prop_oneof![
        4 => Just(Operation::Yield),
        4 => Just(Operation::YieldAtOnce),
        4 => time().prop_map(Operation::Sleep),
        3 => (0..threads).prop_map(Operation::Join),
        1 => any::<u64>().prop_map(Operation::Exit),
        1 => (0..threads).prop_map(Operation::Stop),
        2 => (0..threads, 28..33_u64).prop_map(|(thread, priority)| Operation::SetPriority(thread, priority)),
        5 => time().prop_map(Operation::Tick),
        1 => Just(Operation::Fault),
    ]
}

struct Scene {
    machine: Machine,
    handles: Vec<Handle>,
    ids: Vec<ThreadId>,
    naive: Naive,
}

impl Scene {
    /// The first thread, and one more for each priority.
    fn new(priorities: &[u64]) -> Scene {
        let mut machine = Machine::boot(&Options::new(Flavour::X86));
        // All that are due wake at once: there are few.
        set_entry_units(ENTRY_UNITS);
        let (mut handles, mut ids) = (vec![machine.thread], vec![machine.thread_id]);
        let (account, table, space) = (machine.account, machine.table, machine.space);
        // There were more threads once.
        let gone: Vec<_> =
            (0..20).map(|_| machine.make(Call::ThreadCreate { account, table, space, priority: 31 })).collect();
        gone.into_iter().for_each(|handle| {
            machine.call(Call::CapabilityDelete { handle }).expect("it is a handle");
        });
        for priority in priorities {
            let call = Call::ThreadCreate { account, table, space, priority: *priority };
            let (thread, id) = machine.new_thread(call);
            let start = Call::ThreadStart { thread, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
            machine.call(start).expect("a new thread can be started");
            handles.push(thread);
            ids.push(id);
        }
        Scene { machine, handles, ids, naive: Naive::new([31].into_iter().chain(priorities.iter().copied())) }
    }

    fn trap_for(&mut self, operation: &Operation) -> Trap {
        let call = match *operation {
            Operation::Tick(time_ns) => {
                fake::timer::advance_ns(time_ns);
                // The timer is a one-shot: it has fired.
                tessera_arch::set_timer(None);
                return Trap::Interrupt(Interrupt::Timer);
            }
            Operation::Fault => {
                let (kind, address) = (FaultKind::Arithmetic, VirtAddr::new(CODE));
                return Trap::Fault(Fault { kind, address, access: Access::Execute });
            }
            Operation::Yield | Operation::YieldAtOnce => Call::YieldNow {},
            Operation::Sleep(nanoseconds) => Call::Sleep { nanoseconds },
            Operation::Join(target) => Call::ThreadJoin { thread: self.handles[target] },
            Operation::Exit(code) => Call::ThreadExit { code },
            Operation::Stop(target) => Call::ThreadStop { thread: self.handles[target] },
            Operation::SetPriority(target, priority) => {
                Call::ThreadSetPriority { thread: self.handles[target], priority }
            }
        };
        let (number, words) = call.encode();
        let id = running::current(&self.machine.kernel, 0).expect("the model says that somebody runs");
        let registers = self.machine.kernel.threads[id].context.registers_mut();
        registers.set_call(number, words);
        registers.set_result(0, UNFINISHED);
        Trap::Call
    }

    /// Gives whether anybody can go on.
    fn step(&mut self, operation: &Operation) -> Result<bool, TestCaseError> {
        let Some(caller) = self.naive.current else { return Ok(false) };
        let trap = self.trap_for(operation);
        let is_settled = match operation {
            Operation::YieldAtOnce => self.machine.call_quickly(0).expect("the entry code knows the call"),
            _ => {
                trap::handle(&mut self.machine.kernel, 0, trap);
                false
            }
        };
        self.naive.predict(caller, operation);
        if is_settled {
            self.naive.choose();
            self.compare()?;
            return Ok(true);
        }
        loop {
            let runs = trap::schedule(&mut self.machine.kernel, 0);
            self.naive.choose();
            prop_assert_eq!(runs, self.naive.current.is_some());
            self.compare()?;
            if runs {
                return Ok(true);
            }
            let asleep = self.naive.threads.iter().filter(|thread| thread.state == ThreadState::Sleeping);
            let wake_ns = asleep.map(|thread| thread.wake_ns).min();
            prop_assert_eq!(fake::timer::skip_to_deadline(), wake_ns.is_some(), "the timer is set if anybody sleeps");
            let Some(wake_ns) = wake_ns else { return Ok(false) };
            prop_assert_eq!(Naive::now(), wake_ns.max(Naive::now()), "not before the time");
            trap::interrupt(&mut self.machine.kernel, 0, Interrupt::Timer);
            self.naive.tick();
        }
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let kernel = &self.machine.kernel;
        check::check(kernel);
        prop_assert_eq!(running::current(kernel, 0), self.naive.current.map(|thread| self.ids[thread]), "who runs");
        for (thread, id) in self.naive.threads.iter().zip(&self.ids) {
            let Some(kernels) = kernel.threads.find(*id) else {
                let over = (0..self.naive.threads.len()).all(|thread| self.naive.has_ended(thread));
                prop_assert!(over, "threads go with the table that names them, when the last that uses it has ended");
                continue;
            };
            prop_assert_eq!((kernels.state, u64::from(kernels.priority)), (thread.state, thread.priority));
            let (status, value) = kernels.context.registers().result();
            if let Some(result) = thread.result {
                prop_assert_eq!(Error::from_status(status).map(|()| value), result, "the result of its last call");
            } else if thread.state == ThreadState::Joining {
                prop_assert_eq!((status, value), (0, UNFINISHED));
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn threads_run_as_the_naive_scheduler_says(
        priorities in prop::collection::vec(28..32_u64, 1..6),
        operations in prop::collection::vec(operation(7), 1..120),
    ) {
        let mut scene = Scene::new(&priorities);
        let threads = scene.naive.threads.len();
        for operation in operations {
            let operation = match operation {
                Operation::Join(target) => Operation::Join(target % threads),
                Operation::Stop(target) => Operation::Stop(target % threads),
                Operation::SetPriority(target, priority) => Operation::SetPriority(target % threads, priority),
                other => other,
            };
            if !scene.step(&operation)? {
                break;
            }
        }
    }
}

/// Whoever is as urgent as others gets a turn as long as theirs.
#[test]
fn turns_are_shared_evenly() {
    let mut scene = Scene::new(&[31, 31, 31]);
    let mut turns = [0; 4];
    for _ in 0..400 {
        let current = scene.naive.current.expect("somebody runs");
        turns[current] += 1;
        scene.step(&Operation::Tick(SLICE_NS)).expect("as the model says");
    }
    assert_eq!(turns, [100; 4]);
}

/// A circle of joins is refused where it would close.
#[test]
fn a_circle_of_joins_is_refused() {
    let mut scene = Scene::new(&[31, 31]);
    for target in [1, 2] {
        let step = scene.step(&Operation::Join(target));
        assert!(step.expect("as the model says"));
    }
    assert_eq!(scene.naive.current, Some(2));
    for target in [0, 1, 2] {
        assert!(scene.step(&Operation::Join(target)).expect("as the model says"));
        assert_eq!(scene.naive.threads[2].result, Some(Err(Error::Deadlock)), "target {target}");
    }
}
