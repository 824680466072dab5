//! Clones of subtrees: what either is written to, in whatever space it is attached, the other does not see.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::cloned::{account, get, set, word};
use conformance::{
    Claim, LEVELS, Shared, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq, leaves_nothing, reach, refused,
    run, spot, the_kernel_passes_its_own_checks,
};
use libvas::{Cap, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, View, program};
use tessera_abi::syscall::number;

rt::main!(main);

/// Where a subtree's pages are, from its start on.
const INSIDE: u64 = 16 * PAGE;

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_clone_of_each_level_is_apart_from_its_source),
        claim!(all_who_show_the_source_see_the_page_that_was_copied),
        claim!(one_space_shows_a_subtree_and_its_clone),
        claim!(bounds_and_views_count_as_ever),
        claim!(what_is_mapped_and_unmapped_is_so_in_one_only),
        claim!(a_clone_of_a_sealed_subtree_can_change),
        claim!(clones_outlive_their_source),
        claim!(a_clone_is_attached_nowhere),
        claim!(a_clone_takes_rights),
        claim!(what_holds_subtrees_is_not_cloned),
        claim!(what_is_no_subtree_is_not_cloned),
        claim!(who_cannot_pay_gets_none),
        claim!(clones_leave_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("clones_of_subtrees", CLAIMS)
}

fn clone_of(subtree: &Cap<Subtree>) -> Result<Cap<Subtree>, Error> {
    Subtree::clone_of(account(), subtree)
}

/// A subtree with so many pages.
fn subtree_with_pages(level: Level, pages: u64) -> Result<Cap<Subtree>, Error> {
    let (subtree, segment) = (Subtree::with_level(account(), level)?, Segment::new(account(), pages * PAGE)?);
    subtree.map(INSIDE, &segment, 0..pages * PAGE, Rights::READ_WRITE)?;
    Ok(subtree)
}

/// A space that shows a subtree, and where its pages are there.
fn shown(subtree: &Cap<Subtree>, level: Level) -> Result<(Cap<Space>, u64), Error> {
    let space = program().new_space()?;
    space.attach(spot(level), subtree, Rights::READ_WRITE)?;
    Ok((space, spot(level) + INSIDE))
}

fn a_clone_of_each_level_is_apart_from_its_source() -> Verdict {
    for level in LEVELS {
        let subtree = subtree_with_pages(level, 20)?;
        let (space, address) = shown(&subtree, level)?;
        let [one, other] = [word(address, 0)?, word(address, 19)?];
        set(&space, one, 1)?;
        let (clone, info) = (clone_of(&subtree)?, subtree.info()?);
        ensure_eq!((clone.info()?.level, clone.info()?.mapped_bytes), (info.level, info.mapped_bytes));
        let (there, _) = shown(&clone, level)?;
        set(&space, one, 2)?;
        set(&there, other, 3)?;
        ensure_eq!((level, get(&there, one)?, get(&there, other)?), (level, 1, 3));
        ensure_eq!((level, get(&space, one)?, get(&space, other)?), (level, 2, 0));
    }
    Ok(())
}

fn all_who_show_the_source_see_the_page_that_was_copied() -> Verdict {
    let subtree = subtree_with_pages(Level::Top, 4)?;
    let spaces = (0..4).map(|_| shown(&subtree, Level::Top)).collect::<Result<Vec<_>, _>>()?;
    let place = word(spaces[0].1, 2)?;
    for (space, _) in &spaces {
        ensure_eq!(get(space, place)?, 0);
    }
    let clone = clone_of(&subtree)?;
    for (value, (space, _)) in (1..).zip(&spaces) {
        set(space, place, value)?;
        for (other, _) in &spaces {
            ensure_eq!(get(other, place)?, value);
        }
    }
    ensure_eq!(get(&shown(&clone, Level::Top)?.0, place)?, 0);
    Ok(())
}

