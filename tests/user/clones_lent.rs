//! Clones of what others lend, and clones that an account pays for which was split off.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::cloned::{account, available, clone_of, get, set, space_with_pages, word};
use conformance::{
    Claim, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq, fresh_address, leaves_nothing, reach, refused,
    run, the_kernel_passes_its_own_checks,
};
use libvas::{
    Account, Cap, Error, Handle, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_is_lent_is_copied_when_it_is_written_to),
        claim!(what_is_taken_back_is_gone_from_space_and_clone),
        claim!(it_is_gone_from_clones_of_clones),
        claim!(what_was_written_to_is_taken_back_as_well),
        claim!(it_is_gone_from_a_clone_that_outlives_its_source),
        claim!(parts_of_a_mapping_are_taken_back),
        claim!(what_is_lent_with_another_badge_stays),
        claim!(what_was_handed_on_is_taken_back_from_clones),
        claim!(it_is_gone_from_clones_of_subtrees),
        claim!(a_read_only_clone_loses_it_too),
        claim!(sixteen_mappings_can_be_lent_and_no_more),
        claim!(what_is_lent_is_looked_for_among_four_hundred),
        claim!(an_account_that_was_split_off_pays),
        claim!(who_writes_pays_and_nobody_else),
        claim!(no_other_account_pays),
        claim!(a_child_goes_on_with_what_its_parent_lends),
        claim!(a_clone_ends_with_its_account),
        claim!(clones_end_with_the_account_that_theirs_came_from),
        claim!(a_clone_that_is_to_be_kept_is_refused),
        claim!(nothing_is_left),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("clones_lent", CLAIMS)
}

/// A space with two pages, of which the first is lent and the second is not, and who lends it.
fn half_lent() -> Result<(Cap<Space>, Cap<Segment>, u64), Error> {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new(account(), 2 * PAGE)?;
    let lent = segment.derive(Rights::ACCESS, 0)?;
    space.map(address, &lent, 0..PAGE, Rights::READ_WRITE)?;
    space.map(address + PAGE, &segment, PAGE..2 * PAGE, Rights::READ_WRITE)?;
    // The lender has what was lent by a capability that is gone.
    drop(lent);
    Ok((space, segment, address))
}

/// What can be done in a space at two pages from an address on.
fn both(space: &Cap<Space>, address: u64) -> Result<[Rights; 2], conformance::Failure> {
    Ok([reach(space, address)?, reach(space, address + PAGE)?])
}

const NOTHING: Rights = Rights::empty();

fn what_is_lent_is_copied_when_it_is_written_to() -> Verdict {
    let (space, segment, address) = half_lent()?;
    set(&space, word(address, 0)?, 1)?;
    let clone = clone_of(&space)?;
    set(&clone, word(address, 0)?, 2)?;
    ensure_eq!((get(&space, word(address, 0)?)?, get(&clone, word(address, 0)?)?), (1, 2));
    set(&space, word(address, 0)?, 3)?;
    let mut bytes = [0; 8];
    segment.read(24, &mut bytes)?;
    ensure_eq!((u64::from_le_bytes(bytes), get(&clone, word(address, 0)?)?), (1, 2));
    Ok(())
}

fn what_is_taken_back_is_gone_from_space_and_clone() -> Verdict {
    let (space, segment, address) = half_lent()?;
    let clone = clone_of(&space)?;
    ensure_eq!(both(&clone, address)?, [Rights::READ_WRITE; 2]);
    segment.revoke()?;
    for space in [&space, &clone] {
        ensure_eq!(both(space, address)?, [NOTHING, Rights::READ_WRITE]);
        refused(space.read(address, &mut [0; 8]), Error::BadAddress)?;
        refused(space.unmap(address..address + PAGE), Error::NotMapped)?;
        space.map(address, &segment, 0..PAGE, Rights::READ)?;
    }
    Ok(())
}

fn it_is_gone_from_clones_of_clones() -> Verdict {
    let (space, segment, address) = half_lent()?;
    let mut spaces = Vec::from([space]);
    for number in 0..5 {
        spaces.push(clone_of(&spaces[number / 2])?);
    }
    segment.revoke()?;
    for space in &spaces {
        ensure_eq!(both(space, address)?, [NOTHING, Rights::READ_WRITE]);
    }
    Ok(())
}

