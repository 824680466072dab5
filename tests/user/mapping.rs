//! Mapping and unmapping: whole ranges or nothing, in any space, running or not.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, KERNEL_ADDRESSES, Room, Snapshot, Verdict, claim, ends_in_fault, ensure, ensure_eq, fresh_address, peek,
    refused, run, the_kernel_passes_its_own_checks,
};
use core::ops::Range;
use libvas::{Cap, Error, ObjectKind, PAGE_BYTES, Place, Rights, Segment, Space, USER_END, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(mapping_works_in_a_space_nobody_runs_in),
        claim!(mapping_is_seen_at_once_where_a_thread_runs),
        claim!(unmapping_is_seen_at_the_next_switch),
        claim!(unmapping_is_seen_at_once_where_a_thread_runs),
        claim!(overlap_is_refused_and_changes_nothing),
        claim!(misaligned_ranges_are_refused),
        claim!(ranges_outside_of_user_memory_are_refused),
        claim!(ranges_beyond_the_segment_are_refused),
        claim!(unreadable_and_unknown_rights_are_refused),
        claim!(unmapping_what_is_not_all_mapped_is_refused),
        claim!(the_middle_of_a_mapping_can_be_unmapped),
        claim!(one_unmapping_takes_many_mappings),
        claim!(the_list_tells_every_mapping_in_order),
        claim!(the_last_user_page_can_be_mapped),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("mapping", CLAIMS)
}

const PAGE: u64 = PAGE_BYTES;

/// A space with the program in it, and a segment.
fn space_and_segment(pages: u64) -> Result<(Cap<Space>, Cap<Segment>), Error> {
    Ok((program().new_space()?, Segment::new(program().account(), pages * PAGE)?))
}

/// Ranges that no call may take: address, length and the error.
fn impossible_ranges() -> Vec<(u64, u64)> {
    let mut ranges = Vec::from([
        (0, PAGE),
        (USER_END, PAGE),
        (USER_END - PAGE, 2 * PAGE),
        (PAGE, USER_END),
        (0_u64.wrapping_sub(PAGE), PAGE),
        (0_u64.wrapping_sub(PAGE), 2 * PAGE),
        (PAGE, 0_u64.wrapping_sub(PAGE)),
        (1 << 47, PAGE),
        (1 << 48, PAGE),
        (1 << 62, PAGE),
        (1 << 63, 1 << 63),
        (fresh_address(), 0),
    ]);
    ranges.extend(KERNEL_ADDRESSES.map(|address| (address, PAGE)));
    ranges
}

/// What is mapped while nobody is in a space is there for a thread that enters.
fn mapping_works_in_a_space_nobody_runs_in() -> Verdict {
    let (space, segment) = space_and_segment(1)?;
    let address = fresh_address();
    space.map(address, &segment, 0..PAGE, Rights::READ_WRITE)?;
    space.write(address, &77_u64.to_le_bytes())?;
    let place = Place::<u64>::new(address)?;
    ensure_eq!(space.enter(|| place.get())?, 77);
    Ok(())
}

/// What is mapped while a thread is in the space is there for its next instruction.
fn mapping_is_seen_at_once_where_a_thread_runs() -> Verdict {
    let (space, segment) = space_and_segment(1)?;
    segment.write(0, &[5])?;
    let address = fresh_address();
    let seen = space.enter(|| space.map(address, &segment, 0..PAGE, Rights::READ).map(|()| peek(address)))??;
    ensure_eq!(seen, 5);
    Ok(())
}

/// A thread that has used memory in a space, left, and enters again, finds it gone if it was unmapped meanwhile.
fn unmapping_is_seen_at_the_next_switch() -> Verdict {
    let (space, segment) = space_and_segment(1)?;
    let address = fresh_address();
    space.map(address, &segment, 0..PAGE, Rights::READ_WRITE)?;
    let place = Place::<u64>::new(address)?;
    space.enter(|| place.set(1))?;
    space.unmap(address..address + PAGE)?;
    ensure!(ends_in_fault(&space, move || place.get())?, "the memory was still there");
    Ok(())
}

/// A thread that unmaps memory of the space it is in cannot use it any more, though it just did.
fn unmapping_is_seen_at_once_where_a_thread_runs() -> Verdict {
    let room = Room::new(2)?;
    let (address, word) = (room.address(), room.word(0)?);
    let thread = move || {
        word.set(1);
        if program().space().unmap(address..address + PAGE).is_ok() {
            word.get();
        }
    };
    ensure!(ends_in_fault(program().space(), thread)?, "the memory was still there");
    ensure_eq!(room.word(512)?.get(), 0);
    Ok(())
}

