//! Moving what is mapped from one space or subtree to another, and lending it.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::cloned::{clone_of, get, set, word};
use conformance::{
    Claim, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq, fresh_address, leaves_nothing, reach, refused,
    run, spot, the_kernel_passes_its_own_checks,
};
use libvas::{Account, Cap, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_is_moved_is_there_and_not_here),
        claim!(what_is_lent_is_in_both_places),
        claim!(a_part_of_a_mapping_is_moved),
        claim!(several_mappings_are_moved_at_once),
        claim!(rights_go_along),
        claim!(memory_comes_on_first_touch_there),
        claim!(large_memory_is_moved),
        claim!(a_range_moves_within_a_space),
        claim!(subtrees_give_and_take),
        claim!(what_could_be_taken_back_still_can),
        claim!(what_another_account_comes_to_pay_for_ends_with_its_owner),
        claim!(moving_takes_no_capability_to_the_memory),
        claim!(moving_needs_its_rights),
        claim!(what_is_in_the_way_is_refused),
        claim!(what_is_not_all_mapped_is_refused),
        claim!(too_many_mappings_are_refused),
        claim!(copied_and_lockable_memory_is_not_moved),
        claim!(who_cannot_pay_gets_nothing),
        claim!(sealed_subtrees_neither_give_nor_take),
        claim!(unknown_flags_are_refused),
        claim!(moved_memory_leaves_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("mappings_moved", CLAIMS)
}

fn account() -> &'static Cap<Account> {
    program().account()
}

/// A space with so many pages, in which each has its number, where these are, and a space of nothing.
fn scene(pages: u64) -> Result<(Cap<Space>, u64, Cap<Space>), Error> {
    let (from, address) = (program().new_space()?, fresh_address().next_multiple_of(2 << 20));
    let segment = Segment::new(account(), pages * PAGE)?;
    from.map(address, &segment, 0..pages * PAGE, Rights::READ_WRITE)?;
    for page in 0..pages.min(40) {
        set(&from, word(address, page)?, page + 1)?;
    }
    Ok((from, address, program().new_space()?))
}

/// Whether nothing is at a page.
fn is_gone(space: &Cap<Space>, address: u64) -> Result<bool, conformance::Failure> {
    Ok(reach(space, address)? == Rights::empty())
}

fn what_is_moved_is_there_and_not_here() -> Verdict {
    let (from, address, to) = scene(3)?;
    let there = fresh_address();
    from.move_to(address..address + 3 * PAGE, &to, there)?;
    for page in 0..3 {
        ensure_eq!(get(&to, word(there, page)?)?, page + 1);
        ensure!(is_gone(&from, address + page * PAGE)?, "what was moved is still there");
    }
    set(&to, word(there, 1)?, 9)?;
    ensure_eq!((from.mappings(address).next().is_none(), get(&to, word(there, 1)?)?), (true, 9));
    to.move_to(there..there + 3 * PAGE, &from, address)?;
    ensure_eq!(get(&from, word(address, 1)?)?, 9);
    Ok(())
}

fn what_is_lent_is_in_both_places() -> Verdict {
    let (from, address, to) = scene(3)?;
    let there = fresh_address();
    from.lend_to(address..address + 2 * PAGE, &to, there)?;
    set(&to, word(there, 1)?, 7)?;
    set(&from, word(address, 0)?, 8)?;
    ensure_eq!((get(&from, word(address, 1)?)?, get(&to, word(there, 0)?)?), (7, 8));
    ensure!(is_gone(&to, there + 2 * PAGE)?, "more is lent than was said");
    from.unmap(address..address + 3 * PAGE)?;
    ensure_eq!(get(&to, word(there, 1)?)?, 7);
    to.unmap(there..there + 2 * PAGE)?;
    Ok(())
}

fn a_part_of_a_mapping_is_moved() -> Verdict {
    let (from, address, to) = scene(9)?;
    let there = fresh_address();
    from.move_to(address + 3 * PAGE..address + 5 * PAGE, &to, there)?;
    ensure_eq!((get(&to, word(there, 0)?)?, get(&to, word(there, 1)?)?), (4, 5));
    ensure_eq!((get(&from, word(address, 2)?)?, get(&from, word(address, 5)?)?), (3, 6));
    ensure!(is_gone(&from, address + 3 * PAGE)? && is_gone(&to, there + 2 * PAGE)?, "another part is moved");
    Ok(())
}