fn what_was_written_to_is_taken_back_as_well() -> Verdict {
    let (space, segment, address) = half_lent()?;
    let clone = clone_of(&space)?;
    set(&space, word(address, 0)?, 1)?;
    set(&clone, word(address, 0)?, 2)?;
    let again = clone_of(&clone)?;
    let before = available()?;
    segment.revoke()?;
    for space in [&space, &clone, &again] {
        ensure_eq!(reach(space, address)?, NOTHING);
    }
    ensure!(available()? >= before + 3 * PAGE, "the copies are charged still");
    segment.write(0, &[1])?;
    Ok(())
}

fn it_is_gone_from_a_clone_that_outlives_its_source() -> Verdict {
    let (space, segment, address) = half_lent()?;
    let clone = clone_of(&space)?;
    drop(space);
    ensure_eq!(reach(&clone, address)?, Rights::READ_WRITE);
    segment.revoke()?;
    ensure_eq!(both(&clone, address)?, [NOTHING, Rights::READ_WRITE]);
    Ok(())
}

fn parts_of_a_mapping_are_taken_back() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new(account(), 9 * PAGE)?;
    space.map(address, &segment.derive(Rights::ACCESS, 0)?, 0..9 * PAGE, Rights::READ_WRITE)?;
    let clone = clone_of(&space)?;
    clone.unmap(address + 3 * PAGE..address + 4 * PAGE)?;
    space.protect(address + 5 * PAGE..address + 6 * PAGE, Rights::READ)?;
    let again = clone_of(&clone)?;
    segment.revoke()?;
    for space in [&space, &clone, &again] {
        for page in 0..9 {
            ensure_eq!((page, reach(space, address + page * PAGE)?), (page, NOTHING));
        }
    }
    Ok(())
}

fn what_is_lent_with_another_badge_stays() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new(account(), 2 * PAGE)?;
    let lent = [segment.derive(Rights::ACCESS, 1)?, segment.derive(Rights::ACCESS, 2)?];
    space.map(address, &lent[0], 0..PAGE, Rights::READ_WRITE)?;
    space.map(address + PAGE, &lent[1], PAGE..2 * PAGE, Rights::READ_WRITE)?;
    let clone = clone_of(&space)?;
    segment.revoke_badge(2)?;
    for space in [&space, &clone] {
        ensure_eq!(both(space, address)?, [Rights::READ_WRITE, NOTHING]);
    }
    Ok(())
}

/// Of three who lend to each other, the middle one gives up what it has.
fn what_was_handed_on_is_taken_back_from_clones() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new(account(), PAGE)?;
    let middle = segment.derive(Rights::ACCESS, 0)?;
    let last = middle.derive(Rights::ACCESS, 0)?;
    space.map(address, &last, 0..PAGE, Rights::READ_WRITE)?;
    let clone = clone_of(&space)?;
    last.revoke()?;
    drop(last);
    ensure_eq!(reach(&clone, address)?, Rights::READ_WRITE);
    let again = clone_of(&clone)?;
    middle.revoke()?;
    for space in [&space, &clone, &again] {
        ensure_eq!(reach(space, address)?, NOTHING);
    }
    Ok(())
}

fn it_is_gone_from_clones_of_subtrees() -> Verdict {
    let (subtree, segment) = (Subtree::new(account())?, Segment::new(account(), PAGE)?);
    subtree.map(PAGE, &segment.derive(Rights::ACCESS, 0)?, 0..PAGE, Rights::READ_WRITE)?;
    let clone = Subtree::clone_of(account(), &subtree)?;
    let space = program().new_space()?;
    for (subtree, slot) in [(&subtree, 40), (&clone, 41)] {
        space.attach(slot * SLOT, subtree, Rights::READ_WRITE)?;
        set(&space, word(slot * SLOT, 1)?, slot)?;
    }
    ensure_eq!((get(&space, word(40 * SLOT, 1)?)?, get(&space, word(41 * SLOT, 1)?)?), (40, 41));
    segment.revoke()?;
    ensure_eq!([reach(&space, 40 * SLOT + PAGE)?, reach(&space, 41 * SLOT + PAGE)?], [NOTHING; 2]);
    Ok(())
}

