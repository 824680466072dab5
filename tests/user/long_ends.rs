//! Long ends: what holds much is taken apart before the call returns that gave it up, others run meanwhile, and who is
//! stopped in the middle leaves nothing behind.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use conformance::{
    CLAIM_PRIORITY, Claim, Verdict, claim, ensure, ensure_eq, on_cpu, run, the_kernel_passes_its_own_checks, wait_until,
};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libvas::thread::{Builder, JoinHandle};
use libvas::{
    Account, Cap, CapTable, Error, PAGE_BYTES, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program, thread,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_space_with_20_000_mappings_goes_within_the_call),
        claim!(a_subtree_with_20_000_mappings_goes_within_the_call),
        claim!(a_table_of_thousands_goes_within_the_call),
        claim!(a_segment_of_much_memory_goes_within_the_call),
        claim!(who_is_more_urgent_runs_in_the_middle_of_a_long_call),
        claim!(who_is_stopped_in_the_middle_leaves_nothing_behind),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("long_ends", CLAIMS)
}

const MAPPINGS: u64 = 20_000;

/// A budget for what is to go, of which nothing is used.
fn budget() -> Result<Cap<Account>, Error> {
    program().account().split(64 << 20)
}

/// A space with so many mappings, each 64 KiB from the next.
fn full_space(account: &Cap<Account>, segment: &Cap<Segment>) -> Result<Cap<Space>, Error> {
    let space = Space::new(account)?;
    for number in 0..MAPPINGS {
        space.map(TOP_SLOT_BYTES + (number << 16), segment, 0..PAGE_BYTES, Rights::READ)?;
    }
    Ok(space)
}

/// When the call returns that gives the space up, its account is whole and the segment is mapped nowhere.
fn a_space_with_20_000_mappings_goes_within_the_call() -> Verdict {
    let (account, segment) = (budget()?, Segment::new(program().account(), PAGE_BYTES)?);
    let space = full_space(&account, &segment)?;
    ensure!(account.info()?.used_bytes > MAPPINGS * 16, "mappings cost something");
    space.delete()?;
    ensure_eq!(account.info()?.used_bytes, 0);
    ensure_eq!(segment.info()?.mappings, 0);
    Ok(())
}

/// The same of a subtree that was attached and is not any more.
fn a_subtree_with_20_000_mappings_goes_within_the_call() -> Verdict {
    let (account, segment) = (budget()?, Segment::new(program().account(), PAGE_BYTES)?);
    let (subtree, space) = (Subtree::new(&account)?, Space::new(program().account())?);
    for number in 1..=MAPPINGS {
        subtree.map(number << 16, &segment, 0..PAGE_BYTES, Rights::READ)?;
    }
    space.attach(TOP_SLOT_BYTES, &subtree, Rights::READ)?;
    subtree.delete()?;
    ensure_eq!(segment.info()?.mappings, MAPPINGS);
    space.delete()?;
    ensure_eq!(account.info()?.used_bytes, 0);
    ensure_eq!(segment.info()?.mappings, 0);
    Ok(())
}

/// A table that held the only capabilities to some objects, and many to others.
fn a_table_of_thousands_goes_within_the_call() -> Verdict {
    let account = budget()?;
    let (table, segment) = (CapTable::new(&account, 6000)?, Segment::new(&account, PAGE_BYTES)?);
    for number in 0..4000 {
        segment.copy_into(&table, Rights::READ, number)?;
    }
    for _ in 0..1000 {
        Segment::new(&account, PAGE_BYTES)?.copy_into(&table, Rights::READ, 0)?;
    }
    table.delete()?;
    segment.delete()?;
    ensure_eq!(account.info()?.used_bytes, 0);
    Ok(())
}

/// Memory that was there from the start, and memory that was touched here and there.
fn a_segment_of_much_memory_goes_within_the_call() -> Verdict {
    let account = budget()?;
    let (whole, lazy) = (Segment::new(&account, 24 << 20)?, Segment::new_lazy(&account, 64 << 20)?);
    for page in (0..lazy.info()?.length_bytes / PAGE_BYTES).step_by(5) {
        lazy.write(page * PAGE_BYTES, &[1])?;
    }
    whole.delete()?;
    lazy.delete()?;
    ensure_eq!(account.info()?.used_bytes, 0);
    Ok(())
}

/// What a thread that gives up a full space tells: 0 before the call, 1 in it, 2 after it.
type Stage = Arc<AtomicU64>;

/// A thread on the first CPU, less urgent than the claim, that gives a full space up when it has its turn.
fn destroyer(space: Cap<Space>) -> Result<(JoinHandle<()>, Stage), Error> {
    let stage = Stage::default();
    let told = stage.clone();
    let thread = on_cpu(0).spawn(move || {
        told.store(1, Ordering::SeqCst);
        drop(space);
        told.store(2, Ordering::SeqCst);
    })?;
    Ok((thread, stage))
}

/// Sleeps again and again on the first CPU; gives how often it woke up while the other was in the middle of its call, when some
/// of the mappings are gone and some not; `enough` at most. Before its call an emulated CPU may stand still for long.
fn watch(stage: &Stage, segment: &Arc<Cap<Segment>>, enough: u64) -> Result<u64, Error> {
    let (stage, segment) = (stage.clone(), segment.clone());
    let watcher = Builder::new().priority(CLAIM_PRIORITY).cpus(1).spawn(move || -> Result<u64, Error> {
        let mut seen = 0;
        while stage.load(Ordering::SeqCst) != 2 && seen < enough {
            seen += u64::from((1..MAPPINGS).contains(&segment.info()?.mappings));
            thread::sleep(Duration::from_micros(20));
        }
        Ok(seen)
    })?;
    watcher.join()?
}

/// Turns until a thread counts as one that never runs.
const ATTEMPTS: u64 = 50;

/// A thread of higher priority on the same CPU wakes up more than once while a space with many mappings goes.
fn who_is_more_urgent_runs_in_the_middle_of_a_long_call() -> Verdict {
    let (account, segment) = (budget()?, Arc::new(Segment::new(program().account(), PAGE_BYTES)?));
    let mut most = 0;
    for _ in 0..ATTEMPTS {
        let (thread, stage) = destroyer(full_space(&account, &segment)?)?;
        most = most.max(watch(&stage, &segment, 2)?);
        thread.join()?;
        ensure_eq!(account.info()?.used_bytes, 0);
        if most >= 2 {
            return Ok(());
        }
    }
    ensure_eq!(most, 2);
    Ok(())
}

/// Its space goes all the same, by and by.
fn who_is_stopped_in_the_middle_leaves_nothing_behind() -> Verdict {
    let (account, segment) = (budget()?, Arc::new(Segment::new(program().account(), PAGE_BYTES)?));
    let mut ends = Vec::new();
    for _ in 0..ATTEMPTS {
        let (thread, stage) = destroyer(full_space(&account, &segment)?)?;
        watch(&stage, &segment, 1)?;
        thread.thread().stop()?;
        ends.push(thread.join());
        wait_until(|| Ok(account.info()?.used_bytes == 0))?;
        ensure_eq!(segment.info()?.mappings, 0);
        if ends.contains(&Err(Error::Gone)) {
            return Ok(());
        }
    }
    ensure!(ends.contains(&Err(Error::Gone)), "nobody was stopped in the middle of {ATTEMPTS} calls");
    Ok(())
}
