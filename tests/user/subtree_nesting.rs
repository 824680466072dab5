//! Nesting: subtrees attached in subtrees of a higher level, one inside another and no deeper.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, LEVELS, Shared, Snapshot, Verdict, attempt, claim, counted, ensure, ensure_eq, reach, reach_page,
    refused, run, spot, the_kernel_passes_its_own_checks, word_at,
};
use libvas::{
    Cap, Error, Level, ObjectKind, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_subtree_in_a_subtree_shows_in_every_space),
        claim!(entries_are_counted_where_they_are),
        claim!(no_subtree_goes_into_one_that_is_not_larger),
        claim!(what_holds_a_subtree_goes_into_none),
        claim!(what_lies_in_a_subtree_takes_none),
        claim!(depth_counts_as_it_is_now),
        claim!(bounds_of_both_entries_hold),
        claim!(what_is_attached_below_is_seen_by_all_spaces_at_once),
        claim!(a_change_inside_reaches_all_through_all_outer_ones),
        claim!(tables_on_the_way_are_the_outer_subtree_s),
        claim!(attaching_in_a_subtree_meets_its_mappings),
        claim!(places_in_a_subtree_are_within_it),
        claim!(windows_lie_at_the_top_level_of_a_space_only),
        claim!(core_windows_take_the_top_level_only),
        claim!(the_list_of_a_subtree_tells_what_is_attached_in_it),
        claim!(an_outer_subtree_keeps_its_inner_ones),
        claim!(a_change_of_what_is_seen_512_times_512_times_costs_one_flush),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("subtree_nesting", CLAIMS)
}

const GIB: u64 = 1 << 30;
const LARGE: u64 = 2 << 20;

/// Each pair of levels of which one can be attached in the other: outer, inner, and an offset in the outer one.
const PAIRS: [(Level, Level, u64); 3] = [
    (Level::Top, Level::OneGib, 9 * GIB),
    (Level::Top, Level::TwoMib, 9 * GIB + 5 * LARGE),
    (Level::OneGib, Level::TwoMib, 5 * LARGE),
];

fn subtree(level: Level) -> Result<Cap<Subtree>, Error> {
    Subtree::with_level(program().account(), level)
}

/// A space with the program that has a subtree at the spot of its level.
fn space_with(outer: &Cap<Subtree>, level: Level, bounds: Rights) -> Result<Cap<Space>, Error> {
    let space = program().new_space()?;
    space.attach(spot(level), outer, bounds)?;
    Ok(space)
}

/// What is in the inner subtree is read and written through every space that has the outer one, and in no other.
fn a_subtree_in_a_subtree_shows_in_every_space() -> Verdict {
    for (outer_level, inner_level, offset) in PAIRS {
        let (outer, inner) = (subtree(outer_level)?, Shared::new(inner_level, Rights::READ_WRITE)?);
        outer.attach(offset, &inner.subtree, Rights::READ_WRITE)?;
        let spaces = [(); 2].map(|()| space_with(&outer, outer_level, Rights::READ_WRITE));
        let word = word_at(spot(outer_level) + offset)?;
        for (index, space) in spaces.iter().enumerate() {
            let space = space.as_ref().map_err(|error| *error)?;
            ensure_eq!((offset, space.enter(|| word.get())?), (offset, index as u64));
            space.enter(|| word.set(index as u64 + 1))?;
            let mut bytes = [0; 8];
            space.read(word.address(), &mut bytes)?;
            ensure_eq!(u64::from_le_bytes(bytes), index as u64 + 1);
        }
        ensure_eq!(reach_page(&program().new_space()?, spot(outer_level) + offset)?, Rights::empty());
    }
    Ok(())
}

