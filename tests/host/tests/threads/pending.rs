//! A thread that is taken away while its CPU waits for the lock with a trap in hand loses nothing of it.

use std::cell::Cell;
use std::rc::Rc;
use tessera_kernel::entry::{trap, yielding};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::interrupted::Asked;
use tessera_kernel::object::thread::{Asking, Pending};
use tessera_kernel::sched::running;

use host_tests::machine::{CODE, STACK_END, UNFINISHED};
use host_tests::{Machine, Options};
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Error, Handle};
use tessera_arch::fake::{self, Flavour};
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr};
use tessera_kernel::base::mutants::{THREAD_MUTANTS, seed};
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::tlb::flush;

use crate::started;

/// Two CPUs, of which the second runs `thread` in `space` and waits for the lock with a trap in hand.
struct Scene {
    machine: Machine,
    thread: Handle,
    id: ThreadId,
    space: Handle,
    in_hand: Trap,
}

impl Scene {
    fn new(in_hand: Trap) -> Scene {
        let mut machine = Machine::boot(&Options { cpus: 2, ..Options::new(Flavour::X86) });
        let (shared, thread) = (machine.kernel.shared, machine.thread);
        let trap = Rc::new(Cell::new(None));
        let held = trap.clone();
        fake::smp::on_interrupt(move |cpu, interrupt| {
            if interrupt == Interrupt::Shootdown {
                flush::handle_ipi(shared, &shared.cpus[cpu], held.get());
            }
        });
        machine.call(Call::ThreadSetAffinity { thread, cpus: 1 }).expect("CPU 0 runs");
        let space = machine.new_space();
        machine.attach_program(space);
        let (thread, id) = started(&mut machine, space, 31, 2);
        fake::cpu::set_cpu_index(1);
        assert!(trap::schedule(&mut machine.kernel, 1));
        assert_eq!(running::current(&machine.kernel, 1), Some(id));
        trap.set(Some(in_hand));
        fake::cpu::set_cpu_index(0);
        Scene { machine, thread, id, space, in_hand }
    }

    /// The first CPU's thread makes a call that takes the thread away; then the second gets the lock with what it had in
    /// hand, and both go on until the thread has had its turn.
    fn take_away_by(&mut self, call: Call) {
        self.machine.call(call).expect("nothing stands against it");
        fake::cpu::set_cpu_index(1);
        trap::handle(&mut self.machine.kernel, 1, self.in_hand);
        trap::schedule(&mut self.machine.kernel, 1);
        fake::cpu::set_cpu_index(0);
        self.machine.call(Call::YieldNow {}).expect("nothing stands against yielding");
        check::check(&self.machine.kernel);
    }

    fn state(&self) -> ThreadState {
        self.machine.kernel.threads[self.id].state
    }

    fn move_to_cpu_0(&mut self) {
        self.take_away_by(Call::ThreadSetAffinity { thread: self.thread, cpus: 1 });
    }
}

fn fault(kind: FaultKind, address: u64) -> Trap {
    Trap::Fault(Fault { kind, address: VirtAddr::new(address), access: Access::Read })
}

fn breakpoint() -> Trap {
    fault(FaultKind::Breakpoint, CODE)
}

/// Every kind of fault stops the thread when it goes on elsewhere, and only once.
#[test]
fn a_fault_in_hand_is_seen_to_where_the_thread_goes_on() {
    let kinds =
        [FaultKind::Breakpoint, FaultKind::Instruction, FaultKind::Address, FaultKind::Arithmetic, FaultKind::Other(1)];
    for in_hand in kinds.map(|kind| fault(kind, CODE)).into_iter().chain([fault(FaultKind::Page, 0x123_4000)]) {
        let mut scene = Scene::new(in_hand);
        let faults =
            |scene: &Scene| scene.machine.kernel.shared.cpus.iter().map(|line| line.counters.faults.get()).sum::<u64>();
        let before = faults(&scene);
        scene.move_to_cpu_0();
        assert_eq!((scene.state(), faults(&scene) - before), (ThreadState::Faulted, 1), "{in_hand:?}");
        let thread = scene.thread;
        assert_eq!(scene.machine.call(Call::ThreadJoin { thread }), Err(Error::Faulted));
    }
}

/// A page that can be had by then is no fault.
#[test]
fn a_page_fault_that_is_none_any_more_stops_nobody() {
    let mut scene = Scene::new(fault(FaultKind::Page, CODE));
    scene.move_to_cpu_0();
    assert_eq!((scene.state(), running::current(&scene.machine.kernel, 0)), (ThreadState::Ready, Some(scene.id)));
}

/// With nothing in hand, or an interrupt, or a call, the thread goes on; so the claims above see the fault and not the
/// move.
#[test]
fn without_a_fault_in_hand_the_thread_goes_on() {
    for in_hand in [Trap::Interrupt(Interrupt::Timer), Trap::Call] {
        let mut scene = Scene::new(in_hand);
        scene.move_to_cpu_0();
        assert_eq!(scene.state(), ThreadState::Ready, "{in_hand:?}");
    }
}