fn a_read_only_clone_loses_it_too() -> Verdict {
    let (space, segment, address) = half_lent()?;
    let clone = Space::read_only_clone_of(account(), &space)?;
    ensure_eq!(both(&clone, address)?, [Rights::READ; 2]);
    segment.revoke()?;
    ensure_eq!(both(&clone, address)?, [NOTHING, Rights::READ]);
    Ok(())
}

fn sixteen_mappings_can_be_lent_and_no_more() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new(account(), PAGE)?;
    let lent = segment.derive(Rights::READ, 0)?;
    for number in 0..17 {
        space.map(address + 2 * number * PAGE, &lent, 0..PAGE, Rights::READ)?;
    }
    refused(clone_of(&space), Error::LimitReached)?;
    space.unmap(address..address + PAGE)?;
    let clone = clone_of(&space)?;
    segment.revoke()?;
    for number in 1..17 {
        ensure_eq!((number, reach(&clone, address + 2 * number * PAGE)?), (number, NOTHING));
    }
    Ok(())
}

fn what_is_lent_is_looked_for_among_four_hundred() -> Verdict {
    let (space, address) = (program().new_space()?, 50 * SLOT);
    let segment = Segment::new(account(), PAGE)?;
    for number in 0..400 {
        space.map(address + 2 * number * PAGE, &segment, 0..PAGE, Rights::READ)?;
    }
    let (behind, lent) = (address + 800 * PAGE, segment.derive(Rights::READ, 0)?);
    space.map(behind, &lent, 0..PAGE, Rights::READ)?;
    refused(clone_of(&space), Error::LimitReached)?;
    space.unmap(address..address + PAGE)?;
    let clone = clone_of(&space)?;
    segment.revoke()?;
    ensure_eq!([reach(&space, behind)?, reach(&clone, behind)?], [NOTHING; 2]);
    Ok(())
}

fn an_account_that_was_split_off_pays() -> Verdict {
    let (space, address) = space_with_pages(8)?;
    set(&space, word(address, 1)?, 1)?;
    let child = account().split(100 * PAGE)?;
    let (left, childs) = (available()?, child.available_bytes()?);
    let clone = Space::clone_of(&child, &space)?;
    ensure!(child.available_bytes()? < childs, "a clone costs nothing");
    for page in 0..8 {
        set(&clone, word(address, page)?, 10 + page)?;
    }
    ensure!(child.available_bytes()? <= childs - 8 * PAGE, "pages that were copied cost nothing");
    ensure_eq!((available()?, get(&space, word(address, 1)?)?), (left, 1));
    // A clone of the clone, by an account that comes from the child's.
    let grandchild = child.split(20 * PAGE)?;
    let again = Space::clone_of(&grandchild, &clone)?;
    ensure_eq!(get(&again, word(address, 7)?)?, 17);
    drop(again);
    drop(grandchild);
    drop(clone);
    ensure_eq!((child.available_bytes()?, available()?), (childs, left));
    Ok(())
}

fn who_writes_pays_and_nobody_else() -> Verdict {
    let (space, address) = space_with_pages(30)?;
    let child = account().split(20 * PAGE)?;
    let clone = Space::clone_of(&child, &space)?;
    let mut page = 0;
    while clone.write(address + page * PAGE, &[1]).is_ok() {
        page += 1;
        ensure!(page < 30, "more was copied than could be paid for");
    }
    ensure!(page > 2, "only {page} pages could be written to");
    let place = word(address, page)?;
    ensure!(ends_in_fault(&clone, move || place.set(1))?, "a page was copied that nobody paid for");
    // The source's account pays for what the source is written to.
    set(&space, place, 5)?;
    ensure_eq!((get(&space, place)?, get(&clone, place)?), (5, 0));
    Ok(())
}

fn no_other_account_pays() -> Verdict {
    let (own, other) = (account().split(100 * PAGE)?, account().split(100 * PAGE)?);
    let space = Space::new(&own)?;
    let subtree = Subtree::new(&own)?;
    for payer in [account(), &other] {
        let left = payer.available_bytes()?;
        refused(Space::clone_of(payer, &space), Error::BadArgument)?;
        refused(Subtree::clone_of(payer, &subtree), Error::BadArgument)?;
        ensure_eq!(payer.available_bytes()?, left);
    }
    // Nor one that comes from it by more than sixteen steps.
    let mut line: Vec<Cap<Account>> = Vec::new();
    for steps in 1..=17 {
        let from = line.last().unwrap_or(&own);
        let next = from.split(from.available_bytes()? - PAGE)?;
        line.push(next);
        let result = Space::clone_of(&line[line.len() - 1], &space);
        if steps <= 16 {
            result?;
        } else {
            refused(result, Error::BadArgument)?;
        }
    }
    while line.pop().is_some() {}
    Ok(())
}

