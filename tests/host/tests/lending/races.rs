//! What others do between the steps of a revocation.

use std::cell::Cell;
use std::rc::Rc;

use host_tests::Machine;
use tessera_abi::layout::CapabilityInfo;
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_arch::fake::cpu;
use tessera_kernel::sched::running;

use crate::world::{Borrower, World};

/// A borrower on CPU 1, and what it was lent.
fn lent(world: &mut World, handle: Handle) -> (Borrower, Handle) {
    let borrower = world.borrower_on(1);
    let lent = world.lend(handle, borrower, 5);
    assert_eq!(world.run_on(1), borrower.thread);
    world.cpus.play(0);
    (borrower, lent)
}

/// Between any two steps the borrower derives, maps, and lends to itself, until there is nothing of which it could.
#[test]
fn a_holder_that_derives_between_every_two_steps_cannot_win() {
    for (badge, is_deep) in [(None, false), (Some(5), false), (None, true), (Some(5), true)] {
        // The holder makes one while three go.
        let mut world = World::new(2, 30, 2);
        let (segment, space) = (world.machine.segment(0x4000, 0), world.space());
        let (_, lent) = lent(&mut world, segment);
        (0..20).for_each(|_| {
            world.derive(segment, 5);
        });
        let (derived, newest) = (Rc::new(Cell::new(0)), Cell::new(lent));
        let (count, space) = (derived.clone(), world.machine.space_id(space));
        world.machine.between_steps(move |machine| {
            cpu::set_cpu_index(1);
            let handle = if is_deep { newest.get() } else { lent };
            let derive = Call::CapabilityDerive { handle, rights: Rights::all(), badge: 5 };
            if let Ok(bits) = machine.call(derive) {
                newest.set(Handle::from_bits(bits));
                count.set(count.get() + 1);
            }
            cpu::set_cpu_index(0);
            true
        });
        let handle = segment;
        let call = match badge {
            None => Call::CapabilityRevoke { handle },
            Some(badge) => Call::CapabilityRevokeBadge { handle, badge },
        };
        world.call(call);
        world.machine.between_steps = None;
        assert!(derived.get() > 0, "it did derive meanwhile");
        assert_eq!(world.count(segment), 0);
        assert_eq!(world.machine.kernel.spaces[space].map.mapped_pages(), 0);
        world.check();
    }
}

/// Uses of a capability are taken back when it is gone: nobody adds to them for ever.
#[test]
fn a_holder_that_maps_faster_than_it_is_taken_back_cannot_win() {
    for badge in [None, Some(5)] {
        let mut world = World::new(2, 1, 2);
        let (segment, space) = (world.machine.segment(0x4000, 0), world.space());
        let borrower = world.borrower_on(1);
        let (segment_there, space_there) = (world.lend(segment, borrower, 5), world.lend(space, borrower, 5));
        assert_eq!(world.run_on(1), borrower.thread);
        let mut next = 1 << 40;
        let mut map = move |machine: &mut Machine| {
            cpu::set_cpu_index(1);
            for _ in 0..5 {
                next += 0x1000;
                machine.map(space_there, segment_there, 0, next, 0x1000, Rights::READ).ok();
            }
            cpu::set_cpu_index(0);
            true
        };
        map(&mut world.machine);
        world.cpus.play(0);
        world.machine.between_steps(map);
        let handle = segment;
        let call = match badge {
            None => Call::CapabilityRevoke { handle },
            Some(badge) => Call::CapabilityRevokeBadge { handle, badge },
        };
        world.call(call);
        world.machine.between_steps = None;
        let id = world.machine.space_id(space);
        assert_eq!((world.count(segment), world.machine.kernel.spaces[id].map.mapped_pages()), (0, 0));
        world.check();
    }
}

