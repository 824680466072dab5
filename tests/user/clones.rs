//! Clones of spaces: what either is written to, the other does not see, whatever is done to both.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::cloned::{account, available, clone_of, get, set, space_with_pages, word};
use conformance::{
    Census, Claim, GUEST_CODE, GUEST_DATA, GUEST_LAZY, GUEST_STORES, GuestScene, Shared, Verdict, claim, ends_in_fault,
    ensure, ensure_eq, fresh_address, leaves_nothing, reach, refused, run, spot, the_kernel_passes_its_own_checks,
    word_at,
};
use libvas::guest::End;
use libvas::snapshot::Snapshot;
use libvas::{
    Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, TOP_SLOT_BYTES as SLOT, View, program, thread,
};

rt::main!(main);

const LARGE: u64 = 2 << 20;

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_clone_begins_with_what_its_source_has),
        claim!(what_the_source_is_written_to_the_clone_does_not_see),
        claim!(what_the_clone_is_written_to_the_source_does_not_see),
        claim!(a_clone_of_a_clone_is_apart_from_both),
        claim!(many_clones_are_apart_from_each_other),
        claim!(clones_outlive_their_source),
        claim!(clones_go_in_any_order),
        claim!(pages_that_were_never_touched_are_cloned),
        claim!(large_pages_are_copied_by_small_ones),
        claim!(what_is_unmapped_in_one_stays_in_the_other),
        claim!(what_is_mapped_later_is_in_one_only),
        claim!(protection_changes_in_one_only),
        claim!(what_may_only_be_read_may_only_be_read_in_the_clone),
        claim!(code_can_be_run_in_a_clone),
        claim!(subtrees_stay_the_same_in_both),
        claim!(what_is_attached_later_is_in_one_only),
        claim!(a_subtree_is_attached_beside_what_was_cloned),
        claim!(a_subtree_withdrawn_is_gone_from_both),
        claim!(guests_in_a_clone_write_to_pages_of_its_own),
        claim!(views_follow_the_space_that_they_are_of),
        claim!(a_clone_of_a_local_space_is_local),
        claim!(threads_run_in_a_clone),
        claim!(who_is_inside_when_it_is_cloned_goes_on),
        claim!(memory_calls_copy_as_stores_do),
        claim!(reading_copies_nothing),
        claim!(cloning_takes_no_memory_for_pages),
        claim!(a_write_costs_a_page),
        claim!(snapshots_are_gone_back_to),
        claim!(several_snapshots_are_kept),
        claim!(rolling_back_a_thousand_times_takes_nothing),
        claim!(clones_leave_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("clones", CLAIMS)
}

fn a_clone_begins_with_what_its_source_has() -> Verdict {
    let (space, address) = space_with_pages(8)?;
    for page in 0..8 {
        set(&space, word(address, page)?, 100 + page)?;
    }
    let clone = clone_of(&space)?;
    for page in 0..8 {
        ensure_eq!(get(&clone, word(address, page)?)?, 100 + page);
    }
    let (of_source, of_clone) = (space.info()?, clone.info()?);
    ensure_eq!((of_clone.mapped_bytes, of_clone.mappings), (of_source.mapped_bytes, of_source.mappings));
    ensure_eq!(of_clone.attachments, of_source.attachments);
    Ok(())
}

fn what_the_source_is_written_to_the_clone_does_not_see() -> Verdict {
    let (space, address) = space_with_pages(40)?;
    let (near, far) = (word(address, 0)?, word(address, 39)?);
    set(&space, near, 1)?;
    let clone = clone_of(&space)?;
    set(&space, near, 2)?;
    set(&space, far, 3)?;
    ensure_eq!((get(&clone, near)?, get(&clone, far)?), (1, 0));
    ensure_eq!((get(&space, near)?, get(&space, far)?), (2, 3));
    Ok(())
}

fn what_the_clone_is_written_to_the_source_does_not_see() -> Verdict {
    let (space, address) = space_with_pages(40)?;
    let (near, far) = (word(address, 0)?, word(address, 39)?);
    set(&space, near, 1)?;
    let clone = clone_of(&space)?;
    set(&clone, far, 3)?;
    set(&clone, near, 2)?;
    ensure_eq!((get(&space, near)?, get(&space, far)?), (1, 0));
    ensure_eq!((get(&clone, near)?, get(&clone, far)?), (2, 3));
    Ok(())
}