/// A subtree counts the entries that hold it, not the spaces behind them; and what is attached in it.
fn entries_are_counted_where_they_are() -> Verdict {
    let (outer, inner) = (subtree(Level::Top)?, Shared::new(Level::OneGib, Rights::READ)?);
    outer.attach(GIB, &inner.subtree, Rights::READ)?;
    outer.attach(3 * GIB, &inner.subtree, Rights::READ)?;
    let spaces = [space_with(&outer, Level::Top, Rights::READ)?, space_with(&outer, Level::Top, Rights::READ)?];
    let counts =
        || Ok::<_, Error>([&outer, &inner.subtree].map(|subtree| subtree.info().map(|i| (i.sharers, i.attachments))));
    ensure_eq!(counts()?, [Ok((2, 2)), Ok((2, 0))]);
    ensure_eq!(spaces[0].info()?.attachments, 2);
    spaces[0].attach(spot(Level::OneGib), &inner.subtree, Rights::READ)?;
    outer.detach(GIB)?;
    ensure_eq!(counts()?, [Ok((2, 1)), Ok((2, 0))]);
    drop(spaces);
    ensure_eq!(counts()?, [Ok((0, 1)), Ok((1, 0))]);
    Ok(())
}

/// A subtree is attached neither to itself, nor to another of its level or a lower one; so there is no circle.
fn no_subtree_goes_into_one_that_is_not_larger() -> Verdict {
    let subtrees = LEVELS.map(|level| [subtree(level), subtree(level)]);
    for (large, targets) in subtrees.iter().enumerate() {
        for target in targets.iter().flatten() {
            for moved in subtrees[..=large].iter().flatten().flatten() {
                let before = (Snapshot::of_subtree(target)?, Snapshot::of_subtree(moved)?);
                refused(target.attach(0, moved, Rights::READ), Error::WrongLevel)?;
                refused(target.attach(moved.info()?.size_bytes, moved, Rights::READ), Error::WrongLevel)?;
                ensure_eq!((Snapshot::of_subtree(target)?, Snapshot::of_subtree(moved)?), before);
            }
        }
    }
    ensure_eq!(subtrees.iter().flatten().flatten().count(), 6);
    Ok(())
}

/// A subtree of 1 GiB with one of 2 MiB in it goes to spaces, but into no top-level subtree.
fn what_holds_a_subtree_goes_into_none() -> Verdict {
    let (top, gib, small) = (subtree(Level::Top)?, subtree(Level::OneGib)?, subtree(Level::TwoMib)?);
    gib.attach(0, &small, Rights::READ)?;
    let before = [&top, &gib, &small].map(Snapshot::of_subtree);
    refused(top.attach(GIB, &gib, Rights::READ), Error::TooDeep)?;
    ensure_eq!([&top, &gib, &small].map(Snapshot::of_subtree), before);
    Space::new(program().account())?.attach(GIB, &gib, Rights::READ)?;
    Ok(())
}

/// A subtree that lies in another takes no third, wherever else it is attached; beside it there is room.
fn what_lies_in_a_subtree_takes_none() -> Verdict {
    let (top, gib, small) = (subtree(Level::Top)?, subtree(Level::OneGib)?, subtree(Level::TwoMib)?);
    let space = Space::new(program().account())?;
    space.attach(spot(Level::OneGib), &gib, Rights::READ)?;
    top.attach(GIB, &gib, Rights::READ)?;
    let before = [&top, &gib, &small].map(Snapshot::of_subtree);
    refused(gib.attach(LARGE, &small, Rights::READ), Error::TooDeep)?;
    ensure_eq!([&top, &gib, &small].map(Snapshot::of_subtree), before);
    top.attach(2 * GIB, &small, Rights::READ)?;
    space.attach(spot(Level::TwoMib), &small, Rights::READ)?;
    Ok(())
}

/// What was too deep is accepted once there is less above or below, and the other way round.
fn depth_counts_as_it_is_now() -> Verdict {
    let (top, gib, small) = (subtree(Level::Top)?, subtree(Level::OneGib)?, subtree(Level::TwoMib)?);
    for _ in 0..2 {
        gib.attach(LARGE, &small, Rights::READ)?;
        refused(top.attach(GIB, &gib, Rights::READ), Error::TooDeep)?;
        gib.detach(LARGE)?;
        top.attach(GIB, &gib, Rights::READ)?;
        refused(gib.attach(LARGE, &small, Rights::READ), Error::TooDeep)?;
        top.detach(GIB)?;
    }
    top.attach(GIB, &gib, Rights::READ)?;
    drop(top);
    gib.attach(LARGE, &small, Rights::READ)?;
    Ok(())
}

