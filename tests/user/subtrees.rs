//! Subtrees: page tables built once and attached to many spaces.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Census, Claim, KERNEL_ADDRESSES, Snapshot, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq, refused, run,
    the_kernel_passes_its_own_checks,
};
use libvas::{
    Cap, Error, ObjectKind, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, TOP_SLOTS, program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(one_subtree_shows_the_same_in_every_space),
        claim!(a_change_is_seen_by_all_spaces_at_once),
        claim!(attaching_takes_no_table_memory),
        claim!(bounds_hold_in_one_space_and_not_in_another),
        claim!(attaching_needs_an_aligned_user_address),
        claim!(attaching_over_something_is_refused),
        claim!(mapping_over_an_attachment_is_refused),
        claim!(bad_bounds_are_refused),
        claim!(detaching_takes_the_memory_away),
        claim!(detaching_nothing_is_refused),
        claim!(an_attachment_keeps_its_subtree),
        claim!(a_subtree_has_its_own_addresses),
        claim!(a_subtree_tells_of_itself),
        claim!(levels_that_are_none_are_refused),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("subtrees", CLAIMS)
}

const PAGE: u64 = PAGE_BYTES;
const SLOT: u64 = TOP_SLOT_BYTES;

/// Where in a subtree the first page is: the one before it stays free.
const FIRST: u64 = PAGE;

/// A subtree with a page in it.
fn subtree_with_page(rights: Rights) -> Result<(Cap<Subtree>, Cap<Segment>), Error> {
    let (subtree, segment) = (Subtree::new(program().account())?, Segment::new(program().account(), PAGE)?);
    subtree.map(FIRST, &segment, 0..PAGE, rights)?;
    Ok((subtree, segment))
}

/// What is written through one space is read through another, at another address.
fn one_subtree_shows_the_same_in_every_space() -> Verdict {
    let (subtree, _segment) = subtree_with_page(Rights::READ_WRITE)?;
    let (left, right) = (program().new_space()?, program().new_space()?);
    left.attach(3 * SLOT, &subtree, Rights::READ_WRITE)?;
    right.attach(200 * SLOT, &subtree, Rights::READ_WRITE)?;
    right.attach(201 * SLOT, &subtree, Rights::READ)?;
    let (ours, theirs) = (Place::<u64>::new(3 * SLOT + FIRST)?, Place::<u64>::new(200 * SLOT + FIRST)?);
    left.enter(|| ours.set(17))?;
    ensure_eq!(right.enter(|| (theirs.get(), Place::<u64>::new(201 * SLOT + FIRST).map(Place::get)))?, (17, Ok(17)));
    Ok(())
}

/// Mapping, protecting and unmapping in the subtree count in all spaces, though they have used it before.
fn a_change_is_seen_by_all_spaces_at_once() -> Verdict {
    let (subtree, segment) = subtree_with_page(Rights::READ_WRITE)?;
    let spaces = [program().new_space()?, program().new_space()?];
    let (first, second) = (Place::<u64>::new(9 * SLOT + FIRST)?, Place::<u64>::new(9 * SLOT + FIRST + PAGE)?);
    for space in &spaces {
        space.attach(9 * SLOT, &subtree, Rights::READ_WRITE)?;
        space.enter(|| first.set(1))?;
    }
    subtree.map(FIRST + PAGE, &segment, 0..PAGE, Rights::READ_WRITE)?;
    for space in &spaces {
        ensure_eq!(space.enter(|| second.get())?, 1);
    }
    subtree.protect(FIRST..FIRST + 2 * PAGE, Rights::READ)?;
    for space in &spaces {
        ensure!(ends_in_fault(space, move || first.set(2))?, "a space still lets write");
    }
    subtree.unmap(FIRST..FIRST + PAGE)?;
    for space in &spaces {
        ensure!(ends_in_fault(space, move || first.get())?, "a space still has the page");
        ensure_eq!(space.enter(|| second.get())?, 1);
    }
    Ok(())
}

