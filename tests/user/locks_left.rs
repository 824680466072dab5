//! Who leaves a space in whatever way leaves its locks, and who waits for what goes is told.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use conformance::locked::{Locked, Visitor, holders, lent_by, lockable, space_with};
use conformance::{
    Claim, SpareStack, Verdict, claim, ends_in_fault, ensure, ensure_eq, fresh_address, gate_into, run, serves,
    set_fallback, the_kernel_passes_its_own_checks, wait_until,
};
use core::time::Duration;
use libvas::gate::{Answer, Called, Request, Serve, Stacks};
use libvas::thread::{self, ThreadState};
use libvas::{Error, PAGE_BYTES as PAGE, Rights, Space, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_thread_that_exits_inside_leaves_the_lock),
        claim!(a_thread_that_is_stopped_inside_leaves_the_lock),
        claim!(a_thread_that_faults_inside_leaves_the_lock),
        claim!(a_thread_that_is_stopped_while_it_waits_is_in_nobodys_way),
        claim!(who_is_behind_one_that_gives_up_and_sleeps_comes_in),
        claim!(a_space_that_is_destroyed_gives_its_locks_up),
        claim!(who_is_thrown_out_by_a_revocation_leaves_the_lock),
        claim!(who_lands_elsewhere_leaves_the_lock),
        claim!(a_mapping_that_goes_gives_the_lock_up),
        claim!(a_segment_that_is_revoked_gives_the_lock_up),
        claim!(who_waits_for_what_is_unmapped_comes_in),
        claim!(who_waits_by_a_capability_that_goes_is_told),
        claim!(who_waits_for_a_space_that_goes_is_told),
        claim!(a_lock_that_is_taken_in_a_gate_call_is_left_at_its_end),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("locks_left", CLAIMS)
}

const LONG: Duration = Duration::from_secs(3600);

fn a_thread_that_exits_inside_leaves_the_lock() -> Verdict {
    let locked = Locked::new()?;
    let space = lent_by(&locked.writers);
    let thread = thread::spawn(move || -> Result<(), Error> { space.enter(|| thread::exit(3)) })?;
    let _ = thread.join();
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(locked.writers.try_enter(|| ())?)
}

