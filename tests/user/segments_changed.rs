//! Segments that change: made longer, and pages given back.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::cloned::{get, set, word};
use conformance::{
    Claim, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq, fresh_address, leaves_nothing, refused, run,
    spot, the_kernel_passes_its_own_checks,
};
use libvas::{
    Account, Cap, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, View,
    program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_longer_segment_keeps_what_it_had),
        claim!(what_is_new_gets_memory_on_first_touch),
        claim!(a_segment_grows_from_a_page_to_a_gigabyte),
        claim!(a_mapping_does_not_grow_with_its_segment),
        claim!(growing_to_the_same_length_changes_nothing),
        claim!(bad_lengths_are_refused),
        claim!(growing_needs_its_right),
        claim!(who_cannot_pay_does_not_grow),
        claim!(a_lockable_segment_does_not_grow),
        claim!(discarded_pages_read_as_zeros),
        claim!(discarded_memory_is_paid_back),
        claim!(an_eager_segment_is_lazy_where_it_was_discarded),
        claim!(pages_go_wherever_they_are_mapped),
        claim!(pages_go_from_subtrees_and_views),
        claim!(pages_go_from_the_middle_of_large_ones),
        claim!(a_page_that_is_gone_is_not_held_by_who_is_inside),
        claim!(what_others_paid_for_is_paid_back_to_them),
        claim!(a_mapping_that_is_not_known_keeps_its_pages),
        claim!(a_page_with_a_guest_stays),
        claim!(too_many_mappings_of_a_page_are_refused),
        claim!(discarding_needs_its_right),
        claim!(ranges_beyond_the_segment_are_refused),
        claim!(a_large_segment_is_discarded_in_steps),
        claim!(clones_lose_what_they_have_not_copied),
        claim!(changed_segments_leave_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("segments_changed", CLAIMS)
}

const MIB: u64 = 1 << 20;

fn account() -> &'static Cap<Account> {
    program().account()
}

/// A space that shows a segment, all of it, to be written.
fn shown(segment: &Cap<Segment>) -> Result<(Cap<Space>, u64), Error> {
    let (space, address) = (program().new_space()?, fresh_address().next_multiple_of(2 * MIB));
    let length_bytes = segment.info()?.length_bytes;
    space.map(address, segment, 0..length_bytes, Rights::READ_WRITE)?;
    Ok((space, address))
}

fn populated(segment: &Cap<Segment>) -> Result<u64, Error> {
    Ok(segment.info()?.populated_bytes / PAGE)
}

fn a_longer_segment_keeps_what_it_had() -> Verdict {
    for make in [Segment::new, Segment::new_lazy, Segment::new_discardable] {
        for (had, has) in [(1, 2), (3, 700), (512, 513), (600, 1600)] {
            let segment = make(account(), had * PAGE)?;
            let (space, address) = shown(&segment)?;
            set(&space, word(address, 0)?, 1)?;
            set(&space, word(address, had - 1)?, 2)?;
            ensure_eq!(segment.grow(has * PAGE)?, had * PAGE);
            let (longer, there) = shown(&segment)?;
            ensure_eq!(get(&longer, word(there, had - 1)?)?, 2);
            ensure_eq!(get(&longer, word(there, had)?)?, 0);
            set(&longer, word(there, has - 1)?, 3)?;
            set(&longer, word(there, had - 1)?, 4)?;
            ensure_eq!(get(&space, word(address, had - 1)?)?, 4);
        }
    }
    Ok(())
}

fn what_is_new_gets_memory_on_first_touch() -> Verdict {
    let segment = Segment::new(account(), 4 * PAGE)?;
    let before = account().available_bytes()?;
    segment.grow(40 * PAGE)?;
    ensure!(before - account().available_bytes()? < PAGE, "what nobody has touched costs memory");
    ensure_eq!(populated(&segment)?, 4);
    let (space, address) = shown(&segment)?;
    set(&space, word(address, 30)?, 1)?;
    ensure_eq!(populated(&segment)?, 5);
    Ok(())
}