/// A thread can do what the mapping, the inner entry and the outer entry all allow, and nothing else.
fn bounds_of_both_entries_hold() -> Verdict {
    const BOUNDS: [Rights; 4] = [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::ACCESS];
    for mapped in [Rights::READ_WRITE, Rights::READ_EXECUTE] {
        for combination in 0..16 {
            // All combinations, and each pair of levels in turn.
            let (outer_bounds, inner_bounds) = (BOUNDS[combination / 4], BOUNDS[combination % 4]);
            let (outer_level, inner_level, offset) = PAIRS[combination % 3];
            let (outer, inner) = (subtree(outer_level)?, Shared::new(inner_level, mapped)?);
            outer.attach(offset, &inner.subtree, inner_bounds)?;
            let space = space_with(&outer, outer_level, outer_bounds)?;
            let reached = reach_page(&space, spot(outer_level) + offset)?;
            let what = (outer_level, inner_level, outer_bounds, inner_bounds, mapped);
            ensure_eq!((what, reached), (what, outer_bounds & inner_bounds & mapped));
        }
    }
    Ok(())
}

/// Attaching in a subtree, and detaching, counts at once in the spaces that have it, though they looked there before.
fn what_is_attached_below_is_seen_by_all_spaces_at_once() -> Verdict {
    for (outer_level, inner_level, offset) in PAIRS {
        let (outer, inner) = (subtree(outer_level)?, Shared::new(inner_level, Rights::READ)?);
        let spaces = [space_with(&outer, outer_level, Rights::READ)?, space_with(&outer, outer_level, Rights::READ)?];
        let (at, word) = (spot(outer_level) + offset, word_at(spot(outer_level) + offset)?);
        for value in [7, 8] {
            inner.set(value)?;
            outer.attach(offset, &inner.subtree, Rights::READ)?;
            for space in &spaces {
                ensure_eq!((offset, space.enter(|| word.get())?), (offset, value));
            }
            outer.detach(offset)?;
            for space in &spaces {
                ensure_eq!((offset, reach_page(space, at)?), (offset, Rights::empty()));
                refused(space.read(word.address(), &mut [0]), Error::BadAddress)?;
            }
        }
        ensure_eq!(inner.subtree.info()?.sharers, 0);
    }
    Ok(())
}

/// One inner subtree in several outer ones, at several places and in a space directly: a change counts everywhere.
fn a_change_inside_reaches_all_through_all_outer_ones() -> Verdict {
    let inner = Shared::new(Level::TwoMib, Rights::READ_WRITE)?;
    let mut places = Vec::new();
    for (outer_level, offset) in [(Level::Top, 3 * GIB), (Level::OneGib, 0), (Level::Top, 7 * GIB + LARGE)] {
        let outer = subtree(outer_level)?;
        outer.attach(offset, &inner.subtree, Rights::READ_WRITE)?;
        places.push((space_with(&outer, outer_level, Rights::READ_WRITE)?, spot(outer_level) + offset));
    }
    places.push((space_with(&inner.subtree, Level::TwoMib, Rights::READ_WRITE)?, spot(Level::TwoMib)));
    ensure_eq!(inner.subtree.info()?.sharers, 4);
    for change in 0..4 {
        let expected = match change {
            0 => Rights::READ_WRITE,
            1 => {
                inner.subtree.protect(inner.range(), Rights::READ)?;
                Rights::READ
            }
            2 => {
                inner.subtree.unmap(inner.range())?;
                Rights::empty()
            }
            _ => {
                inner.subtree.map(Shared::OFFSET, &inner.segment, 0..PAGE, Rights::READ_EXECUTE)?;
                Rights::READ
            }
        };
        for (space, at) in &places {
            ensure_eq!((change, at, reach_page(space, *at)?), (change, at, expected));
        }
    }
    Ok(())
}