/// A range that meets a mapping in any way is refused, and the space is as it was.
fn overlap_is_refused_and_changes_nothing() -> Verdict {
    let (space, segment) = space_and_segment(8)?;
    let at = fresh_address() + 64 * PAGE;
    space.map(at, &segment, 0..4 * PAGE, Rights::READ)?;
    space.map(at + 6 * PAGE, &segment, 0..PAGE, Rights::READ_WRITE)?;
    let before = Snapshot::of(&space)?;
    let meeting = [(0, 4), (0, 1), (3, 1), (1, 2), (0, 8), (3, 2), (5, 2), (4, 3)];
    for (skip, pages) in meeting {
        let result = space.map(at + skip * PAGE, &segment, 0..pages * PAGE, Rights::READ);
        ensure!(result == Err(Error::Overlap), "{pages} pages from page {skip}: {result:?}");
        ensure_eq!(Snapshot::of(&space)?, before);
    }
    refused(space.map(at - 2 * PAGE, &segment, 0..8 * PAGE, Rights::READ), Error::Overlap)?;
    ensure_eq!(Snapshot::of(&space)?, before);
    space.map(at + 4 * PAGE, &segment, 0..2 * PAGE, Rights::READ)?;
    Ok(())
}

/// Addresses, lengths and offsets that are no multiple of the page size are refused by map, unmap and protect.
fn misaligned_ranges_are_refused() -> Verdict {
    let (space, segment) = space_and_segment(4)?;
    let at = fresh_address();
    space.map(at, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    let (before, free) = (Snapshot::of(&space)?, at + 8 * PAGE);
    for off in [1, 8, 512, PAGE - 1] {
        refused(space.map(free + off, &segment, 0..PAGE, Rights::READ), Error::Misaligned)?;
        refused(space.map(free, &segment, 0..PAGE + off, Rights::READ), Error::Misaligned)?;
        refused(space.map(free, &segment, off..PAGE + off, Rights::READ), Error::Misaligned)?;
        refused(space.unmap(at + off..at + PAGE + off), Error::Misaligned)?;
        refused(space.unmap(at..at + off), Error::Misaligned)?;
        refused(space.protect(at + off..at + PAGE + off, Rights::READ), Error::Misaligned)?;
        refused(space.protect(at..at + off, Rights::READ), Error::Misaligned)?;
    }
    ensure_eq!(Snapshot::of(&space)?, before);
    Ok(())
}

/// The null page, the kernel's half, empty ranges and ranges that wrap around are refused by map, unmap and protect.
fn ranges_outside_of_user_memory_are_refused() -> Verdict {
    use conformance::attempt;
    use tessera_abi::syscall::number;
    let space = Space::new(program().account())?;
    let segment = Segment::new(program().account(), PAGE)?;
    let (target, memory) = (space.handle().bits(), segment.handle().bits());
    let (before, read) = (Snapshot::of(&space)?, u64::from(Rights::READ.bits()));
    for (address, length_bytes) in impossible_ranges() {
        let results = [
            attempt(number::map, [target, memory, 0, address, length_bytes, read]),
            attempt(number::unmap, [target, address, length_bytes, 0, 0, 0]),
            attempt(number::protect, [target, address, length_bytes, read, 0, 0]),
        ];
        ensure!(results == [Err(Error::BadAddress); 3], "{address:#x} + {length_bytes:#x}: {results:?}");
    }
    ensure_eq!(Snapshot::of(&space)?, before);
    Ok(())
}

/// No mapping shows what is not in the segment, be it by length, by offset or by a sum that wraps around.
fn ranges_beyond_the_segment_are_refused() -> Verdict {
    let (space, segment) = space_and_segment(4)?;
    let (at, before) = (fresh_address(), Snapshot::of(&space)?);
    let beyond: [Range<u64>; 6] = [
        0..5 * PAGE,
        3 * PAGE..5 * PAGE,
        4 * PAGE..5 * PAGE,
        1 << 40..(1 << 40) + PAGE,
        1 << 63..(1 << 63) + PAGE,
        0_u64.wrapping_sub(2 * PAGE)..0_u64.wrapping_sub(PAGE),
    ];
    for range in beyond {
        let result = space.map(at, &segment, range.clone(), Rights::READ);
        ensure!(result == Err(Error::BadArgument), "{range:x?}: {result:?}");
    }
    ensure_eq!(Snapshot::of(&space)?, before);
    space.map(at, &segment, 3 * PAGE..4 * PAGE, Rights::READ)?;
    Ok(())
}

/// A mapping is readable, and its rights are those that memory has.
fn unreadable_and_unknown_rights_are_refused() -> Verdict {
    let (space, segment) = space_and_segment(1)?;
    let at = fresh_address();
    space.map(at, &segment, 0..PAGE, Rights::READ)?;
    let before = Snapshot::of(&space)?;
    let bad = [
        Rights::empty(),
        Rights::WRITE,
        Rights::EXECUTE,
        Rights::READ | Rights::MAP,
        Rights::READ | Rights::SWITCH,
        Rights::READ_WRITE | Rights::CONTROL,
    ];
    for rights in bad {
        refused(space.map(at + PAGE, &segment, 0..PAGE, rights), Error::BadArgument)?;
        refused(space.protect(at..at + PAGE, rights), Error::BadArgument)?;
    }
    ensure_eq!(Snapshot::of(&space)?, before);
    Ok(())
}

/// A range with a hole in it, at either end or in the middle, is refused by unmap and protect as a whole.
fn unmapping_what_is_not_all_mapped_is_refused() -> Verdict {
    let (space, segment) = space_and_segment(8)?;
    let at = fresh_address() + 16 * PAGE;
    space.map(at, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    space.map(at + 3 * PAGE, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    let before = Snapshot::of(&space)?;
    for (first, pages) in [(0, 3), (0, 5), (2, 1), (2, 2), (1, 3), (4, 2), (5, 1), (100, 1)] {
        let range = at + first * PAGE..at + (first + pages) * PAGE;
        refused(space.unmap(range.clone()), Error::NotMapped)?;
        refused(space.protect(range, Rights::READ), Error::NotMapped)?;
        ensure_eq!(Snapshot::of(&space)?, before);
    }
    refused(space.unmap(at - PAGE..at + PAGE), Error::NotMapped)?;
    ensure_eq!(Snapshot::of(&space)?, before);
    Ok(())
}

/// Unmapping the middle leaves both ends as they were, and only the middle gone.
fn the_middle_of_a_mapping_can_be_unmapped() -> Verdict {
    let room = Room::new(5)?;
    for page in 0..5 {
        room.word(page * 512)?.set(page + 1);
    }
    let hole = room.address() + 2 * PAGE;
    program().space().unmap(hole..hole + PAGE)?;
    for page in [0, 1, 3, 4] {
        ensure_eq!(room.word(page * 512)?.get(), page + 1);
        room.word(page * 512 + 511)?.set(9);
    }
    ensure!(ends_in_fault(program().space(), move || peek(hole))?, "the middle is still there");
    ensure_eq!(room.segment().info()?.mappings, 2);
    program().space().map(hole, room.segment(), 2 * PAGE..3 * PAGE, Rights::READ)?;
    ensure_eq!(room.word(2 * 512)?.get(), 3);
    Ok(())
}

/// One call unmaps a range that several mappings, also parts of them, make up.
fn one_unmapping_takes_many_mappings() -> Verdict {
    let (space, segment) = space_and_segment(8)?;
    let at = fresh_address();
    for page in 0..8 {
        let rights = if page % 2 == 0 { Rights::READ } else { Rights::READ_WRITE };
        space.map(at + page * PAGE, &segment, page * PAGE..(page + 1) * PAGE, rights)?;
    }
    space.map(at + 8 * PAGE, &segment, 0..8 * PAGE, Rights::READ)?;
    space.unmap(at + PAGE..at + 12 * PAGE)?;
    let left: Vec<_> = space.mappings(PAGE * 512).map(|item| item.map(|m| (m.address, m.length_bytes))).collect();
    let own: Vec<_> = left.into_iter().filter(|item| item.is_ok_and(|(address, _)| address >= at)).collect();
    ensure_eq!(own, [Ok((at, PAGE)), Ok((at + 12 * PAGE, 4 * PAGE))]);
    ensure_eq!(space.info()?.mapped_bytes, 5 * PAGE);
    Ok(())
}

/// The list of mappings is in order of address, complete, and tells what each one is.
fn the_list_tells_every_mapping_in_order() -> Verdict {
    let (space, segment) = space_and_segment(4)?;
    let (low, high) = (fresh_address(), fresh_address());
    space.map(high, &segment, 2 * PAGE..3 * PAGE, Rights::READ_EXECUTE)?;
    space.map(low, &segment, PAGE..4 * PAGE, Rights::READ_WRITE)?;
    let list: Vec<_> = space.mappings(0).collect::<Result<_, _>>()?;
    ensure_eq!(list.len(), 3);
    ensure_eq!((list[0].kind, list[0].address), (ObjectKind::Subtree as u64, 0));
    ensure_eq!((list[1].address, list[1].length_bytes, list[1].offset), (low, 3 * PAGE, PAGE));
    ensure_eq!((list[2].address, list[2].length_bytes, list[2].offset), (high, PAGE, 2 * PAGE));
    ensure_eq!(list[1].rights, u64::from(Rights::READ_WRITE.bits()));
    ensure_eq!(list[2].rights, u64::from(Rights::READ_EXECUTE.bits()));
    ensure_eq!(list[1].object, segment.capability_info()?.object);
    // A mapping that begins before `from` and ends after it is the first.
    let first = |from: u64| space.mappings(from).next().transpose().map(|next| next.map(|m| m.address));
    ensure_eq!(first(low + 2 * PAGE)?, Some(low));
    ensure_eq!(first(low + 3 * PAGE)?, Some(high));
    ensure_eq!(first(high + PAGE)?, None);
    ensure_eq!(first(u64::MAX)?, None);
    Ok(())
}

/// The last page below the end of user memory is as good as any other.
fn the_last_user_page_can_be_mapped() -> Verdict {
    let (space, segment) = space_and_segment(1)?;
    space.map(USER_END - PAGE, &segment, 0..PAGE, Rights::READ_WRITE)?;
    let last = Place::<u64>::new(USER_END - 8)?;
    space.enter(|| last.set(8))?;
    ensure_eq!(space.enter(|| last.get())?, 8);
    ensure!(ends_in_fault(&space, || peek(USER_END))?, "there was memory behind the last page");
    Ok(())
}
