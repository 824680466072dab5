//! Levels: subtrees of 512 GiB, 1 GiB and 2 MiB, and where each of them can be attached.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, KERNEL_ADDRESSES, LEVELS, Shared, Snapshot, Verdict, claim, ends_in_fault, ensure, ensure_eq, peek, poke,
    reach, reach_page, refused, run, run_at, spot, the_kernel_passes_its_own_checks, word_at,
};
use libvas::layout::SubtreeInfo;
use libvas::{
    Error, Level, ObjectKind, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT,
    USER_END, counters, program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(each_level_fills_what_its_entry_stands_for),
        claim!(each_level_shows_the_same_in_every_space),
        claim!(each_level_is_attached_at_multiples_of_its_size),
        claim!(finer_subtrees_are_mapped_from_their_first_page),
        claim!(no_mapping_leaves_its_subtree),
        claim!(the_first_page_of_a_space_stays_free),
        claim!(nothing_is_attached_beyond_user_memory),
        claim!(finer_attachments_cost_the_tables_on_the_way),
        claim!(a_space_maps_beside_a_finer_subtree),
        claim!(finer_subtrees_overlap_what_lies_in_their_range_only),
        claim!(mapping_over_a_finer_subtree_is_refused),
        claim!(large_pages_fit_into_what_is_large_enough),
        claim!(holes_fault_at_every_level),
        claim!(memory_is_reached_across_the_edges),
        claim!(the_list_tells_attachments_of_every_level),
        claim!(pages_that_are_made_when_touched_are_made_for_all),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("subtree_levels", CLAIMS)
}

const GIB: u64 = 1 << 30;
const LARGE: u64 = 2 << 20;

/// A new subtree of each level tells its level, its size, at what multiples it goes, and that it holds one table.
fn each_level_fills_what_its_entry_stands_for() -> Verdict {
    for (level, number, size_bytes) in [(Level::Top, 3, SLOT), (Level::OneGib, 2, GIB), (Level::TwoMib, 1, LARGE)] {
        let expected = SubtreeInfo {
            level: number,
            alignment_bytes: size_bytes,
            size_bytes,
            table_bytes: PAGE,
            ..SubtreeInfo::default()
        };
        ensure_eq!(Subtree::with_level(program().account(), level)?.info()?, expected);
    }
    ensure_eq!(Subtree::new(program().account())?.info()?.level, 3);
    Ok(())
}

/// At every level, what is written through one space is read through another, at another address.
fn each_level_shows_the_same_in_every_space() -> Verdict {
    for level in LEVELS {
        let (shared, here) = (Shared::new(level, Rights::READ_WRITE)?, spot(level));
        let there = here + 3 * level.size_bytes();
        let (left, right) = (program().new_space()?, program().new_space()?);
        left.attach(here, &shared.subtree, Rights::READ_WRITE)?;
        right.attach(there, &shared.subtree, Rights::READ_WRITE)?;
        let (ours, theirs) = (word_at(here)?, word_at(there)?);
        left.enter(|| ours.set(17))?;
        ensure_eq!((level, right.enter(|| theirs.get())?), (level, 17));
        right.enter(|| theirs.set(18))?;
        ensure_eq!((level, left.enter(|| ours.get())?, shared.get()?), (level, 18, 18));
        ensure_eq!(shared.subtree.info()?.sharers, 2);
    }
    Ok(())
}

