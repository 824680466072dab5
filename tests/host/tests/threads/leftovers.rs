//! What a call leaves to be taken apart may be a thread of another CPU, or the space it is in, and that CPU may come first:
//! with a call that has just stopped the very thread, whose registers the CPU still has.

use host_tests::machine::{CODE, STACK_END};
use host_tests::smp::Cpus;
use host_tests::{Machine, Options};
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Handle, Rights};
use tessera_arch::Trap;
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::{check, reap};
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::sched::running;

use crate::started;

/// Two CPUs: the first's thread has given up the only way to another table, in which the other CPU's thread (or the space
/// it is in) and the first's own were. Both are doomed, the own one first, which takes registers that are not saved yet.
struct Scene {
    machine: Machine,
    cpus: Cpus,
    other: ThreadId,
}

impl Scene {
    fn new(gives_up_space: bool) -> Scene {
        let mut machine = Machine::boot(&Options { cpus: 2, ..Options::new(Flavour::X86) });
        let cpus = Cpus::new(machine.kernel.shared);
        let (own, account) = (machine.thread, machine.account);
        machine.call(Call::ThreadSetAffinity { thread: own, cpus: 1 }).expect("CPU 0 runs");
        let space = machine.new_space();
        machine.attach_program(space);
        let (thread, other) = started(&mut machine, space, 31, 2);
        cpus.play(1);
        assert!(trap::schedule(&mut machine.kernel, 1));
        assert_eq!(running::current(&machine.kernel, 1), Some(other));
        let (space_of_all, instruction_pointer, stack_pointer) = (machine.space, CODE, STACK_END);
        let fallback = Call::ThreadSetFallback { space: space_of_all, instruction_pointer, stack_pointer };
        machine.call(fallback).expect("it may go there");
        cpus.play(0);
        let table = machine.make(Call::TableCreate { account, slots: 8 });
        let mut move_over = |handle: Handle| {
            machine
                .call(Call::CapabilityCopy { handle, table, rights: Rights::empty(), badge: 0 })
                .expect("it has room");
            machine.call(Call::CapabilityDelete { handle }).expect("it is ours");
        };
        if gives_up_space {
            move_over(space);
        } else {
            move_over(thread);
        }
        move_over(own);
        // It says what one entry does.
        set_entry_units(ENTRY_UNITS);
        assert_eq!(machine.call_without_registers(Call::CapabilityDelete { handle: table }), Some(false));
        assert!(reap::is_any_doomed(&machine.kernel));
        Scene { machine, cpus, other }
    }

    /// The other CPU comes first, with a trap of its thread's.
    fn comes_first(&mut self, in_hand: Trap, call: Option<Call>) {
        self.cpus.play(1);
        if let Some(call) = call {
            let (number, words) = call.encode();
            self.machine.kernel.threads[self.other].context.registers_mut().set_call(number, words);
        }
        trap::handle(&mut self.machine.kernel, 1, in_hand);
        check::check(&self.machine.kernel);
        trap::schedule(&mut self.machine.kernel, 1);
        self.cpus.play(0);
        trap::finish(&mut self.machine.kernel);
        trap::schedule(&mut self.machine.kernel, 0);
        while reap::has_to_go_on(&self.machine.kernel, 0) {
            reap::go_on(&mut self.machine.kernel, 0);
            trap::schedule(&mut self.machine.kernel, 0);
        }
        assert!(!reap::is_any_doomed(&self.machine.kernel));
        check::check(&self.machine.kernel);
    }
}

/// What stops the thread that does it.
fn stops() -> [(Trap, Option<Call>); 3] {
    [(Trap::Call, Some(Call::Sleep { nanoseconds: 1 })), (Trap::Wait, None), (Trap::Call, Some(Call::YieldNow {}))]
}

#[test]
fn a_thread_that_has_just_stopped_can_be_destroyed() {
    for (in_hand, call) in stops() {
        let mut scene = Scene::new(false);
        scene.comes_first(in_hand, call);
        assert!(scene.machine.kernel.threads.find(scene.other).is_none(), "{in_hand:?} {call:?}");
    }
}

#[test]
fn a_thread_that_has_just_stopped_can_be_sent_to_its_fallback() {
    for (in_hand, call) in stops() {
        let mut scene = Scene::new(true);
        scene.comes_first(in_hand, call);
        let kernel = &scene.machine.kernel;
        let thread = kernel.threads.find(scene.other).expect("it has a fallback, and a capability names it");
        assert_eq!((thread.state, thread.space), (ThreadState::Ready, scene.machine.space_id), "{in_hand:?} {call:?}");
    }
}
