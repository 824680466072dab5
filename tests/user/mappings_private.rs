//! Mappings that are copied when they are written to: a copy-on-write child of a segment.

#![no_std]
#![no_main]

use conformance::cloned::{clone_of, get, set, word};
use conformance::{
    Claim, GUEST_CODE, GUEST_DATA, GUEST_STORES, GuestScene, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq,
    fresh_address, leaves_nothing, reach, refused, run, spot, the_kernel_passes_its_own_checks,
};
use libvas::guest::End;
use libvas::{Account, Cap, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_is_written_is_seen_by_nobody_else),
        claim!(what_was_not_written_follows_the_segment),
        claim!(writing_takes_no_right_on_the_segment),
        claim!(reading_takes_one),
        claim!(a_read_only_private_mapping_may_be_made_writable),
        claim!(the_writer_pays_for_its_copy),
        claim!(who_cannot_pay_faults_and_changes_nothing),
        claim!(a_page_without_memory_is_copied_as_zeros),
        claim!(a_first_read_is_paid_by_who_reads),
        claim!(large_pages_are_copied_page_by_page),
        claim!(calls_and_guests_write_to_the_copy),
        claim!(a_subtree_is_a_child_of_a_segment),
        claim!(what_is_unmapped_is_forgotten),
        claim!(a_clone_of_it_copies_once_more),
        claim!(a_copy_may_become_code),
        claim!(revoking_takes_the_copies_too),
        claim!(what_was_written_is_told),
        claim!(discarded_pages_go_and_copies_stay),
        claim!(a_lockable_segment_is_not_mapped_so),
        claim!(bad_arguments_are_refused),
        claim!(private_mappings_leave_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("mappings_private", CLAIMS)
}

fn account() -> &'static Cap<Account> {
    program().account()
}

type Scene = (Cap<Segment>, Cap<Space>, Cap<Space>, u64);

/// A segment of so many pages, a space that shows it as it is, one that has it as its own, and where.
fn scene(pages: u64) -> Result<Scene, Error> {
    let (segment, address) = (Segment::new(account(), pages * PAGE)?, fresh_address().next_multiple_of(2 << 20));
    let (shared, private) = (program().new_space()?, program().new_space()?);
    shared.map(address, &segment, 0..pages * PAGE, Rights::READ_WRITE)?;
    private.map_private(address, &segment, 0..pages * PAGE, Rights::READ_WRITE)?;
    Ok((segment, shared, private, address))
}

fn what_is_written_is_seen_by_nobody_else() -> Verdict {
    let (segment, shared, private, address) = scene(3)?;
    let other = program().new_space()?;
    other.map_private(address, &segment, 0..3 * PAGE, Rights::READ_WRITE)?;
    let place = word(address, 1)?;
    set(&shared, place, 1)?;
    ensure_eq!((get(&private, place)?, get(&other, place)?), (1, 1));
    set(&private, place, 2)?;
    ensure_eq!((get(&shared, place)?, get(&private, place)?, get(&other, place)?), (1, 2, 1));
    set(&other, place, 3)?;
    set(&private, place, 4)?;
    ensure_eq!((get(&shared, place)?, get(&private, place)?, get(&other, place)?), (1, 4, 3));
    Ok(())
}

fn what_was_not_written_follows_the_segment() -> Verdict {
    let (_segment, shared, private, address) = scene(2)?;
    let (written, left) = (word(address, 0)?, word(address, 1)?);
    ensure_eq!((get(&private, written)?, get(&private, left)?), (0, 0));
    set(&private, written, 5)?;
    set(&shared, written, 6)?;
    set(&shared, left, 7)?;
    ensure_eq!((get(&private, written)?, get(&private, left)?), (5, 7));
    Ok(())
}

fn writing_takes_no_right_on_the_segment() -> Verdict {
    let (segment, shared, _, address) = scene(1)?;
    let reader = segment.derive(Rights::READ, 0)?;
    let space = program().new_space()?;
    refused(space.map(address, &reader, 0..PAGE, Rights::READ_WRITE), Error::MissingRight)?;
    space.map_private(address, &reader, 0..PAGE, Rights::READ_WRITE)?;
    set(&space, word(address, 0)?, 8)?;
    ensure_eq!((get(&space, word(address, 0)?)?, get(&shared, word(address, 0)?)?), (8, 0));
    Ok(())
}