/// Addresses that are multiples of a page, or of a smaller subtree's size, are refused, and nothing changes.
fn each_level_is_attached_at_multiples_of_its_size() -> Verdict {
    let space = Space::new(program().account())?;
    for level in LEVELS {
        let (shared, size_bytes) = (Shared::new(level, Rights::READ)?, level.size_bytes());
        let (before, subtree) = (Snapshot::of(&space)?, Snapshot::of_subtree(&shared.subtree)?);
        for off in [1, PAGE, size_bytes / 512, size_bytes / 2, size_bytes - PAGE] {
            refused(space.attach(spot(level) + off, &shared.subtree, Rights::READ), Error::Misaligned)?;
        }
        refused(space.detach(spot(level) + PAGE), Error::Misaligned)?;
        ensure_eq!(Snapshot::of(&space)?, before);
        ensure_eq!(Snapshot::of_subtree(&shared.subtree)?, subtree);
        space.attach(spot(level), &shared.subtree, Rights::READ)?;
        refused(space.detach(spot(level) + PAGE), Error::Misaligned)?;
        space.detach(spot(level))?;
    }
    Ok(())
}

/// Subtrees of 1 GiB and 2 MiB may hold something in their first page; those of the top level keep it free.
fn finer_subtrees_are_mapped_from_their_first_page() -> Verdict {
    let segment = Segment::new(program().account(), PAGE)?;
    segment.write(0, &5_u64.to_le_bytes())?;
    for level in [Level::OneGib, Level::TwoMib] {
        let (subtree, space) = (Subtree::with_level(program().account(), level)?, program().new_space()?);
        subtree.map(0, &segment, 0..PAGE, Rights::READ)?;
        space.attach(spot(level), &subtree, Rights::READ)?;
        let first = Place::<u64>::new(spot(level))?;
        ensure_eq!((level, space.enter(|| first.get())?), (level, 5));
        subtree.unmap(0..PAGE)?;
    }
    let top = Subtree::new(program().account())?;
    let before = Snapshot::of_subtree(&top)?;
    refused(top.map(0, &segment, 0..PAGE, Rights::READ), Error::BadAddress)?;
    ensure_eq!(Snapshot::of_subtree(&top)?, before);
    Ok(())
}

/// The last page of a subtree can be mapped; what begins behind it, or reaches over its end, is refused.
fn no_mapping_leaves_its_subtree() -> Verdict {
    let segment = Segment::new(program().account(), 2 * PAGE)?;
    for level in LEVELS {
        let (subtree, end) = (Subtree::with_level(program().account(), level)?, level.size_bytes());
        let before = Snapshot::of_subtree(&subtree)?;
        for (address, pages) in
            [(end - PAGE, 2), (end, 1), (end + PAGE, 1), (2 * end, 1), (0_u64.wrapping_sub(PAGE), 1)]
        {
            let result = subtree.map(address, &segment, 0..pages * PAGE, Rights::READ);
            ensure!(result == Err(Error::BadAddress), "{level:?}: {pages} pages at {address:#x}: {result:?}");
        }
        refused(subtree.unmap(end - PAGE..end + PAGE), Error::BadAddress)?;
        refused(subtree.protect(end..end + PAGE, Rights::READ), Error::BadAddress)?;
        ensure_eq!(Snapshot::of_subtree(&subtree)?, before);
        subtree.map(end - PAGE, &segment, 0..PAGE, Rights::READ)?;
    }
    Ok(())
}

/// A finer subtree, whose first page may hold something, goes neither to the start of a space nor to that of a
/// top-level subtree; to the start of one of 1 GiB it does, and then that one goes to no space's start either.
fn the_first_page_of_a_space_stays_free() -> Verdict {
    let (space, top) = (Space::new(program().account())?, Subtree::new(program().account())?);
    let middle = Subtree::with_level(program().account(), Level::OneGib)?;
    let (before, top_before) = (Snapshot::of(&space)?, Snapshot::of_subtree(&top)?);
    for level in [Level::OneGib, Level::TwoMib] {
        let shared = Shared::new(level, Rights::READ)?;
        refused(space.attach(0, &shared.subtree, Rights::READ), Error::BadAddress)?;
        refused(top.attach(0, &shared.subtree, Rights::READ), Error::BadAddress)?;
        ensure_eq!(shared.subtree.info()?.sharers, 0);
    }
    ensure_eq!((Snapshot::of(&space)?, Snapshot::of_subtree(&top)?), (before, top_before));
    let small = Shared::new(Level::TwoMib, Rights::READ)?;
    middle.attach(0, &small.subtree, Rights::READ)?;
    refused(space.attach(0, &middle, Rights::READ), Error::BadAddress)?;
    space.attach(GIB, &middle, Rights::READ)?;
    space.attach(LARGE, &small.subtree, Rights::READ)?;
    Ok(())
}