fn a_clone_of_a_clone_is_apart_from_both() -> Verdict {
    let (space, address) = space_with_pages(3)?;
    let [one, other] = [word(address, 0)?, word(address, 2)?];
    set(&space, one, 1)?;
    let clone = clone_of(&space)?;
    set(&clone, one, 2)?;
    let again = clone_of(&clone)?;
    set(&clone, one, 3)?;
    set(&again, other, 9)?;
    ensure_eq!([get(&space, one)?, get(&clone, one)?, get(&again, one)?], [1, 3, 2]);
    ensure_eq!([get(&space, other)?, get(&clone, other)?, get(&again, other)?], [0, 0, 9]);
    set(&again, one, 4)?;
    ensure_eq!([get(&space, one)?, get(&clone, one)?, get(&again, one)?], [1, 3, 4]);
    Ok(())
}

fn many_clones_are_apart_from_each_other() -> Verdict {
    let (space, address) = space_with_pages(2)?;
    let place = word(address, 1)?;
    set(&space, place, 1000)?;
    let clones = (0..12).map(|_| clone_of(&space)).collect::<Result<Vec<_>, _>>()?;
    for (value, clone) in (0..).zip(&clones) {
        set(clone, place, value)?;
    }
    for (value, clone) in (0..).zip(&clones) {
        ensure_eq!(get(clone, place)?, value);
    }
    ensure_eq!(get(&space, place)?, 1000);
    Ok(())
}

fn clones_outlive_their_source() -> Verdict {
    let (space, address) = space_with_pages(20)?;
    for page in 0..20 {
        set(&space, word(address, page)?, page)?;
    }
    let clone = clone_of(&space)?;
    set(&space, word(address, 3)?, 77)?;
    drop(space);
    for page in 0..20 {
        ensure_eq!(get(&clone, word(address, page)?)?, page);
        set(&clone, word(address, page)?, page + 1)?;
    }
    let again = clone_of(&clone)?;
    drop(clone);
    for page in 0..20 {
        ensure_eq!(get(&again, word(address, page)?)?, page + 1);
    }
    Ok(())
}

/// Of four that come from each other, in each order.
fn clones_go_in_any_order() -> Verdict {
    for order in 0..24_u64 {
        let (space, address) = space_with_pages(2)?;
        let place = word(address, 0)?;
        let mut spaces = Vec::from([space]);
        for number in 1..4 {
            set(&spaces[number - 1], place, number as u64)?;
            spaces.push(clone_of(&spaces[number - 1])?);
        }
        set(&spaces[3], place, 4)?;
        let mut values = Vec::from([1, 2, 3, 4]);
        for (left, choice) in [(4, order % 4), (3, order / 4 % 3), (2, order / 12)] {
            ensure_eq!(spaces.len(), left);
            drop(spaces.remove(choice as usize));
            values.remove(choice as usize);
            for (space, value) in spaces.iter().zip(&values) {
                ensure_eq!((order, get(space, place)?), (order, *value));
            }
        }
    }
    Ok(())
}

fn pages_that_were_never_touched_are_cloned() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new_lazy(account(), 64 * PAGE)?;
    space.map(address, &segment, 0..64 * PAGE, Rights::READ_WRITE)?;
    let clone = clone_of(&space)?;
    set(&clone, word(address, 5)?, 5)?;
    ensure_eq!((get(&space, word(address, 5)?)?, get(&clone, word(address, 6)?)?), (0, 0));
    set(&space, word(address, 6)?, 6)?;
    ensure_eq!((get(&clone, word(address, 5)?)?, get(&clone, word(address, 6)?)?), (5, 0));
    ensure_eq!((get(&space, word(address, 5)?)?, get(&space, word(address, 6)?)?), (0, 6));
    Ok(())
}

