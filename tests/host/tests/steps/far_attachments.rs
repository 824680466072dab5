//! Attachments between which lie many tables: no entry looks along all of them, and what is told is the same.

use std::cell::Cell;
use std::rc::Rc;

use host_tests::machine::BUFFER;
use host_tests::{FLAVOURS, Machine};
use tessera_abi::layout::SpaceInfo;
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::base::steps;

use crate::scene::{BASE, UNITS, boot};

const GIB: u64 = 1 << 30;
/// So many tables lie between one attachment and the next, each full of large pages but for the last.
const TABLES: u64 = 24;
/// What one mapping shows, of large pages that are none of the largest; and from one attachment to the next.
const MAPPED: u64 = TABLES * GIB - GIB / 2;
const STRIDE: u64 = MAPPED + 2 * GIB + GIB / 2;
/// Looks at entries that an entry into the kernel may make: what its effort goes for, and what it may overdraw.
const LOOKS: u64 = ENTRY_UNITS as u64 * 2 + 512;

/// A space, and what is attached to it: a subtree of 2 MiB before, between and behind two mappings.
fn scene(flavour: Flavour) -> (Machine, Handle) {
    let mut machine = boot(flavour, 1);
    let (space, account) = (machine.new_space(), machine.account);
    let segment = machine.borrow_frames((1 << 28) + 512, MAPPED / PAGE_BYTES);
    let subtree = machine.make(Call::SubtreeCreate { account, level: 1 });
    for address in [BASE, BASE + STRIDE, BASE + 2 * STRIDE] {
        let attach = Call::SubtreeAttach { target: space, subtree, address, bounds: Rights::READ_WRITE, flags: 0 };
        assert_eq!(machine.call(attach), Ok(0));
        if address != BASE + 2 * STRIDE {
            assert_eq!(machine.map(space, segment, 0, address + GIB, MAPPED, Rights::READ), Ok(0));
        }
    }
    (machine, space)
}

/// What a call does with so many units for each entry: its result, how often it was cut, and the most looks of one entry.
fn made(machine: &mut Machine, units: u32, call: Call) -> (Result<u64, Error>, u64, u64) {
    let most = Rc::new(Cell::new(0));
    let seen = most.clone();
    set_entry_units(units);
    machine.between_steps(move |_| {
        seen.set(seen.get().max(steps::take()));
        true
    });
    machine.steps = 0;
    steps::take();
    let result = machine.call(call);
    (result, machine.steps, most.get().max(steps::take()))
}

fn told(machine: &Machine, bytes: usize) -> Vec<u8> {
    let mut told = vec![0; bytes];
    machine.read(BUFFER, &mut told);
    told
}

#[test]
fn no_entry_looks_along_all_tables_between_two_attachments() {
    for flavour in FLAVOURS {
        let (mut machine, space) = scene(flavour);
        let info = Call::SpaceInfo { space, buffer: BUFFER };
        let list = Call::MappingsList { target: space, from: 0, buffer: BUFFER, capacity: 20 };
        // A list looks from one mapping to the next only: there and back along what is left of two tables each time.
        for (call, result, least) in [(info, 0, 2 * TABLES * 512), (list, 5, LOOKS)] {
            let (uncut, steps, looks) = made(&mut machine, 1 << 24, call);
            assert_eq!((uncut, steps), (Ok(result), 0));
            assert!(looks > least, "{call:?}: {looks} looks");
            let answer = told(&machine, 512);
            for units in UNITS.into_iter().skip(1).chain([ENTRY_UNITS]) {
                machine.write(BUFFER, &[0; 512]);
                let (cut, steps, looks) = made(&mut machine, units, call);
                assert_eq!((cut, told(&machine, 512) == answer), (uncut, true), "{call:?} with {units} units");
                let is_cut = steps > 0 && looks <= LOOKS;
                assert!(units > ENTRY_UNITS || is_cut, "{call:?} with {units} units: {looks} looks, {steps} steps");
            }
        }
    }
}

/// Room for a mapping is looked for at each of its steps: along the tables on the ways to its ends, and no others.
#[test]
fn room_for_a_mapping_is_found_by_a_look_along_few_tables() {
    for flavour in FLAVOURS {
        let (mut machine, space) = scene(flavour);
        // From the end of a mapping to the next attachment, or past it.
        let (address, length_bytes) = (BASE + GIB + MAPPED, STRIDE - GIB - MAPPED);
        let segment = machine.segment(length_bytes + PAGE_BYTES, 1);
        let map = |length_bytes| {
            let rights = Rights::READ_EXECUTE;
            Call::Map { target: space, segment, offset: 0, address, length_bytes, rights }
        };
        for (length_bytes, result) in [(length_bytes + PAGE_BYTES, Err(Error::Overlap)), (length_bytes, Ok(0))] {
            let (made, _, looks) = made(&mut machine, ENTRY_UNITS, map(length_bytes));
            assert_eq!(made, result);
            assert!((256..5 * 512).contains(&looks), "{result:?}: {looks} looks");
        }
    }
}

#[test]
fn what_a_space_shows_of_others_is_counted_over_all_of_it() {
    for flavour in FLAVOURS {
        let (mut machine, space) = scene(flavour);
        for units in UNITS {
            set_entry_units(units);
            let info: SpaceInfo = machine.info(|buffer| Call::SpaceInfo { space, buffer }).expect("it may be asked");
            assert_eq!((info.attachments, info.shared_table_bytes), (3, 3 * PAGE_BYTES));
        }
    }
}