/// What the child maps of its parent's is lent to it, and to its clones.
fn a_child_goes_on_with_what_its_parent_lends() -> Verdict {
    let (space, address) = space_with_pages(2)?;
    let child = account().split(100 * PAGE)?;
    let clone = Space::clone_of(&child, &space)?;
    let (segment, later) = (Segment::new(account(), PAGE)?, address + 9 * PAGE);
    clone.map(later, &segment, 0..PAGE, Rights::READ_WRITE)?;
    let again = Space::clone_of(&child, &clone)?;
    set(&clone, word(later, 0)?, 1)?;
    set(&again, word(later, 0)?, 2)?;
    set(&again, word(address, 0)?, 3)?;
    ensure_eq!((get(&clone, word(later, 0)?)?, get(&again, word(later, 0)?)?), (1, 2));
    ensure_eq!((get(&space, word(address, 0)?)?, get(&clone, word(address, 0)?)?), (0, 0));
    Ok(())
}

fn a_clone_ends_with_its_account() -> Verdict {
    let (space, address) = space_with_pages(4)?;
    let before = available()?;
    let child = account().split(60 * PAGE)?;
    let clone = Space::clone_of(&child, &space)?;
    set(&clone, word(address, 1)?, 1)?;
    child.end()?;
    refused(clone.info(), Error::BadHandle)?;
    set(&space, word(address, 1)?, 2)?;
    ensure_eq!(get(&space, word(address, 1)?)?, 2);
    // The page that the source has of its own now, and its record.
    ensure!(available()? > before - 2 * PAGE, "something is charged still");
    Ok(())
}

/// What a clone has mapped was not noted as lent: it goes, because its account does.
fn clones_end_with_the_account_that_theirs_came_from() -> Verdict {
    let before = available()?;
    let own = account().split(200 * PAGE)?;
    let (space, address) = (Space::new(&own)?, fresh_address());
    let segment = Segment::new(&own, 4 * PAGE)?;
    space.map(address, &segment, 0..4 * PAGE, Rights::READ_WRITE)?;
    let child = own.split(60 * PAGE)?;
    let clones = (0..3).map(|_| Space::clone_of(&child, &space)).collect::<Result<Vec<_>, _>>()?;
    for clone in &clones {
        clone.write(address + PAGE, &[1])?;
    }
    own.end()?;
    for clone in &clones {
        refused(clone.info(), Error::BadHandle)?;
    }
    ensure_eq!(available()?, before);
    Ok(())
}

fn a_clone_that_is_to_be_kept_is_refused() -> Verdict {
    let (space, segment, _) = half_lent()?;
    let words = |flags| [program().account().handle().bits(), space.handle().bits(), flags, 0, 0, 0];
    for flags in [2, 3] {
        refused(attempt(number::space_clone, words(flags)), Error::BadState)?;
    }
    segment.revoke()?;
    let clone = attempt(number::space_clone, words(2))?;
    Cap::<Space>::from_handle(Handle::from_bits(clone)).delete()?;
    let subtree = Subtree::new(program().account())?;
    let lent = segment.derive(Rights::READ, 0)?;
    subtree.map(1 << 30, &lent, 0..PAGE, Rights::READ)?;
    refused(Subtree::kept_clone_of(program().account(), &subtree), Error::BadState)?;
    segment.revoke()?;
    Subtree::kept_clone_of(program().account(), &subtree)?;
    Ok(())
}

fn nothing_is_left() -> Verdict {
    leaves_nothing(4, |turn| {
        let (space, segment, address) = half_lent()?;
        let child = account().split(60 * PAGE)?;
        let clone = Space::clone_of(&child, &space)?;
        set(&clone, word(address, turn % 2)?, 1)?;
        let again = Space::read_only_clone_of(&child, &clone)?;
        if turn % 2 == 0 {
            segment.revoke()?;
        }
        drop(if turn < 2 { clone } else { space });
        drop(again);
        Ok::<(), Error>(())
    })
}