fn large_pages_are_copied_by_small_ones() -> Verdict {
    let (space, address) = (program().new_space()?, 3 * SLOT);
    let segment = Segment::new(account(), 2 * LARGE)?;
    space.map(address, &segment, 0..2 * LARGE, Rights::READ_WRITE)?;
    let places = [0, 1, 511, 512, 700].map(|page| Place::<u64>::new(address + page * PAGE));
    for (value, place) in (1..).zip(places) {
        set(&space, place?, value)?;
    }
    let clone = clone_of(&space)?;
    set(&clone, places[1]?, 100)?;
    set(&space, places[3]?, 200)?;
    for (at, place) in places.into_iter().enumerate() {
        let (place, value) = (place?, 1 + at as u64);
        ensure_eq!((at, get(&clone, place)?), (at, if at == 1 { 100 } else { value }));
        ensure_eq!((at, get(&space, place)?), (at, if at == 3 { 200 } else { value }));
    }
    Ok(())
}

fn what_is_unmapped_in_one_stays_in_the_other() -> Verdict {
    let (space, address) = space_with_pages(9)?;
    set(&space, word(address, 4)?, 4)?;
    let clone = clone_of(&space)?;
    set(&clone, word(address, 3)?, 3)?;
    space.unmap(address..address + 9 * PAGE)?;
    ensure_eq!(reach(&space, address + 4 * PAGE)?, Rights::empty());
    ensure_eq!((get(&clone, word(address, 3)?)?, get(&clone, word(address, 4)?)?), (3, 4));
    // A part, of which a page was copied.
    clone.unmap(address + 3 * PAGE..address + 4 * PAGE)?;
    ensure_eq!(reach(&clone, address + 3 * PAGE)?, Rights::empty());
    ensure_eq!(get(&clone, word(address, 4)?)?, 4);
    refused(clone.unmap(address..address + 9 * PAGE), Error::NotMapped)?;
    Ok(())
}

fn what_is_mapped_later_is_in_one_only() -> Verdict {
    let (space, address) = space_with_pages(1)?;
    let clone = clone_of(&space)?;
    let segment = Segment::new(account(), PAGE)?;
    let later = address + 5 * PAGE;
    space.map(later, &segment, 0..PAGE, Rights::READ_WRITE)?;
    ensure_eq!(reach(&clone, later)?, Rights::empty());
    // It is no copy: the segment is written to.
    set(&space, Place::new(later)?, 6)?;
    let mut bytes = [0; 8];
    segment.read(0, &mut bytes)?;
    ensure_eq!(u64::from_le_bytes(bytes), 6);
    refused(clone.map(address, &segment, 0..PAGE, Rights::READ), Error::Overlap)?;
    clone.map(later, &segment, 0..PAGE, Rights::READ)?;
    ensure_eq!(get(&clone, Place::new(later)?)?, 6);
    set(&space, Place::new(later)?, 7)?;
    ensure_eq!(get(&clone, Place::new(later)?)?, 7);
    Ok(())
}

fn protection_changes_in_one_only() -> Verdict {
    let (space, address) = space_with_pages(6)?;
    set(&space, word(address, 2)?, 2)?;
    let clone = clone_of(&space)?;
    space.protect(address..address + 6 * PAGE, Rights::READ)?;
    let place = word(address, 2)?;
    ensure!(ends_in_fault(&space, move || place.set(0))?, "what is read-only could be written");
    set(&clone, place, 3)?;
    space.protect(address + 2 * PAGE..address + 3 * PAGE, Rights::READ_WRITE)?;
    set(&space, place, 4)?;
    ensure_eq!((get(&space, place)?, get(&clone, place)?), (4, 3));
    let next = word(address, 3)?;
    ensure!(ends_in_fault(&space, move || next.set(0))?, "what is read-only could be written");
    clone.protect(address..address + 6 * PAGE, Rights::READ)?;
    ensure!(ends_in_fault(&clone, move || place.set(0))?, "a page of one's own could be written though it may not");
    ensure_eq!(get(&clone, place)?, 3);
    Ok(())
}

fn what_may_only_be_read_may_only_be_read_in_the_clone() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new(account(), PAGE)?;
    space.map(address, &segment, 0..PAGE, Rights::READ)?;
    let clone = clone_of(&space)?;
    let place = Place::<u64>::new(address)?;
    ensure_eq!(get(&clone, place)?, 0);
    ensure!(ends_in_fault(&clone, move || place.set(0))?, "what is read-only could be written in a clone");
    refused(clone.write(address, &[1]), Error::BadAddress)?;
    Ok(())
}

