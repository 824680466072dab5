//! Clones of spaces that cannot be had, and who pays for those that can.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::cloned::{account, available, clone_of, set, space_with_pages, word};
use conformance::{
    Claim, Failure, Shared, Verdict, attempt, claim, ensure, ensure_eq, fresh_address, refused, run, spot,
    the_kernel_passes_its_own_checks,
};
use libvas::{
    Account, Cap, CapTable, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT,
    View, program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(who_cannot_pay_for_a_page_cannot_write),
        claim!(who_cannot_pay_for_a_clone_gets_none),
        claim!(a_clone_takes_rights),
        claim!(what_is_no_space_is_not_cloned),
        claim!(views_are_not_cloned),
        claim!(what_is_attached_below_the_top_is_not_cloned),
        claim!(too_many_subtrees_are_not_cloned),
        claim!(a_full_table_takes_no_clone),
        claim!(a_refused_clone_changes_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("clones_refused", CLAIMS)
}

/// A bare space at the cost of an account of its own, with so many pages.
fn space_at_cost(of: &Cap<Account>, pages: u64) -> Result<(Cap<Space>, u64), Error> {
    let (space, address) = (Space::new(of)?, fresh_address());
    let segment = Segment::new(of, pages * PAGE)?;
    space.map(address, &segment, 0..pages * PAGE, Rights::READ_WRITE)?;
    Ok((space, address))
}

fn who_cannot_pay_for_a_page_cannot_write() -> Verdict {
    let own = account().split(60 * PAGE)?;
    let (space, address) = space_at_cost(&own, 30)?;
    let clone = Space::clone_of(&own, &space)?;
    let mut page = 0;
    while clone.write(address + page * PAGE, &[1]).is_ok() {
        page += 1;
        ensure!(page < 30, "more was copied than could be paid for");
    }
    ensure!(page > 5 && own.available_bytes()? < 2 * PAGE, "{page} pages, {} bytes left", own.available_bytes()?);
    // The source is as it was, and so is what was copied; what could not be is still read.
    let mut bytes = [9];
    space.read(address, &mut bytes)?;
    ensure_eq!(bytes, [0]);
    clone.read(address, &mut bytes)?;
    ensure_eq!(bytes, [1]);
    clone.read(address + page * PAGE, &mut bytes)?;
    ensure_eq!(bytes, [0]);
    // With some room again, it goes on.
    clone.unmap(address..address + PAGE)?;
    clone.write(address + page * PAGE, &[1])?;
    Ok(())
}

fn who_cannot_pay_for_a_clone_gets_none() -> Verdict {
    let own = account().split(20 * PAGE)?;
    let (space, _address) = space_at_cost(&own, 8)?;
    let mut clones = Vec::new();
    let error = loop {
        match Space::clone_of(&own, &space) {
            Ok(clone) => clones.push(clone),
            Err(error) => break error,
        }
        ensure!(clones.len() < 20, "clones cost nothing");
    };
    ensure_eq!(error, Error::AccountExhausted);
    let left = own.available_bytes()?;
    clones.pop();
    ensure!(own.available_bytes()? > left, "giving one up gives nothing back");
    clones.push(Space::clone_of(&own, &space)?);
    ensure_eq!(own.available_bytes()?, left);
    Ok(())
}

fn a_clone_takes_rights() -> Verdict {
    let (space, _) = space_with_pages(1)?;
    for right in [Rights::INSPECT, Rights::MAP] {
        let less = space.derive(Rights::all() - right, 0)?;
        refused(clone_of(&less), Error::MissingRight)?;
    }
    let poor = account().derive(Rights::all() - Rights::CHARGE, 0)?;
    refused(Space::clone_of(&poor, &space), Error::MissingRight)?;
    let enough = space.derive(Rights::INSPECT | Rights::MAP, 0)?;
    clone_of(&enough)?;
    Ok(())
}

fn what_is_no_space_is_not_cloned() -> Verdict {
    let segment = Segment::new(account(), PAGE)?;
    let of_account = account().handle().bits();
    refused(attempt(number::space_clone, [of_account, segment.handle().bits(), 0, 0, 0, 0]), Error::WrongObject)?;
    let space = program().new_space()?;
    let gone = space.handle().bits();
    drop(space);
    refused(attempt(number::space_clone, [of_account, gone, 0, 0, 0, 0]), Error::BadHandle)?;
    let space = program().new_space()?.into_handle().bits();
    refused(attempt(number::space_clone, [segment.handle().bits(), space, 0, 0, 0, 0]), Error::WrongObject)?;
    attempt(number::capability_delete, [space, 0, 0, 0, 0, 0])?;
    Ok(())
}

fn views_are_not_cloned() -> Verdict {
    let (space, _) = space_with_pages(1)?;
    let view = View::new(account(), &space, Rights::READ)?;
    let words = [account().handle().bits(), view.handle().bits(), 0, 0, 0, 0];
    // A view's capability has no right to map.
    refused(attempt(number::space_clone, words), Error::MissingRight)
}

fn what_is_attached_below_the_top_is_not_cloned() -> Verdict {
    let space = program().new_space()?;
    let shared = Shared::new(Level::OneGib, Rights::READ)?;
    space.attach(spot(Level::OneGib), &shared.subtree, Rights::READ)?;
    refused(clone_of(&space), Error::BadState)?;
    space.detach(spot(Level::OneGib))?;
    clone_of(&space)?;
    Ok(())
}

fn too_many_subtrees_are_not_cloned() -> Verdict {
    let space = Space::new(account())?;
    let subtree = Subtree::new(account())?;
    for slot in 1..=17 {
        space.attach(slot * SLOT, &subtree, Rights::READ)?;
    }
    refused(clone_of(&space), Error::LimitReached)?;
    space.detach(SLOT)?;
    let clone = clone_of(&space)?;
    ensure_eq!(clone.info()?.attachments, 16);
    Ok(())
}

fn a_full_table_takes_no_clone() -> Verdict {
    let space = program().new_space()?;
    let mut fillers = Vec::new();
    let error = loop {
        match CapTable::new(account(), 1) {
            Ok(filler) => fillers.push(filler),
            Err(error) => break error,
        }
    };
    if error != Error::TableFull {
        return Err(Failure::skip(alloc::format!("the table is not full before {error}")));
    }
    let before = available()?;
    let result = clone_of(&space);
    ensure_eq!(available()?, before);
    drop(fillers);
    refused(result, Error::TableFull)
}

fn a_refused_clone_changes_nothing() -> Verdict {
    let (space, address) = space_with_pages(4)?;
    set(&space, word(address, 0)?, 1)?;
    let poor = account().split(2 * PAGE)?;
    let (before, left) = (conformance::Snapshot::of(&space)?, available()?);
    refused(Space::clone_of(&poor, &space), Error::AccountExhausted)?;
    refused(
        attempt(number::space_clone, [account().handle().bits(), space.handle().bits(), 4, 0, 0, 0]),
        Error::BadArgument,
    )?;
    ensure!(conformance::Snapshot::of(&space)? == before, "a refused clone has changed the space");
    ensure_eq!(available()?, left);
    // Nothing is copied by a write.
    set(&space, word(address, 0)?, 2)?;
    ensure_eq!(available()?, left);
    Ok(())
}