/// However much a subtree holds, attaching it costs the space no page table, and the tables are counted once.
fn attaching_takes_no_table_memory() -> Verdict {
    let (subtree, segment) = (Subtree::new(program().account())?, Segment::new(program().account(), 4 << 20)?);
    for part in 0..8 {
        subtree.map((part << 30) + PAGE, &segment, 0..4 << 20, Rights::READ)?;
    }
    let space = Space::new(program().account())?;
    let before = (space.info()?, Census::take()?.machine.free_bytes);
    for slot in 1..50 {
        space.attach(slot * SLOT, &subtree, Rights::READ)?;
    }
    let after = space.info()?;
    ensure_eq!((after.table_bytes, after.attachments), (before.0.table_bytes, 49));
    ensure_eq!(subtree.info()?.sharers, 49);
    let taken_bytes = before.1 - Census::take()?.machine.free_bytes;
    ensure!(taken_bytes < 16 * PAGE, "49 attachments took {taken_bytes} bytes");
    Ok(())
}

/// Where a subtree is attached for reading only, nobody writes or executes, whatever its mappings say.
fn bounds_hold_in_one_space_and_not_in_another() -> Verdict {
    let (subtree, _segment) = subtree_with_page(Rights::READ_WRITE)?;
    let (writer, reader) = (program().new_space()?, program().new_space()?);
    writer.attach(7 * SLOT, &subtree, Rights::READ_WRITE)?;
    reader.attach(7 * SLOT, &subtree, Rights::READ)?;
    let place = Place::<u64>::new(7 * SLOT + FIRST)?;
    writer.enter(|| place.set(5))?;
    ensure_eq!(reader.enter(|| place.get())?, 5);
    ensure!(ends_in_fault(&reader, move || place.set(6))?, "the reader could write");
    ensure_eq!(writer.enter(|| place.get())?, 5);
    let code = Segment::new(program().account(), PAGE)?;
    code.write(0, &conformance::Code::Return.bytes())?;
    subtree.map(2 * PAGE, &code, 0..PAGE, Rights::READ_EXECUTE)?;
    ensure!(ends_in_fault(&reader, || conformance::run_at(7 * SLOT + 2 * PAGE))?, "the reader could execute");
    let executor = program().new_space()?;
    executor.attach(7 * SLOT, &subtree, Rights::READ_EXECUTE)?;
    executor.enter(|| conformance::run_at(7 * SLOT + 2 * PAGE))?;
    Ok(())
}

/// A subtree goes to multiples of 512 GiB in user memory, the last one excepted, which programs do not have whole.
fn attaching_needs_an_aligned_user_address() -> Verdict {
    let (subtree, _segment) = subtree_with_page(Rights::READ)?;
    let space = Space::new(program().account())?;
    let before = Snapshot::of(&space)?;
    for address in [PAGE, SLOT + PAGE, 3 * SLOT - 1, u64::MAX] {
        refused(space.attach(address, &subtree, Rights::READ), Error::Misaligned)?;
        refused(space.detach(address), Error::Misaligned)?;
    }
    // A smaller subtree could begin there, so detaching finds none.
    refused(space.attach(SLOT / 2, &subtree, Rights::READ), Error::Misaligned)?;
    refused(space.detach(SLOT / 2), Error::NotMapped)?;
    let last = (TOP_SLOTS as u64 - 1) * SLOT;
    let aligned = KERNEL_ADDRESSES.map(|address| address / SLOT * SLOT);
    refused(space.attach(last, &subtree, Rights::READ), Error::BadAddress)?;
    refused(space.detach(last), Error::NotMapped)?;
    for address in aligned.into_iter().chain([last + SLOT, 1 << 48, 1 << 63]) {
        refused(space.attach(address, &subtree, Rights::READ), Error::BadAddress)?;
        refused(space.detach(address), Error::BadAddress)?;
    }
    ensure_eq!(Snapshot::of(&space)?, before);
    space.attach(last - SLOT, &subtree, Rights::READ)?;
    Ok(())
}

