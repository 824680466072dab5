//! Threads that are inside by what is revoked, wherever they are and whatever they do.

use std::cell::Cell;
use std::rc::Rc;

use host_tests::machine::STACK_END;
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Error, Handle, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::cpu;
use tessera_kernel::entry::trap;
use tessera_kernel::object::id::SpaceId;
use tessera_kernel::sched::remote;

use crate::scene::LANDING;
use crate::world::{Borrower, World};

/// What a borrower's thread does when its space is revoked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Ready,
    Sleeping,
    Joining,
    /// Running on CPU 1.
    Running,
    /// The same, and its CPU was made to let go of it.
    Parked,
}

const DOING: [Doing; 5] = [Doing::Ready, Doing::Sleeping, Doing::Joining, Doing::Running, Doing::Parked];

/// What the lender lends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lent {
    Plain,
    Local,
    Windowed,
    /// The borrower makes a view of what it was lent, and goes there.
    View,
    /// The borrower enters by what it derived.
    Deeper,
}

const LENT: [Lent; 5] = [Lent::Plain, Lent::Local, Lent::Windowed, Lent::View, Lent::Deeper];

/// A borrower goes into a space that it was lent, and does something there.
fn send_in(world: &mut World, lent: Lent, doing: Doing, has_fallback: bool) -> (Handle, Borrower) {
    let machine = &mut world.machine;
    let (account, cpu) = (machine.account, u64::from(matches!(doing, Doing::Running | Doing::Parked)));
    let space = match lent {
        Lent::Local => machine.make(Call::SpaceCreateLocal { account, cpu }),
        _ => machine.new_space(),
    };
    machine.attach_program(space);
    if lent == Lent::Windowed {
        let (subtree, bounds) = (machine.make(Call::SubtreeCreate { account, level: 3 }), Rights::READ_WRITE);
        let address = 3 * TOP_SLOT_BYTES;
        world.call(Call::SubtreeAttachCore { space, subtree, address, bounds, cpu });
    }
    let borrower = world.borrower_on(cpu as usize);
    let (door, home) = (world.lend(space, borrower, 1), world.lend(world.machine.space, borrower, 0));
    let keeper = world.machine.thread;
    let keeper = world.lend(keeper, borrower, 0);
    let account = world.lend(world.machine.account, borrower, 0);
    let main = world.machine.thread_id;
    if cpu == 0 {
        world.machine.let_run(borrower.thread);
    } else {
        assert_eq!(world.run_on(1), borrower.thread);
    }
    if has_fallback {
        world.fall_back_to(home);
    }
    let door = match lent {
        Lent::View => world.machine.make(Call::ViewCreate { account, space: door, bounds: Rights::ACCESS }),
        Lent::Deeper => world.derive(door, 2),
        _ => door,
    };
    world.machine.switch_fast(door).expect("it was lent");
    match doing {
        Doing::Sleeping => drop(world.machine.call(Call::Sleep { nanoseconds: u64::MAX / 2 })),
        Doing::Joining => drop(world.machine.call(Call::ThreadJoin { thread: keeper })),
        _ => {}
    }
    world.cpus.play(0);
    if doing == Doing::Parked {
        remote::preempt_remote(&mut world.machine.kernel, 1);
    }
    if cpu == 0 {
        world.machine.let_run(main);
    }
    (space, borrower)
}

fn home(world: &World) -> SpaceId {
    world.machine.space_id
}

#[test]
fn a_thread_lands_whatever_it_does() {
    for (lent, doing) in LENT.into_iter().flat_map(|lent| DOING.map(|doing| (lent, doing))) {
        for (units, tag_bits) in [(1, 2), (1000, 8), (30, 0)] {
            let mut world = World::new(2, units, tag_bits);
            let (space, borrower) = send_in(&mut world, lent, doing, true);
            assert_ne!(world.space_of(borrower.thread), home(&world), "{lent:?} {doing:?}");
            assert_eq!(world.revoke(space), Ok(0), "{lent:?} {doing:?}");
            world.assert_landed(borrower.thread, home(&world));
            assert_eq!((world.count(space), world.lines()), (0, 0));
            world.check();
        }
    }
}

