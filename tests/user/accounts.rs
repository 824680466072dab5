//! Accounts: everything is charged to one, credited back to it, and refused when it does not suffice.

#![no_std]
#![no_main]

use conformance::{
    Census, Claim, Room, Snapshot, Verdict, claim, ends_in_fault, ensure, ensure_eq, fresh_address, refused, run,
    the_kernel_passes_its_own_checks,
};
use libvas::{Account, Cap, CapTable, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, Thread, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_split_takes_from_the_parent_and_returns),
        claim!(more_than_there_is_cannot_be_split_off),
        claim!(every_object_is_charged_and_credited),
        claim!(the_account_that_was_named_pays),
        claim!(an_exhausted_account_makes_no_object),
        claim!(an_exhausted_account_maps_nothing),
        claim!(exhaustion_in_a_large_range_leaves_nothing_behind),
        claim!(splitting_a_large_page_must_be_paid),
        claim!(a_first_touch_that_cannot_be_paid_is_a_fault),
        claim!(a_budget_returns_when_its_last_object_goes),
        claim!(impossible_sizes_do_not_overflow),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("accounts", CLAIMS)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const LARGE_PAGE_BYTES: u64 = 2 * MIB;

fn used_bytes(account: &Cap<Account>) -> Result<u64, Error> {
    Ok(account.info()?.used_bytes)
}

/// Takes all of an account's budget but so many bytes.
fn leave(account: &Cap<Account>, bytes: u64) -> Result<Cap<Account>, Error> {
    // The record of the split account is charged too; its size shows in what a split of nothing costs.
    let before = account.available_bytes()?;
    let record_bytes = {
        let _empty = account.split(0)?;
        before - account.available_bytes()?
    };
    account.split(before - record_bytes - bytes)
}

/// A budget that is split off counts as used in the parent, with its record, and returns as a whole.
fn a_split_takes_from_the_parent_and_returns() -> Verdict {
    let parent = program().account().split(MIB)?;
    ensure_eq!(parent.info()?.limit_bytes, MIB);
    let child = parent.split(256 * KIB)?;
    ensure_eq!((child.info()?.limit_bytes, used_bytes(&child)?), (256 * KIB, 0));
    let used = used_bytes(&parent)?;
    ensure!((256 * KIB..260 * KIB).contains(&used), "a split of 256 KiB costs {used} bytes");
    let _segment = Segment::new(&child, 8 * PAGE_BYTES)?;
    ensure_eq!(used_bytes(&parent)?, used);
    drop(child);
    drop(_segment);
    ensure_eq!(used_bytes(&parent)?, 0);
    Ok(())
}

/// A split beyond what is left is refused and changes nothing.
fn more_than_there_is_cannot_be_split_off() -> Verdict {
    let account = program().account().split(MIB)?;
    let before = Census::take()?;
    for bytes in [MIB, MIB + 1, 1 << 40, u64::MAX - 100, u64::MAX] {
        refused(account.split(bytes), Error::AccountExhausted)?;
    }
    ensure_eq!((used_bytes(&account)?, Census::take()?), (0, before));
    Ok(())
}

/// Each kind of object costs something while it exists and nothing afterwards.
fn every_object_is_charged_and_credited() -> Verdict {
    let account = program().account().split(4 * MIB)?;
    let table = CapTable::new(program().account(), 1)?;
    let mut costs = [0; 7];
    for (kind, cost) in costs.iter_mut().enumerate() {
        let charged = || used_bytes(&account);
        *cost = match kind {
            0 => with(account.split(0)?, charged)?,
            1 => with(Space::new(&account)?, charged)?,
            2 => with(Subtree::new(&account)?, charged)?,
            3 => with(Segment::new(&account, 16 * PAGE_BYTES)?, charged)?,
            4 => with(Segment::new_lazy(&account, 16 * PAGE_BYTES)?, charged)?,
            5 => with(CapTable::new(&account, 100)?, charged)?,
            _ => with(Thread::new(&account, &table, program().space(), 0)?, charged)?,
        };
        ensure!(*cost > 0, "objects are free: {costs:?}");
        ensure_eq!(used_bytes(&account)?, 0);
    }
    // A lazy segment has the list of who pays for which pages more.
    let memory_bytes = costs[3] - costs[4];
    ensure!((15 * PAGE_BYTES + 1..=16 * PAGE_BYTES).contains(&memory_bytes), "memory costs {memory_bytes} bytes");
    ensure!(costs[1] > PAGE_BYTES && costs[2] > PAGE_BYTES, "a root table costs a page: {costs:?}");
    Ok(())
}

