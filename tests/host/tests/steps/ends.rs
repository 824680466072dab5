//! A thread that ends, or is thrown out of its space, between two steps: what it was making goes, and nothing is lost.

use host_tests::machine::UNFINISHED;
use host_tests::{FLAVOURS, Machine};
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Rights};
use tessera_kernel::base::effort::set_entry_units;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::{check, reap};
use tessera_kernel::object::id::ObjectRef;
use tessera_kernel::sched::{ending, running};

use crate::scene::{BASE, boot, pages};

type Prepare = fn(&mut Machine) -> Call;

const CALLS: [Prepare; 8] = [
    |machine| Call::SegmentCreate { account: machine.account, length_bytes: pages(12), flags: 0 },
    |machine| Call::TableCreate { account: machine.account, slots: 24 },
    |machine| Call::Unmap { target: mapped(machine), address: BASE, length_bytes: pages(1100) },
    |machine| Call::Protect {
        target: mapped(machine),
        address: BASE + pages(9),
        length_bytes: pages(1090),
        rights: Rights::READ,
    },
    |machine| {
        let segment = machine.segment(pages(600), 0);
        let (target, address, rights) = (machine.space, BASE, Rights::READ);
        Call::Map { target, segment, offset: 0, address, length_bytes: pages(600), rights }
    },
    |machine| {
        let space = mapped(machine);
        Call::MemoryRead { space, address: BASE, buffer: BASE + pages(8), length_bytes: pages(8) }
    },
    |machine| {
        let segment = machine.segment(pages(1100), 4);
        let space = machine.space;
        assert_eq!(machine.map(space, segment, 0, BASE, pages(1100), Rights::READ_WRITE), Ok(0));
        Call::SegmentDiscard { segment, offset: pages(2), length_bytes: pages(1090) }
    },
    |machine| {
        let (from, to) = (mapped(machine), machine.new_space());
        let (address, to_address) = (BASE + pages(3), BASE + pages(9));
        Call::MappingMove { from, address, length_bytes: pages(1090), to, to_address, flags: 0 }
    },
];

fn mapped(machine: &mut Machine) -> tessera_abi::Handle {
    let (segment, space) = (machine.segment(pages(1100), 0), machine.space);
    assert_eq!(machine.map(space, segment, 0, BASE, pages(1100), Rights::READ_WRITE), Ok(0));
    space
}

#[test]
fn a_thread_that_is_stopped_leaves_nothing_half_made() {
    for flavour in FLAVOURS {
        for prepare in CALLS {
            for step in [0, 1, 2, 5, 9, 20, 45, 100, 220, 500, 1100, 2500] {
                let mut machine = boot(flavour, 1);
                let call = prepare(&mut machine);
                set_entry_units(1);
                machine.steps = 0;
                let id = machine.thread_id;
                machine.between_steps(move |machine| {
                    if machine.steps > step {
                        ending::end_thread(&mut machine.kernel, id, ThreadState::Stopped);
                        trap::finish(&mut machine.kernel);
                        check::check(&machine.kernel);
                    }
                    true
                });
                machine.call(call).ok();
                if running::current(&machine.kernel, 0).is_some() {
                    break;
                }
                // Its table is empty, and with it all went that it held.
                assert!(machine.kernel.segments.is_empty() && machine.kernel.tables.is_empty(), "{call:?}: {step}");
                assert_eq!(machine.kernel.accounts.len(), 0, "{call:?}: {step}");
            }
        }
    }
}

#[test]
fn a_call_in_the_place_of_another_begins_anew() {
    for flavour in FLAVOURS {
        for (number, prepare) in CALLS.iter().enumerate() {
            for (other, replace) in CALLS.iter().enumerate().filter(|(other, _)| *other != number && *other < 2) {
                let mut machine = boot(flavour, 1);
                let call = prepare(&mut machine);
                set_entry_units(1);
                // A step of one, then the other from its beginning.
                let (call, words) = call.encode();
                machine.step_words(call, words);
                assert!(machine.is_under_way(machine.thread_id));
                let call = replace(&mut machine);
                assert!(machine.call(call).is_ok(), "{number} then {other}");
                assert!(!machine.is_under_way(machine.thread_id));
                check::check(&machine.kernel);
            }
        }
    }
}

