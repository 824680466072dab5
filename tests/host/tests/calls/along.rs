//! Capabilities that go along with calls and returns.

use host_tests::FLAVOURS;
use tessera_abi::layout::CapabilityInfo;
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_kernel::lifecycle::check;

use crate::scene::*;

fn with(gate: Handle, flags: u64, capability: Handle, rights: Rights) -> Call {
    Call::GateCall { gate, flags, capability, rights }
}

#[test]
fn they_are_derived_or_moved_both_ways() {
    for flavour in FLAVOURS {
        for moved in [false, true] {
            let mut machine = boot(flavour, 1);
            let service = service(&mut machine, 1);
            let id = machine.thread_id;
            let segment = machine.segment(4096, 0);
            let all = Rights::READ | Rights::WRITE | Rights::GRANT;
            let own = machine.make(Call::CapabilityDerive { handle: segment, rights: all, badge: 9 });
            let flags = if moved { 2 } else { 0 };
            commonly(&mut machine, with(service.gate, flags, own, Rights::READ | Rights::GRANT));
            assert_eq!(here(&machine, id), inside(&service, 0, 1));
            let given = Handle::from_bits(machine.kernel.threads[id].context.registers().call_arguments()[1]);
            let slot = machine.kernel.tables[service.table_id].slot_of(given).expect("the callee holds it");
            let there = &machine.kernel.tables[service.table_id];
            assert_eq!((there.rights(slot), there.record(slot).badge()), (Rights::READ | Rights::GRANT, 9));
            let is_here = machine.kernel.tables[machine.table_id].slot_of(own).is_ok();
            assert_eq!(is_here, !moved);
            // And back, with less.
            commonly(&mut machine, Call::GateReturn { capability: given, rights: Rights::READ, flags });
            let back = Handle::from_bits(result(&machine, id).expect("the call succeeds"));
            let info: CapabilityInfo =
                machine.info(|buffer| Call::CapabilityInfo { handle: back, buffer }).expect("the caller holds it");
            assert_eq!((info.rights, info.badge), (u64::from(Rights::READ.bits()), 9));
            assert_eq!(machine.kernel.tables[service.table_id].used(), u32::from(!moved));
            // What was moved stands where it stood: below the segment's.
            machine.call(Call::CapabilityRevoke { handle: segment }).expect("it is granted");
            assert_eq!(machine.call(Call::CapabilityDelete { handle: back }), Err(Error::BadHandle));
            check::check(&machine.kernel);
        }
    }
}

#[test]
fn what_cannot_go_along_is_refused_and_nobody_goes() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let id = machine.thread_id;
        let segment = machine.segment(4096, 0);
        let weak = machine.make(Call::CapabilityDerive { handle: segment, rights: Rights::READ, badge: 0 });
        let held = machine.make(Call::CapabilityDerive { handle: segment, rights: Rights::GRANT, badge: 0 });
        let cases = [
            (with(service.gate, 0, weak, Rights::READ), Error::MissingRight),
            (with(service.gate, 2, held, Rights::READ), Error::MissingRight),
            (with(service.gate, 0, Handle::new(60, 9), Rights::empty()), Error::BadHandle),
        ];
        for (call, error) in cases {
            commonly(&mut machine, call);
            assert_eq!((here(&machine, id), result(&machine, id)), (home(&machine), Err(error)));
        }
        // The callee's table is full.
        let table = service.table;
        for _ in 0..8 {
            machine.make(Call::CapabilityCopy { handle: segment, table, rights: Rights::READ, badge: 0 });
        }
        commonly(&mut machine, with(service.gate, 2, segment, Rights::READ));
        assert_eq!((here(&machine, id), result(&machine, id)), (home(&machine), Err(Error::TableFull)));
        assert!(machine.kernel.tables[machine.table_id].slot_of(segment).is_ok(), "it was not moved");
        commonly(&mut machine, calls(service.gate, 0));
        assert_eq!(here(&machine, id), inside(&service, 0, 1), "a call without goes");
    }
}

#[test]
fn a_gate_can_be_called_with_itself_and_its_space() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 2);
        let id = machine.thread_id;
        let lent = machine.make(Call::CapabilityDerive {
            handle: service.gate,
            rights: Rights::CALL | Rights::GRANT,
            badge: 4,
        });
        // By a capability that is moved with the very call: it is the callee's, and revoking above finds both.
        commonly(&mut machine, with(lent, 2, lent, Rights::CALL));
        assert_eq!(here(&machine, id), inside(&service, 0, 1));
        let given = Handle::from_bits(machine.kernel.threads[id].context.registers().call_arguments()[1]);
        call_fast(&mut machine, given);
        assert_eq!(here(&machine, id), inside(&service, 1, 2));
        let (_, other) = {
            return_fast(&mut machine);
            return_fast(&mut machine);
            new_thread(&mut machine)
        };
        let _ = other;
        assert_eq!(here(&machine, id), home(&machine));
        commonly(&mut machine, with(service.gate, 0, service.space, Rights::SWITCH));
        return_fast(&mut machine);
        assert_eq!(here(&machine, id), home(&machine));
        check::check(&machine.kernel);
    }
}