fn a_segment_grows_from_a_page_to_a_gigabyte() -> Verdict {
    let segment = Segment::new_lazy(account(), PAGE)?;
    let lengths = [2, 511, 512, 513, 5000, 65_536, 65_537, 262_144].map(|pages| pages * PAGE);
    for (number, length_bytes) in lengths.into_iter().enumerate() {
        segment.grow(length_bytes)?;
        let (space, address) = (program().new_space()?, fresh_address());
        space.map(address, &segment, length_bytes - PAGE..length_bytes, Rights::READ_WRITE)?;
        set(&space, word(address, 0)?, number as u64 + 1)?;
    }
    for (number, length_bytes) in lengths.into_iter().enumerate() {
        let (space, address) = (program().new_space()?, fresh_address());
        space.map(address, &segment, length_bytes - PAGE..length_bytes, Rights::READ)?;
        ensure_eq!(get(&space, word(address, 0)?)?, number as u64 + 1);
    }
    ensure_eq!(populated(&segment)?, lengths.len() as u64);
    Ok(())
}

fn a_mapping_does_not_grow_with_its_segment() -> Verdict {
    let segment = Segment::new(account(), PAGE)?;
    let (space, address) = shown(&segment)?;
    segment.grow(2 * PAGE)?;
    let place = word(address, 1)?;
    ensure!(ends_in_fault(&space, move || place.get())?, "a mapping has become longer");
    space.map(address + PAGE, &segment, PAGE..2 * PAGE, Rights::READ_WRITE)?;
    set(&space, place, 1)?;
    Ok(())
}

fn growing_to_the_same_length_changes_nothing() -> Verdict {
    let segment = Segment::new(account(), 3 * PAGE)?;
    let (before, used) = (segment.info()?, account().info()?);
    ensure_eq!(segment.grow(3 * PAGE)?, 3 * PAGE);
    ensure_eq!((segment.info()?, account().info()?), (before, used));
    Ok(())
}

fn bad_lengths_are_refused() -> Verdict {
    let segment = Segment::new(account(), 3 * PAGE)?;
    refused(segment.grow(2 * PAGE), Error::BadArgument)?;
    refused(segment.grow(0), Error::BadArgument)?;
    refused(segment.grow(4 * PAGE + 1), Error::Misaligned)?;
    refused(segment.grow((1 << 40) + PAGE), Error::BadArgument)?;
    refused(segment.grow(u64::MAX - PAGE + 1), Error::BadArgument)?;
    ensure_eq!(segment.info()?.length_bytes, 3 * PAGE);
    Ok(())
}

fn growing_needs_its_right() -> Verdict {
    let segment = Segment::new(account(), PAGE)?;
    refused(segment.derive(Rights::all() - Rights::CONTROL, 0)?.grow(2 * PAGE), Error::MissingRight)?;
    let words = [program().space().handle().bits(), PAGE, 0, 0, 0, 0];
    refused(attempt(number::segment_grow, words), Error::WrongObject)
}

fn who_cannot_pay_does_not_grow() -> Verdict {
    let poor = account().split(20 * PAGE)?;
    let segment = Segment::new(&poor, 15 * PAGE)?;
    refused(segment.grow(200 << 20), Error::AccountExhausted)?;
    ensure_eq!(segment.info()?.length_bytes, 15 * PAGE);
    let (space, address) = shown(&segment)?;
    set(&space, word(address, 14)?, 1)?;
    Ok(())
}

fn a_lockable_segment_does_not_grow() -> Verdict {
    refused(Segment::new_lockable(account(), PAGE)?.grow(2 * PAGE), Error::BadState)
}

fn discarded_pages_read_as_zeros() -> Verdict {
    for make in [Segment::new_discardable, Segment::new_discardable_lazy] {
        let segment = make(account(), 8 * PAGE)?;
        let (space, address) = shown(&segment)?;
        for page in 0..8 {
            set(&space, word(address, page)?, page + 1)?;
        }
        segment.discard(2 * PAGE..5 * PAGE)?;
        ensure_eq!(populated(&segment)?, 5);
        for page in 0..8 {
            let expected = if (2..5).contains(&page) { 0 } else { page + 1 };
            ensure_eq!(get(&space, word(address, page)?)?, expected);
        }
        set(&space, word(address, 3)?, 9)?;
        ensure_eq!(get(&space, word(address, 3)?)?, 9);
        // Again, also where nothing is any more.
        segment.discard(0..8 * PAGE)?;
        segment.discard(0..8 * PAGE)?;
        ensure_eq!((populated(&segment)?, get(&space, word(address, 3)?)?), (0, 0));
    }
    Ok(())
}

