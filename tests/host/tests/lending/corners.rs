//! What is refused, what revoking leaves alone, and what lists tell.

use host_tests::machine::BUFFER;
use tessera_abi::{Call, Error, Handle, Rights};

use crate::world::World;

#[test]
fn handles_that_name_nothing_revoke_nothing() {
    let mut world = World::new(1, 1000, 8);
    let segment = world.machine.segment(0x1000, 0);
    let stale = world.derive(segment, 1);
    let child = world.derive(segment, 1);
    world.call(Call::CapabilityDelete { handle: stale });
    let forged = Handle::from_bits(segment.bits() ^ 1 << 40);
    for handle in [stale, forged, Handle::NONE, Handle::from_bits(u64::MAX), Handle::from_bits(200)] {
        assert_eq!(world.revoke(handle), Err(Error::BadHandle));
        let badge = 1;
        assert_eq!(world.machine.call(Call::CapabilityRevokeBadge { handle, badge }), Err(Error::BadHandle));
        let list = Call::LentList { handle, buffer: BUFFER, capacity: 4, goes_on: 0 };
        assert_eq!(world.machine.call(list), Err(Error::BadHandle));
    }
    for (buffer, goes_on, error) in [(BUFFER, 2, Error::BadArgument), (1 << 40, 0, Error::BadPointer)] {
        let list = Call::LentList { handle: segment, buffer, capacity: 4, goes_on };
        assert_eq!(world.machine.call(list), Err(error));
    }
    assert_eq!(world.count(segment), 1);
    world.call(Call::CapabilityDelete { handle: child });
    world.check();
}

#[test]
fn a_leaf_has_nothing_to_be_taken_back() {
    let mut world = World::new(1, 1, 8);
    let segment = world.machine.segment(0x1000, 0);
    let leaf = world.derive(segment, 7);
    let (space, free) = (world.space(), world.machine.kernel.uses.len());
    world.machine.map(space, leaf, 0, 1 << 40, 0x1000, Rights::READ).expect("it can be mapped");
    assert_eq!(world.revoke(leaf), Ok(0));
    assert_eq!(world.badges(segment), [7, 7], "the leaf and its own mapping stay");
    assert_eq!(world.machine.kernel.uses.len(), free + 1);
    world.check();
}

#[test]
fn a_root_keeps_itself_and_its_own_uses() {
    let mut world = World::new(1, 1, 8);
    let (segment, space) = (world.machine.segment(0x3000, 0), world.space());
    let borrower = world.borrower();
    let lent = world.lend(segment, borrower, 3);
    world.machine.map(space, segment, 0, 1 << 40, 0x1000, Rights::READ).expect("it can be mapped");
    let lent_space = world.lend(space, borrower, 4);
    world.act_as(borrower, |world| {
        let deeper = world.derive(lent, 5);
        world.machine.map(lent_space, deeper, 0x1000, (1 << 40) + 0x1000, 0x2000, Rights::READ).expect("it can");
    });
    assert_eq!(world.count(segment), 3, "two capabilities and a mapping");
    assert_eq!(world.revoke(segment), Ok(0));
    assert_eq!(world.count(segment), 0);
    let id = world.machine.space_id(space);
    assert_eq!(world.machine.kernel.spaces[id].map.mapped_pages(), 1, "the lender's own mapping stays");
    world.act_as(borrower, |world| {
        assert_eq!(world.machine.call(Call::CapabilityDelete { handle: lent }), Err(Error::BadHandle));
    });
    // What was taken back can be given to somebody else at once.
    world.call(Call::Unmap { target: space, address: 1 << 40, length_bytes: 0x1000 });
    world.call(Call::CapabilityDelete { handle: segment });
    world.check();
}

#[test]
fn a_list_tells_what_was_derived_before_what_came_of_it() {
    for units in [1, 30, 1000] {
        let mut world = World::new(1, units, 8);
        let segment = world.machine.segment(0x1000, 0);
        let mut chain = vec![segment];
        for badge in 1..20 {
            let parent = chain[(badge as usize * 7) % chain.len()];
            chain.push(world.derive(parent, badge));
        }
        let badges = world.badges(segment);
        assert_eq!(badges.len(), 19);
        let place = |badge: u64| badges.iter().position(|other| *other == badge).expect("each is told");
        for badge in 1..20_u64 {
            let parent = (badge * 7) % badge;
            assert!(parent == 0 || place(parent) < place(badge), "{parent} is before {badge} in {badges:?}");
        }
        assert_eq!(world.badges(chain[19]), Vec::<u64>::new(), "a leaf lends nothing");
        world.check();
    }
}

/// A list that was left in the middle is no place in another capability's: that would tell what is not below it.
#[test]
pub(crate) fn a_list_that_was_left_does_not_go_on_below_another_capability() {
    let mut world = World::new(1, 1000, 8);
    let (segment, other) = (world.machine.segment(0x1000, 0), world.machine.segment(0x1000, 0));
    (1..4).for_each(|badge| {
        world.derive(segment, badge);
    });
    let lent = world.derive(segment, 9);
    world.derive(other, 8);
    let list = |handle, goes_on| Call::LentList { handle, buffer: BUFFER, capacity: 1, goes_on };
    for handle in [segment, lent] {
        if handle == lent {
            world.derive(lent, 10);
            world.derive(lent, 11);
        }
        assert_eq!(world.call(list(handle, 0)), 1);
        if handle == lent {
            world.call(Call::CapabilityDelete { handle: lent });
        }
        assert_eq!(world.call(list(other, 1)), 1);
        assert_eq!(world.call(list(other, 1)), 0, "there is one thing, and the end is the end");
    }
    assert_eq!(world.call(list(segment, 0)), 1);
    world.call(Call::CapabilityRevokeBadge { handle: segment, badge: 3 });
    assert_eq!(world.badges(segment).into_iter().filter(|badge| *badge == 3).count(), 0);
    world.check();
}

#[test]
fn a_badge_tells_one_borrower_from_the_others() {
    for units in [1, 40, 1000] {
        let mut world = World::new(1, units, 8);
        let segment = world.machine.segment(0x1000, 0);
        let borrowers = [5, 6, 5].map(|badge| {
            let borrower = world.borrower();
            (borrower, world.lend(segment, borrower, badge))
        });
        for (borrower, lent) in borrowers {
            world.act_as(borrower, |world| {
                (10..13).for_each(|badge| {
                    world.derive(lent, badge);
                });
            });
        }
        world.call(Call::CapabilityRevokeBadge { handle: segment, badge: 5 });
        let mut badges = world.badges(segment);
        badges.sort_unstable();
        assert_eq!(badges, [6, 10, 11, 12]);
        world.call(Call::CapabilityRevokeBadge { handle: segment, badge: 10 });
        assert_eq!(world.count(segment), 4, "what is below another borrower is not the lender's to tell apart");
        world.check();
    }
}