/// Two revoke the same, or one what is below the other's, and each is between the other's steps.
#[test]
fn two_revokers_take_everything_back_once() {
    for (depth, badges) in [(0, [None, None]), (3, [None, None]), (0, [None, Some(5)]), (2, [Some(5), None])] {
        let mut world = World::new(2, 1, 2);
        let segment = world.machine.segment(0x4000, 0);
        let (_, lent) = lent(&mut world, segment);
        cpu::set_cpu_index(1);
        let mut from = lent;
        for _ in 0..depth {
            from = world.derive(from, 5);
        }
        for _ in 0..6 {
            let below = world.derive(from, 5);
            world.derive(below, 5);
        }
        cpu::set_cpu_index(0);
        let call = |handle, badge: Option<u64>| match badge {
            None => Call::CapabilityRevoke { handle },
            Some(badge) => Call::CapabilityRevokeBadge { handle, badge },
        };
        let inner = call(from, badges[1]);
        world.machine.between_steps(move |machine| {
            cpu::set_cpu_index(1);
            let (number, words) = inner.encode();
            machine.step_words(number, words);
            cpu::set_cpu_index(0);
            true
        });
        world.call(call(segment, badges[0]));
        world.machine.between_steps = None;
        assert_eq!(world.count(segment), 0);
        let thread = running::current(&world.machine.kernel, 1).expect("it runs still");
        cpu::set_cpu_index(1);
        assert_eq!(world.machine.call(inner), Err(Error::BadHandle), "{thread:?}");
        cpu::set_cpu_index(0);
        world.check();
    }
}

/// The caller's own capability goes while it is being revoked, by another thread of the program.
#[test]
fn what_is_left_when_the_capability_goes_is_its_parent_s() {
    for (steps, badge) in [(1, None), (7, None), (1, Some(5)), (7, Some(5))] {
        let mut world = World::new(2, 1, 8);
        let segment = world.machine.segment(0x4000, 0);
        let middle = world.derive(segment, 1);
        (0..10).for_each(|_| {
            world.derive(middle, 5);
        });
        let (table, main) = (world.machine.table, world.machine.thread_id);
        let (account, space) = (world.machine.account, world.machine.space);
        let thread = world.machine.make(Call::ThreadCreate { account, table, space, priority: 31 });
        let (instruction_pointer, stack_pointer) = (crate::scene::LANDING, host_tests::machine::STACK_END);
        world.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 });
        world.call(Call::ThreadSetAffinity { thread, cpus: 2 });
        assert_ne!(world.run_on(1), main);
        world.cpus.play(0);
        let mut left = steps;
        world.machine.between_steps(move |machine| {
            left -= 1;
            if left == 0 {
                cpu::set_cpu_index(1);
                machine.call(Call::CapabilityDelete { handle: middle }).expect("it is there");
                cpu::set_cpu_index(0);
            }
            left != 0
        });
        let handle = middle;
        let call = match badge {
            None => Call::CapabilityRevoke { handle },
            Some(badge) => Call::CapabilityRevokeBadge { handle, badge },
        };
        assert_eq!(world.machine.call(call), Err(Error::BadHandle));
        world.machine.between_steps = None;
        let count = world.count(segment);
        assert!((1..10).contains(&count), "{count} of ten are left");
        assert_eq!(world.revoke(segment), Ok(0));
        assert_eq!(world.count(segment), 0);
        world.check();
    }
}

/// A caller that is stopped in the middle has done what it has done.
#[test]
fn a_revoker_that_is_stopped_leaves_the_rest() {
    let mut world = World::new(2, 1, 8);
    let segment = world.machine.segment(0x4000, 0);
    let (borrower, lent) = lent(&mut world, segment);
    cpu::set_cpu_index(1);
    (0..10).for_each(|badge| {
        world.derive(lent, badge % 2);
    });
    let (number, words) = Call::CapabilityRevokeBadge { handle: lent, badge: 1 }.encode();
    (0..4).for_each(|_| world.machine.step_words(number, words));
    cpu::set_cpu_index(0);
    assert!(world.machine.is_under_way(borrower.thread));
    let left = world.count(segment);
    world.call(Call::TableStopThreads { table: borrower.table });
    assert!(left < 11 && left > 6, "{left} are left");
    assert_eq!(world.count(segment), 0, "the end of its last thread empties the table");
    world.check();
}

/// Starts so many threads of the first program on CPU 1, one of which runs there.
fn threads_on_other_cpu(world: &mut World, count: u64) {
    let (table, main) = (world.machine.table, world.machine.thread_id);
    let (account, space) = (world.machine.account, world.machine.space);
    let (instruction_pointer, stack_pointer) = (crate::scene::LANDING, host_tests::machine::STACK_END);
    for _ in 0..count {
        let thread = world.machine.make(Call::ThreadCreate { account, table, space, priority: 31 });
        world.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 });
        world.call(Call::ThreadSetAffinity { thread, cpus: 2 });
    }
    assert_ne!(world.run_on(1), main);
}