fn code_can_be_run_in_a_clone() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new(account(), PAGE)?;
    segment.write(0, &conformance::Code::Return.bytes())?;
    space.map(address, &segment, 0..PAGE, Rights::READ_EXECUTE)?;
    let clone = clone_of(&space)?;
    ensure_eq!(reach(&clone, address)?, Rights::READ_EXECUTE);
    // Written once more in the clone, and run there.
    clone.protect(address..address + PAGE, Rights::READ_WRITE)?;
    clone.write(address, &conformance::Code::Return.bytes())?;
    clone.protect(address..address + PAGE, Rights::READ_EXECUTE)?;
    ensure_eq!((reach(&clone, address)?, reach(&space, address)?), (Rights::READ_EXECUTE, Rights::READ_EXECUTE));
    Ok(())
}

fn subtrees_stay_the_same_in_both() -> Verdict {
    let space = program().new_space()?;
    let shared = Shared::new(Level::Top, Rights::READ_WRITE)?;
    space.attach(spot(Level::Top), &shared.subtree, Rights::READ_WRITE)?;
    let clone = clone_of(&space)?;
    let place = word_at(spot(Level::Top))?;
    set(&clone, place, 5)?;
    ensure_eq!(get(&space, place)?, 5);
    set(&space, place, 6)?;
    ensure_eq!(get(&clone, place)?, 6);
    Ok(())
}

fn what_is_attached_later_is_in_one_only() -> Verdict {
    let space = program().new_space()?;
    let clone = clone_of(&space)?;
    let shared = Shared::new(Level::OneGib, Rights::READ)?;
    let at = spot(Level::OneGib);
    clone.attach(at, &shared.subtree, Rights::READ)?;
    ensure_eq!((reach(&space, at)?, clone.info()?.attachments), (Rights::empty(), space.info()?.attachments + 1));
    clone.detach(at)?;
    ensure_eq!(reach(&clone, at)?, Rights::empty());
    Ok(())
}

/// In the same table, which both have in common until then.
fn a_subtree_is_attached_beside_what_was_cloned() -> Verdict {
    let (space, address) = (program().new_space()?, 3 * SLOT);
    let segment = Segment::new(account(), 4 * PAGE)?;
    space.map(address, &segment, 0..4 * PAGE, Rights::READ_WRITE)?;
    set(&space, word(address, 1)?, 1)?;
    let clone = clone_of(&space)?;
    let (shared, at) = (Shared::new(Level::TwoMib, Rights::READ_WRITE)?, address + 4 * LARGE);
    clone.attach(at, &shared.subtree, Rights::READ_WRITE)?;
    set(&clone, word_at(at)?, 5)?;
    ensure_eq!((reach(&space, at)?, get(&clone, word(address, 1)?)?), (Rights::empty(), 1));
    set(&clone, word(address, 1)?, 2)?;
    ensure_eq!((get(&space, word(address, 1)?)?, get(&clone, word_at(at)?)?), (1, 5));
    refused(clone_of(&clone), Error::BadState)?;
    refused(clone.attach(address, &shared.subtree, Rights::READ), Error::Overlap)?;
    clone.detach(at)?;
    ensure_eq!(get(&clone_of(&clone)?, word(address, 1)?)?, 2);
    Ok(())
}

fn guests_in_a_clone_write_to_pages_of_its_own() -> Verdict {
    let mut scene = GuestScene::new(GUEST_STORES.0, GUEST_STORES.1)?;
    scene.data.write(0, &[1; 8])?;
    let clone = clone_of(&scene.space)?;
    let source = core::mem::replace(&mut scene.space, clone);
    for (address, value) in [(GUEST_DATA, 77), (GUEST_LAZY, 78)] {
        scene.context.set_instruction_pointer(GUEST_CODE);
        scene.context.set_arguments([address, value]);
        let end = scene.run()?;
        ensure!(matches!(end, End::Call(_)), "the guest came out as {end:?}");
        let mut bytes = [0; 8];
        scene.space.read(address, &mut bytes)?;
        ensure_eq!(u64::from_le_bytes(bytes), value);
    }
    let mut bytes = [0; 8];
    source.read(GUEST_DATA, &mut bytes)?;
    ensure_eq!(bytes, [1; 8]);
    source.read(GUEST_LAZY, &mut bytes)?;
    ensure_eq!(bytes, [0; 8]);
    Ok(())
}