/// A finer subtree ends below the last page of user memory, and lies in no part of the kernel's half.
fn nothing_is_attached_beyond_user_memory() -> Verdict {
    let space = Space::new(program().account())?;
    let before = Snapshot::of(&space)?;
    for level in LEVELS {
        let (shared, size_bytes) = (Shared::new(level, Rights::READ)?, level.size_bytes());
        let last = USER_END / size_bytes * size_bytes;
        let kernel = KERNEL_ADDRESSES.map(|address| address / size_bytes * size_bytes);
        for address in kernel.into_iter().chain([last, last + size_bytes, 1 << 47, 1 << 48, 1 << 63]) {
            let result = space.attach(address, &shared.subtree, Rights::READ);
            ensure!(result == Err(Error::BadAddress), "{level:?} at {address:#x}: {result:?}");
        }
        ensure_eq!((Snapshot::of(&space)?, shared.subtree.info()?.sharers), (before.clone(), 0));
        space.attach(last - size_bytes, &shared.subtree, Rights::READ)?;
        space.detach(last - size_bytes)?;
    }
    Ok(())
}

/// To an entry of its own, a subtree of 1 GiB takes one table and one of 2 MiB two, unless they are there already;
/// when the last thing goes that hangs from a table, the table goes.
fn finer_attachments_cost_the_tables_on_the_way() -> Verdict {
    let space = Space::new(program().account())?;
    let (gib, small) = (Shared::new(Level::OneGib, Rights::READ)?, Shared::new(Level::TwoMib, Rights::READ)?);
    let root_bytes = space.info()?.table_bytes;
    let tables = || Ok::<u64, Error>((space.info()?.table_bytes - root_bytes) / PAGE);
    space.attach(SLOT, &gib.subtree, Rights::READ)?;
    ensure_eq!(tables()?, 1);
    space.attach(SLOT + GIB, &small.subtree, Rights::READ)?;
    ensure_eq!(tables()?, 2);
    space.attach(SLOT + GIB + LARGE, &small.subtree, Rights::READ)?;
    ensure_eq!(tables()?, 2);
    space.attach(2 * SLOT, &small.subtree, Rights::READ)?;
    ensure_eq!((tables()?, space.info()?.attachments), (4, 4));
    for (address, left) in [(SLOT + GIB, 4), (SLOT + GIB + LARGE, 3), (SLOT, 2), (2 * SLOT, 0)] {
        space.detach(address)?;
        ensure_eq!((address, tables()?), (address, left));
    }
    Ok(())
}

/// What a space maps of its own in front of and behind a finer subtree is there before, meanwhile and afterwards.
fn a_space_maps_beside_a_finer_subtree() -> Verdict {
    for level in [Level::OneGib, Level::TwoMib] {
        let (space, shared, here) = (program().new_space()?, Shared::new(level, Rights::READ)?, spot(level));
        let (front, behind) = (here - PAGE, here + level.size_bytes());
        let segment = Segment::new(program().account(), 2 * PAGE)?;
        shared.set(77)?;
        space.map(front, &segment, 0..PAGE, Rights::READ_WRITE)?;
        space.attach(here, &shared.subtree, Rights::READ)?;
        space.map(behind, &segment, PAGE..2 * PAGE, Rights::READ_WRITE)?;
        let (front, behind, word) = (Place::<u64>::new(front)?, Place::<u64>::new(behind)?, word_at(here)?);
        let look = || (front.get(), word.get(), behind.get());
        space.enter(|| (front.set(1), behind.set(2)))?;
        ensure_eq!((level, space.enter(look)?), (level, (1, 77, 2)));
        space.detach(here)?;
        ensure_eq!((level, space.enter(|| (front.get(), behind.get()))?), (level, (1, 2)));
        ensure_eq!(reach_page(&space, here)?, Rights::empty());
        space.attach(here, &shared.subtree, Rights::READ)?;
        space.unmap(front.address()..here)?;
        space.unmap(behind.address()..behind.address() + PAGE)?;
        ensure_eq!((level, space.enter(|| word.get())?), (level, 77));
    }
    Ok(())
}

