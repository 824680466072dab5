//! Stacks: one call on each, and who waits for one gets it in the order of coming.

use host_tests::{FLAVOURS, Machine};
use tessera_abi::layout::{GateInfo, ThreadState};
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::sched::entering;

use crate::scene::*;

/// A gate with one stack, on which the first thread is, and others.
fn taken(flavour: tessera_arch::fake::Flavour) -> (Machine, Service, Vec<(Handle, ThreadId)>) {
    let mut machine = boot(flavour, 1);
    let service = service(&mut machine, 1);
    let others: Vec<(Handle, ThreadId)> = (0..3).map(|_| new_thread(&mut machine)).collect();
    call_fast(&mut machine, service.gate);
    return_fast(&mut machine);
    call_fast(&mut machine, service.gate);
    (machine, service, others)
}

fn waiting(machine: &mut Machine, gate: Handle) -> u64 {
    let info: GateInfo = machine.info(|buffer| Call::GateInfo { gate, buffer }).expect("it tells");
    info.waiting
}

#[test]
fn who_does_not_wait_is_told_that_all_are_taken() {
    for flavour in FLAVOURS {
        let (mut machine, service, others) = taken(flavour);
        run(&mut machine, others[0].1);
        assert_eq!(call_fast(&mut machine, service.gate), Path::Common);
        assert_eq!(result(&machine, others[0].1), Err(Error::Busy));
        assert_eq!(here(&machine, others[0].1), home(&machine));
    }
}

#[test]
fn a_stack_goes_to_who_has_waited_longest() {
    for flavour in FLAVOURS {
        let (mut machine, service, others) = taken(flavour);
        for (_, other) in &others {
            run(&mut machine, *other);
            machine.call_commonly(calls(service.gate, 1));
            check::check(&machine.kernel);
            assert_eq!(machine.kernel.threads[*other].state, ThreadState::Calling);
        }
        let mut last = machine.thread_id;
        for (_, other) in &others {
            run(&mut machine, last);
            assert_eq!(here(&machine, last), inside(&service, 0, 1));
            return_fast(&mut machine);
            check::check(&machine.kernel);
            assert_eq!(here(&machine, *other), inside(&service, 0, 1), "it is inside before anybody else can be");
            assert_eq!(call_fast(&mut machine, service.gate), Path::Common);
            assert_eq!(result(&machine, last), Err(Error::Busy), "nobody goes in before those who wait");
            last = *other;
        }
        let first = machine.thread_id;
        run(&mut machine, first);
        assert_eq!(waiting(&mut machine, service.gate), 0);
    }
}

#[test]
fn who_waits_can_be_stopped_and_is_told_when_the_gate_closes() {
    for flavour in FLAVOURS {
        let (mut machine, service, others) = taken(flavour);
        for (_, other) in &others {
            run(&mut machine, *other);
            machine.call_commonly(calls(service.gate, 1));
        }
        let first = machine.thread_id;
        run(&mut machine, first);
        return_fast(&mut machine);
        // One is inside, two wait.
        let (handle, stopped) = others[1];
        machine.call(Call::ThreadStop { thread: handle }).expect("it is granted");
        assert_eq!(machine.kernel.threads[stopped].state, ThreadState::Stopped);
        check::check(&machine.kernel);
        machine.call(Call::GateClose { gate: service.gate, how: 0 }).expect("it is granted");
        check::check(&machine.kernel);
        assert_eq!((here(&machine, others[2].1), result(&machine, others[2].1)), (home(&machine), Err(Error::Gone)));
        assert_eq!(here(&machine, others[0].1), inside(&service, 0, 1));
    }
}

#[test]
fn many_who_wait_in_vain_are_told_step_by_step() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 2);
        let (_, deleter) = new_thread(&mut machine);
        let others: Vec<(Handle, ThreadId)> = (0..30).map(|_| new_thread(&mut machine)).collect();
        let given = machine.make(Call::CapabilityDerive { handle: service.space, rights: Rights::GRANT, badge: 0 });
        // One stack has the program's thread, the other one a CPU that is about to go in.
        call_fast(&mut machine, service.gate);
        let gate = machine.kernel.gates.look(0).expect("there is one gate").0.index();
        let taken = machine.kernel.shared.gate_words(gate).take_stack().expect("it is free");
        for (_, other) in &others {
            run(&mut machine, *other);
            let (gate, rights) = (service.gate, Rights::GRANT);
            machine.call_commonly(Call::GateCall { gate, flags: 1, capability: given, rights });
        }
        assert_eq!(machine.kernel.gates.at(gate).waiting_count, 30);
        // It goes under all of them, and then the stack is free.
        run(&mut machine, deleter);
        machine.call(Call::CapabilityDelete { handle: given }).expect("it is there");
        assert!(machine.kernel.shared.gate_words(gate).give_back(taken), "somebody waits for it");
        entering::serve(&mut machine.kernel, gate);
        let left = machine.kernel.gates.at(gate).waiting_count;
        assert!((20..30).contains(&left), "one entry tells some: {left} wait still");
        // What is left is worked off when the next call leaves the kernel.
        machine.call(Call::Clock {}).expect("it is granted");
        assert_eq!(waiting(&mut machine, service.gate), 0);
        check::check(&machine.kernel);
        assert!(others.iter().all(|(_, other)| result(&machine, *other) == Err(Error::BadHandle)));
        assert_eq!(machine.kernel.shared.gate_words(gate).free_stacks(), 1 << taken, "it is free again");
    }
}

#[test]
fn what_goes_along_with_who_waits_is_looked_at_when_its_turn_comes() {
    for flavour in FLAVOURS {
        let (mut machine, service, others) = taken(flavour);
        run(&mut machine, others[0].1);
        let given = machine.make(Call::CapabilityDerive { handle: service.space, rights: Rights::GRANT, badge: 0 });
        let call = Call::GateCall { gate: service.gate, flags: 1, capability: given, rights: Rights::GRANT };
        machine.call_commonly(call);
        let first = machine.thread_id;
        run(&mut machine, first);
        // It goes before.
        commonly(&mut machine, RETURNS);
        assert_eq!(here(&machine, others[0].1), inside(&service, 0, 1));
        let held = machine.kernel.tables[service.table_id].used();
        assert_eq!(held, 1);
        run(&mut machine, others[1].1);
        machine.call_commonly(Call::GateCall {
            gate: service.gate,
            flags: 1,
            capability: given,
            rights: Rights::GRANT,
        });
        run(&mut machine, first);
        machine.call(Call::CapabilityDelete { handle: given }).expect("it is there");
        run(&mut machine, others[0].1);
        commonly(&mut machine, RETURNS);
        assert_eq!(result(&machine, others[1].1), Err(Error::BadHandle));
        assert_eq!(here(&machine, others[1].1), home(&machine));
        run(&mut machine, first);
        assert_eq!(call_fast(&mut machine, service.gate), Path::Fast, "the stack is free again");
    }
}