fn reading_takes_one() -> Verdict {
    let (segment, _, _, address) = scene(1)?;
    let space = program().new_space()?;
    let writer = segment.derive(Rights::WRITE | Rights::CONTROL, 0)?;
    refused(space.map_private(address, &writer, 0..PAGE, Rights::READ_WRITE), Error::MissingRight)?;
    let reader = segment.derive(Rights::READ, 0)?;
    refused(space.map_private(address, &reader, 0..PAGE, Rights::READ_EXECUTE), Error::MissingRight)?;
    let blind = space.derive(Rights::all() - Rights::MAP, 0)?;
    refused(blind.map_private(address, &segment, 0..PAGE, Rights::READ), Error::MissingRight)
}

fn a_read_only_private_mapping_may_be_made_writable() -> Verdict {
    let (segment, shared, _, address) = scene(2)?;
    let (space, reader) = (program().new_space()?, segment.derive(Rights::READ, 0)?);
    space.map_private(address, &reader, 0..2 * PAGE, Rights::READ)?;
    ensure_eq!(reach(&space, address)?, Rights::READ);
    space.protect(address..address + 2 * PAGE, Rights::READ_WRITE)?;
    let place = word(address, 0)?;
    set(&space, place, 9)?;
    ensure_eq!((get(&space, place)?, get(&shared, place)?), (9, 0));
    space.protect(address..address + PAGE, Rights::READ)?;
    ensure!(ends_in_fault(&space, move || place.set(1))?, "what is only read is written to");
    ensure_eq!(get(&space, place)?, 9);
    Ok(())
}

fn the_writer_pays_for_its_copy() -> Verdict {
    let owner = account().split(1 << 20)?;
    let segment = Segment::new(&owner, 4 * PAGE)?;
    let (payer, address) = (account().split(1 << 20)?, fresh_address());
    let space = Space::new(&payer)?;
    space.attach(0, program().subtree(), Rights::ACCESS)?;
    space.map_private(address, &segment, 0..4 * PAGE, Rights::READ_WRITE)?;
    for page in 0..4 {
        get(&space, word(address, page)?)?;
    }
    set(&space, word(address, 0)?, 1)?;
    let (owners, before) = (owner.available_bytes()?, payer.available_bytes()?);
    set(&space, word(address, 1)?, 1)?;
    let cost = before - payer.available_bytes()?;
    ensure!((PAGE..PAGE + 128).contains(&cost), "a page that is copied costs {cost} bytes");
    ensure_eq!(owner.available_bytes()?, owners);
    set(&space, word(address, 1)?, 2)?;
    ensure_eq!(before - payer.available_bytes()?, cost);
    Ok(())
}

fn who_cannot_pay_faults_and_changes_nothing() -> Verdict {
    let segment = Segment::new(account(), 64 * PAGE)?;
    let (payer, address) = (account().split(24 * PAGE)?, fresh_address());
    let space = Space::new(&payer)?;
    space.attach(0, program().subtree(), Rights::ACCESS)?;
    space.map_private(address, &segment, 0..64 * PAGE, Rights::READ_WRITE)?;
    let (mut page, word_of) = (0, |page| word(address, page));
    while payer.available_bytes()? > 2 * PAGE {
        set(&space, word_of(page)?, page + 1)?;
        page += 1;
    }
    set(&space, word_of(page)?, page + 1)?;
    let place = word_of(page + 1)?;
    let _rest = payer.split(payer.available_bytes()? / PAGE * PAGE).ok();
    ensure!(ends_in_fault(&space, move || place.set(1))?, "a page that nobody pays for is copied");
    ensure_eq!((get(&space, place)?, get(&space, word_of(page)?)?), (0, page + 1));
    Ok(())
}

fn a_page_without_memory_is_copied_as_zeros() -> Verdict {
    let (lazy, address) = (Segment::new_lazy(account(), 4 * PAGE)?, fresh_address());
    let (shared, private) = (program().new_space()?, program().new_space()?);
    shared.map(address, &lazy, 0..4 * PAGE, Rights::READ_WRITE)?;
    private.map_private(address, &lazy, 0..4 * PAGE, Rights::READ_WRITE)?;
    set(&private, word(address, 2)?, 3)?;
    ensure_eq!(lazy.info()?.populated_bytes, 0);
    set(&shared, word(address, 2)?, 4)?;
    ensure_eq!((get(&private, word(address, 2)?)?, get(&shared, word(address, 2)?)?), (3, 4));
    ensure_eq!(get(&private, word(address, 3)?)?, 0);
    set(&shared, word(address, 3)?, 5)?;
    ensure_eq!(get(&private, word(address, 3)?)?, 5);
    Ok(())
}

