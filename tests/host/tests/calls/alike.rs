//! The fast path and the common one do the same; words stay, badges come, and the way back leads where it began.

use host_tests::FLAVOURS;
use tessera_abi::layout::{GateInfo, GateLayout};
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_kernel::cpu::activations::SUSPENDED_MAX;
use tessera_kernel::lifecycle::check;

use crate::scene::*;

#[test]
fn a_first_call_goes_the_common_way_and_the_next_the_fast_one_to_the_same_place() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 2);
        let id = machine.thread_id;
        let begin = home(&machine);
        let mut ways = Vec::new();
        for _ in 0..3 {
            let called = call_fast(&mut machine, service.gate);
            assert_eq!(here(&machine, id), inside(&service, 0, 1));
            check::check(&machine.kernel);
            let returned = return_fast(&mut machine);
            assert_eq!((here(&machine, id), result(&machine, id)), (begin, Ok(0)));
            check::check(&machine.kernel);
            ways.push((called, returned));
        }
        // The first has to be paid for, and what has been noted is gone back to with the lock.
        assert_eq!(ways, [(Path::Common, Path::Common), (Path::Fast, Path::Fast), (Path::Fast, Path::Fast)]);
    }
}

#[test]
fn the_badge_is_the_capabilitys_on_both_paths() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let id = machine.thread_id;
        for badge in [7, u64::MAX, 0x8000_0000_0000_0001] {
            let lent = machine.make(Call::CapabilityDerive { handle: service.gate, rights: Rights::CALL, badge });
            for _ in 0..3 {
                call_fast(&mut machine, lent);
                assert_eq!(machine.kernel.threads[id].context.registers().call_arguments()[..2], [badge, 0]);
                return_fast(&mut machine);
                check::check(&machine.kernel);
            }
        }
    }
}

#[test]
fn words_cross_untouched_and_nothing_of_a_callee_that_failed_does() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let id = machine.thread_id;
        let words = [1, 2, 3, 4, 5, 6];
        for _ in 0..2 {
            machine.kernel.threads[id].context.registers_mut().set_words(words);
            call_fast(&mut machine, service.gate);
            assert_eq!(machine.kernel.threads[id].context.registers().words(), words);
            machine.kernel.threads[id].context.registers_mut().set_words([9; 6]);
            return_fast(&mut machine);
            assert_eq!(machine.kernel.threads[id].context.registers().words(), [9; 6]);
        }
        call_fast(&mut machine, service.gate);
        machine.kernel.threads[id].context.registers_mut().set_words([8; 6]);
        commonly(&mut machine, Call::ThreadExit { code: 3 });
        assert_eq!((here(&machine, id), result(&machine, id)), (home(&machine), Err(Error::Faulted)));
        assert_eq!(machine.kernel.threads[id].context.registers().words(), [0; 6], "no secret of the callee stays");
    }
}

#[test]
fn gates_call_gates_to_the_bound() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 20);
        let id = machine.thread_id;
        // The callee can call itself.
        let copy = Call::CapabilityCopy { handle: service.gate, table: service.table, rights: Rights::CALL, badge: 1 };
        let inner = machine.make(copy);
        for round in 0..2 {
            call_fast(&mut machine, service.gate);
            for depth in 2..=SUSPENDED_MAX {
                let way = call_fast(&mut machine, inner);
                assert!(round == 0 || way == Path::Fast);
                assert_eq!(here(&machine, id), inside(&service, depth as u64 - 1, depth));
            }
            call_fast(&mut machine, inner);
            assert_eq!(result(&machine, id), Err(Error::TooDeep));
            assert_eq!(here(&machine, id).depth, SUSPENDED_MAX);
            for depth in (0..SUSPENDED_MAX).rev() {
                return_fast(&mut machine);
                assert_eq!(here(&machine, id).depth, depth);
                check::check(&machine.kernel);
            }
            assert_eq!(here(&machine, id), home(&machine));
        }
        let info: GateInfo = machine.info(|buffer| Call::GateInfo { gate: service.gate, buffer }).expect("it tells");
        assert_eq!((info.is_open, info.stacks, info.free, info.waiting), (1, 20, 20, 0));
    }
}

