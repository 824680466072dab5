//! Clones that may only read, and what stays the same memory in clones.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use conformance::cloned::{account, available, clone_of, get, set, word};
use conformance::{
    Claim, GUEST_CODE, GUEST_DATA, GUEST_STORES, GuestScene, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq,
    fresh_address, leaves_nothing, reach, refused, run, spot, the_kernel_passes_its_own_checks,
};
use libvas::guest::End;
use libvas::{Cap, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_is_pinned_is_the_same_memory_in_clones),
        claim!(what_is_beside_it_is_copied),
        claim!(what_is_pinned_is_so_in_clones_of_clones),
        claim!(what_is_pinned_may_come_on_first_touch),
        claim!(what_is_pinned_may_be_in_large_pages),
        claim!(writing_to_what_is_pinned_takes_no_memory),
        claim!(what_is_pinned_outlives_its_source),
        claim!(what_is_pinned_goes_from_one_only),
        claim!(what_is_pinned_is_protected_in_one_only),
        claim!(what_is_pinned_in_a_subtree_is_so_in_its_clones),
        claim!(a_read_only_clone_reads_what_was_there),
        claim!(a_read_only_clone_is_not_written_to),
        claim!(a_read_only_clone_writes_to_what_is_pinned),
        claim!(a_read_only_clone_is_not_protected_to_be_written),
        claim!(a_read_only_clone_maps_memory_of_its_own),
        claim!(a_clone_of_a_read_only_clone_is_read_only),
        claim!(the_source_of_a_read_only_clone_is_written_to),
        claim!(memory_calls_write_to_windows_only),
        claim!(guests_in_a_read_only_clone_write_to_windows_only),
        claim!(what_is_attached_to_a_read_only_clone_is_only_read),
        claim!(a_read_only_clone_of_a_subtree_is_not_written_to),
        claim!(subtrees_are_cloned_along_as_asked),
        claim!(what_was_written_since_the_clone_is_told),
        claim!(what_was_only_read_is_not_told),
        claim!(many_written_pages_are_told_in_parts),
        claim!(telling_what_was_written_needs_its_right),
        claim!(what_is_no_mapping_is_not_pinned),
        claim!(what_was_cloned_before_is_not_pinned),
        claim!(pinning_needs_its_right),
        claim!(unknown_flags_are_refused),
        claim!(pinned_memory_leaves_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("clones_pinned", CLAIMS)
}

/// A space with a page that is pinned, and one behind it that is not.
fn half_pinned() -> Result<(Cap<Space>, u64), Error> {
    let (space, address) = (program().new_space()?, fresh_address());
    let (pinned, plain) = (Segment::new(account(), PAGE)?, Segment::new(account(), PAGE)?);
    space.map(address, &pinned, 0..PAGE, Rights::READ_WRITE)?;
    space.map(address + PAGE, &plain, 0..PAGE, Rights::READ_WRITE)?;
    space.pin(address..address + PAGE)?;
    Ok((space, address))
}

fn what_is_pinned_is_the_same_memory_in_clones() -> Verdict {
    let (space, address) = half_pinned()?;
    let word = word(address, 0)?;
    set(&space, word, 1)?;
    let clone = clone_of(&space)?;
    ensure_eq!(get(&clone, word)?, 1);
    set(&space, word, 2)?;
    ensure_eq!(get(&clone, word)?, 2);
    set(&clone, word, 3)?;
    ensure_eq!(get(&space, word)?, 3);
    let second = clone_of(&space)?;
    set(&second, word, 4)?;
    ensure_eq!((get(&space, word)?, get(&clone, word)?), (4, 4));
    Ok(())
}

fn what_is_beside_it_is_copied() -> Verdict {
    let (space, address) = half_pinned()?;
    let (pinned, plain) = (word(address, 0)?, word(address, 1)?);
    set(&space, plain, 1)?;
    let clone = clone_of(&space)?;
    set(&clone, pinned, 5)?;
    set(&clone, plain, 6)?;
    ensure_eq!((get(&space, pinned)?, get(&space, plain)?), (5, 1));
    set(&space, plain, 7)?;
    ensure_eq!((get(&clone, pinned)?, get(&clone, plain)?), (5, 6));
    Ok(())
}