/// What leads to a finer entry in a subtree is charged to the subtree's account, and goes with the attachment.
fn tables_on_the_way_are_the_outer_subtree_s() -> Verdict {
    let (ours, theirs) = (program().account().split(1 << 20)?, program().account().split(1 << 20)?);
    let outer = Subtree::new(&ours)?;
    let inner = Shared::charged_to(&theirs, Level::TwoMib, Rights::READ)?;
    let space = program().new_space()?;
    space.attach(spot(Level::Top), &outer, Rights::READ)?;
    let used = || Ok::<_, Error>((ours.info()?.used_bytes, theirs.info()?.used_bytes));
    let (space_bytes, before) = (space.info()?.table_bytes, used()?);
    outer.attach(GIB, &inner.subtree, Rights::READ)?;
    ensure_eq!(outer.info()?.table_bytes, 2 * PAGE);
    outer.attach(GIB + LARGE, &inner.subtree, Rights::READ)?;
    let after = used()?;
    ensure_eq!((outer.info()?.table_bytes, inner.subtree.info()?.table_bytes), (2 * PAGE, PAGE));
    ensure!(after.0 - before.0 > PAGE && after.0 - before.0 < 2 * PAGE, "it went from {before:?} to {after:?}");
    ensure_eq!((after.1, space.info()?.table_bytes), (before.1, space_bytes));
    outer.detach(GIB)?;
    outer.detach(GIB + LARGE)?;
    ensure_eq!((used()?, outer.info()?.table_bytes), (before, PAGE));
    Ok(())
}

/// A subtree is refused where the outer one has mappings or other subtrees, and these where it is; nothing changes.
fn attaching_in_a_subtree_meets_its_mappings() -> Verdict {
    let segment = Segment::new_lazy(program().account(), 4 * PAGE)?;
    for (outer_level, inner_level, offset) in PAIRS {
        let (outer, size_bytes) = (subtree(outer_level)?, inner_level.size_bytes());
        let inner = Shared::new(inner_level, Rights::READ)?;
        outer.map(offset + size_bytes - PAGE, &segment, 0..PAGE, Rights::READ)?;
        outer.attach(offset + size_bytes, &inner.subtree, Rights::READ)?;
        let before = Snapshot::of_subtree(&outer)?;
        let end = offset + 2 * size_bytes;
        refused(outer.attach(offset, &inner.subtree, Rights::READ), Error::Overlap)?;
        refused(outer.attach(offset + size_bytes, &inner.subtree, Rights::READ), Error::Overlap)?;
        for address in [offset + size_bytes, offset + size_bytes + Shared::OFFSET, end - PAGE] {
            refused(outer.map(address, &segment, 0..PAGE, Rights::READ), Error::Overlap)?;
        }
        refused(outer.map(end - 2 * PAGE, &segment, 0..4 * PAGE, Rights::READ), Error::Overlap)?;
        let page = offset + size_bytes + Shared::OFFSET;
        refused(outer.unmap(page..page + PAGE), Error::NotMapped)?;
        refused(outer.protect(page..page + PAGE, Rights::READ), Error::NotMapped)?;
        refused(outer.detach(offset), Error::NotMapped)?;
        ensure_eq!(Snapshot::of_subtree(&outer)?, before);
        outer.map(end, &segment, 0..4 * PAGE, Rights::READ)?;
    }
    Ok(())
}