fn several_mappings_are_moved_at_once() -> Verdict {
    let (from, address, to) = (program().new_space()?, fresh_address(), program().new_space()?);
    for number in 0..16 {
        from.map(address + number * PAGE, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
        set(&from, word(address, number)?, number + 1)?;
    }
    let there = fresh_address();
    from.move_to(address..address + 16 * PAGE, &to, there)?;
    for number in 0..16 {
        ensure_eq!(get(&to, word(there, number)?)?, number + 1);
    }
    ensure!(is_gone(&from, address + 15 * PAGE)?, "the last mapping stays");
    Ok(())
}

fn rights_go_along() -> Verdict {
    let (from, address, to) = (program().new_space()?, fresh_address(), program().new_space()?);
    let segment = Segment::new(account(), 3 * PAGE)?;
    segment.write(0, &[0; 8])?;
    let reader = segment.derive(Rights::READ, 0)?;
    from.map(address, &segment, 0..PAGE, Rights::READ)?;
    from.map(address + PAGE, &reader, PAGE..2 * PAGE, Rights::READ)?;
    let there = fresh_address();
    from.move_to(address..address + 2 * PAGE, &to, there)?;
    ensure_eq!((reach(&to, there)?, reach(&to, there + PAGE)?), (Rights::READ, Rights::READ));
    to.protect(there..there + PAGE, Rights::READ_WRITE)?;
    refused(to.protect(there + PAGE..there + 2 * PAGE, Rights::READ_WRITE), Error::MissingRight)
}

fn memory_comes_on_first_touch_there() -> Verdict {
    let (from, address, to) = (program().new_space()?, fresh_address(), program().new_space()?);
    let lazy = Segment::new_lazy(account(), 4 * PAGE)?;
    from.map(address, &lazy, 0..4 * PAGE, Rights::READ_WRITE)?;
    set(&from, word(address, 2)?, 5)?;
    let there = fresh_address();
    from.move_to(address..address + 4 * PAGE, &to, there)?;
    ensure_eq!(lazy.info()?.populated_bytes, PAGE);
    set(&to, word(there, 0)?, 6)?;
    ensure_eq!((get(&to, word(there, 2)?)?, lazy.info()?.populated_bytes), (5, 2 * PAGE));
    Ok(())
}

fn large_memory_is_moved() -> Verdict {
    let (from, address, to) = scene(2048)?;
    for page in [511, 512, 2047] {
        set(&from, word(address, page)?, page)?;
    }
    let there = fresh_address().next_multiple_of(2 << 20);
    from.move_to(address..address + 2048 * PAGE, &to, there)?;
    for page in [511, 512, 2047] {
        ensure_eq!(get(&to, word(there, page)?)?, page);
    }
    // From the middle of large pages, to where none fit.
    let back = fresh_address() + PAGE;
    to.move_to(there + 500 * PAGE..there + 2000 * PAGE, &from, back)?;
    ensure_eq!((get(&from, word(back, 11)?)?, get(&from, word(back, 12)?)?), (511, 512));
    ensure_eq!(get(&to, word(there, 2047)?)?, 2047);
    ensure!(is_gone(&to, there + 512 * PAGE)?, "a large page stays");
    Ok(())
}

fn a_range_moves_within_a_space() -> Verdict {
    let (space, address, _) = scene(4)?;
    let there = fresh_address();
    space.move_to(address..address + 4 * PAGE, &space, there)?;
    ensure_eq!(get(&space, word(there, 3)?)?, 4);
    ensure!(is_gone(&space, address)?, "it is in both places");
    refused(space.move_to(there..there + 4 * PAGE, &space, there + PAGE), Error::Overlap)?;
    space.lend_to(there..there + PAGE, &space, address)?;
    set(&space, word(address, 0)?, 9)?;
    ensure_eq!(get(&space, word(there, 0)?)?, 9);
    Ok(())
}

fn subtrees_give_and_take() -> Verdict {
    let (from, address, to) = scene(2)?;
    let (subtree, within, start) = (Subtree::with_level(account(), Level::Top)?, 1 << 30, spot(Level::Top));
    to.attach(start, &subtree, Rights::READ_WRITE)?;
    from.move_to(address..address + 2 * PAGE, &subtree, within)?;
    ensure_eq!(get(&to, word(start + within, 1)?)?, 2);
    subtree.lend_to(within..within + PAGE, &from, address)?;
    set(&from, word(address, 0)?, 5)?;
    ensure_eq!(get(&to, word(start + within, 0)?)?, 5);
    subtree.move_to(within + PAGE..within + 2 * PAGE, &from, address + PAGE)?;
    ensure!(is_gone(&to, start + within + PAGE)?, "a space shows what its subtree has not");
    refused(subtree.move_to(within + PAGE..within + 2 * PAGE, &from, address + 2 * PAGE), Error::NotMapped)
}

fn what_could_be_taken_back_still_can() -> Verdict {
    let (from, address, to) = (program().new_space()?, fresh_address(), program().new_space()?);
    let segment = Segment::new(account(), 4 * PAGE)?;
    let lent = segment.derive(Rights::READ_WRITE, 0)?;
    from.map(address, &lent, 0..4 * PAGE, Rights::READ_WRITE)?;
    let there = fresh_address();
    from.move_to(address..address + PAGE, &to, there)?;
    from.lend_to(address + PAGE..address + 2 * PAGE, &to, there + PAGE)?;
    set(&to, word(there, 1)?, 1)?;
    segment.revoke()?;
    for page in 0..2 {
        ensure!(is_gone(&to, there + page * PAGE)?, "what was lent is kept by moving it");
    }
    ensure!(is_gone(&from, address + 3 * PAGE)?, "what was lent stays");
    ensure_eq!(segment.info()?.mappings, 0);
    Ok(())
}

fn what_another_account_comes_to_pay_for_ends_with_its_owner() -> Verdict {
    let owner = account().split(1 << 20)?;
    let (from, address) = (Space::new(&owner)?, fresh_address());
    from.attach(0, program().subtree(), Rights::ACCESS)?;
    let segment = Segment::new(&owner, 2 * PAGE)?;
    from.map(address, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    let (to, there) = (program().new_space()?, fresh_address());
    from.move_to(address..address + 2 * PAGE, &to, there)?;
    set(&to, word(there, 1)?, 3)?;
    owner.end()?;
    ensure!(is_gone(&to, there)? && is_gone(&to, there + PAGE)?, "memory outlives the account that pays for it");
    Ok(())
}

fn moving_takes_no_capability_to_the_memory() -> Verdict {
    let (from, address, to) = (program().new_space()?, fresh_address(), program().new_space()?);
    let segment = Segment::new(account(), PAGE)?;
    from.map(address, &segment, 0..PAGE, Rights::READ_WRITE)?;
    set(&from, word(address, 0)?, 4)?;
    segment.delete()?;
    let there = fresh_address();
    from.move_to(address..address + PAGE, &to, there)?;
    ensure_eq!(get(&to, word(there, 0)?)?, 4);
    // To where another account pays, it would have to be noted as something that can be taken back, by nobody.
    let other = Space::new(&account().split(1 << 20)?)?;
    refused(to.move_to(there..there + PAGE, &other, there), Error::BadState)?;
    ensure_eq!(get(&to, word(there, 0)?)?, 4);
    Ok(())
}

fn moving_needs_its_rights() -> Verdict {
    let (from, address, to) = scene(1)?;
    let range = address..address + PAGE;
    for lacking in [Rights::MAP, Rights::INSPECT] {
        let weak = from.derive(Rights::all() - lacking, 0)?;
        refused(weak.move_to(range.clone(), &to, address), Error::MissingRight)?;
        refused(weak.lend_to(range.clone(), &to, address), Error::MissingRight)?;
    }
    let weak = to.derive(Rights::all() - Rights::MAP, 0)?;
    refused(from.move_to(range.clone(), &weak, address), Error::MissingRight)?;
    from.derive(Rights::MAP | Rights::INSPECT, 0)?.move_to(range, &to.derive(Rights::MAP, 0)?, address)?;
    Ok(())
}

fn what_is_in_the_way_is_refused() -> Verdict {
    let (from, address, to) = scene(3)?;
    let there = fresh_address();
    to.map(there + 2 * PAGE, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ)?;
    let before = (account().available_bytes()?, from.info()?.mappings);
    refused(from.move_to(address..address + 3 * PAGE, &to, there), Error::Overlap)?;
    refused(from.move_to(address..address + 3 * PAGE, &to, there + 1), Error::Misaligned)?;
    refused(from.move_to(address..address + 3 * PAGE, &to, 1 << 60), Error::BadAddress)?;
    refused(from.move_to(address..address + 3 * PAGE, &to, 0), Error::BadAddress)?;
    ensure_eq!((account().available_bytes()?, from.info()?.mappings), before);
    ensure_eq!(get(&from, word(address, 2)?)?, 3);
    ensure!(is_gone(&to, there)?, "a part is moved");
    Ok(())
}

fn what_is_not_all_mapped_is_refused() -> Verdict {
    let (from, address, to) = scene(3)?;
    let there = fresh_address();
    refused(from.move_to(address..address + 4 * PAGE, &to, there), Error::NotMapped)?;
    refused(from.lend_to(address - PAGE..address + PAGE, &to, there), Error::NotMapped)?;
    from.unmap(address + PAGE..address + 2 * PAGE)?;
    refused(from.move_to(address..address + 3 * PAGE, &to, there), Error::NotMapped)?;
    ensure!(is_gone(&to, there)?, "a part is moved");
    ensure_eq!(get(&from, word(address, 2)?)?, 3);
    Ok(())
}

fn too_many_mappings_are_refused() -> Verdict {
    let (from, address, to) = (program().new_space()?, fresh_address(), program().new_space()?);
    let segment = Segment::new(account(), PAGE)?;
    for number in 0..17 {
        from.map(address + number * PAGE, &segment, 0..PAGE, Rights::READ_WRITE)?;
    }
    let there = fresh_address();
    refused(from.move_to(address..address + 17 * PAGE, &to, there), Error::LimitReached)?;
    ensure!(is_gone(&to, there)?, "a part is moved");
    from.move_to(address..address + 16 * PAGE, &to, there)?;
    Ok(())
}

fn copied_and_lockable_memory_is_not_moved() -> Verdict {
    let (from, address, to) = scene(2)?;
    let there = fresh_address();
    let clone = clone_of(&from)?;
    refused(from.move_to(address..address + PAGE, &to, there), Error::BadState)?;
    refused(clone.lend_to(address..address + PAGE, &to, there), Error::BadState)?;
    let private = program().new_space()?;
    private.map_private(address, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
    refused(private.move_to(address..address + PAGE, &to, there), Error::BadState)?;
    let locked = program().new_space()?;
    locked.map(address, &Segment::new_lockable(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
    refused(locked.move_to(address..address + PAGE, &to, there), Error::BadState)?;
    // What was mapped since the clone is the space's own.
    from.map(address + 4 * PAGE, &Segment::new(account(), PAGE)?, 0..PAGE, Rights::READ_WRITE)?;
    set(&from, word(address, 4)?, 6)?;
    from.move_to(address + 4 * PAGE..address + 5 * PAGE, &clone, there)?;
    ensure_eq!(get(&clone, word(there, 0)?)?, 6);
    Ok(())
}

fn who_cannot_pay_gets_nothing() -> Verdict {
    let (from, address, kept) = (program().new_space()?, fresh_address(), Segment::new(account(), PAGE)?);
    from.map(address, &kept, 0..PAGE, Rights::READ_WRITE)?;
    set(&from, word(address, 0)?, 1)?;
    let poor = account().split(5 * PAGE)?;
    let to = Space::new(&poor)?;
    // What is left is split off, until too little is left for a mapping.
    let (mut parts, mut bytes) = (Vec::new(), poor.available_bytes()?);
    while bytes != 0 {
        match poor.split(bytes) {
            Ok(part) => parts.push(part),
            Err(_) => bytes /= 2,
        }
    }
    refused(from.move_to(address..address + PAGE, &to, address), Error::AccountExhausted)?;
    ensure_eq!(get(&from, word(address, 0)?)?, 1);
    Ok(())
}

fn sealed_subtrees_neither_give_nor_take() -> Verdict {
    let (from, address, to) = scene(2)?;
    let (subtree, within) = (Subtree::with_level(account(), Level::Top)?, 1 << 30);
    from.lend_to(address..address + PAGE, &subtree, within)?;
    subtree.seal()?;
    refused(from.lend_to(address..address + PAGE, &subtree, within + PAGE), Error::Sealed)?;
    refused(subtree.move_to(within..within + PAGE, &to, address), Error::Sealed)?;
    subtree.lend_to(within..within + PAGE, &to, address)?;
    ensure_eq!(get(&to, word(address, 0)?)?, 1);
    Ok(())
}

fn unknown_flags_are_refused() -> Verdict {
    let (from, address, to) = scene(1)?;
    let words = |flags| [from.handle().bits(), address, PAGE, to.handle().bits(), address, flags];
    refused(attempt(number::mapping_move, words(2)), Error::BadArgument)?;
    refused(attempt(number::mapping_move, words(u64::MAX)), Error::BadArgument)?;
    let wrong = [from.handle().bits(), address, PAGE, account().handle().bits(), address, 0];
    refused(attempt(number::mapping_move, wrong), Error::WrongObject)?;
    let place = word(address, 0)?;
    ensure!(!ends_in_fault(&from, move || place.get())?, "what was refused has changed something");
    Ok(())
}

fn moved_memory_leaves_nothing() -> Verdict {
    leaves_nothing(20, |cycle| {
        let (from, address, to) = scene(600)?;
        let there = fresh_address();
        from.move_to(address + cycle * PAGE..address + 590 * PAGE, &to, there)?;
        to.lend_to(there..there + 100 * PAGE, &from, there)?;
        set(&from, word(there, 50)?, 1)?;
        Ok::<(), Error>(())
    })
}