#[test]
fn the_same_call_with_other_arguments_makes_what_these_say() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        set_entry_units(1);
        let account = machine.account;
        let create = |count| Call::SegmentCreate { account, length_bytes: pages(count), flags: 0 };
        let (call, words) = create(30).encode();
        let before = machine.kernel.frames.free_frames();
        (0..7).for_each(|_| machine.step_words(call, words));
        let segment = machine.make(create(3));
        check::check(&machine.kernel);
        assert_eq!(machine.kernel.frames.free_frames(), before - 3, "what was begun has gone");
        machine.call(Call::CapabilityDelete { handle: segment }).expect("the segment is there");
        assert_eq!(machine.kernel.frames.free_frames(), before);
    }
}

#[test]
fn a_thread_that_lands_on_its_fallback_is_in_no_call() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let (space, account, id) = (machine.space, machine.account, machine.thread_id);
        let elsewhere = machine.new_space();
        machine.attach_program(elsewhere);
        let fallback = Call::ThreadSetFallback { space, instruction_pointer: 0x40_0000, stack_pointer: 0x60_0000 };
        machine.call(fallback).expect("the space is there");
        machine.call(Call::SpaceSwitch { space: elsewhere }).expect("the program is there as well");
        set_entry_units(1);
        let (call, words) = Call::SegmentCreate { account, length_bytes: pages(30), flags: 0 }.encode();
        let segments = machine.kernel.segments.len();
        machine.step_words(call, words);
        assert_eq!(machine.kernel.segments.len(), segments + 1);
        // Nobody keeps the space but its only capability, which somebody else gives up.
        let slot = elsewhere.slot();
        tessera_kernel::sched::deletion::delete_capability(
            &mut machine.kernel,
            tessera_kernel::object::id::CapId::new(machine.table_id, slot),
        );
        trap::finish(&mut machine.kernel);
        trap::schedule(&mut machine.kernel, 0);
        while reap::has_to_go_on(&machine.kernel, 0) {
            reap::go_on(&mut machine.kernel, 0);
            trap::schedule(&mut machine.kernel, 0);
        }
        assert!(!machine.is_under_way(id), "who has landed is in no call");
        assert_eq!(machine.kernel.segments.len(), segments);
        check::check(&machine.kernel);
    }
}

/// A subtree begins at page 0: nothing is before what is mapped there, of which it could be the rest.
#[test]
fn a_part_of_what_is_mapped_at_the_first_page_is_protected() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let subtree = machine.make(Call::SubtreeCreate { account: machine.account, level: 1 });
        let segment = machine.segment(pages(4), 0);
        machine.map(subtree, segment, 0, 0, pages(4), Rights::READ_WRITE).expect("nothing is there");
        for (address, length_bytes) in [(0, pages(2)), (0, pages(4))] {
            machine
                .call(Call::Protect { target: subtree, address, length_bytes, rights: Rights::READ })
                .expect("all is mapped");
            check::check(&machine.kernel);
        }
    }
}

/// The arguments of a call after some steps of it, as a program would choose them that has its thread go on elsewhere: each but the
/// first made less, or more, or the same as another.
fn others(words: [u64; 6]) -> Vec<[u64; 6]> {
    let changes: [fn(u64) -> u64; 6] = [
        |_| pages(1),
        |word| word / 2 / pages(1) * pages(1),
        |word| word + pages(3),
        |_| BASE,
        |_| BASE + pages(700),
        |_| 0,
    ];
    let mut all = Vec::new();
    for at in 1..6 {
        for change in changes {
            let mut other = words;
            other[at] = change(words[at]);
            all.push(other);
        }
    }
    all
}

