//! Shared-space tags: which translations are shared is found out, and forgotten when a kernel has to say so.

use tlb_model::model::{Access, Invalidation, Model, Profile};
use tlb_model::synthetic::Tables;

/// A number that no space has.
const SUBTREE: u64 = 1000;

fn model() -> Model {
    Model::new(&Profile::built_in("sasid").expect("it comes with the crate"), 1)
}

/// Loads from an address in a space whose tables below the root are `owner`'s; returns how many walks that took.
fn load(model: &mut Model, space: u16, owner: u64, address: u64) -> u64 {
    let before = model.figures(0).walks;
    model.access(0, Access::Load, space, address, || Tables { space: space.into(), owner }.walk(address, 12, false));
    model.figures(0).walks - before
}

#[test]
fn one_entry_serves_every_subscriber() {
    let mut model = model();
    // The first space's walk does not show that the table is shared; the second's does; the third gets what is shared once
    // one walk has shown that it is a subscriber.
    assert_eq!(load(&mut model, 1, SUBTREE, 0), 1);
    assert_eq!(load(&mut model, 2, SUBTREE, 0), 1);
    assert_eq!(load(&mut model, 1, SUBTREE, 0), 0);
    assert_eq!(load(&mut model, 1, SUBTREE, 0x1000), 1);
    assert_eq!(load(&mut model, 2, SUBTREE, 0x1000), 0);
    assert_eq!(load(&mut model, 3, SUBTREE, 0x1000), 1, "nothing is known of this space");
    for page in 2..40 {
        assert_eq!(load(&mut model, 3, SUBTREE, page << 12), 1);
        assert_eq!(load(&mut model, 1, SUBTREE, page << 12), 0);
        assert_eq!(load(&mut model, 2, SUBTREE, page << 12), 0);
    }
    assert_eq!(load(&mut model, 4, 4, 0x1000), 1, "who has tables of its own subscribes to nothing");
    assert_eq!(load(&mut model, 4, 4, 0x2000), 1);
}

#[test]
fn no_entry_of_its_own_is_left_to_who_came_first() {
    let mut model = model();
    // 40 pages fit the first level once, not twice.
    for space in [1, 2, 1, 2] {
        model.clear();
        (0..40).for_each(|page| _ = load(&mut model, space, SUBTREE, page << 12));
    }
    assert_eq!(model.figures(0).data_misses, 0);
}

#[test]
fn without_shared_spaces_each_tag_walks_for_itself() {
    let mut model = Model::new(&Profile::built_in("neoverse_n1").expect("it comes with the crate"), 1);
    for page in 0..4 {
        assert_eq!((load(&mut model, 1, SUBTREE, page << 12), load(&mut model, 2, SUBTREE, page << 12)), (1, 1));
    }
}

#[test]
fn the_same_table_elsewhere_is_another_space() {
    let mut model = model();
    load(&mut model, 1, SUBTREE, 0);
    load(&mut model, 2, SUBTREE, 0);
    // The synthetic tables of a subtree depend on the address, as those of two attachments do not: take the walk of address
    // 0 for an address below another entry of the root.
    let elsewhere = 1 << 39;
    let walk = Tables { space: 3, owner: SUBTREE }.walk(0, 12, false);
    let before = model.figures(0).walks;
    model.access(0, Access::Load, 3, elsewhere, || walk);
    model.access(0, Access::Load, 3, elsewhere + 0x1000, || walk);
    assert_eq!(model.figures(0).walks - before, 2);
    assert_eq!(load(&mut model, 3, SUBTREE, 0), 1, "that made it no subscriber of the space at 0");
}

