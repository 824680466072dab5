//! How a thread ends that is in a call: it tears nobody's state, and leaves nothing.

use host_tests::{FLAVOURS, Machine};
use tessera_abi::layout::{ThreadInfo, ThreadState};
use tessera_abi::{Call, Error, Rights};
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr};
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ThreadId;

use crate::scene::*;

#[test]
fn a_fault_in_the_callee_is_the_callers_error() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let id = machine.thread_id;
        let fault = Fault { kind: FaultKind::Page, address: VirtAddr::new(8 << 40), access: Access::Read };
        for _ in 0..3 {
            call_fast(&mut machine, service.gate);
            trap::handle(&mut machine.kernel, 0, Trap::Fault(fault));
            assert!(trap::schedule(&mut machine.kernel, 0));
            check::check(&machine.kernel);
            assert_eq!((here(&machine, id), result(&machine, id)), (home(&machine), Err(Error::Faulted)));
        }
        trap::handle(&mut machine.kernel, 0, Trap::Fault(fault));
        // It was its program's last: the table is emptied, and with it goes the thread.
        assert!(machine.kernel.threads.find(id).is_none_or(|thread| thread.has_ended()), "its own ends it");
    }
}

#[test]
fn who_is_stopped_inside_ends_when_it_comes_out() {
    for flavour in FLAVOURS {
        for by_table in [false, true] {
            let mut machine = boot(flavour, 1);
            let service = service(&mut machine, 1);
            let (account, space) = (machine.account, machine.space);
            let (table, id) = machine.new_program(8, tessera_abi::PRIORITY_MAX.into());
            let rights = Rights::CALL;
            let gate = machine.make(Call::CapabilityCopy { handle: service.gate, table, rights, badge: 2 });
            let thread = {
                // The thread's own capability is in the first program's table.
                let slots = machine.kernel.tables[machine.table_id].known_slots();
                (0..slots)
                    .map(|slot| machine.kernel.tables[machine.table_id].handle_of(slot))
                    .find(|handle| {
                        machine.kernel.tables[machine.table_id].slot_of(*handle).is_ok()
                            && machine.object(*handle) == tessera_kernel::object::id::ObjectRef::Thread(id)
                    })
                    .expect("it is known")
            };
            run(&mut machine, id);
            call_fast(&mut machine, gate);
            let first = machine.thread_id;
            run(&mut machine, first);
            let call = if by_table { Call::TableStopThreads { table } } else { Call::ThreadStop { thread } };
            machine.call(call).expect("it is granted");
            check::check(&machine.kernel);
            let info: ThreadInfo = machine.info(|buffer| Call::ThreadInfo { thread, buffer }).expect("it tells");
            assert_eq!((info.state, info.calls), (ThreadState::Ready as u64, 1), "what it is in the middle of goes on");
            machine.call(Call::CapabilityDelete { handle: table }).expect("it is there");
            check::check(&machine.kernel);
            run(&mut machine, id);
            machine.call_commonly(Call::GateCaller {});
            assert_eq!(result(&machine, id), Ok(1), "the callee can know");
            machine.call_commonly(RETURNS);
            check::check(&machine.kernel);
            assert_eq!(machine.kernel.threads[id].state, ThreadState::Stopped);
            assert_eq!(machine.call(Call::ThreadJoin { thread }), Err(Error::Gone));
            // The stack is free, and nothing else is held.
            call_fast(&mut machine, service.gate);
            assert_eq!(here(&machine, first), inside(&service, 0, 1));
            let _ = (account, space);
        }
    }
}

#[test]
fn a_thread_that_nobody_names_any_more_goes_with_its_activations() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let before = machine.kernel.accounts[machine.account_id].used_bytes();
        let (thread, id) = new_thread(&mut machine);
        run(&mut machine, id);
        call_fast(&mut machine, service.gate);
        let first = machine.thread_id;
        run(&mut machine, first);
        machine.call(Call::CapabilityDelete { handle: thread }).expect("it is there");
        check::check(&machine.kernel);
        assert!(machine.kernel.threads.find(id).is_none());
        assert_eq!(machine.kernel.accounts[machine.account_id].used_bytes(), before, "it leaves nothing");
        call_fast(&mut machine, service.gate);
        assert_eq!(here(&machine, first), inside(&service, 0, 1), "the stack is free");
    }
}

/// It gives back a stack for which somebody waits at each level, and one entry has not the time for all of them.
#[test]
fn who_ends_deep_in_calls_gives_its_stacks_on_by_steps() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        set_entry_units(ENTRY_UNITS);
        let (space, table) = (machine.new_space(), machine.table);
        machine.attach_program(space);
        let gates = [(); 15].map(|()| gate(&mut machine, (space, table), 1).expect("a gate is made"));
        let (thread, id) = new_thread(&mut machine);
        run(&mut machine, id);
        for gate in gates {
            call_fast(&mut machine, gate);
        }
        assert_eq!(machine.kernel.threads[id].depth(), 15);
        let waiting = gates.map(|gate| {
            let (_, other) = new_thread(&mut machine);
            run(&mut machine, other);
            machine.call_commonly(calls(gate, 1));
            other
        });
        let first = machine.thread_id;
        run(&mut machine, first);
        let left = |machine: &Machine| {
            let waits = |other: &&ThreadId| machine.kernel.threads[**other].state == ThreadState::Calling;
            waiting.iter().filter(waits).count()
        };
        assert_eq!(left(&machine), 15);
        let (number, words) = Call::CapabilityDelete { handle: thread }.encode();
        machine.kernel.threads[first].context.registers_mut().set_call(number, words);
        trap::handle(&mut machine.kernel, 0, Trap::Call);
        assert!((9..15).contains(&left(&machine)), "one entry serves some: {} wait still", left(&machine));
        check::check(&machine.kernel);
        // The rest is worked off before anybody is back in a program.
        machine.trap(Trap::Interrupt(Interrupt::Spurious));
        assert_eq!((left(&machine), result(&machine, first)), (0, Ok(0)));
        assert!(machine.kernel.threads.find(id).is_none());
        assert!(waiting.iter().all(|other| machine.kernel.threads[*other].depth() == 1), "each is inside");
        check::check(&machine.kernel);
    }
}

#[test]
fn who_cannot_pay_for_activations_is_refused() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let (table, space, own) = (machine.table, machine.space, machine.account);
        let account = machine.make(Call::AccountCreate { account: own, bytes: 4 << 12 });
        let create = Call::ThreadCreate { account, table, space, priority: tessera_abi::PRIORITY_MAX.into() };
        let (thread, id) = machine.new_thread(create);
        let (instruction_pointer, stack_pointer) = (host_tests::machine::CODE, host_tests::machine::STACK_END);
        machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("it starts");
        let tessera_kernel::object::id::ObjectRef::Account(payer) = machine.object(account) else {
            panic!("an account")
        };
        let spare = machine.kernel.accounts[payer].limit_bytes() - machine.kernel.accounts[payer].used_bytes();
        machine.kernel.accounts[payer].charge(spare);
        run(&mut machine, id);
        machine.call_commonly(calls(service.gate, 0));
        assert_eq!((here(&machine, id), result(&machine, id)), (home(&machine), Err(Error::AccountExhausted)));
        machine.kernel.accounts[payer].credit(spare);
        commonly(&mut machine, calls(service.gate, 0));
        assert_eq!(here(&machine, id), inside(&service, 0, 1));
    }
}