fn a_subtree_withdrawn_is_gone_from_both() -> Verdict {
    let space = program().new_space()?;
    let shared = Shared::new(Level::Top, Rights::READ)?;
    space.attach(spot(Level::Top), &shared.subtree, Rights::READ)?;
    let clone = clone_of(&space)?;
    ensure_eq!(shared.subtree.info()?.sharers, 2);
    shared.subtree.withdraw()?;
    let at = spot(Level::Top);
    ensure_eq!((reach(&space, at)?, reach(&clone, at)?), (Rights::empty(), Rights::empty()));
    Ok(())
}

fn views_follow_the_space_that_they_are_of() -> Verdict {
    let (space, address) = space_with_pages(3)?;
    let place = word(address, 1)?;
    let before = View::new(account(), &space, Rights::READ_WRITE)?;
    set(&space, place, 1)?;
    let clone = clone_of(&space)?;
    let of_clone = View::new(account(), &clone, Rights::READ)?;
    before.enter(|| place.set(2))?;
    ensure_eq!((get(&space, place)?, get(&clone, place)?), (2, 1));
    ensure_eq!(of_clone.enter(|| place.get())?, 1);
    set(&clone, place, 3)?;
    ensure_eq!((of_clone.enter(|| place.get())?, before.enter(|| place.get())?), (3, 2));
    ensure!(ends_in_fault(&of_clone, move || place.set(0))?, "a read-only view of a clone could be written");
    Ok(())
}

fn a_clone_of_a_local_space_is_local() -> Verdict {
    let space = Space::new_local(account(), 0)?;
    let clone = clone_of(&space)?;
    ensure_eq!((space.info()?.local_to, clone.info()?.local_to), (1, 1));
    Ok(())
}

fn threads_run_in_a_clone() -> Verdict {
    let (space, address) = space_with_pages(2)?;
    let place = word(address, 0)?;
    set(&space, place, 10)?;
    let clone = clone_of(&space)?;
    let thread = thread::Builder::new().space(&clone).spawn(move || {
        place.set(place.get() + 1);
        place.get()
    })?;
    ensure_eq!(thread.join()?, 11);
    ensure_eq!((get(&clone, place)?, get(&space, place)?), (11, 10));
    Ok(())
}

fn who_is_inside_when_it_is_cloned_goes_on() -> Verdict {
    let (space, address) = space_with_pages(2)?;
    let place = word(address, 0)?;
    let clone = space.enter(|| {
        place.set(1);
        let clone = clone_of(&space);
        place.set(2);
        clone
    })??;
    ensure_eq!((get(&space, place)?, get(&clone, place)?), (2, 1));
    Ok(())
}

fn memory_calls_copy_as_stores_do() -> Verdict {
    let (space, address) = space_with_pages(4)?;
    space.write(address, &[7; 3 * PAGE as usize])?;
    let clone = clone_of(&space)?;
    // Over an end of a page.
    clone.write(address + PAGE - 2, &[1, 2, 3, 4])?;
    let mut bytes = [0; 6];
    clone.read(address + PAGE - 3, &mut bytes)?;
    ensure_eq!(bytes, [7, 1, 2, 3, 4, 7]);
    space.read(address + PAGE - 3, &mut bytes)?;
    ensure_eq!(bytes, [7; 6]);
    Ok(())
}

fn reading_copies_nothing() -> Verdict {
    let (space, address) = space_with_pages(64)?;
    for page in 0..64 {
        set(&space, word(address, page)?, page)?;
    }
    let clone = clone_of(&space)?;
    let before = available()?;
    for page in 0..64 {
        ensure_eq!((get(&clone, word(address, page)?)?, get(&space, word(address, page)?)?), (page, page));
    }
    ensure!(available()? >= before, "reading took {} bytes", before - available()?);
    Ok(())
}