#[test]
fn a_callee_uses_its_own_table_and_its_space_only() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let (id, own) = (machine.thread_id, machine.account);
        for _ in 0..3 {
            call_fast(&mut machine, service.gate);
            commonly(&mut machine, Call::CapabilityDelete { handle: own });
            assert_eq!(result(&machine, id), Err(Error::BadHandle), "the caller's handles mean nothing here");
            return_fast(&mut machine);
        }
        assert!(machine.call(Call::TableCreate { account: own, slots: 1 }).is_ok(), "and are the caller's still");
    }
}

#[test]
fn a_thread_that_is_taken_off_in_a_call_comes_back_to_it() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 2);
        let id = machine.thread_id;
        let (_, other) = new_thread(&mut machine);
        for _ in 0..3 {
            call_fast(&mut machine, service.gate);
            machine.call_commonly(Call::YieldNow {});
            assert_ne!(tessera_kernel::sched::running::current(&machine.kernel, 0), Some(id));
            check::check(&machine.kernel);
            run(&mut machine, id);
            assert_eq!(here(&machine, id), inside(&service, 0, 1));
            assert_eq!(return_fast(&mut machine), Path::Common, "what was noted is gone back to with the lock");
            assert_eq!(here(&machine, id), home(&machine));
        }
        assert_eq!(here(&machine, other).depth, 0);
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let at = (service.space, service.table);
        let good = GateLayout { entry: ENTRY, stacks: STACKS, stack_bytes: 4096, count: 1 };
        let used = |machine: &host_tests::Machine| machine.kernel.accounts[machine.account_id].used_bytes();
        let before = used(&machine);
        let cases = [
            (GateLayout { count: 0, ..good }, Error::BadArgument),
            (GateLayout { count: 64, ..good }, Error::BadArgument),
            (GateLayout { stack_bytes: 0, ..good }, Error::BadArgument),
            (GateLayout { stack_bytes: 8, ..good }, Error::Misaligned),
            (GateLayout { stacks: STACKS + 8, ..good }, Error::Misaligned),
            (GateLayout { stack_bytes: 1 << 32, ..good }, Error::BadArgument),
            (GateLayout { entry: tessera_abi::USER_END, ..good }, Error::BadAddress),
            (GateLayout { stacks: tessera_abi::USER_END - 4096, count: 2, ..good }, Error::BadAddress),
            (GateLayout { stacks: u64::MAX - 4095, ..good }, Error::BadAddress),
        ];
        for (layout, error) in cases {
            assert_eq!(gate_by(&mut machine, at, layout), Err(error), "{layout:?}");
        }
        assert_eq!(gate_by(&mut machine, (service.table, service.table), good), Err(Error::WrongObject));
        assert_eq!(gate_by(&mut machine, (service.space, service.space), good), Err(Error::WrongObject));
        let space = machine.make(Call::CapabilityDerive { handle: service.space, rights: Rights::MAP, badge: 0 });
        assert_eq!(gate_by(&mut machine, (space, service.table), good), Err(Error::MissingRight));
        let call =
            Call::GateCreate { account: machine.account, space: service.space, table: service.table, layout: 1 << 40 };
        assert_eq!(machine.call(call), Err(Error::BadPointer));
        assert_eq!(used(&machine), before);

        let id = machine.thread_id;
        let weak = machine.make(Call::CapabilityDerive { handle: service.gate, rights: Rights::GRANT, badge: 0 });
        let stale = machine.make(Call::CapabilityDerive { handle: service.gate, rights: Rights::CALL, badge: 0 });
        machine.call(Call::CapabilityDelete { handle: stale }).expect("it is there");
        let refusals = [
            (calls(weak, 0), Error::MissingRight),
            (calls(stale, 0), Error::BadHandle),
            (calls(Handle::NONE, 0), Error::BadHandle),
            (calls(machine.account, 0), Error::WrongObject),
            (calls(service.gate, 4), Error::BadArgument),
            (RETURNS, Error::BadState),
            (Call::GateCaller {}, Error::BadState),
            (Call::GateClose { gate: service.gate, how: 2 }, Error::BadArgument),
            (Call::GateClose { gate: weak, how: 0 }, Error::MissingRight),
        ];
        for (call, error) in refusals {
            commonly(&mut machine, call);
            assert_eq!((here(&machine, id), result(&machine, id)), (home(&machine), Err(error)), "{call:?}");
        }
        let (call, ret) = (call_fast(&mut machine, stale), return_fast(&mut machine));
        assert_eq!((call, ret), (Path::Common, Path::Common));
    }
}