/// A slot that holds a mapping or an attachment takes no other, and nothing changes.
fn attaching_over_something_is_refused() -> Verdict {
    let (subtree, segment) = subtree_with_page(Rights::READ)?;
    let space = Space::new(program().account())?;
    space.attach(4 * SLOT, &subtree, Rights::READ)?;
    space.map(6 * SLOT - PAGE, &segment, 0..PAGE, Rights::READ)?;
    let (before, sharers) = (Snapshot::of(&space)?, subtree.info()?.sharers);
    let other = Subtree::new(program().account())?;
    for slot in [4, 5] {
        refused(space.attach(slot * SLOT, &subtree, Rights::READ), Error::Overlap)?;
        refused(space.attach(slot * SLOT, &other, Rights::READ), Error::Overlap)?;
    }
    ensure_eq!((Snapshot::of(&space)?, subtree.info()?.sharers, other.info()?.sharers), (before, sharers, 0));
    space.attach(6 * SLOT, &other, Rights::READ)?;
    Ok(())
}

/// A space maps nothing of its own where a subtree is attached, nor across one, and does not unmap in it.
fn mapping_over_an_attachment_is_refused() -> Verdict {
    let (subtree, segment) = subtree_with_page(Rights::READ)?;
    let space = Space::new(program().account())?;
    let large = Segment::new_lazy(program().account(), 4 * PAGE)?;
    space.attach(4 * SLOT, &subtree, Rights::READ)?;
    let before = Snapshot::of(&space)?;
    for address in [4 * SLOT, 4 * SLOT + PAGE, 5 * SLOT - PAGE] {
        refused(space.map(address, &segment, 0..PAGE, Rights::READ), Error::Overlap)?;
    }
    refused(space.map(4 * SLOT - 2 * PAGE, &large, 0..4 * PAGE, Rights::READ), Error::Overlap)?;
    refused(space.map(5 * SLOT - 2 * PAGE, &large, 0..4 * PAGE, Rights::READ), Error::Overlap)?;
    refused(space.unmap(4 * SLOT..4 * SLOT + PAGE), Error::NotMapped)?;
    refused(space.protect(4 * SLOT..4 * SLOT + PAGE, Rights::READ), Error::NotMapped)?;
    ensure_eq!(Snapshot::of(&space)?, before);
    Ok(())
}

/// Bounds hold `READ`, and nothing but rights of memory.
fn bad_bounds_are_refused() -> Verdict {
    let (subtree, _segment) = subtree_with_page(Rights::READ)?;
    let space = Space::new(program().account())?;
    for bounds in [Rights::empty(), Rights::WRITE, Rights::EXECUTE, Rights::READ | Rights::MAP, Rights::all()] {
        refused(space.attach(SLOT, &subtree, bounds), Error::BadArgument)?;
    }
    let reader = subtree.derive(Rights::READ, 0)?;
    refused(space.attach(SLOT, &reader, Rights::READ_WRITE), Error::MissingRight)?;
    refused(space.attach(SLOT, &reader, Rights::READ_EXECUTE), Error::MissingRight)?;
    space.attach(SLOT, &reader, Rights::READ)?;
    Ok(())
}

/// What was used a moment ago is gone after the detachment, here, and still there elsewhere.
fn detaching_takes_the_memory_away() -> Verdict {
    let (subtree, _segment) = subtree_with_page(Rights::READ_WRITE)?;
    let (here, elsewhere) = (program().new_space()?, program().new_space()?);
    let place = Place::<u64>::new(2 * SLOT + FIRST)?;
    for space in [&here, &elsewhere] {
        space.attach(2 * SLOT, &subtree, Rights::READ_WRITE)?;
        space.enter(|| place.set(3))?;
    }
    here.detach(2 * SLOT)?;
    ensure!(ends_in_fault(&here, move || place.get())?, "the memory is still there");
    ensure_eq!((elsewhere.enter(|| place.get())?, subtree.info()?.sharers), (3, 1));
    let inside = here.derive(Rights::MAP, 0)?;
    let other = Segment::new(program().account(), PAGE)?;
    let in_use = move || {
        let mapped = inside.map(2 * SLOT + FIRST, &other, 0..PAGE, Rights::READ);
        (mapped, place.get())
    };
    ensure_eq!(here.enter(in_use)?, (Ok(()), 0));
    Ok(())
}