/// The end of a program's last thread empties its table: the lent capability goes while it is being revoked.
#[test]
fn a_thread_without_a_fallback_is_stopped_with_a_line() {
    for (lent, doing) in LENT.into_iter().flat_map(|lent| DOING.map(|doing| (lent, doing))) {
        for (units, badge) in [(1, None), (1000, None), (1, Some(1)), (1000, Some(1))] {
            let mut world = World::new(2, units, 8);
            let (space, borrower) = send_in(&mut world, lent, doing, false);
            let call = match badge {
                None => Call::CapabilityRevoke { handle: space },
                Some(badge) => Call::CapabilityRevokeBadge { handle: space, badge },
            };
            world.call(call);
            assert_eq!(world.state(borrower.thread), ThreadState::Stopped, "{lent:?} {doing:?}");
            assert_eq!((world.count(space), world.lines()), (0, 1));
            world.check();
        }
    }
}

/// Whoever is in a space that goes on is left alone.
#[test]
fn a_thread_that_came_by_another_capability_stays() {
    let mut world = World::new(2, 1, 2);
    let (space, borrower) = send_in(&mut world, Lent::Plain, Doing::Running, true);
    let other = world.borrower();
    let door = world.derive(space, 0);
    let mine = world.lend(space, other, 3);
    world.act_as(other, |world| world.machine.switch_fast(mine).map(drop)).expect("it was lent");
    let inside = world.space_of(other.thread);
    world.call(Call::CapabilityRevokeBadge { handle: space, badge: 1 });
    world.assert_landed(borrower.thread, home(&world));
    assert_eq!((world.space_of(other.thread), world.state(other.thread)), (inside, ThreadState::Ready));
    world.call(Call::CapabilityDelete { handle: door });
    assert_eq!(world.count(space), 2, "the other's capability, and its thread");
    world.check();
}

/// What a revoker inside lends and shows, in the order in which it stands in the list or the other way round.
fn revoker_inside(units: u32, is_view: bool, has_fallback: bool, badge: Option<u64>) {
    let mut world = World::new(1, units, 8);
    let space = world.space();
    let lender = world.borrower();
    let (root, home) = (world.lend(space, lender, 0), world.lend(world.machine.space, lender, 0));
    let account = world.lend(world.machine.account, lender, 0);
    let others: Vec<Borrower> = (0..4).map(|_| world.borrower()).collect();
    for other in &others[..2] {
        let door = world.lend(space, *other, 0);
        world.act_as(*other, |world| world.machine.switch_fast(door).map(drop)).expect("it was lent");
    }
    world.machine.let_run(lender.thread);
    let door = world.derive(root, 1);
    let way = match is_view {
        true => world.machine.make(Call::ViewCreate { account, space: door, bounds: Rights::ACCESS }),
        false => door,
    };
    let more: Vec<Handle> = (0..30).map(|_| world.derive(root, 1)).collect();
    let views: Vec<Handle> = more[..3]
        .iter()
        .map(|space| world.machine.make(Call::ViewCreate { account, space: *space, bounds: Rights::READ }))
        .collect();
    let of_view = world.machine.make(Call::ViewCreate { account, space: way, bounds: Rights::READ });
    if has_fallback {
        world.fall_back_to(home);
    }
    world.machine.switch_fast(way).expect("it has the right");
    let call = match badge {
        None => Call::CapabilityRevoke { handle: root },
        Some(badge) => Call::CapabilityRevokeBadge { handle: root, badge },
    };
    let _ = world.machine.call(call);
    if has_fallback {
        let registers = world.machine.kernel.threads[lender.thread].context.registers();
        assert_eq!(registers.call_arguments()[0], 2, "revoked: {units} {is_view}");
        world.machine.let_run(lender.thread);
        assert_eq!(world.space_of(lender.thread), world.machine.space_id);
        for handle in more.into_iter().chain(views).chain([door, of_view]) {
            let gone = world.machine.call(Call::CapabilityDelete { handle });
            assert_eq!(gone, Err(Error::BadHandle), "{units} {is_view} {badge:?}");
        }
        assert_eq!(world.count(root), 0, "when it lands all else is done");
    } else {
        assert_eq!((world.state(lender.thread), world.lines()), (ThreadState::Stopped, 1));
        world.machine.let_run(world.machine.thread_id);
    }
    // The first borrowers came by the lender's own capabilities.
    for other in &others[..2] {
        assert_eq!(world.space_of(other.thread), world.machine.space_id(space));
    }
    world.check();
}