fn cloning_takes_no_memory_for_pages() -> Verdict {
    let (space, _) = space_with_pages(256)?;
    let machine = program().machine().ok_or(Error::MissingRight)?;
    let (free, left) = (machine.info()?.free_bytes, available()?);
    let clone = clone_of(&space)?;
    let taken = (free - machine.info()?.free_bytes) / PAGE;
    ensure!(taken <= 16, "a clone of 256 pages took {taken} frames");
    ensure!(left - available()? < 32 * PAGE, "and was charged with {} bytes", left - available()?);
    drop(clone);
    ensure_eq!(available()?, left);
    Ok(())
}

fn a_write_costs_a_page() -> Verdict {
    let (space, address) = space_with_pages(40)?;
    let clone = clone_of(&space)?;
    set(&clone, word(address, 0)?, 1)?;
    let before = available()?;
    set(&clone, word(address, 1)?, 1)?;
    let cost = before - available()?;
    ensure!((PAGE..PAGE + 512).contains(&cost), "a write cost {cost} bytes");
    set(&clone, word(address, 1)?, 2)?;
    ensure_eq!(before - available()?, cost);
    clone.unmap(address + PAGE..address + 2 * PAGE)?;
    ensure!(before - available()? < PAGE, "a page that was unmapped is charged still");
    Ok(())
}

fn snapshots_are_gone_back_to() -> Verdict {
    let (mut space, address) = space_with_pages(3)?;
    let place = word(address, 1)?;
    set(&space, place, 1)?;
    let snapshot = Snapshot::take(account(), &space)?;
    set(&space, place, 2)?;
    space.unmap(address..address + PAGE)?;
    snapshot.roll_back(account(), &mut space)?;
    ensure_eq!((get(&space, place)?, reach(&space, address)?), (1, Rights::READ_WRITE));
    set(&space, place, 3)?;
    snapshot.roll_back(account(), &mut space)?;
    ensure_eq!(get(&space, place)?, 1);
    Ok(())
}

fn several_snapshots_are_kept() -> Verdict {
    let (mut space, address) = space_with_pages(10)?;
    let mut kept = Vec::new();
    for number in 0..10 {
        set(&space, word(address, number)?, number + 1)?;
        kept.push(Snapshot::take(account(), &space)?);
    }
    for number in [3, 9, 0, 5] {
        kept[number as usize].roll_back(account(), &mut space)?;
        for page in 0..10 {
            let expected = if page <= number { page + 1 } else { 0 };
            ensure_eq!((number, page, get(&space, word(address, page)?)?), (number, page, expected));
        }
        set(&space, word(address, 0)?, 99)?;
    }
    Ok(())
}

fn rolling_back_a_thousand_times_takes_nothing() -> Verdict {
    let (mut space, address) = space_with_pages(20)?;
    let place = word(address, 11)?;
    set(&space, place, 1)?;
    let snapshot = Snapshot::take(account(), &space)?;
    let mut cycle = |value: u64| {
        set(&space, place, value)?;
        set(&space, word(address, value % 20)?, value)?;
        snapshot.roll_back(account(), &mut space)
    };
    (0..8).try_for_each(&mut cycle)?;
    let (before, left) = (Census::take()?, available()?);
    (0..1000).try_for_each(&mut cycle)?;
    ensure_eq!(available()?, left);
    ensure!(Census::take()? == before, "a thousand times took something");
    ensure_eq!(get(&space, place)?, 1);
    Ok(())
}

fn clones_leave_nothing() -> Verdict {
    leaves_nothing(60, |cycle| {
        let (space, address) = space_with_pages(12)?;
        let clone = clone_of(&space)?;
        set(&clone, word(address, cycle % 12)?, 1)?;
        let again = clone_of(&clone)?;
        set(&space, word(address, 1)?, 1)?;
        set(&again, word(address, cycle % 12)?, 2)?;
        clone.unmap(address..address + 6 * PAGE)?;
        again.protect(address..address + 12 * PAGE, Rights::READ)?;
        if cycle % 2 == 0 {
            drop(space);
        }
        Ok::<_, Error>(())
    })
}