fn a_first_read_is_paid_by_who_reads() -> Verdict {
    let owner = account().split(1 << 20)?;
    let (lazy, address) = (Segment::new_lazy(&owner, 4 * PAGE)?, fresh_address());
    let space = program().new_space()?;
    // The capability allows writing, but who maps so does not write to the segment.
    space.map_private(address, &lazy, 0..4 * PAGE, Rights::READ_WRITE)?;
    let before = owner.available_bytes()?;
    get(&space, word(address, 0)?)?;
    ensure_eq!((owner.available_bytes()?, lazy.info()?.populated_bytes), (before, PAGE));
    Ok(())
}

fn large_pages_are_copied_page_by_page() -> Verdict {
    let (_segment, shared, private, address) = scene(1024)?;
    for page in [0, 1, 511, 512, 800] {
        set(&shared, word(address, page)?, page + 1)?;
    }
    let before = account().available_bytes()?;
    for page in [1, 800] {
        ensure_eq!(get(&private, word(address, page)?)?, page + 1);
        set(&private, word(address, page)?, page + 2)?;
    }
    ensure!(before - account().available_bytes()? < 8 * PAGE, "a large page is copied whole");
    for page in [0, 511, 512] {
        ensure_eq!(get(&private, word(address, page)?)?, page + 1);
    }
    ensure_eq!((get(&shared, word(address, 1)?)?, get(&private, word(address, 1)?)?), (2, 3));
    Ok(())
}

fn calls_and_guests_write_to_the_copy() -> Verdict {
    let (segment, shared, private, address) = scene(1)?;
    private.write(address + 8, &[7])?;
    let mut bytes = [0; 1];
    shared.read(address + 8, &mut bytes)?;
    ensure_eq!(bytes, [0]);
    private.read(address + 8, &mut bytes)?;
    ensure_eq!(bytes, [7]);
    let (x86_64, aarch64) = GUEST_STORES;
    let scene = GuestScene::new(x86_64, aarch64)?;
    let there = GUEST_DATA + (1 << 30);
    scene.space.map_private(there, &segment, 0..PAGE, Rights::READ_WRITE)?;
    scene.context.set_instruction_pointer(GUEST_CODE);
    scene.context.set_arguments([there + 8, 77]);
    ensure!(matches!(scene.run()?, End::Call { .. }), "a guest does not write to a page that is copied");
    scene.space.read(there + 8, &mut bytes)?;
    ensure_eq!(bytes, [77]);
    shared.read(address + 8, &mut bytes)?;
    ensure_eq!(bytes, [0]);
    Ok(())
}

