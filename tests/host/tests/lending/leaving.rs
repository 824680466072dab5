//! A thread that revokes what it is inside by itself, and nothing else stands there: it lands at once.

use host_tests::machine::STACK_END;
use tessera_abi::{Call, Error, Handle};
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::sched::running;

use crate::scene::LANDING;
use crate::world::World;

/// The lender goes into a space by what it derives for that, with this fallback; gives what it derived.
fn go_in(world: &mut World, root: Handle, fallback: Handle) -> Handle {
    let door = world.derive(root, 1);
    world.fall_back_to(fallback);
    world.machine.switch_fast(door).expect("it was derived");
    door
}

fn main(world: &World) -> ThreadId {
    world.machine.thread_id
}

/// Again and again, beside another thread whose turn would come if the lender's ended: it goes on where it lands, and is noted
/// once there.
#[test]
fn a_revoker_inside_alone_goes_on_where_it_lands() {
    for units in [1, 30, 1000] {
        let mut world = World::new(1, units, 8);
        let root = world.space();
        let _other = world.borrower();
        let home = world.derive(world.machine.space, 7);
        for round in 0..3 {
            let door = go_in(&mut world, root, home);
            let _ = world.revoke(root);
            assert_eq!(running::current(&world.machine.kernel, 0), Some(main(&world)), "{units} {round}");
            world.assert_landed(main(&world), world.machine.space_id);
            assert_eq!(world.machine.call(Call::CapabilityDelete { handle: door }), Err(Error::BadHandle));
            assert_eq!((world.count(root), world.lines()), (0, 0), "{units} {round}");
            world.check();
        }
        // Its fallback and itself stand beside what was derived, so both go with that.
        assert_eq!(world.badges(world.machine.space).iter().filter(|badge| **badge == 7).count(), 3);
    }
}

/// Where it lands it can be on another CPU only.
#[test]
fn a_revoker_inside_lands_on_the_cpu_that_its_fallback_is_local_to() {
    for units in [1, 1000] {
        let mut world = World::new(2, units, 8);
        let (root, account, thread) = (world.space(), world.machine.account, world.machine.thread);
        let there = world.machine.make(Call::SpaceCreateLocal { account, cpu: 1 });
        world.machine.attach_program(there);
        world.call(Call::ThreadSetAffinity { thread, cpus: 3 });
        go_in(&mut world, root, there);
        let _ = world.revoke(root);
        assert_ne!(running::current(&world.machine.kernel, 0), Some(main(&world)));
        assert_eq!(world.run_on(1), main(&world));
        world.assert_landed(main(&world), world.machine.space_id(there));
        world.check();
    }
}

/// A thread of the same program that runs on another CPU came in by the same capability, and goes as well.
#[test]
fn a_revoker_inside_does_not_leave_others_behind_who_came_by_the_same() {
    for units in [1, 1000] {
        let mut world = World::new(2, units, 8);
        let (root, home) = (world.space(), world.machine.space);
        let (account, table) = (world.machine.account, world.machine.table);
        let thread = world.machine.make(Call::ThreadCreate { account, table, space: home, priority: 31 });
        let (instruction_pointer, stack_pointer) = (LANDING, STACK_END);
        world.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 });
        world.call(Call::ThreadSetAffinity { thread, cpus: 2 });
        let other = world.run_on(1);
        world.fall_back_to(home);
        world.cpus.play(0);
        let door = go_in(&mut world, root, home);
        world.cpus.play(1);
        world.machine.switch_fast(door).expect("it was derived");
        world.cpus.play(0);
        let _ = world.revoke(root);
        for id in [main(&world), other] {
            world.assert_landed(id, world.machine.space_id);
        }
        assert_eq!(world.count(root), 0);
        world.check();
    }
}