/// What a question answers while an object exists.
fn with<O, T>(object: O, question: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let answer = question();
    drop(object);
    answer
}

/// Objects are charged to the account they were made with, tables and mappings to that of their space.
fn the_account_that_was_named_pays() -> Verdict {
    let (ours, theirs) = (program().account().split(MIB)?, program().account().split(MIB)?);
    let segment = Segment::new(&theirs, 4 * PAGE_BYTES)?;
    let space = Space::new(&ours)?;
    let (ours_before, theirs_before) = (used_bytes(&ours)?, used_bytes(&theirs)?);
    space.map(fresh_address(), &segment, 0..4 * PAGE_BYTES, Rights::READ)?;
    ensure!(used_bytes(&ours)? > ours_before + 2 * PAGE_BYTES, "the space's tables were not charged");
    ensure_eq!(used_bytes(&theirs)?, theirs_before);
    Ok(())
}

/// With too little left, no object of any kind is made, and nothing is charged.
fn an_exhausted_account_makes_no_object() -> Verdict {
    let account = program().account().split(MIB)?;
    let _rest = leave(&account, 16)?;
    let table = CapTable::new(program().account(), 1)?;
    let (used, census) = (used_bytes(&account)?, Census::take()?);
    refused(account.split(0), Error::AccountExhausted)?;
    refused(Space::new(&account), Error::AccountExhausted)?;
    refused(Subtree::new(&account), Error::AccountExhausted)?;
    refused(Segment::new(&account, PAGE_BYTES), Error::AccountExhausted)?;
    refused(Segment::new_lazy(&account, PAGE_BYTES), Error::AccountExhausted)?;
    refused(CapTable::new(&account, 1), Error::AccountExhausted)?;
    refused(Thread::new(&account, &table, program().space(), 0), Error::AccountExhausted)?;
    ensure_eq!((used_bytes(&account)?, Census::take()?), (used, census));
    Ok(())
}

/// A mapping whose tables cannot be paid is refused, and the space is as it was.
fn an_exhausted_account_maps_nothing() -> Verdict {
    let account = program().account().split(MIB)?;
    let space = Space::new(&account)?;
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    for pages_left in 0..3 {
        let rest = leave(&account, pages_left * PAGE_BYTES + PAGE_BYTES / 2)?;
        let (before, used) = (Snapshot::of(&space)?, used_bytes(&account)?);
        let result = space.map(fresh_address(), &segment, 0..PAGE_BYTES, Rights::READ);
        refused(result, Error::AccountExhausted)?;
        ensure_eq!((Snapshot::of(&space)?, used_bytes(&account)?), (before, used));
        drop(rest);
    }
    space.map(fresh_address(), &segment, 0..PAGE_BYTES, Rights::READ)?;
    Ok(())
}

/// A large mapping that runs out of budget in its middle leaves no page and no table of it.
fn exhaustion_in_a_large_range_leaves_nothing_behind() -> Verdict {
    let account = program().account().split(MIB)?;
    let space = Space::new(&account)?;
    let segment = Segment::new(program().account(), 16 * MIB)?;
    // Off 2 MiB, 16 MiB take nine tables of the lowest level and two above: five are not enough.
    let address = fresh_address() + PAGE_BYTES;
    let rest = leave(&account, 5 * PAGE_BYTES + PAGE_BYTES / 2)?;
    let (before, used, census) = (Snapshot::of(&space)?, used_bytes(&account)?, Census::take()?);
    refused(space.map(address, &segment, 0..16 * MIB, Rights::READ), Error::AccountExhausted)?;
    ensure_eq!((Snapshot::of(&space)?, used_bytes(&account)?, Census::take()?), (before, used, census));
    refused(space.read(address, &mut [0]), Error::BadAddress)?;
    drop(rest);
    space.map(address, &segment, 0..16 * MIB, Rights::READ)?;
    ensure_eq!(space.info()?.mapped_bytes, 16 * MIB);
    Ok(())
}