fn what_is_pinned_is_so_in_clones_of_clones() -> Verdict {
    let (space, address) = half_pinned()?;
    let word = word(address, 0)?;
    let first = clone_of(&space)?;
    let second = clone_of(&first)?;
    set(&second, word, 8)?;
    ensure_eq!((get(&space, word)?, get(&first, word)?), (8, 8));
    Ok(())
}

fn what_is_pinned_may_come_on_first_touch() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let lazy = Segment::new_lazy(account(), 4 * PAGE)?;
    space.map(address, &lazy, 0..4 * PAGE, Rights::READ_WRITE)?;
    space.pin(address..address + 4 * PAGE)?;
    let clone = clone_of(&space)?;
    for page in 0..4 {
        let (one, other) = if page % 2 == 0 { (&space, &clone) } else { (&clone, &space) };
        set(one, word(address, page)?, 9 + page)?;
        ensure_eq!(get(other, word(address, page)?)?, 9 + page);
    }
    ensure_eq!(lazy.info()?.populated_bytes, 4 * PAGE);
    Ok(())
}

fn what_is_pinned_may_be_in_large_pages() -> Verdict {
    const LARGE: u64 = 2 << 20;
    let (space, address) = (program().new_space()?, fresh_address().next_multiple_of(LARGE));
    let segment = Segment::new(account(), LARGE)?;
    space.map(address, &segment, 0..LARGE, Rights::READ_WRITE)?;
    space.pin(address..address + LARGE)?;
    let clone = clone_of(&space)?;
    for page in [0, 1, 15, 300, 511] {
        set(&clone, word(address, page)?, page)?;
        ensure_eq!(get(&space, word(address, page)?)?, page);
        set(&space, word(address, page)?, page + 1)?;
        ensure_eq!(get(&clone, word(address, page)?)?, page + 1);
    }
    Ok(())
}

fn writing_to_what_is_pinned_takes_no_memory() -> Verdict {
    let (space, address) = half_pinned()?;
    let clone = clone_of(&space)?;
    let before = available()?;
    set(&clone, word(address, 0)?, 1)?;
    set(&space, word(address, 0)?, 2)?;
    ensure_eq!(available()?, before);
    set(&clone, word(address, 1)?, 1)?;
    ensure!(available()? < before, "a copied page costs nothing");
    Ok(())
}

fn what_is_pinned_outlives_its_source() -> Verdict {
    let (space, address) = half_pinned()?;
    let word = word(address, 0)?;
    let clones = [clone_of(&space)?, clone_of(&space)?];
    set(&space, word, 3)?;
    space.delete()?;
    set(&clones[0], word, get(&clones[1], word)? + 1)?;
    ensure_eq!(get(&clones[1], word)?, 4);
    Ok(())
}

fn what_is_pinned_goes_from_one_only() -> Verdict {
    let (space, address) = half_pinned()?;
    let word = word(address, 0)?;
    set(&space, word, 6)?;
    let clone = clone_of(&space)?;
    clone.unmap(address..address + PAGE)?;
    ensure_eq!(get(&space, word)?, 6);
    ensure_eq!(reach(&clone, address)?, Rights::empty());
    set(&space, word, 7)?;
    ensure_eq!(get(&clone_of(&space)?, word)?, 7);
    Ok(())
}

fn what_is_pinned_is_protected_in_one_only() -> Verdict {
    let (space, address) = half_pinned()?;
    let word = word(address, 0)?;
    let clone = clone_of(&space)?;
    clone.protect(address..address + PAGE, Rights::READ)?;
    ensure_eq!(reach(&clone, address)?, Rights::READ);
    set(&space, word, 2)?;
    ensure_eq!(get(&clone, word)?, 2);
    clone.protect(address..address + PAGE, Rights::READ_WRITE)?;
    set(&clone, word, 3)?;
    ensure_eq!(get(&space, word)?, 3);
    Ok(())
}