/// In a subtree, a place is a multiple of the inner one's size and ends with the outer one.
fn places_in_a_subtree_are_within_it() -> Verdict {
    for (outer_level, inner_level, offset) in PAIRS {
        let (outer, inner) = (subtree(outer_level)?, subtree(inner_level)?);
        let (end, size_bytes) = (outer_level.size_bytes(), inner_level.size_bytes());
        let before = Snapshot::of_subtree(&outer)?;
        for off in [1, PAGE, size_bytes / 2, size_bytes - PAGE] {
            refused(outer.attach(offset + off, &inner, Rights::READ), Error::Misaligned)?;
        }
        for beyond in [end, end + size_bytes, 1 << 47, 1 << 63, 0_u64.wrapping_sub(size_bytes)] {
            let result = outer.attach(beyond, &inner, Rights::READ);
            ensure!(result == Err(Error::BadAddress), "{inner_level:?} at {beyond:#x} of {outer_level:?}: {result:?}");
            refused(outer.detach(beyond), Error::BadAddress)?;
        }
        ensure_eq!((Snapshot::of_subtree(&outer)?, inner.info()?.sharers), (before, 0));
        outer.attach(end - size_bytes, &inner, Rights::READ)?;
    }
    Ok(())
}

/// Only a subtree of the top level in a space can be a window; other flags than that one do not exist.
fn windows_lie_at_the_top_level_of_a_space_only() -> Verdict {
    let (space, outer) = (Space::new(program().account())?, subtree(Level::Top)?);
    let read = u64::from(Rights::READ.bits());
    let before = (Snapshot::of(&space)?, Snapshot::of_subtree(&outer)?);
    for level in [Level::OneGib, Level::TwoMib] {
        let inner = subtree(level)?;
        refused(space.attach_window(spot(level), &inner, Rights::READ), Error::BadArgument)?;
        let words = [outer.handle().bits(), inner.handle().bits(), GIB, read, 1, 0];
        refused(attempt(number::subtree_attach, words), Error::BadArgument)?;
    }
    for flags in [2, 3, 1 << 31, 1 << 32, u64::MAX] {
        let words = [space.handle().bits(), outer.handle().bits(), spot(Level::Top), read, flags, 0];
        refused(attempt(number::subtree_attach, words), Error::BadArgument)?;
    }
    ensure_eq!((Snapshot::of(&space)?, Snapshot::of_subtree(&outer)?), before);
    space.attach_window(spot(Level::Top), &outer, Rights::READ)?;
    Ok(())
}

/// A core window is a whole top-level slot: subtrees of other levels make none, and what lies in one goes nowhere else.
fn core_windows_take_the_top_level_only() -> Verdict {
    let (space, top) = (program().new_space()?, Shared::new(Level::Top, Rights::READ)?);
    let before = Snapshot::of(&space)?;
    for level in [Level::OneGib, Level::TwoMib] {
        refused(space.attach_core(spot(level), &subtree(level)?, Rights::READ, 0), Error::WrongLevel)?;
    }
    ensure_eq!(Snapshot::of(&space)?, before);
    space.attach_core(spot(Level::Top), &top.subtree, Rights::READ, 0)?;
    refused(space.attach(spot(Level::Top) + SLOT, &top.subtree, Rights::READ), Error::BadState)?;
    refused(space.attach_window(spot(Level::Top) + SLOT, &top.subtree, Rights::READ), Error::BadState)?;
    ensure_eq!((space.info()?.core_windows, top.subtree.info()?.sharers), (1, 1));
    Ok(())
}

/// A subtree's list has its mappings and what is attached in it, in order; the space's list has the outer one alone.
fn the_list_of_a_subtree_tells_what_is_attached_in_it() -> Verdict {
    let (outer, inner) = (subtree(Level::Top)?, Shared::new(Level::OneGib, Rights::READ)?);
    let segment = Segment::new(program().account(), PAGE)?;
    outer.map(3 * GIB - PAGE, &segment, 0..PAGE, Rights::READ)?;
    outer.attach(3 * GIB, &inner.subtree, Rights::READ_EXECUTE)?;
    outer.map(4 * GIB, &segment, 0..PAGE, Rights::READ_WRITE)?;
    let list: Vec<_> = outer.mappings(0).collect::<Result<_, _>>()?;
    let told: Vec<_> = list.iter().map(|m| (m.address, m.length_bytes, m.rights, m.kind)).collect();
    let [read, read_write, read_execute] =
        [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE].map(|rights| u64::from(rights.bits()));
    let (memory, tables) = (ObjectKind::Segment as u64, ObjectKind::Subtree as u64);
    let expected = [
        (3 * GIB - PAGE, PAGE, read, memory),
        (3 * GIB, GIB, read_execute, tables),
        (4 * GIB, PAGE, read_write, memory),
    ];
    ensure_eq!(told, expected);
    ensure_eq!(list[1].object, inner.subtree.capability_info()?.object);
    let space = Space::new(program().account())?;
    space.attach(spot(Level::Top), &outer, Rights::READ)?;
    ensure_eq!(space.mappings(0).map(|item| item.map(|m| m.length_bytes)).collect::<Vec<_>>(), [Ok(SLOT)]);
    Ok(())
}