/// Other calls that are made in steps, and take an address or a length.
const FURTHER: [Prepare; 5] = [
    |machine| {
        let space = mapped(machine);
        Call::MemoryWrite { space, address: BASE, buffer: BASE + pages(8), length_bytes: pages(8) }
    },
    |machine| {
        let (segment, target) = (machine.segment(pages(1), 0), mapped(machine));
        for number in 0..40 {
            let address = BASE + pages(2000 + 2 * number);
            assert_eq!(machine.map(target, segment, 0, address, pages(1), Rights::READ), Ok(0));
        }
        Call::MappingsList { target, from: 0, buffer: BASE, capacity: 40 }
    },
    |machine| Call::SpaceInfo { space: mapped(machine), buffer: BASE },
    |machine| {
        let subtree = machine.make(Call::SubtreeCreate { account: machine.account, level: 3 });
        let (address, machine) = (0x20 << 39, machine.machine);
        Call::SubtreePublish { machine, subtree, address, bounds: Rights::READ }
    },
    |machine| {
        let segment = machine.segment(pages(600), 1);
        let (target, address, rights) = (machine.space, BASE, Rights::READ_WRITE);
        Call::MapPrivate { target, segment, offset: 0, address, length_bytes: pages(600), rights }
    },
];

#[test]
fn a_call_that_goes_on_with_other_arguments_harms_nothing() {
    for (number, prepare) in CALLS.iter().chain(&FURTHER).enumerate() {
        for steps in [1, 5, 40, 150] {
            let flavour = FLAVOURS[number % 2];
            let count = others([0; 6]).len();
            for which in 0..count {
                let mut machine = boot(flavour, 1);
                let (call, words) = prepare(&mut machine).encode();
                set_entry_units(1);
                for _ in 0..steps {
                    machine.step_words(call, words);
                    if !machine.is_under_way(machine.thread_id) {
                        break;
                    }
                }
                go_on(&mut machine, call, others(words)[which]);
                check::check(&machine.kernel);
            }
        }
    }
}

/// A move that was to take goes on as one that is to leave where it is what is in a sealed subtree.
#[test]
fn a_move_that_goes_on_otherwise_takes_nothing_out_of_what_is_sealed() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        let sealed = machine.make(Call::SubtreeCreate { account: machine.account, level: 3 });
        let segment = machine.segment(pages(1100), 0);
        let place = 1 << 30;
        for (offset, count) in [(0, 1050), (pages(1050), 50)] {
            assert_eq!(machine.map(sealed, segment, offset, place + offset, pages(count), Rights::READ_WRITE), Ok(0));
        }
        machine.call(Call::SubtreeSeal { subtree: sealed }).expect("it is held");
        let (from, to) = (mapped(&mut machine), machine.new_space());
        set_entry_units(1);
        let moved = |from, address, to_address, flags| {
            Call::MappingMove { from, address, length_bytes: pages(1100), to, to_address, flags }.encode()
        };
        let (call, words) = moved(from, BASE, BASE, 0);
        machine.step_words(call, words);
        assert!(machine.is_under_way(machine.thread_id), "some of it is to be taken still");
        let (call, words) = moved(sealed, place, BASE + pages(4096), 1);
        go_on(&mut machine, call, words);
        let result = machine.kernel.threads[machine.thread_id].context.registers().result();
        assert_eq!(result, (0, 0), "what is sealed can be lent");
        let ObjectRef::Subtree(id) = machine.object(sealed) else { panic!("it is a subtree") };
        assert_eq!(machine.kernel.subtrees[id].map.mapped_pages(), 1100, "what is sealed stays");
        check::check(&machine.kernel);
    }
}

/// Makes a call again and again, until it has a result.
fn go_on(machine: &mut Machine, call: u64, words: [u64; 6]) {
    for _ in 0..20_000 {
        machine.step_words(call, words);
        let Some(id) = running::current(&machine.kernel, 0) else { return };
        if machine.kernel.threads[id].context.registers().result().1 != UNFINISHED {
            return;
        }
    }
    panic!("call {call} has no end with {words:x?}");
}