/// A subtree with a pinned page and a plain one, attached to a space; where they are.
fn pinned_subtree() -> Result<(Cap<Subtree>, Cap<Space>, u64), Error> {
    let (subtree, space) = (Subtree::with_level(account(), Level::Top)?, program().new_space()?);
    let (start, within) = (spot(Level::Top), 1 << 30);
    for (number, pages) in [(0, 1), (1, 1)] {
        let segment = Segment::new(account(), pages * PAGE)?;
        subtree.map(within + number * PAGE, &segment, 0..PAGE, Rights::READ_WRITE)?;
    }
    subtree.pin(within..within + PAGE)?;
    space.attach(start, &subtree, Rights::READ_WRITE)?;
    Ok((subtree, space, start + within))
}

fn what_is_pinned_in_a_subtree_is_so_in_its_clones() -> Verdict {
    let (subtree, space, address) = pinned_subtree()?;
    let (clone, other) = (Subtree::clone_of(account(), &subtree)?, program().new_space()?);
    other.attach(address / SLOT * SLOT, &clone, Rights::READ_WRITE)?;
    for page in 0..2 {
        set(&other, word(address, page)?, 5)?;
    }
    ensure_eq!((get(&space, word(address, 0)?)?, get(&space, word(address, 1)?)?), (5, 0));
    Ok(())
}

fn read_only_clone_of(space: &Cap<Space>) -> Result<Cap<Space>, Error> {
    Space::read_only_clone_of(account(), space)
}

fn a_read_only_clone_reads_what_was_there() -> Verdict {
    let (space, address) = half_pinned()?;
    set(&space, word(address, 1)?, 12)?;
    let clone = read_only_clone_of(&space)?;
    set(&space, word(address, 1)?, 13)?;
    ensure_eq!(get(&clone, word(address, 1)?)?, 12);
    Ok(())
}

fn a_read_only_clone_is_not_written_to() -> Verdict {
    let (space, address) = half_pinned()?;
    let clone = read_only_clone_of(&space)?;
    ensure_eq!(reach(&clone, address + PAGE)?, Rights::READ);
    let place = word(address, 1)?;
    ensure!(ends_in_fault(&clone, move || place.set(1))?, "a read-only clone is written to");
    ensure_eq!(get(&space, place)?, 0);
    let listed = clone.mappings(address + PAGE).next().ok_or(Error::NotMapped)??;
    ensure_eq!(listed.rights, u64::from(Rights::READ.bits()));
    Ok(())
}

fn a_read_only_clone_writes_to_what_is_pinned() -> Verdict {
    let (space, address) = half_pinned()?;
    let clone = read_only_clone_of(&space)?;
    set(&clone, word(address, 0)?, 14)?;
    ensure_eq!(get(&space, word(address, 0)?)?, 14);
    Ok(())
}

fn a_read_only_clone_is_not_protected_to_be_written() -> Verdict {
    let (space, address) = half_pinned()?;
    let clone = read_only_clone_of(&space)?;
    refused(clone.protect(address + PAGE..address + 2 * PAGE, Rights::READ_WRITE), Error::MissingRight)?;
    refused(clone.protect(address..address + 2 * PAGE, Rights::READ_WRITE), Error::MissingRight)?;
    clone.protect(address..address + PAGE, Rights::READ_WRITE)?;
    clone.protect(address + PAGE..address + 2 * PAGE, Rights::READ_EXECUTE)?;
    ensure_eq!(reach(&space, address + PAGE)?, Rights::READ_WRITE);
    Ok(())
}