/// Who is stopped is stopped, and whoever lands on its fallback has left the fault where it happened.
#[test]
fn a_fault_in_hand_ends_with_what_it_happened_in() {
    let mut scene = Scene::new(breakpoint());
    scene.take_away_by(Call::ThreadStop { thread: scene.thread });
    assert_eq!(scene.state(), ThreadState::Stopped);
    let mut scene = Scene::new(breakpoint());
    scene.take_away_by(Call::CapabilityDelete { handle: scene.space });
    assert_eq!(scene.state(), ThreadState::Stopped, "it has no fallback");

    let mut scene = Scene::new(breakpoint());
    fake::cpu::set_cpu_index(1);
    let (space, instruction_pointer, stack_pointer) = (scene.machine.space, CODE + 16, STACK_END);
    scene
        .machine
        .call(Call::ThreadSetFallback { space, instruction_pointer, stack_pointer })
        .expect("it can be entered");
    fake::cpu::set_cpu_index(0);
    scene.take_away_by(Call::CapabilityDelete { handle: scene.space });
    fake::cpu::set_cpu_index(1);
    assert!(trap::schedule(&mut scene.machine.kernel, 1));
    assert_eq!((scene.state(), running::current(&scene.machine.kernel, 1)), (ThreadState::Ready, Some(scene.id)));
    let registers = scene.machine.kernel.threads[scene.id].context.registers();
    assert_eq!(registers.instruction_pointer(), CODE + 16);
}

/// A join that a thread is in when it is let go is not disturbed by what another CPU had in hand before.
#[test]
fn a_later_parting_has_nothing_in_hand_of_an_earlier_one() {
    let mut scene = Scene::new(breakpoint());
    scene.move_to_cpu_0();
    assert_eq!(scene.state(), ThreadState::Faulted);
    let (shared, space) = (scene.machine.kernel.shared, scene.machine.space);
    fake::smp::on_interrupt(move |cpu, interrupt| {
        if interrupt == Interrupt::Shootdown {
            flush::handle_ipi(shared, &shared.cpus[cpu], None);
        }
    });
    let (thread, id) = started(&mut scene.machine, space, 31, 2);
    fake::cpu::set_cpu_index(1);
    assert!(trap::schedule(&mut scene.machine.kernel, 1));
    fake::cpu::set_cpu_index(0);
    scene.machine.call(Call::ThreadSetAffinity { thread, cpus: 1 }).expect("CPU 0 runs");
    scene.machine.call(Call::YieldNow {}).expect("nothing stands against yielding");
    assert_eq!(running::current(&scene.machine.kernel, 0), Some(id));
    assert_ne!(scene.machine.kernel.threads[id].context.registers().result(), (0, UNFINISHED));
}

/// The bug that these tests are for is one that they find.
#[test]
fn a_forgotten_fault_is_found() {
    for mutant in THREAD_MUTANTS {
        seed(Some(mutant));
        let mut scene = Scene::new(breakpoint());
        scene.move_to_cpu_0();
        seed(None);
        assert_eq!(scene.state(), ThreadState::Ready, "{mutant:?} shows");
    }
}

/// Who gives way goes on if the thread that was to run ends by the fault that it had in hand.
#[test]
fn a_fault_in_hand_is_seen_to_when_another_gives_way() {
    let mut machine = Machine::boot(&Options::new(Flavour::Arm));
    let (own, space) = (machine.thread_id, machine.space);
    let (_, other) = started(&mut machine, space, 31, 1);
    let (_, last) = started(&mut machine, space, 31, 1);
    let fault = Fault { kind: FaultKind::Arithmetic, address: VirtAddr::new(CODE), access: Access::Execute };
    machine.kernel.threads[other].pending = Some(Box::new(Pending::Asks(Asking::Fault(fault, Asked::Nobody))));
    assert_eq!(machine.call(Call::YieldNow {}), Ok(0));
    assert_eq!(machine.kernel.threads[other].state, ThreadState::Faulted);
    assert_eq!(running::current(&machine.kernel, 0), Some(last), "it came before the one that gave way");
    assert_eq!(machine.call(Call::YieldNow {}), Ok(0));
    assert_eq!(running::current(&machine.kernel, 0), Some(own));
    check::check(&machine.kernel);
}

/// A yield that waits for the lock while its thread is taken away ends nobody's turn, and the thread has yielded.
#[test]
fn a_yield_whose_thread_is_taken_away_meanwhile_is_done() {
    let mut scene = Scene::new(Trap::Interrupt(Interrupt::Timer));
    scene.machine.call(Call::ThreadSetAffinity { thread: scene.thread, cpus: 1 }).expect("CPU 0 runs");
    fake::cpu::set_cpu_index(1);
    let shared = scene.machine.kernel.shared;
    assert!(!yielding::yield_now(&mut scene.machine.kernel, shared, &shared.cpus[1]), "who goes on is found out");
    trap::finish(&mut scene.machine.kernel);
    assert!(!trap::schedule(&mut scene.machine.kernel, 1), "nobody may run here");
    check::check(&scene.machine.kernel);
    fake::cpu::set_cpu_index(0);
    scene.machine.call(Call::YieldNow {}).expect("nothing stands against yielding");
    assert_eq!(running::current(&scene.machine.kernel, 0), Some(scene.id));
    check::check(&scene.machine.kernel);
}
