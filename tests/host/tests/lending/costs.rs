//! What lending and taking back costs, in steps of loops whose length programs decide.

use tessera_abi::{Call, Handle};
use tessera_kernel::base::steps;

use crate::world::World;

/// A world with room for many capabilities in one table.
fn roomy(units: u32) -> (World, Handle) {
    let mut world = World::roomy(units);
    let segment = world.machine.segment(0x1000, 0);
    (world, segment)
}

/// So many children of a capability, beside each other or each below the one before.
fn breed(world: &mut World, from: Handle, count: usize, is_deep: bool) {
    let mut parent = from;
    for _ in 0..count {
        let child = world.derive(parent, 1);
        parent = if is_deep { child } else { from };
    }
}

fn steps_of(world: &mut World, call: Call) -> u64 {
    steps::take();
    world.call(call);
    steps::take()
}

#[test]
fn revoking_is_linear_in_what_goes() {
    for is_deep in [false, true] {
        for badge in [None, Some(1)] {
            let mut figures = Vec::new();
            for count in [500_usize, 1000, 10_000] {
                let (mut world, handle) = roomy(1000);
                breed(&mut world, handle, count, is_deep);
                let call = match badge {
                    None => Call::CapabilityRevoke { handle },
                    Some(badge) => Call::CapabilityRevokeBadge { handle, badge },
                };
                figures.push(steps_of(&mut world, call) as f64 / count as f64);
                assert_eq!(world.count(handle), 0);
            }
            let (least, most) =
                (figures.iter().copied().fold(f64::MAX, f64::min), figures.iter().copied().fold(0.0, f64::max));
            assert!(most <= least * 1.25 + 1.0, "steps for each: {figures:?}");
        }
    }
}

#[test]
fn deleting_costs_the_same_whatever_was_derived() {
    for is_deep in [false, true] {
        let figures = [1, 100, 10_000].map(|count| {
            let (mut world, segment) = roomy(1000);
            let handle = world.derive(segment, 1);
            breed(&mut world, handle, count, is_deep);
            steps_of(&mut world, Call::CapabilityDelete { handle })
        });
        assert!(figures.iter().all(|steps| *steps == figures[0]), "{figures:?}");
    }
}

#[test]
fn deriving_costs_the_same_beside_many() {
    let figures = [1, 10_000].map(|count| {
        let (mut world, handle) = roomy(1000);
        breed(&mut world, handle, count, false);
        steps_of(&mut world, Call::CapabilityDerive { handle, rights: tessera_abi::Rights::all(), badge: 0 })
    });
    assert_eq!(figures[0], figures[1]);
}

/// Each call of a listing goes on where the one before ended.
#[test]
fn listing_is_linear_in_what_is_told() {
    let figures = [500, 5000].map(|count| {
        let (mut world, segment) = roomy(1000);
        breed(&mut world, segment, count, true);
        steps::take();
        assert_eq!(world.count(segment), count);
        steps::take() as f64 / count as f64
    });
    assert!(figures[1] <= figures[0] * 1.25, "{figures:?}");
}