#[test]
fn an_invalidation_for_one_subscriber_drops_the_shared_page() {
    let mut model = model();
    for page in 0..2 {
        load(&mut model, 1, SUBTREE, page << 12);
        load(&mut model, 2, SUBTREE, page << 12);
    }
    model.invalidate(0, Invalidation::vae1(1, 0x1000, true));
    assert_eq!((load(&mut model, 2, SUBTREE, 0x1000), load(&mut model, 1, SUBTREE, 0x1000)), (1, 0));
    model.invalidate(0, Invalidation::vae1(7, 0x1000, true));
    assert_eq!(load(&mut model, 2, SUBTREE, 0x1000), 0, "another tag's invalidation concerns nothing here");
    model.invalidate(0, Invalidation::vaae1(0x1000, true));
    assert_eq!(load(&mut model, 2, SUBTREE, 0x1000), 1);
}

#[test]
fn a_tag_that_goes_leaves_the_others_what_they_share() {
    let mut model = model();
    for space in [1, 2, 3] {
        load(&mut model, space, SUBTREE, 0x1000);
        load(&mut model, space, SUBTREE, 0x2000);
    }
    model.invalidate(0, Invalidation::aside1(2));
    assert_eq!(load(&mut model, 3, SUBTREE, 0x2000), 0);
    assert_eq!(load(&mut model, 2, 2, 0x2000), 1, "the tag's next owner does not get what its last one shared");
}

#[test]
fn a_table_that_is_used_anew_is_not_taken_for_the_shared_one() {
    let mut model = model();
    for space in [1, 2] {
        load(&mut model, space, SUBTREE, 0x1000);
        load(&mut model, space, SUBTREE, 0x2000);
    }
    // The subtree goes: the kernel invalidates its range for all tags, and its table's memory becomes a table of space 5.
    model.broadcast(0, Invalidation::rvaae1(0, 1 << 39, false));
    assert_eq!((load(&mut model, 5, SUBTREE, 0x1000), load(&mut model, 5, SUBTREE, 0x2000)), (1, 1));
    // Nor does a number that is free again bring old entries back.
    for space in [6, 7] {
        assert_eq!(load(&mut model, space, SUBTREE + 1, 0x2000), 1);
    }
    assert_eq!(load(&mut model, 6, SUBTREE + 1, 0x1000), 1);
}

#[test]
fn there_are_no_more_shared_spaces_than_the_hardware_has() {
    let mut profile = Profile::built_in("sasid").expect("it comes with the crate");
    profile.shared_spaces = 2;
    let mut model = Model::new(&profile, 1);
    // Three subtrees at three entries of the root, in two spaces: the third stays private.
    for (slot, expected) in [(0, 0), (1, 0), (2, 1)] {
        let at = |page: u64| slot << 39 | page << 12;
        for page in 0..2 {
            load(&mut model, 1, SUBTREE + slot, at(page));
            load(&mut model, 2, SUBTREE + slot, at(page));
        }
        load(&mut model, 1, SUBTREE + slot, at(2));
        assert_eq!(load(&mut model, 2, SUBTREE + slot, at(2)), expected, "subtree {slot}");
    }
}

#[test]
fn tables_shared_below_the_top_are_found_as_well() {
    let mut model = model();
    // Two spaces attach a table of 2 MiB: only the last table of the walk is the same.
    let walk = |space: u64, address: u64| {
        let mut walk = Tables::private(space).walk(address, 12, false);
        walk.tables[3] = Tables::private(SUBTREE).walk(address, 12, false).tables[3];
        walk
    };
    let load = |model: &mut Model, space: u16, address: u64| {
        let before = model.figures(0).walks;
        model.access(0, Access::Load, space, address, || walk(space.into(), address));
        model.figures(0).walks - before
    };
    assert_eq!((load(&mut model, 1, 0), load(&mut model, 2, 0)), (1, 1));
    assert_eq!((load(&mut model, 1, 0x1000), load(&mut model, 2, 0x1000)), (1, 0));
    let beyond = 0x20_0000;
    assert_eq!((load(&mut model, 1, beyond), load(&mut model, 2, beyond)), (1, 1));
}