/// A subtree is refused where a mapping or another subtree, larger, equal or smaller, meets its range, and only there.
fn finer_subtrees_overlap_what_lies_in_their_range_only() -> Verdict {
    let space = Space::new(program().account())?;
    let segment = Segment::new(program().account(), PAGE)?;
    let (top, gib, small) = (
        Shared::new(Level::Top, Rights::READ)?,
        Shared::new(Level::OneGib, Rights::READ)?,
        Shared::new(Level::TwoMib, Rights::READ)?,
    );
    space.map(5 * SLOT + GIB + 3 * LARGE, &segment, 0..PAGE, Rights::READ)?;
    space.attach(6 * SLOT, &top.subtree, Rights::READ)?;
    space.attach(7 * SLOT + 2 * GIB, &gib.subtree, Rights::READ)?;
    space.attach(8 * SLOT + 3 * GIB + LARGE, &small.subtree, Rights::READ)?;
    let before = Snapshot::of(&space)?;
    let refusals = [
        (&top, &[5 * SLOT, 6 * SLOT, 7 * SLOT, 8 * SLOT][..]),
        (&gib, &[5 * SLOT + GIB, 6 * SLOT, 7 * SLOT - GIB, 7 * SLOT + 2 * GIB, 8 * SLOT + 3 * GIB]),
        (
            &small,
            &[5 * SLOT + GIB + 3 * LARGE, 6 * SLOT + LARGE, 7 * SLOT + 3 * GIB - LARGE, 8 * SLOT + 3 * GIB + LARGE],
        ),
    ];
    for (shared, addresses) in refusals {
        for address in addresses {
            let result = space.attach(*address, &shared.subtree, Rights::READ);
            ensure!(result == Err(Error::Overlap), "at {address:#x}: {result:?}");
        }
    }
    ensure_eq!(Snapshot::of(&space)?, before);
    for (shared, addresses) in [
        (&gib, [5 * SLOT, 7 * SLOT + GIB, 7 * SLOT + 3 * GIB]),
        (&small, [5 * SLOT + GIB + 2 * LARGE, 8 * SLOT + 3 * GIB, 8 * SLOT + 3 * GIB + 2 * LARGE]),
    ] {
        addresses.into_iter().try_for_each(|address| space.attach(address, &shared.subtree, Rights::READ))?;
    }
    Ok(())
}

/// A space maps nothing over a finer subtree, and does not unmap or protect what lies in it.
fn mapping_over_a_finer_subtree_is_refused() -> Verdict {
    let segment = Segment::new_lazy(program().account(), 4 * PAGE)?;
    for level in [Level::OneGib, Level::TwoMib] {
        let (space, shared) = (Space::new(program().account())?, Shared::new(level, Rights::READ)?);
        let (start, end) = (spot(level), spot(level) + level.size_bytes());
        space.attach(start, &shared.subtree, Rights::READ)?;
        let before = Snapshot::of(&space)?;
        for (address, pages) in [(start, 1), (start + PAGE, 1), (end - PAGE, 1), (start - 2 * PAGE, 4), (end - PAGE, 4)]
        {
            refused(space.map(address, &segment, 0..pages * PAGE, Rights::READ), Error::Overlap)?;
        }
        let page = start + Shared::OFFSET..start + Shared::OFFSET + PAGE;
        refused(space.unmap(page.clone()), Error::NotMapped)?;
        refused(space.protect(page, Rights::READ), Error::NotMapped)?;
        ensure_eq!(Snapshot::of(&space)?, before);
        ensure_eq!(shared.subtree.info()?.mappings, 1);
    }
    Ok(())
}