/// An inner subtree stays while an outer one holds it, and goes with it; the other way round there is no holding.
fn an_outer_subtree_keeps_its_inner_ones() -> Verdict {
    let before = Census::take()?.machine.subtrees;
    let (outer, inner) = (subtree(Level::Top)?, Shared::new(Level::TwoMib, Rights::READ)?);
    let Shared { subtree, segment } = inner;
    outer.attach(GIB, &subtree, Rights::READ)?;
    segment.write(0, &9_u64.to_le_bytes())?;
    drop(subtree);
    let space = space_with(&outer, Level::Top, Rights::READ)?;
    drop(outer);
    ensure_eq!(Census::take()?.machine.subtrees, before + 2);
    let word = word_at(spot(Level::Top) + GIB)?;
    ensure_eq!(space.enter(|| word.get())?, 9);
    ensure_eq!(reach(&space, spot(Level::Top) + GIB)?, Rights::empty());
    drop(space);
    ensure_eq!((Census::take()?.machine.subtrees, segment.info()?.mappings), (before, 0));
    Ok(())
}

/// A subtree at 512 places of another, which is at 512 places of the space that a thread is in: a change of a page of it
/// flushes the space once, and shows at every place; its withdrawal flushes once for many places, as many as a step takes out.
fn a_change_of_what_is_seen_512_times_512_times_costs_one_flush() -> Verdict {
    const PLACES: u64 = 512;
    let (outer, inner) = (subtree(Level::OneGib)?, Shared::new(Level::TwoMib, Rights::READ_WRITE)?);
    (0..PLACES).try_for_each(|place| outer.attach(place * LARGE, &inner.subtree, Rights::READ_WRITE))?;
    let space = program().new_space()?;
    let tables = space.info()?.shared_table_bytes / PAGE;
    (0..PLACES).try_for_each(|place| space.attach(spot(Level::Top) + place * GIB, &outer, Rights::READ_WRITE))?;
    ensure_eq!(space.info()?.shared_table_bytes / PAGE, tables + PLACES * (1 + PLACES));
    let last = PLACES - 1;
    let samples = [(0, 0), (0, last), (255, 256), (last, 0), (last, last)];
    let reached = |(shown, within): (u64, u64)| reach_page(&space, spot(Level::Top) + shown * GIB + within * LARGE);
    let all_are = |rights: Rights| {
        samples.into_iter().try_for_each(|sample| {
            ensure_eq!((sample, reached(sample)?), (sample, rights));
            Ok(())
        })
    };
    all_are(Rights::READ_WRITE)?;
    let writable = || inner.subtree.protect(inner.range(), Rights::READ_WRITE);
    let change = counted(writable, || space.enter(|| inner.subtree.protect(inner.range(), Rights::READ))?)?;
    ensure_eq!((change.range_flushes, change.page_flushes, change.shared_page_flushes), (1, 0, 0));
    all_are(Rights::READ)?;
    let change = counted(|| Ok(()), || space.enter(|| inner.subtree.withdraw().map(drop))?);
    ensure!(change?.range_flushes <= PLACES / 16, "a step of the withdrawal flushes once");
    ensure_eq!(inner.subtree.info()?.sharers, 0);
    all_are(Rights::empty())
}