fn discarded_memory_is_paid_back() -> Verdict {
    let segment = Segment::new_discardable_lazy(account(), 100 * PAGE)?;
    let (space, address) = shown(&segment)?;
    set(&space, word(address, 0)?, 1)?;
    let before = account().available_bytes()?;
    for page in 1..100 {
        set(&space, word(address, page)?, page)?;
    }
    ensure_eq!(before - account().available_bytes()?, 99 * PAGE);
    segment.discard(PAGE..100 * PAGE)?;
    ensure_eq!(account().available_bytes()?, before);
    Ok(())
}

fn an_eager_segment_is_lazy_where_it_was_discarded() -> Verdict {
    let segment = Segment::new_discardable(account(), 600 * PAGE)?;
    let before = account().available_bytes()?;
    segment.discard(10 * PAGE..20 * PAGE)?;
    let given = account().available_bytes()? - before;
    ensure!((9 * PAGE..=10 * PAGE).contains(&given), "ten pages give {given} bytes back");
    let (space, address) = shown(&segment)?;
    let before = account().available_bytes()?;
    set(&space, word(address, 15)?, 1)?;
    ensure_eq!(before - account().available_bytes()?, PAGE);
    ensure_eq!(populated(&segment)?, 591);
    Ok(())
}

fn pages_go_wherever_they_are_mapped() -> Verdict {
    let segment = Segment::new_discardable(account(), 4 * PAGE)?;
    let derived = segment.derive(Rights::READ_WRITE, 0)?;
    let spaces = [shown(&segment)?, shown(&segment)?, {
        let (space, address) = (program().new_space()?, fresh_address());
        space.map(address, &derived, 0..4 * PAGE, Rights::READ_WRITE)?;
        // Twice in one space, in another order.
        space.map(address + 8 * PAGE, &segment, 2 * PAGE..4 * PAGE, Rights::READ)?;
        (space, address)
    }];
    for page in 0..4 {
        set(&spaces[0].0, word(spaces[0].1, page)?, page + 1)?;
        for (space, address) in &spaces {
            ensure_eq!(get(space, word(*address, page)?)?, page + 1);
        }
    }
    segment.discard(2 * PAGE..3 * PAGE)?;
    for (space, address) in &spaces {
        ensure_eq!((get(space, word(*address, 2)?)?, get(space, word(*address, 3)?)?), (0, 4));
    }
    let (space, address) = &spaces[2];
    ensure_eq!((get(space, word(*address, 8)?)?, get(space, word(*address, 9)?)?), (0, 4));
    set(&spaces[1].0, word(spaces[1].1, 2)?, 7)?;
    ensure_eq!(get(space, word(*address, 8)?)?, 7);
    Ok(())
}

fn pages_go_from_subtrees_and_views() -> Verdict {
    let segment = Segment::new_discardable(account(), 4 * PAGE)?;
    let (subtree, within) = (Subtree::with_level(account(), Level::Top)?, 1 << 30);
    subtree.map(within, &segment, 0..4 * PAGE, Rights::READ_WRITE)?;
    let start = spot(Level::Top);
    let spaces = [program().new_space()?, program().new_space()?];
    for space in &spaces {
        space.attach(start, &subtree, Rights::READ_WRITE)?;
    }
    let view = View::new(account(), &spaces[0], Rights::READ)?;
    let place = word(start + within, 1)?;
    set(&spaces[0], place, 5)?;
    ensure_eq!((get(&spaces[1], place)?, view.enter(|| place.get())?), (5, 5));
    segment.discard(0..4 * PAGE)?;
    ensure_eq!((get(&spaces[1], place)?, view.enter(|| place.get())?), (0, 0));
    set(&spaces[1], place, 6)?;
    ensure_eq!((get(&spaces[0], place)?, view.enter(|| place.get())?), (6, 6));
    ensure!(start.is_multiple_of(SLOT), "it is attached at the top level");
    Ok(())
}

fn pages_go_from_the_middle_of_large_ones() -> Verdict {
    let segment = Segment::new_discardable(account(), 4 * MIB)?;
    let (space, address) = shown(&segment)?;
    for page in [0, 99, 100, 101, 511, 512, 1023] {
        set(&space, word(address, page)?, page + 1)?;
    }
    segment.discard(100 * PAGE..101 * PAGE)?;
    for page in [0, 99, 101, 511, 512, 1023] {
        ensure_eq!(get(&space, word(address, page)?)?, page + 1);
    }
    ensure_eq!(get(&space, word(address, 100)?)?, 0);
    segment.discard(500 * PAGE..1024 * PAGE)?;
    ensure_eq!((get(&space, word(address, 499)?)?, get(&space, word(address, 512)?)?), (0, 0));
    ensure_eq!(get(&space, word(address, 101)?)?, 102);
    Ok(())
}