/// Unmapping or protecting a part of a large page needs a table; without the budget both are refused and undone.
fn splitting_a_large_page_must_be_paid() -> Verdict {
    let account = program().account().split(MIB)?;
    let space = Space::new(&account)?;
    let segment = Segment::new(program().account(), LARGE_PAGE_BYTES)?;
    let address = fresh_address();
    space.map(address, &segment, 0..LARGE_PAGE_BYTES, Rights::READ_WRITE)?;
    let rest = leave(&account, PAGE_BYTES / 2)?;
    let (before, part) = (Snapshot::of(&space)?, address + PAGE_BYTES..address + 2 * PAGE_BYTES);
    refused(space.unmap(part.clone()), Error::AccountExhausted)?;
    refused(space.protect(part.clone(), Rights::READ), Error::AccountExhausted)?;
    ensure_eq!(Snapshot::of(&space)?, before);
    space.write(address + PAGE_BYTES, b"still writable")?;
    space.protect(address..address + LARGE_PAGE_BYTES, Rights::READ)?;
    drop(rest);
    space.unmap(part)?;
    Ok(())
}

/// A page that is made on first touch and cannot be paid stops the thread that touches it, or is no valid pointer.
fn a_first_touch_that_cannot_be_paid_is_a_fault() -> Verdict {
    let account = program().account().split(MIB)?;
    let segment = Segment::new_lazy(&account, 4 * PAGE_BYTES)?;
    let room = Room::with(segment, 4, Rights::READ_WRITE)?;
    room.word(0)?.set(1);
    let rest = leave(&account, PAGE_BYTES / 2)?;
    let untouched = Place::<u64>::new(room.address() + PAGE_BYTES)?;
    ensure!(ends_in_fault(program().space(), move || untouched.set(1))?, "the write was paid by nobody");
    ensure!(ends_in_fault(program().space(), move || untouched.get())?, "the read was paid by nobody");
    refused(program().space().write(untouched.address(), b"text"), Error::BadAddress)?;
    ensure_eq!(room.segment().info()?.populated_bytes, PAGE_BYTES);
    drop(rest);
    ensure_eq!(untouched.get(), 0);
    ensure_eq!(room.segment().info()?.populated_bytes, 2 * PAGE_BYTES);
    Ok(())
}

/// An account that is given up lives on until its last object goes; then the parent has all of it back.
fn a_budget_returns_when_its_last_object_goes() -> Verdict {
    let parent = program().account().split(MIB)?;
    let child = parent.split(MIB / 2)?;
    let segment = Segment::new(&child, PAGE_BYTES)?;
    drop(child);
    ensure!(used_bytes(&parent)? > MIB / 2, "the budget returned while it was in use");
    ensure_eq!(segment.info()?.populated_bytes, PAGE_BYTES);
    drop(segment);
    ensure_eq!(used_bytes(&parent)?, 0);
    Ok(())
}

/// Sizes near 2^64 are refused, not taken for small ones.
fn impossible_sizes_do_not_overflow() -> Verdict {
    let before = Census::take()?;
    for length_bytes in [1 << 52, 1 << 62, 1 << 63, 0_u64.wrapping_sub(PAGE_BYTES)] {
        for lazy in [false, true] {
            let make = if lazy { Segment::new_lazy } else { Segment::new };
            let result = make(program().account(), length_bytes);
            ensure!(result.is_err(), "a segment of {length_bytes:#x} bytes was made");
        }
    }
    refused(Segment::new(program().account(), 1 << 39), Error::AccountExhausted)?;
    ensure_eq!(Census::take()?, before);
    Ok(())
}
