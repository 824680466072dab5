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
        for (moved, way) in
            [false, true].into_iter().flat_map(|moved| [Path::Common, Path::Fast].map(|way| (moved, way)))
        {
            let mut machine = boot(flavour, 1);
            let service = service(&mut machine, 1);
            let id = machine.thread_id;
            if way == Path::Fast {
                // A first call goes the common way, and so does the return from it.
                call_fast(&mut machine, service.gate);
                return_fast(&mut machine);
            }
            let segment = machine.segment(4096, 0);
            let all = Rights::READ | Rights::WRITE | Rights::GRANT;
            let own = machine.make(Call::CapabilityDerive { handle: segment, rights: all, badge: 9 });
            let flags = if moved { 2 } else { 0 };
            assert_eq!(call_along(&mut machine, service.gate, (own, Rights::READ | Rights::GRANT, flags)), way);
            assert_eq!(here(&machine, id), inside(&service, 0, 1));
            check::check(&machine.kernel);
            let given = Handle::from_bits(machine.kernel.threads[id].context.registers().call_arguments()[1]);
            let slot = machine.kernel.tables[service.table_id].slot_of(given).expect("the callee holds it");
            let there = &machine.kernel.tables[service.table_id];
            assert_eq!((there.rights(slot), there.record(slot).badge()), (Rights::READ | Rights::GRANT, 9));
            let is_here = machine.kernel.tables[machine.table_id].slot_of(own).is_ok();
            assert_eq!(is_here, !moved);
            // And back, with less.
            assert_eq!(return_along(&mut machine, (given, Rights::READ, flags)), way);
            check::check(&machine.kernel);
            assert_eq!(here(&machine, id), home(&machine));
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
fn what_the_fast_way_cannot_give_along_goes_the_common_one() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let service = service(&mut machine, 1);
        let id = machine.thread_id;
        call_fast(&mut machine, service.gate);
        return_fast(&mut machine);
        let segment = machine.segment(4096, 0);
        let weak = machine.make(Call::CapabilityDerive { handle: segment, rights: Rights::READ, badge: 0 });
        let held = machine.make(Call::CapabilityDerive { handle: segment, rights: Rights::GRANT, badge: 0 });
        let stale = Handle::new(60, 9);
        let cases = [
            ((weak, Rights::READ, 0), Error::MissingRight),
            ((held, Rights::READ, 2), Error::MissingRight),
            ((stale, Rights::empty(), 0), Error::BadHandle),
            ((segment, Rights::READ, 4), Error::BadArgument),
        ];
        for (along, error) in cases {
            assert_eq!(call_along(&mut machine, service.gate, along), Path::Common);
            assert_eq!((here(&machine, id), result(&machine, id)), (home(&machine), Err(error)));
        }
        // A way into a space that is moved, and none at all.
        let space = machine.make(Call::CapabilityDerive { handle: service.space, rights: Rights::all(), badge: 0 });
        for along in [(space, Rights::SWITCH, 2), (Handle::NONE, Rights::empty(), 2)] {
            assert_eq!(call_along(&mut machine, service.gate, along), Path::Common);
            assert_eq!(here(&machine, id), inside(&service, 0, 1));
            return_fast(&mut machine);
        }
        // Out of a call with nothing to give, or nothing that is there; and with all stacks taken.
        call_fast(&mut machine, service.gate);
        for (along, error) in
            [((stale, Rights::empty(), 2), Error::BadHandle), ((stale, Rights::empty(), 4), Error::BadHandle)]
        {
            assert_eq!(return_along(&mut machine, along), Path::Common);
            assert_eq!((here(&machine, id), result(&machine, id)), (inside(&service, 0, 1), Err(error)));
        }
        return_fast(&mut machine);
        assert_eq!(return_along(&mut machine, (segment, Rights::READ, 2)), Path::Common);
        assert_eq!(result(&machine, id), Err(Error::BadState));
        let (_, other) = new_thread(&mut machine);
        call_fast(&mut machine, service.gate);
        run(&mut machine, other);
        assert_eq!(call_along(&mut machine, service.gate, (segment, Rights::READ, 0)), Path::Common);
        assert_eq!((here(&machine, other), result(&machine, other)), (home(&machine), Err(Error::Busy)));
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