/// A slot without an attachment has nothing to detach, be it empty or mapped.
fn detaching_nothing_is_refused() -> Verdict {
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), PAGE)?);
    space.map(SLOT, &segment, 0..PAGE, Rights::READ)?;
    let before = Snapshot::of(&space)?;
    for slot in [0, 1, 2, 254] {
        refused(space.detach(slot * SLOT), Error::NotMapped)?;
    }
    ensure_eq!(Snapshot::of(&space)?, before);
    Ok(())
}

/// A subtree stays while it is attached somewhere, and goes with the last attachment.
fn an_attachment_keeps_its_subtree() -> Verdict {
    let space = Space::new(program().account())?;
    let before = Census::take()?.machine.subtrees;
    let (subtree, segment) = subtree_with_page(Rights::READ)?;
    segment.write(0, b"here")?;
    space.attach(SLOT, &subtree, Rights::READ)?;
    drop(subtree);
    let mut bytes = [0; 4];
    space.read(SLOT + FIRST, &mut bytes)?;
    ensure_eq!((&bytes, Census::take()?.machine.subtrees), (b"here", before + 1));
    drop(space);
    ensure_eq!(Census::take()?.machine.subtrees, before);
    ensure_eq!(segment.info()?.mappings, 0);
    Ok(())
}

/// In a subtree addresses count from its start, whose first page stays free for null pointers, and end with its
/// 512 GiB; its list tells them so.
fn a_subtree_has_its_own_addresses() -> Verdict {
    let (subtree, segment) = subtree_with_page(Rights::READ)?;
    subtree.map(SLOT - PAGE, &segment, 0..PAGE, Rights::READ)?;
    for address in [0, SLOT, SLOT + PAGE, 1 << 47, 0_u64.wrapping_sub(PAGE)] {
        let words = [subtree.handle().bits(), segment.handle().bits(), 0, address, PAGE, 1];
        refused(attempt(number::map, words), Error::BadAddress)?;
        refused(attempt(number::unmap, [words[0], address, PAGE, 0, 0, 0]), Error::BadAddress)?;
    }
    let list: Vec<_> = subtree.mappings(0).collect::<Result<_, _>>()?;
    let told: Vec<_> = list.iter().map(|mapping| (mapping.address, mapping.kind)).collect();
    ensure_eq!(told, [(FIRST, ObjectKind::Segment as u64), (SLOT - PAGE, ObjectKind::Segment as u64)]);
    Ok(())
}

/// A subtree tells its level, its alignment and what is in it.
fn a_subtree_tells_of_itself() -> Verdict {
    let (subtree, _segment) = subtree_with_page(Rights::READ)?;
    let info = subtree.info()?;
    ensure_eq!((info.level, info.alignment_bytes), (3, SLOT));
    ensure_eq!((info.mapped_bytes, info.mappings, info.sharers), (PAGE, 1, 0));
    ensure_eq!(info.table_bytes, 3 * PAGE);
    refused(subtree.derive(Rights::MAP, 0)?.info(), Error::MissingRight)?;
    let looker = subtree.derive(Rights::INSPECT, 0)?;
    refused(looker.unmap(FIRST..2 * PAGE), Error::MissingRight)?;
    ensure_eq!(looker.info()?, info);
    Ok(())
}

/// Subtrees exist for three levels of entries, and for no other.
fn levels_that_are_none_are_refused() -> Verdict {
    let (account, before) = (program().account().handle().bits(), Census::take()?);
    for level in [0, 4, 255, 257, 259, 1 << 32 | 3, u64::MAX] {
        refused(attempt(number::subtree_create, [account, level, 0, 0, 0, 0]), Error::WrongLevel)?;
    }
    ensure_eq!(Census::take()?, before);
    Ok(())
}