fn one_space_shows_a_subtree_and_its_clone() -> Verdict {
    let subtree = subtree_with_pages(Level::OneGib, 4)?;
    let (space, address) = shown(&subtree, Level::OneGib)?;
    let beside = 4 << 30;
    set(&space, word(address, 1)?, 1)?;
    let clone = clone_of(&subtree)?;
    space.attach(spot(Level::OneGib) + beside, &clone, Rights::READ_WRITE)?;
    set(&space, word(address + beside, 1)?, 2)?;
    ensure_eq!((get(&space, word(address, 1)?)?, get(&space, word(address + beside, 1)?)?), (1, 2));
    set(&space, word(address, 1)?, 3)?;
    ensure_eq!((get(&space, word(address, 1)?)?, get(&space, word(address + beside, 1)?)?), (3, 2));
    Ok(())
}

fn bounds_and_views_count_as_ever() -> Verdict {
    let subtree = subtree_with_pages(Level::Top, 4)?;
    let clone = clone_of(&subtree)?;
    let (space, address) = shown(&clone, Level::Top)?;
    let reader = program().new_space()?;
    reader.attach(spot(Level::Top), &clone, Rights::READ)?;
    let view = View::new(account(), &space, Rights::READ)?;
    let place = word(address, 3)?;
    ensure!(ends_in_fault(&reader, move || place.set(1))?, "bounds let a page be copied");
    ensure!(ends_in_fault(&view, move || place.set(1))?, "a view let a page be copied");
    set(&space, place, 5)?;
    ensure_eq!((get(&reader, place)?, view.enter(|| place.get())?), (5, 5));
    Ok(())
}

fn what_is_mapped_and_unmapped_is_so_in_one_only() -> Verdict {
    let subtree = subtree_with_pages(Level::Top, 8)?;
    let (space, address) = shown(&subtree, Level::Top)?;
    let clone = clone_of(&subtree)?;
    let (there, _) = shown(&clone, Level::Top)?;
    let segment = Segment::new(account(), PAGE)?;
    clone.map(INSIDE + 20 * PAGE, &segment, 0..PAGE, Rights::READ)?;
    subtree.unmap(INSIDE + PAGE..INSIDE + 3 * PAGE)?;
    clone.protect(INSIDE..INSIDE + 8 * PAGE, Rights::READ)?;
    let rights = |space, page| reach(space, address + page * PAGE);
    ensure_eq!((rights(&space, 20)?, rights(&there, 20)?), (Rights::empty(), Rights::READ));
    ensure_eq!((rights(&space, 2)?, rights(&there, 2)?), (Rights::empty(), Rights::READ));
    ensure_eq!((rights(&space, 5)?, rights(&there, 5)?), (Rights::READ_WRITE, Rights::READ));
    refused(clone.map(INSIDE, &segment, 0..PAGE, Rights::READ), Error::Overlap)?;
    Ok(())
}

fn a_clone_of_a_sealed_subtree_can_change() -> Verdict {
    let subtree = subtree_with_pages(Level::Top, 2)?;
    subtree.seal()?;
    let clone = clone_of(&subtree)?;
    ensure_eq!((subtree.info()?.sealed, clone.info()?.sealed), (1, 0));
    refused(subtree.unmap(INSIDE..INSIDE + PAGE), Error::Sealed)?;
    clone.unmap(INSIDE..INSIDE + PAGE)?;
    let (space, address) = shown(&subtree, Level::Top)?;
    // What is mapped stays, and memory that may be written to is.
    set(&space, word(address, 0)?, 4)?;
    ensure_eq!(get(&space, word(address, 0)?)?, 4);
    Ok(())
}