/// In a subtree of 1 GiB, 2 MiB of memory are one large page, which needs no table; one of 2 MiB maps them in small
/// pages, in the one table that it has. Both show the same.
fn large_pages_fit_into_what_is_large_enough() -> Verdict {
    let segment = Segment::new(program().account(), LARGE)?;
    segment.write(LARGE - 8, &6_u64.to_le_bytes())?;
    for level in [Level::OneGib, Level::TwoMib] {
        let (space, subtree) = (program().new_space()?, Subtree::with_level(program().account(), level)?);
        subtree.map(0, &segment, 0..LARGE, Rights::READ_WRITE)?;
        ensure_eq!((level, subtree.info()?.table_bytes), (level, PAGE));
        space.attach(spot(level), &subtree, Rights::READ_WRITE)?;
        let (first, last) = (Place::<u64>::new(spot(level))?, Place::<u64>::new(spot(level) + LARGE - 8)?);
        ensure_eq!((level, space.enter(|| last.get())?), (level, 6));
        // All of it is in the tables: no page has to be put there when it is used.
        let before = counters::total()?.faults;
        let sum = || -> Result<u64, Error> { (1..512).map(|page| first.at(page * 512).map(Place::get)).sum() };
        ensure_eq!((level, space.enter(sum)??, counters::total()?.faults - before), (level, 0, 0));
        // A page out of the middle: the large one is split, which takes a table.
        subtree.unmap(8 * PAGE..9 * PAGE)?;
        let tables = if level == Level::OneGib { 2 } else { 1 };
        ensure_eq!((level, subtree.info()?.table_bytes), (level, tables * PAGE));
        ensure_eq!(reach(&space, spot(level) + 8 * PAGE)?, Rights::empty());
        ensure_eq!((level, space.enter(|| last.get())?), (level, 6));
    }
    Ok(())
}

/// In front of and behind what is mapped, at both ends of the subtree and right outside of it, every access faults.
fn holes_fault_at_every_level() -> Verdict {
    for level in LEVELS {
        let (space, shared, start) = (program().new_space()?, Shared::new(level, Rights::READ)?, spot(level));
        space.attach(start, &shared.subtree, Rights::ACCESS)?;
        let (page, end) = (start + Shared::OFFSET, start + level.size_bytes());
        for address in [start - 1, start, page - 1, page + PAGE, end - 1, end] {
            ensure_eq!((level, address, reach(&space, address)?), (level, address, Rights::empty()));
            refused(space.read(address, &mut [0]), Error::BadAddress)?;
        }
        ensure!(ends_in_fault(&space, move || poke(start, 1))?, "{level:?}: something was written");
        ensure!(ends_in_fault(&space, move || run_at(start))?, "{level:?}: something was executed");
        space.enter(|| peek(page))?;
    }
    Ok(())
}