fn a_thread_that_is_stopped_inside_leaves_the_lock() -> Verdict {
    let locked = Locked::new()?;
    for space in [&locked.writers, &locked.readers] {
        let visitor = Visitor::inside(space)?;
        let waits = Visitor::waiting(&locked.writers)?;
        visitor.thread().stop()?;
        waits.is_in()?;
        waits.leave()?;
    }
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn a_thread_that_faults_inside_leaves_the_lock() -> Verdict {
    let locked = Locked::new()?;
    let (space, word) = (lent_by(&locked.readers), locked.word()?);
    ensure!(ends_in_fault(program().space(), move || space.enter(|| word.set(1)))?, "a reader writes");
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(locked.writers.try_enter(|| ())?)
}

fn a_thread_that_is_stopped_while_it_waits_is_in_nobodys_way() -> Verdict {
    let locked = Locked::new()?;
    let reader = Visitor::inside(&locked.readers)?;
    let writer = Visitor::waiting(&locked.writers)?;
    let behind = Visitor::waiting(&locked.readers)?;
    writer.thread().stop()?;
    behind.is_in()?;
    ensure_eq!(locked.holders()?, (0, 2, 0));
    behind.leave()?;
    Ok(reader.leave()?)
}

/// They are more than one entry into the kernel lets in; the rest is no business of one who does not run.
fn who_is_behind_one_that_gives_up_and_sleeps_comes_in() -> Verdict {
    let locked = Locked::new()?;
    let (readers, space) = (lent_by(&locked.readers), lent_by(&locked.writers));
    // All sleep when the time is over, so that its interrupt finds nobody at work.
    let inside = thread::spawn(move || readers.enter(|| thread::sleep(Duration::from_millis(600))))?;
    wait_until(|| Ok(locked.holders()?.1 == 1))?;
    let impatient = thread::spawn(move || {
        let result = space.enter_within(Duration::from_millis(300), || ());
        thread::sleep(LONG);
        result
    })?;
    wait_until(|| Ok(locked.holders()?.2 == 1))?;
    let behind = (0..8).map(|_| Visitor::waiting(&locked.readers)).collect::<Result<Vec<_>, _>>()?;
    thread::sleep(Duration::from_millis(500));
    behind.iter().try_for_each(Visitor::is_in)?;
    behind.into_iter().try_for_each(Visitor::leave)?;
    inside.join()??;
    impatient.thread().stop()?;
    Ok(locked.writers.try_enter(|| ())?)
}

fn a_space_that_is_destroyed_gives_its_locks_up() -> Verdict {
    let locked = Locked::new()?;
    let other = space_with(&locked.segment, locked.address, Rights::READ_WRITE)?;
    let inside = Visitor::inside(&other)?;
    let waits = Visitor::waiting(&locked.writers)?;
    other.delete()?;
    waits.is_in()?;
    ensure_eq!(inside.leave(), Err(Error::Gone));
    waits.leave()?;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn who_is_thrown_out_by_a_revocation_leaves_the_lock() -> Verdict {
    let locked = Locked::new()?;
    let lent = locked.writers.derive(Rights::SWITCH, 0)?;
    let inside = Visitor::inside(&lent)?;
    let waits = Visitor::waiting(&locked.readers)?;
    locked.writers.revoke()?;
    waits.is_in()?;
    ensure_eq!(inside.leave(), Err(Error::Gone));
    Ok(waits.leave()?)
}

extern "C" fn landing(_: u64, _: u64) -> ! {
    thread::sleep(LONG);
    thread::exit(1)
}

fn who_lands_elsewhere_leaves_the_lock() -> Verdict {
    let locked = Locked::new()?;
    let lent = lent_by(&locked.writers).derive(Rights::SWITCH, 0)?;
    let by = lent_by(&lent);
    let thread = thread::spawn(move || {
        set_fallback(program().space(), landing, SpareStack::new())?;
        by.enter(|| thread::sleep(LONG))
    })?;
    wait_until(|| Ok(locked.holders()?.0 == 1))?;
    locked.writers.revoke()?;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    ensure!(thread.thread().info()?.state != ThreadState::Stopped as u64, "a thread with a fallback is stopped");
    locked.writers.try_enter(|| ())?;
    Ok(thread.thread().stop()?)
}

fn a_mapping_that_goes_gives_the_lock_up() -> Verdict {
    let locked = Locked::new()?;
    let inside = Visitor::inside(&locked.writers)?;
    let waits = Visitor::waiting(&locked.readers)?;
    locked.writers.unmap(locked.address..locked.address + 2 * PAGE)?;
    waits.is_in()?;
    ensure_eq!(locked.holders()?, (0, 1, 0));
    inside.leave()?;
    ensure_eq!(locked.holders()?, (0, 1, 0));
    waits.leave()?;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn a_segment_that_is_revoked_gives_the_lock_up() -> Verdict {
    let (segment, address) = (lockable()?, fresh_address());
    let lent = segment.derive(Rights::READ_WRITE, 0)?;
    let (mine, theirs) =
        (space_with(&segment, address, Rights::READ_WRITE)?, space_with(&lent, address, Rights::READ_WRITE)?);
    let inside = Visitor::inside(&theirs)?;
    let waits = Visitor::waiting(&mine)?;
    segment.revoke()?;
    waits.is_in()?;
    inside.leave()?;
    ensure_eq!(holders(&segment)?, (1, 0, 0));
    Ok(waits.leave()?)
}

fn who_waits_for_what_is_unmapped_comes_in() -> Verdict {
    let locked = Locked::new()?;
    let inside = Visitor::inside(&locked.readers)?;
    let waits = Visitor::waiting(&locked.writers)?;
    locked.writers.unmap(locked.address..locked.address + 2 * PAGE)?;
    waits.is_in()?;
    ensure_eq!(locked.holders()?, (0, 1, 0));
    waits.leave()?;
    Ok(inside.leave()?)
}

fn who_waits_by_a_capability_that_goes_is_told() -> Verdict {
    let locked = Locked::new()?;
    let lent = locked.readers.derive(Rights::SWITCH, 0)?;
    let inside = Visitor::inside(&locked.writers)?;
    let waits = Visitor::waiting(&lent)?;
    locked.readers.revoke()?;
    inside.leave()?;
    ensure_eq!(waits.leave(), Err(Error::BadHandle));
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn who_waits_for_a_space_that_goes_is_told() -> Verdict {
    let Locked { segment, writers, readers, .. } = Locked::new()?;
    let inside = Visitor::inside(&writers)?;
    let waits = Visitor::waiting(&readers)?;
    readers.delete()?;
    ensure_eq!(waits.leave(), Err(Error::BadHandle));
    inside.leave()?;
    ensure_eq!(holders(&segment)?, (0, 0, 0));
    Ok(())
}

serves!(Enters, |called| {
    let space = conformance::lent::<Space>(called.words[0]);
    // Without the way back: the call ends inside.
    let result = space.switch();
    [u64::from(result.is_ok()), 0, 0, 0, 0, 0]
});

fn a_lock_that_is_taken_in_a_gate_call_is_left_at_its_end() -> Verdict {
    let locked = Locked::new()?;
    // On the heap, which is in the other space as well.
    let stack = Box::leak(Box::new([0_u128; 2048]));
    let start = stack.as_ptr().expose_provenance() as u64;
    let stacks = Stacks { start, stack_bytes: size_of_val(stack) as u64, count: 1 };
    let gate = gate_into::<Enters>(program().account(), program().space(), program().table(), stacks)?;
    for _ in 0..3 {
        let request = Request::new([locked.writers.handle().bits(), 0, 0, 0, 0, 0]);
        ensure_eq!(gate.request(request)?.0[0], 1);
        ensure_eq!(locked.holders()?, (0, 0, 0));
    }
    Ok(())
}