fn a_page_that_is_gone_is_not_held_by_who_is_inside() -> Verdict {
    let segment = Segment::new_discardable(account(), 2 * PAGE)?;
    let (space, address) = shown(&segment)?;
    let place = word(address, 1)?;
    let seen = space.enter(|| {
        place.set(3);
        let before = place.get();
        segment.discard(PAGE..2 * PAGE).map(|()| (before, place.get()))
    })??;
    ensure_eq!(seen, (3, 0));
    Ok(())
}

fn what_others_paid_for_is_paid_back_to_them() -> Verdict {
    let (reader, owner) = (account().split(MIB)?, account().split(MIB)?);
    let segment = Segment::new_discardable_lazy(&owner, 8 * PAGE)?;
    let (space, address) = (Space::new(&reader)?, fresh_address());
    space.attach(0, program().subtree(), Rights::ACCESS)?;
    space.map(address, &segment.derive(Rights::READ, 0)?, 0..8 * PAGE, Rights::READ)?;
    get(&space, word(address, 0)?)?;
    let (before, owners) = (reader.available_bytes()?, owner.available_bytes()?);
    for page in 1..4 {
        get(&space, word(address, page)?)?;
    }
    ensure_eq!((before - reader.available_bytes()?, owner.available_bytes()?), (3 * PAGE, owners));
    segment.discard(PAGE..4 * PAGE)?;
    ensure_eq!((reader.available_bytes()?, owner.available_bytes()?), (before, owners));
    ensure_eq!(populated(&segment)?, 1);
    Ok(())
}

fn a_mapping_that_is_not_known_keeps_its_pages() -> Verdict {
    let segment = Segment::new(account(), 2 * PAGE)?;
    segment.discard(0..PAGE)?;
    let (space, address) = shown(&segment)?;
    set(&space, word(address, 1)?, 4)?;
    refused(segment.discard(0..PAGE), Error::BadState)?;
    refused(segment.discard(PAGE..2 * PAGE), Error::BadState)?;
    ensure_eq!(get(&space, word(address, 1)?)?, 4);
    space.unmap(address..address + 2 * PAGE)?;
    // What is mapped through a derived capability is known.
    let derived = segment.derive(Rights::READ_WRITE, 0)?;
    space.map(address, &derived, 0..2 * PAGE, Rights::READ_WRITE)?;
    segment.discard(PAGE..2 * PAGE)?;
    ensure_eq!(get(&space, word(address, 1)?)?, 0);
    Ok(())
}

fn a_page_with_a_guest_stays() -> Verdict {
    let segment = Segment::new_discardable(account(), 3 * PAGE)?;
    let guest = Cap::new_guest(account(), &segment, PAGE)?;
    refused(segment.discard(0..3 * PAGE), Error::BadState)?;
    refused(segment.discard(PAGE..2 * PAGE), Error::BadState)?;
    segment.discard(0..PAGE)?;
    segment.discard(2 * PAGE..3 * PAGE)?;
    ensure_eq!(populated(&segment)?, 1);
    drop(guest);
    segment.discard(0..3 * PAGE)?;
    ensure_eq!(populated(&segment)?, 0);
    Ok(())
}

fn too_many_mappings_of_a_page_are_refused() -> Verdict {
    let segment = Segment::new_discardable(account(), 20 * PAGE)?;
    let (space, address) = shown(&segment)?;
    for number in 1..16 {
        space.map(address + number * 32 * PAGE, &segment, 3 * PAGE..4 * PAGE, Rights::READ_WRITE)?;
    }
    set(&space, word(address, 3)?, 8)?;
    ensure_eq!(get(&space, word(address, 64)?)?, 8);
    segment.discard(0..20 * PAGE)?;
    ensure_eq!((get(&space, word(address, 3)?)?, get(&space, word(address, 15 * 32)?)?), (0, 0));
    space.map(address + 16 * 32 * PAGE, &segment, 3 * PAGE..4 * PAGE, Rights::READ_WRITE)?;
    set(&space, word(address, 3)?, 9)?;
    refused(segment.discard(3 * PAGE..4 * PAGE), Error::LimitReached)?;
    ensure_eq!(get(&space, word(address, 64)?)?, 9);
    segment.discard(4 * PAGE..20 * PAGE)?;
    // So are too many capabilities.
    let many = (0..300).map(|badge| segment.derive(Rights::READ, badge)).collect::<Result<Vec<_>, _>>()?;
    refused(segment.discard(5 * PAGE..6 * PAGE), Error::LimitReached)?;
    drop(many);
    segment.discard(5 * PAGE..6 * PAGE)?;
    Ok(())
}