/// Reading and writing from outside goes across the edges of subtrees, as long as there is memory on both sides.
fn memory_is_reached_across_the_edges() -> Verdict {
    for level in [Level::OneGib, Level::TwoMib] {
        let (space, memory) = (Space::new(program().account())?, Segment::new(program().account(), 4 * PAGE)?);
        let (subtree, start) = (Subtree::with_level(program().account(), level)?, spot(level));
        let (last, end) = (level.size_bytes() - PAGE, start + level.size_bytes());
        space.map(start - PAGE, &memory, 0..PAGE, Rights::READ_WRITE)?;
        subtree.map(0, &memory, PAGE..2 * PAGE, Rights::READ_WRITE)?;
        subtree.map(last, &memory, 2 * PAGE..3 * PAGE, Rights::READ_WRITE)?;
        space.map(end, &memory, 3 * PAGE..4 * PAGE, Rights::READ)?;
        space.attach(start, &subtree, Rights::READ_WRITE)?;
        let mut bytes = [0; 6];
        space.write(start - 3, b"before")?;
        memory.read(PAGE - 3, &mut bytes)?;
        ensure_eq!((level, &bytes), (level, b"before"));
        memory.write(3 * PAGE - 3, b"behind")?;
        space.read(end - 3, &mut bytes)?;
        ensure_eq!((level, &bytes), (level, b"behind"));
        // Where one side may not be written, or is not there, nothing is.
        refused(space.write(end - 3, b"beyond"), Error::BadAddress)?;
        refused(space.write(start + PAGE - 3, b"beyond"), Error::BadAddress)?;
        space.read(end - 3, &mut bytes)?;
        ensure_eq!((level, &bytes), (level, b"behind"));
    }
    Ok(())
}

/// The list of a space tells each attachment where it begins, its length, its bounds and its subtree.
fn the_list_tells_attachments_of_every_level() -> Verdict {
    let space = Space::new(program().account())?;
    let mut expected = Vec::new();
    for (level, bounds) in LEVELS.into_iter().zip([Rights::READ_WRITE, Rights::READ, Rights::ACCESS]) {
        let shared = Shared::new(level, Rights::READ)?;
        space.attach(spot(level), &shared.subtree, bounds)?;
        let object = shared.subtree.capability_info()?.object;
        expected.push((spot(level), level.size_bytes(), 0, u64::from(bounds.bits()), object));
    }
    let list: Vec<_> = space.mappings(0).collect::<Result<_, _>>()?;
    let told: Vec<_> = list.iter().map(|m| (m.address, m.length_bytes, m.offset, m.rights, m.object)).collect();
    ensure_eq!(told, expected);
    ensure!(list.iter().all(|mapping| mapping.kind == ObjectKind::Subtree as u64), "it lists {list:x?}");
    // One that begins before `from` and ends after it is the first.
    let first = |from: u64| space.mappings(from).next().transpose().map(|next| next.map(|found| found.address));
    let gib = spot(Level::OneGib);
    ensure_eq!((first(gib + GIB - 1)?, first(gib + GIB)?), (Some(gib), Some(spot(Level::TwoMib))));
    ensure_eq!(first(spot(Level::TwoMib) + LARGE)?, None);
    Ok(())
}

/// A page that is made on first touch is made once, whichever space touches it, and each of them sees it then.
fn pages_that_are_made_when_touched_are_made_for_all() -> Verdict {
    for level in LEVELS {
        let lazy = Segment::new_lazy(program().account(), 4 * PAGE)?;
        let subtree = Subtree::with_level(program().account(), level)?;
        subtree.map(4 * PAGE, &lazy, 0..4 * PAGE, Rights::READ_WRITE)?;
        let (writer, reader) = (program().new_space()?, program().new_space()?);
        for (space, bounds) in [(&writer, Rights::READ_WRITE), (&reader, Rights::READ)] {
            space.attach(spot(level), &subtree, bounds)?;
        }
        let place = Place::<u64>::new(spot(level) + 5 * PAGE)?;
        ensure_eq!((level, reader.enter(|| place.get())?), (level, 0));
        writer.enter(|| place.set(41))?;
        ensure_eq!((level, reader.enter(|| place.get())?), (level, 41));
        ensure_eq!((level, lazy.info()?.populated_bytes), (level, PAGE));
        ensure_eq!(reach(&reader, spot(level) + 6 * PAGE)? & Rights::READ_WRITE, Rights::READ);
        ensure_eq!((level, lazy.info()?.populated_bytes), (level, 2 * PAGE));
    }
    Ok(())
}