#[test]
fn a_revoker_inside_lands_when_all_else_is_done() {
    for units in [1, 30, 150, 1000] {
        for badge in [None, Some(1)] {
            revoker_inside(units, false, true, badge);
        }
    }
}

#[test]
fn a_revoker_in_a_view_lands_when_all_else_is_done() {
    for units in [1, 30, 150, 1000] {
        for badge in [None, Some(1)] {
            revoker_inside(units, true, true, badge);
        }
    }
}

#[test]
fn a_revoker_inside_without_a_fallback_ends_with_a_line() {
    for (units, is_view) in [(1, false), (1000, false), (1, true), (1000, true)] {
        revoker_inside(units, is_view, false, None);
    }
}

/// A thread that is taken off its CPU, to find out where it is, would run again before the next step: it is sent out in the same.
#[test]
fn a_thread_that_runs_again_before_each_step_is_sent_out() {
    for (lent, badge) in LENT.into_iter().flat_map(|lent| [(lent, None), (lent, Some(1))]) {
        let mut world = World::new(2, 1, 2);
        let (space, borrower) = send_in(&mut world, lent, Doing::Running, true);
        let steps = Rc::new(Cell::new(0));
        let count = steps.clone();
        world.machine.between_steps(move |machine| {
            cpu::set_cpu_index(1);
            trap::schedule(&mut machine.kernel, 1);
            cpu::set_cpu_index(0);
            count.set(count.get() + 1);
            count.get() < 20
        });
        let _ = world.machine.call(match badge {
            None => Call::CapabilityRevoke { handle: space },
            Some(badge) => Call::CapabilityRevokeBadge { handle: space, badge },
        });
        world.machine.between_steps = None;
        assert!(steps.get() < 20, "{lent:?} {badge:?}: it goes on for ever");
        world.assert_landed(borrower.thread, home(&world));
        assert_eq!(world.count(space), 0);
        world.check();
    }
}

/// Two threads of a program are inside by what both revoke: neither steps behind the other for ever.
#[test]
fn two_revokers_inside_come_to_an_end() {
    // With a badge each goes past the other's marker besides.
    for (badge, units) in [(None, 1), (Some(1), 30)] {
        let mut world = World::new(2, units, 8);
        let root = world.space();
        let (door, home) = (world.derive(root, 1), world.machine.space);
        let (account, table) = (world.machine.account, world.machine.table);
        let thread = world.machine.make(Call::ThreadCreate { account, table, space: home, priority: 31 });
        let (instruction_pointer, stack_pointer) = (LANDING, STACK_END);
        world.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 });
        world.call(Call::ThreadSetAffinity { thread, cpus: 2 });
        let other = world.run_on(1);
        for cpu in [1, 0] {
            world.cpus.play(cpu);
            world.fall_back_to(home);
            world.machine.switch_fast(door).expect("it was derived");
        }
        let (number, words) = match badge {
            None => Call::CapabilityRevoke { handle: root },
            Some(badge) => Call::CapabilityRevokeBadge { handle: root, badge },
        }
        .encode();
        let (main, home) = (world.machine.thread_id, world.machine.space_id);
        let is_home = |world: &World| [main, other].map(|id| world.space_of(id) == home);
        for step in 0..40 {
            let playing = step % 2;
            world.cpus.play(playing);
            if !is_home(&world)[playing] && trap::schedule(&mut world.machine.kernel, playing) {
                world.machine.step_words(number, words);
            }
        }
        assert_eq!(is_home(&world), [true; 2], "{badge:?}");
        assert_eq!(world.run_on(0), main);
        assert_eq!(world.count(root), 0);
        world.check();
    }
}
