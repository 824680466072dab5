//! `machine_info` goes past any number of tables by steps, and tells the same as in one go.

use host_tests::{FLAVOURS, Machine};
use tessera_abi::layout::MachineInfo;
use tessera_abi::{Call, Rights};
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};

use crate::scene::boot;

#[test]
fn capabilities_are_counted_by_steps() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let (account, space) = (machine.account, machine.space);
        for number in 0..40 {
            let table = machine.make(Call::TableCreate { account, slots: 8 });
            if number % 2 == 0 {
                let copy = Call::CapabilityCopy { handle: space, table, rights: Rights::MAP, badge: 0 };
                machine.call(copy).expect("the table has room");
            }
        }
        let ask = |machine: &mut Machine, units| {
            set_entry_units(units);
            machine.steps = 0;
            let handle = machine.machine;
            let info: MachineInfo =
                machine.info(|buffer| Call::MachineInfo { machine: handle, buffer }).expect("it may be asked");
            (info.capabilities, info.tables, machine.steps)
        };
        let (at_once, tables, no_steps) = ask(&mut machine, ENTRY_UNITS);
        let held: u32 = machine.kernel.tables.objects().map(|table| table.used()).sum();
        assert_eq!((at_once, no_steps), (u64::from(held), 0), "one entry is enough for a few");
        let (by_steps, _, steps) = ask(&mut machine, 1);
        assert_eq!(by_steps, at_once);
        assert!(steps >= tables, "{steps} steps for {tables} tables");
        // What comes while it counts may be counted or not; it comes to an end all the same.
        machine.between_steps(move |machine| {
            machine.make(Call::TableCreate { account, slots: 8 });
            machine.steps < 10
        });
        let (counted, ..) = ask(&mut machine, 1);
        assert!((at_once..at_once + 40).contains(&counted), "{counted} of {at_once} and some");
    }
}