fn clones_outlive_their_source() -> Verdict {
    let subtree = subtree_with_pages(Level::TwoMib, 10)?;
    let (space, address) = shown(&subtree, Level::TwoMib)?;
    for page in 0..10 {
        set(&space, word(address, page)?, page + 1)?;
    }
    let clone = clone_of(&subtree)?;
    let again = clone_of(&clone)?;
    space.detach(spot(Level::TwoMib))?;
    drop((space, subtree, clone));
    let (space, _) = shown(&again, Level::TwoMib)?;
    for page in 0..10 {
        ensure_eq!(get(&space, word(address, page)?)?, page + 1);
        set(&space, word(address, page)?, 0)?;
    }
    Ok(())
}

fn a_clone_is_attached_nowhere() -> Verdict {
    let subtree = subtree_with_pages(Level::Top, 1)?;
    let (_space, _) = shown(&subtree, Level::Top)?;
    let clone = clone_of(&subtree)?;
    ensure_eq!((subtree.info()?.sharers, clone.info()?.sharers), (1, 0));
    Ok(())
}

fn a_clone_takes_rights() -> Verdict {
    let subtree = subtree_with_pages(Level::Top, 1)?;
    for right in [Rights::INSPECT, Rights::MAP, Rights::READ] {
        refused(clone_of(&subtree.derive(Rights::all() - right, 0)?), Error::MissingRight)?;
    }
    clone_of(&subtree.derive(Rights::INSPECT | Rights::MAP | Rights::READ, 0)?)?;
    let poor = account().derive(Rights::all() - Rights::CHARGE, 0)?;
    refused(Subtree::clone_of(&poor, &subtree), Error::MissingRight)
}

fn what_holds_subtrees_is_not_cloned() -> Verdict {
    let (outer, inner) = (subtree_with_pages(Level::Top, 1)?, Shared::new(Level::OneGib, Rights::READ)?);
    outer.attach(4 << 30, &inner.subtree, Rights::READ)?;
    refused(clone_of(&outer), Error::BadState)?;
    outer.detach(4 << 30)?;
    clone_of(&outer)?;
    Ok(())
}

fn what_is_no_subtree_is_not_cloned() -> Verdict {
    let (of_account, space) = (account().handle().bits(), program().new_space()?);
    refused(attempt(number::subtree_clone, [of_account, space.handle().bits(), 0, 0, 0, 0]), Error::WrongObject)?;
    let subtree = Subtree::new(account())?;
    refused(attempt(number::space_clone, [of_account, subtree.handle().bits(), 0, 0, 0, 0]), Error::WrongObject)?;
    let gone = subtree.handle().bits();
    drop(subtree);
    refused(attempt(number::subtree_clone, [of_account, gone, 0, 0, 0, 0]), Error::BadHandle)
}

fn who_cannot_pay_gets_none() -> Verdict {
    let own = account().split(14 * PAGE)?;
    let (subtree, segment) = (Subtree::new(&own)?, Segment::new(&own, PAGE)?);
    subtree.map(INSIDE, &segment, 0..PAGE, Rights::READ_WRITE)?;
    let mut clones = Vec::new();
    let error = loop {
        match Subtree::clone_of(&own, &subtree) {
            Ok(clone) => clones.push(clone),
            Err(error) => break error,
        }
        ensure!(clones.len() < 14, "clones cost nothing");
    };
    ensure_eq!(error, Error::AccountExhausted);
    drop(clones.pop());
    clones.push(Subtree::clone_of(&own, &subtree)?);
    Ok(())
}

fn clones_leave_nothing() -> Verdict {
    leaves_nothing(40, |cycle| {
        let subtree = subtree_with_pages(LEVELS[cycle as usize % LEVELS.len()], 12)?;
        let level = LEVELS[cycle as usize % LEVELS.len()];
        let clone = clone_of(&subtree)?;
        let (space, address) = shown(&clone, level)?;
        set(&space, word(address, cycle % 12)?, 1)?;
        let again = clone_of(&clone)?;
        clone.unmap(INSIDE..INSIDE + 4 * PAGE)?;
        drop(subtree);
        let (there, _) = shown(&again, level)?;
        set(&there, word(address, cycle % 12)?, 2)?;
        Ok::<_, Error>(())
    })
}