/// Two threads of a program go through what was lent of one capability, by turns, a step each, and others have left off: with a
/// unit an entry, such a step sees one thing, which may be another's marker.
#[test]
fn two_that_sweep_the_same_side_by_side_come_to_the_end() {
    const THREADS: u64 = 6;
    for (units, count, lists) in [(1, 12, false), (1, 12, true), (4, 40, false), (60, 40, false)] {
        let mut world = World::new(2, units, 8);
        let handle = world.machine.segment(0x4000, 0);
        (0..count).for_each(|number| {
            world.derive(handle, number % 4);
        });
        threads_on_other_cpu(&mut world, THREADS);
        let buffer = host_tests::machine::BUFFER;
        // All but one have begun a list, and never go on with it.
        for _ in 1..THREADS {
            assert_eq!(world.call(Call::LentList { handle, buffer, capacity: 0, goes_on: 0 }), 0);
            world.machine.call(Call::YieldNow {}).expect("it has yielded");
        }
        world.cpus.play(0);
        let beside = if lists {
            Call::LentList { handle, buffer, capacity: 1, goes_on: 1 }
        } else {
            Call::CapabilityRevokeBadge { handle, badge: 2 }
        };
        let passed = Rc::new(Cell::new(0));
        let count_of = passed.clone();
        world.machine.between_steps(move |machine| {
            cpu::set_cpu_index(1);
            let (number, words) = beside.encode();
            machine.step_words(number, words);
            cpu::set_cpu_index(0);
            count_of.set(count_of.get() + 1);
            true
        });
        world.call(Call::CapabilityRevokeBadge { handle, badge: 1 });
        world.machine.between_steps = None;
        assert!(passed.get() > 0, "they took turns");
        assert!(passed.get() < 40 * count, "{} steps for {count} things", passed.get());
        // The other one goes on where it was.
        cpu::set_cpu_index(1);
        world.machine.call(Call::CapabilityRevokeBadge { handle, badge: 2 }).expect("it is there");
        cpu::set_cpu_index(0);
        assert_eq!(world.count(handle) as u64, count / 2, "what has other badges stays");
        world.check();
    }
}

/// Two threads ask for the relatives of one capability, by turns, a step each, while others have left off in the same list: along
/// what was derived from it, and back along what its parent lent besides.
#[test]
fn two_that_count_the_same_side_by_side_come_to_the_end() {
    const THREADS: u64 = 6;
    let ways = [(1, 12, true), (1, 12, false), (20, 40, true), (20, 40, false)];
    // One begins earlier, and is come up with, so that each stands right behind the other when its turn comes.
    for ((units, count, is_parent), ahead) in ways.into_iter().flat_map(|way| (0..6).map(move |ahead| (way, ahead))) {
        let mut world = World::new(2, units, 8);
        let parent = world.machine.segment(0x4000, 0);
        let first = world.derive(parent, 0);
        (1..count).for_each(|_| {
            world.derive(parent, 0);
        });
        threads_on_other_cpu(&mut world, THREADS);
        let (buffer, handle) = (host_tests::machine::BUFFER, if is_parent { parent } else { first });
        for _ in 1..THREADS {
            assert_eq!(world.call(Call::LentList { handle: parent, buffer, capacity: 0, goes_on: 0 }), 0);
            world.machine.call(Call::YieldNow {}).expect("it has yielded");
        }
        world.cpus.play(0);
        let beside = move |machine: &mut Machine| {
            cpu::set_cpu_index(1);
            let (number, words) = Call::CapabilityInfo { handle, buffer }.encode();
            machine.step_words(number, words);
            cpu::set_cpu_index(0);
        };
        (0..ahead).for_each(|_| beside(&mut world.machine));
        let passed = Rc::new(Cell::new(0));
        let count_of = passed.clone();
        world.machine.between_steps(move |machine| {
            if count_of.get() >= ahead {
                beside(machine);
            }
            count_of.set(count_of.get() + 1);
            assert!(count_of.get() < 40 * count, "{} steps for {count} things", count_of.get());
            true
        });
        let ask = |machine: &mut Machine| {
            let info = machine.info::<CapabilityInfo>(|buffer| Call::CapabilityInfo { handle, buffer });
            info.map(|info| (info.children, info.has_parent, info.parent)).expect("it is there")
        };
        let expected = if is_parent { (count, 0, 0) } else { (0, 1, parent.bits()) };
        assert_eq!(ask(&mut world.machine), expected);
        assert!(passed.get() > 0, "they took turns");
        // The other one goes on where it was.
        world.machine.between_steps = None;
        cpu::set_cpu_index(1);
        assert_eq!(ask(&mut world.machine), expected);
        cpu::set_cpu_index(0);
        world.check();
    }
}