fn a_read_only_clone_maps_memory_of_its_own() -> Verdict {
    let (space, address) = half_pinned()?;
    let clone = read_only_clone_of(&space)?;
    clone.unmap(address + PAGE..address + 2 * PAGE)?;
    clone.map(address + PAGE, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
    let place = word(address, 1)?;
    set(&clone, place, 15)?;
    ensure_eq!((get(&clone, place)?, get(&space, place)?), (15, 0));
    // Cloned once more, that is copied as anything is.
    let second = clone_of(&clone)?;
    set(&second, place, 16)?;
    ensure_eq!(get(&clone, place)?, 15);
    set(&clone, place, 17)?;
    ensure_eq!(get(&second, place)?, 16);
    Ok(())
}

fn a_clone_of_a_read_only_clone_is_read_only() -> Verdict {
    let (space, address) = half_pinned()?;
    let clone = clone_of(&read_only_clone_of(&space)?)?;
    ensure_eq!(reach(&clone, address + PAGE)?, Rights::READ);
    refused(clone.protect(address + PAGE..address + 2 * PAGE, Rights::READ_WRITE), Error::MissingRight)?;
    set(&clone, word(address, 0)?, 18)?;
    ensure_eq!(get(&space, word(address, 0)?)?, 18);
    Ok(())
}

fn the_source_of_a_read_only_clone_is_written_to() -> Verdict {
    let (space, address) = half_pinned()?;
    let place = word(address, 1)?;
    for value in 1..20 {
        let clone = read_only_clone_of(&space)?;
        set(&space, place, value)?;
        ensure_eq!((get(&clone, place)?, get(&space, place)?), (value - 1, value));
    }
    Ok(())
}

fn memory_calls_write_to_windows_only() -> Verdict {
    let (space, address) = half_pinned()?;
    let clone = read_only_clone_of(&space)?;
    refused(clone.write(address + PAGE, &[1]), Error::BadAddress)?;
    refused(clone.write(address + PAGE - 1, &[1, 1]), Error::BadAddress)?;
    clone.write(address, &[3])?;
    let mut bytes = [0; 2];
    space.read(address, &mut bytes[..1])?;
    space.read(address + PAGE, &mut bytes[1..])?;
    ensure_eq!(bytes, [3, 0]);
    Ok(())
}

fn guests_in_a_read_only_clone_write_to_windows_only() -> Verdict {
    let (x86_64, aarch64) = GUEST_STORES;
    let mut scene = GuestScene::new(x86_64, aarch64)?;
    let window = fresh_address();
    scene.space.map(window, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
    scene.space.pin(window..window + PAGE)?;
    let source = core::mem::replace(&mut scene.space, Space::new(account())?);
    scene.space = read_only_clone_of(&source)?;
    let store = |address: u64| {
        scene.context.set_instruction_pointer(GUEST_CODE);
        scene.context.set_arguments([address, 77]);
        scene.run()
    };
    ensure!(matches!(store(window + 8)?, End::Call { .. }), "a guest does not write to a window");
    ensure!(matches!(store(GUEST_DATA)?, End::Fault { .. }), "a guest writes to a read-only clone");
    let mut bytes = [0; 1];
    source.read(window + 8, &mut bytes)?;
    ensure_eq!(bytes, [77]);
    Ok(())
}

fn what_is_attached_to_a_read_only_clone_is_only_read() -> Verdict {
    let (_subtree, space, address) = pinned_subtree()?;
    let clone = read_only_clone_of(&space)?;
    ensure_eq!(reach(&clone, address)?, Rights::READ);
    // The program is attached as a window, or nothing could run there.
    let mut ran = false;
    clone.enter(|| ran = true)?;
    ensure!(ran, "nothing runs in a read-only clone");
    set(&space, word(address, 0)?, 19)?;
    ensure_eq!(get(&clone, word(address, 0)?)?, 19);
    Ok(())
}

fn a_read_only_clone_of_a_subtree_is_not_written_to() -> Verdict {
    let (subtree, space, address) = pinned_subtree()?;
    let (clone, other) = (Subtree::read_only_clone_of(account(), &subtree)?, program().new_space()?);
    other.attach(address / SLOT * SLOT, &clone, Rights::READ_WRITE)?;
    ensure_eq!(reach(&other, address + PAGE)?, Rights::READ);
    set(&other, word(address, 0)?, 20)?;
    ensure_eq!(get(&space, word(address, 0)?)?, 20);
    Ok(())
}

fn subtrees_are_cloned_along_as_asked() -> Verdict {
    let (subtree, space, address) = pinned_subtree()?;
    let place = word(address, 1)?;
    let (same, own) = (clone_of(&space)?, clone_of(&space)?);
    let _subtree = own.attach_clone(address / SLOT * SLOT, account(), &subtree, Rights::READ_WRITE)?;
    set(&space, place, 21)?;
    ensure_eq!((get(&same, place)?, get(&own, place)?), (21, 0));
    set(&own, place, 22)?;
    ensure_eq!(get(&space, place)?, 21);
    Ok(())
}

/// A space with so many pages behind an address.
fn paged(pages: u64) -> Result<(Cap<Space>, u64), Error> {
    let (space, address) = (program().new_space()?, fresh_address());
    space.map(address, &Segment::new(account(), pages * PAGE)?, 0..pages * PAGE, Rights::READ_WRITE)?;
    Ok((space, address))
}

/// The pages that were written to, by their numbers.
fn written(space: &Cap<Space>, address: u64) -> Result<Vec<u64>, Error> {
    let (mut all, mut next, mut part) = (Vec::new(), Some(0), [0; 10]);
    while let Some(from) = next {
        let (count, behind) = space.written(from, &mut part)?;
        all.extend(part[..count].iter().map(|at| (at - address) / PAGE));
        next = behind;
    }
    Ok(all)
}

fn what_was_written_since_the_clone_is_told() -> Verdict {
    let (space, address) = paged(20)?;
    set(&space, word(address, 3)?, 1)?;
    ensure_eq!(written(&space, address)?, []);
    let clone = clone_of(&space)?;
    for page in [7, 2, 19] {
        set(&space, word(address, page)?, 1)?;
    }
    set(&clone, word(address, 5)?, 1)?;
    ensure_eq!((written(&space, address)?, written(&clone, address)?), (vec![2, 7, 19], vec![5]));
    let second = clone_of(&space)?;
    ensure_eq!((written(&space, address)?, written(&second, address)?), (vec![], vec![]));
    // Nobody else has any of it any more, and it is told all the same.
    drop((clone, second));
    set(&space, word(address, 7)?, 2)?;
    ensure_eq!(written(&space, address)?, [7]);
    space.unmap(address..address + 20 * PAGE)?;
    ensure_eq!(written(&space, address)?, []);
    Ok(())
}

fn what_was_only_read_is_not_told() -> Verdict {
    let (space, address) = paged(4)?;
    let first = clone_of(&space)?;
    set(&space, word(address, 1)?, 1)?;
    let second = clone_of(&space)?;
    drop((first, second));
    for page in 0..4 {
        get(&space, word(address, page)?)?;
    }
    ensure_eq!(written(&space, address)?, []);
    set(&space, word(address, 1)?, 2)?;
    ensure_eq!(written(&space, address)?, [1]);
    Ok(())
}

fn many_written_pages_are_told_in_parts() -> Verdict {
    let (space, address) = paged(300)?;
    let clone = clone_of(&space)?;
    for page in 0..300 {
        set(&space, word(address, page)?, page)?;
    }
    ensure_eq!(written(&space, address)?, (0..300).collect::<Vec<_>>());
    let mut many = [0; 100];
    let (count, next) = space.written(address + 1, &mut many)?;
    ensure_eq!((count, many[0], next), (64, address + PAGE, Some(address + 65 * PAGE)));
    ensure_eq!(space.written(address, &mut [])?.0, 0);
    ensure_eq!(written(&clone, address)?, []);
    Ok(())
}

fn telling_what_was_written_needs_its_right() -> Verdict {
    let (space, address) = paged(1)?;
    let clone = clone_of(&space)?;
    set(&clone, word(address, 0)?, 1)?;
    let narrow = clone.derive(Rights::MAP | Rights::SWITCH, 0)?;
    refused(narrow.written(0, &mut [0]), Error::MissingRight)?;
    refused(attempt(number::written_list, [clone.handle().bits(), 0, 8, 1, 0, 0]), Error::BadPointer)?;
    refused(attempt(number::written_list, [u64::MAX, 0, 0, 0, 0, 0]), Error::BadHandle)
}

fn what_is_no_mapping_is_not_pinned() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    space.map(address, &Segment::new(account(), 2 * PAGE)?, 0..2 * PAGE, Rights::READ_WRITE)?;
    space.map(address + 2 * PAGE, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
    refused(space.pin(address..address + PAGE), Error::BadArgument)?;
    refused(space.pin(address + PAGE..address + 2 * PAGE), Error::BadArgument)?;
    refused(space.pin(address..address + 3 * PAGE), Error::BadArgument)?;
    refused(space.pin(address + 3 * PAGE..address + 4 * PAGE), Error::NotMapped)?;
    refused(space.pin(address + 1..address + PAGE + 1), Error::Misaligned)?;
    refused(space.pin(0..PAGE), Error::BadAddress)?;
    // None of that pinned anything.
    let clone = clone_of(&space)?;
    set(&clone, word(address, 0)?, 1)?;
    ensure_eq!(get(&space, word(address, 0)?)?, 0);
    Ok(())
}

fn what_was_cloned_before_is_not_pinned() -> Verdict {
    let (space, address) = half_pinned()?;
    let clone = clone_of(&space)?;
    for space in [&space, &clone] {
        refused(space.pin(address + PAGE..address + 2 * PAGE), Error::BadState)?;
        // What is pinned can be pinned again.
        space.pin(address..address + PAGE)?;
    }
    clone.map(address + 2 * PAGE, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
    Ok(clone.pin(address + 2 * PAGE..address + 3 * PAGE)?)
}

fn pinning_needs_its_right() -> Verdict {
    let (space, address) = half_pinned()?;
    let narrow = space.derive(Rights::INSPECT | Rights::SWITCH, 0)?;
    refused(narrow.pin(address..address + PAGE), Error::MissingRight)?;
    let (subtree, ..) = pinned_subtree()?;
    subtree.seal()?;
    refused(subtree.pin((1 << 30) + PAGE..(1 << 30) + 2 * PAGE), Error::Sealed)?;
    let segment = Segment::new(account(), PAGE)?;
    refused(attempt(number::pin, [segment.handle().bits(), address, PAGE, 0, 0, 0]), Error::WrongObject)?;
    refused(attempt(number::pin, [u64::MAX, address, PAGE, 0, 0, 0]), Error::BadHandle)
}

fn unknown_flags_are_refused() -> Verdict {
    let ((space, _), (subtree, ..)) = (half_pinned()?, pinned_subtree()?);
    let account = account().handle().bits();
    let before = available()?;
    for flags in [4, 5, 1 << 32, u64::MAX] {
        refused(attempt(number::space_clone, [account, space.handle().bits(), flags, 0, 0, 0]), Error::BadArgument)?;
        let words = [account, subtree.handle().bits(), flags, 0, 0, 0];
        refused(attempt(number::subtree_clone, words), Error::BadArgument)?;
    }
    ensure_eq!(available()?, before);
    Ok(())
}

fn pinned_memory_leaves_nothing() -> Verdict {
    leaves_nothing(40, |cycle| -> Verdict {
        let (space, address) = half_pinned()?;
        let clone = if cycle % 2 == 0 { clone_of(&space)? } else { read_only_clone_of(&space)? };
        set(&clone, word(address, 0)?, cycle)?;
        set(&space, word(address, 1)?, cycle)?;
        ensure_eq!(get(&space, word(address, 0)?)?, cycle);
        if cycle % 3 == 0 {
            drop(space);
            ensure_eq!(get(&clone, word(address, 0)?)?, cycle);
        }
        Ok(())
    })
}