fn a_subtree_is_a_child_of_a_segment() -> Verdict {
    let (segment, shared, _, address) = scene(2)?;
    let (child, within, start) = (Subtree::with_level(account(), Level::Top)?, 1 << 30, spot(Level::Top));
    child.map_private(within, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    let spaces = [program().new_space()?, program().new_space()?];
    for space in &spaces {
        space.attach(start, &child, Rights::READ_WRITE)?;
    }
    set(&shared, word(address, 0)?, 1)?;
    let place = word(start + within, 0)?;
    ensure_eq!(get(&spaces[0], place)?, 1);
    set(&spaces[1], place, 2)?;
    ensure_eq!((get(&spaces[0], place)?, get(&shared, word(address, 0)?)?), (2, 1));
    Ok(())
}

fn what_is_unmapped_is_forgotten() -> Verdict {
    let (segment, shared, private, address) = scene(2)?;
    set(&shared, word(address, 0)?, 1)?;
    set(&private, word(address, 0)?, 2)?;
    let before = account().available_bytes()?;
    private.unmap(address..address + 2 * PAGE)?;
    ensure!(account().available_bytes()? >= before + PAGE, "a copy is paid for still");
    private.map_private(address, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    ensure_eq!(get(&private, word(address, 0)?)?, 1);
    Ok(())
}

fn a_clone_of_it_copies_once_more() -> Verdict {
    let (_segment, shared, private, address) = scene(3)?;
    set(&private, word(address, 0)?, 1)?;
    let clone = clone_of(&private)?;
    set(&clone, word(address, 0)?, 2)?;
    set(&clone, word(address, 1)?, 3)?;
    set(&private, word(address, 2)?, 4)?;
    for (page, expected) in [(0, (0, 1, 2)), (1, (0, 0, 3)), (2, (0, 4, 0))] {
        let place = word(address, page)?;
        ensure_eq!((get(&shared, place)?, get(&private, place)?, get(&clone, place)?), expected);
    }
    let frozen = Space::read_only_clone_of(account(), &private)?;
    ensure_eq!(reach(&frozen, address)?, Rights::READ);
    refused(frozen.protect(address..address + PAGE, Rights::READ_WRITE), Error::MissingRight)
}

fn a_copy_may_become_code() -> Verdict {
    let (segment, _, _, address) = scene(1)?;
    let (space, reader) = (program().new_space()?, segment.derive(Rights::READ_EXECUTE, 0)?);
    space.map_private(address, &reader, 0..PAGE, Rights::READ_WRITE)?;
    space.write(address, &conformance::Code::Return.bytes())?;
    space.protect(address..address + PAGE, Rights::READ_EXECUTE)?;
    ensure_eq!(reach(&space, address)?, Rights::READ_EXECUTE);
    refused(space.protect(address..address + PAGE, Rights::ACCESS), Error::WriteExecute)
}

fn revoking_takes_the_copies_too() -> Verdict {
    let (segment, shared, _, address) = scene(1)?;
    let (space, lent) = (program().new_space()?, segment.derive(Rights::READ, 0)?);
    space.map_private(address, &lent, 0..PAGE, Rights::READ_WRITE)?;
    set(&space, word(address, 0)?, 5)?;
    segment.revoke()?;
    let place = word(address, 0)?;
    ensure!(ends_in_fault(&space, move || place.get())?, "a copy outlives what it was copied from by right");
    ensure_eq!(get(&shared, place)?, 0);
    Ok(())
}

fn what_was_written_is_told() -> Verdict {
    let (_segment, _, private, address) = scene(10)?;
    set(&private, word(address, 7)?, 1)?;
    set(&private, word(address, 2)?, 1)?;
    let mut pages = [0; 8];
    ensure_eq!(private.written(0, &mut pages)?, (2, None));
    ensure_eq!(pages[..2], [address + 2 * PAGE, address + 7 * PAGE]);
    Ok(())
}

fn discarded_pages_go_and_copies_stay() -> Verdict {
    let (segment, address) = (Segment::new_discardable(account(), 2 * PAGE)?, fresh_address());
    let (shared, private) = (program().new_space()?, program().new_space()?);
    shared.map(address, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    private.map_private(address, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    for page in 0..2 {
        set(&shared, word(address, page)?, 1)?;
        ensure_eq!(get(&private, word(address, page)?)?, 1);
    }
    set(&private, word(address, 0)?, 2)?;
    segment.discard(0..2 * PAGE)?;
    ensure_eq!((get(&private, word(address, 0)?)?, get(&private, word(address, 1)?)?), (2, 0));
    ensure_eq!((get(&shared, word(address, 0)?)?, get(&shared, word(address, 1)?)?), (0, 0));
    Ok(())
}

fn a_lockable_segment_is_not_mapped_so() -> Verdict {
    let segment = Segment::new_lockable(account(), PAGE)?;
    let space = program().new_space()?;
    refused(space.map_private(fresh_address(), &segment, 0..PAGE, Rights::READ), Error::BadState)
}

fn bad_arguments_are_refused() -> Verdict {
    let (segment, _, private, address) = scene(2)?;
    let range = |pages: u64| 0..pages * PAGE;
    refused(private.map_private(address + PAGE, &segment, range(1), Rights::READ), Error::Overlap)?;
    refused(private.map_private(address + (1 << 30), &segment, range(3), Rights::READ), Error::BadArgument)?;
    refused(private.map_private(address + (1 << 30) + 1, &segment, range(1), Rights::READ), Error::Misaligned)?;
    refused(private.map_private(address + (1 << 30), &segment, range(1), Rights::WRITE), Error::BadArgument)?;
    refused(private.map_private(address + (1 << 30), &segment, range(1), Rights::ACCESS), Error::WriteExecute)?;
    let words = [account().handle().bits(), segment.handle().bits(), 0, address, PAGE, 1];
    refused(attempt(number::map_private, words), Error::WrongObject)
}

fn private_mappings_leave_nothing() -> Verdict {
    leaves_nothing(20, |cycle| {
        let (_segment, _shared, private, address) = scene(600)?;
        for page in 0..20 {
            set(&private, word(address, page * (cycle + 1))?, page)?;
        }
        private.unmap(address + 3 * PAGE..address + 5 * PAGE)?;
        let clone = clone_of(&private)?;
        set(&clone, word(address, 0)?, 1)?;
        Ok::<(), Error>(())
    })
}