fn discarding_needs_its_right() -> Verdict {
    let segment = Segment::new_discardable(account(), PAGE)?;
    refused(segment.derive(Rights::all() - Rights::WRITE, 0)?.discard(0..PAGE), Error::MissingRight)?;
    segment.derive(Rights::WRITE, 0)?.discard(0..PAGE)?;
    let words = [account().handle().bits(), 0, PAGE, 0, 0, 0];
    refused(attempt(number::segment_discard, words), Error::WrongObject)
}

fn ranges_beyond_the_segment_are_refused() -> Verdict {
    let segment = Segment::new_discardable(account(), 2 * PAGE)?;
    refused(segment.discard(0..3 * PAGE), Error::BadArgument)?;
    refused(segment.discard(2 * PAGE..3 * PAGE), Error::BadArgument)?;
    refused(segment.discard(PAGE..PAGE), Error::BadArgument)?;
    refused(segment.discard(1..PAGE), Error::Misaligned)?;
    refused(segment.discard(0..PAGE + 8), Error::Misaligned)?;
    let words = [segment.handle().bits(), 1 << 63, 1 << 63, 0, 0, 0];
    refused(attempt(number::segment_discard, words), Error::BadArgument)?;
    ensure_eq!(populated(&segment)?, 2);
    Ok(())
}

fn a_large_segment_is_discarded_in_steps() -> Verdict {
    let before = account().available_bytes()?;
    let segment = Segment::new_discardable(account(), 24 * MIB)?;
    let (space, address) = shown(&segment)?;
    for page in (0..24 * 256).step_by(100) {
        set(&space, word(address, page)?, 1)?;
    }
    segment.discard(PAGE..24 * MIB)?;
    ensure_eq!(populated(&segment)?, 1);
    ensure!(before - account().available_bytes()? < MIB, "what was discarded is paid for still");
    for page in (0..24 * 256).step_by(100) {
        ensure_eq!(get(&space, word(address, page)?)?, u64::from(page == 0));
    }
    Ok(())
}

fn clones_lose_what_they_have_not_copied() -> Verdict {
    let segment = Segment::new_discardable(account(), 20 * PAGE)?;
    let (space, address) = shown(&segment)?;
    for page in 0..20 {
        set(&space, word(address, page)?, 1)?;
    }
    let clones = [Space::clone_of(account(), &space)?, Space::clone_of(account(), &space)?];
    for page in 0..20 {
        ensure_eq!((get(&clones[0], word(address, page)?)?, get(&clones[1], word(address, page)?)?), (1, 1));
    }
    set(&clones[0], word(address, 3)?, 2)?;
    set(&space, word(address, 4)?, 3)?;
    segment.discard(2 * PAGE..6 * PAGE)?;
    for (page, expected) in [(2, [0, 0, 0]), (3, [0, 2, 0]), (4, [3, 0, 0]), (5, [0, 0, 0]), (6, [1, 1, 1])] {
        let place = word(address, page)?;
        ensure_eq!([get(&space, place)?, get(&clones[0], place)?, get(&clones[1], place)?], expected);
    }
    drop(clones);
    ensure_eq!(get(&space, word(address, 4)?)?, 3);
    segment.discard(0..20 * PAGE)?;
    Ok(())
}

fn changed_segments_leave_nothing() -> Verdict {
    leaves_nothing(20, |cycle| {
        let segment = Segment::new_discardable(account(), 3 * PAGE)?;
        let (space, address) = shown(&segment)?;
        segment.grow((600 + cycle * 10) * PAGE)?;
        space.map(address + 16 * MIB, &segment, 0..600 * PAGE, Rights::READ_WRITE)?;
        for page in 0..40 {
            set(&space, word(address + 16 * MIB, page * 15)?, 1)?;
        }
        segment.discard(cycle * 7 * PAGE..500 * PAGE)?;
        set(&space, word(address + 16 * MIB, 100)?, 1)?;
        Ok::<(), Error>(())
    })
}
