//! What locks refuse: mappings that they cannot follow, ways in that take none, and waits that would have no end.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::locked::{Locked, Visitor, holders, lent_by, lockable, space_with};
use conformance::{
    Claim, Failure, GUEST_CALLS, GuestScene, Service, SpareStack, Verdict, attempt, caller, claim, ensure, ensure_eq,
    fresh_address, gate_into, refused, run, serves, set_fallback, the_kernel_passes_its_own_checks, wait_for_state,
    wait_until,
};
use core::time::Duration;
use libvas::gate::{Answer, Called, Request, Serve, Stacks};
use libvas::thread::{self, Builder, JoinHandle, ThreadState};
use libvas::{
    Account, Cap, Error, Level, PAGE_BYTES as PAGE, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, Thread, View,
    program,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(unknown_flags_are_refused),
        claim!(an_account_pays_for_a_lock),
        claim!(an_account_pays_for_the_locks_of_a_space),
        claim!(a_thread_pays_for_what_it_holds),
        claim!(a_part_of_a_segment_is_not_mapped),
        claim!(a_segment_is_mapped_once_in_a_space),
        claim!(subtrees_map_no_lockable_segments),
        claim!(a_space_with_views_maps_none),
        claim!(a_space_with_threads_in_it_maps_none),
        claim!(a_space_that_is_the_callers_maps_none),
        claim!(four_are_mapped_in_a_space),
        claim!(one_is_mapped_in_thirty_two_spaces),
        claim!(a_refused_mapping_leaves_the_space_as_it_was),
        claim!(a_mapping_is_not_split_by_unmapping),
        claim!(a_mapping_is_not_split_by_protection),
        claim!(a_mapping_keeps_being_written_by_one_when_it_is_protected),
        claim!(gates_lead_to_no_space_with_locks),
        claim!(guests_run_in_no_space_with_locks),
        claim!(threads_begin_in_no_space_with_locks),
        claim!(threads_land_in_no_space_with_locks),
        claim!(a_space_with_locks_is_not_cloned),
        claim!(a_switch_needs_its_right),
        claim!(a_switch_needs_shared_ground),
        claim!(two_who_want_each_others_locks_do_not_wait),
        claim!(three_in_a_ring_do_not_wait),
        claim!(two_readers_who_both_want_to_write_do_not_wait),
        claim!(who_waits_for_the_end_of_one_who_waits_for_it_is_told),
        claim!(who_is_joined_by_the_holder_does_not_wait),
        claim!(a_callee_does_not_wait_for_its_caller),
        claim!(a_ring_is_told_of_when_a_wait_moves_on),
        claim!(after_a_deadlock_all_is_as_it_was),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("locks_refused", CLAIMS)
}

fn account() -> &'static Cap<Account> {
    program().account()
}

fn unknown_flags_are_refused() -> Verdict {
    let handle = account().handle().bits();
    for flags in [8, 9, 16, u64::MAX] {
        refused(attempt(number::segment_create, [handle, PAGE, flags, 0, 0, 0]), Error::BadArgument)?;
    }
    Ok(())
}

fn an_account_pays_for_a_lock() -> Verdict {
    let purse = account().split(64 * PAGE)?;
    let used = |flags: u64| -> Result<u64, Error> {
        let before = purse.available_bytes()?;
        let made = attempt(number::segment_create, [purse.handle().bits(), PAGE, flags, 0, 0, 0])?;
        let used = before - purse.available_bytes()?;
        drop(Cap::<Segment>::from_handle(libvas::Handle::from_bits(made)));
        ensure_back(&purse, before)?;
        Ok(used)
    };
    ensure!(used(2)? > used(0)?, "a lock costs nothing");
    let rest = purse.available_bytes()?;
    let small = account().split(used(0)?)?;
    refused(Segment::new_lockable(&small, PAGE).map(|_| ()), Error::AccountExhausted)?;
    ensure_eq!(purse.available_bytes()?, rest);
    Ok(())
}

fn ensure_back(purse: &Cap<Account>, bytes: u64) -> Result<(), Error> {
    if purse.available_bytes()? == bytes { Ok(()) } else { Err(Error::BadState) }
}

fn an_account_pays_for_the_locks_of_a_space() -> Verdict {
    let purse = account().split(256 * PAGE)?;
    let (space, segment, address) = (Space::new(&purse)?, Segment::new_lockable(&purse, PAGE)?, fresh_address());
    let plain = Segment::new(&purse, PAGE)?;
    let cost_of = |segment: &Cap<Segment>| -> Result<u64, Error> {
        let before = purse.available_bytes()?;
        space.map(address, segment, 0..PAGE, Rights::READ)?;
        let cost = before - purse.available_bytes()?;
        space.unmap(address..address + PAGE)?;
        ensure_back(&purse, before)?;
        Ok(cost)
    };
    let (locked, unlocked) = (cost_of(&segment)?, cost_of(&plain)?);
    ensure!(locked > unlocked, "the locks of a space cost nothing");
    // All but that is left.
    let taken = drained(&purse, unlocked)?;
    refused(space.map(address, &segment, 0..PAGE, Rights::READ), Error::AccountExhausted)?;
    space.map(address, &plain, 0..PAGE, Rights::READ)?;
    drop(taken);
    Ok(())
}

fn a_thread_pays_for_what_it_holds() -> Verdict {
    let locked = Locked::new()?;
    let purse = account().split(1 << 20)?;
    let (space, account) = (lent_by(&locked.writers), lent_by_account(&purse));
    // A thread whose account has nothing left comes into no space with locks.
    let table = program().table();
    let thread = Thread::new(&purse, table, program().space(), 0)?;
    let taken = drained(&purse, 0)?;
    WAY.store(space.handle().bits(), core::sync::atomic::Ordering::SeqCst);
    conformance::start_at(&thread, tries, SpareStack::new(), 0)?;
    ensure_eq!(thread.join()?, Error::AccountExhausted as u64);
    drop((taken, account));
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn lent_by_account(purse: &Cap<Account>) -> core::mem::ManuallyDrop<Cap<Account>> {
    core::mem::ManuallyDrop::new(Cap::from_handle(purse.handle()))
}

static WAY: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

extern "C" fn tries(_: u64, _: u64) -> ! {
    let space = conformance::lent::<Space>(WAY.load(core::sync::atomic::Ordering::SeqCst));
    thread::exit(space.switch().map_or_else(|error| error as u64, |_| 0))
}

fn a_part_of_a_segment_is_not_mapped() -> Verdict {
    let (segment, space, address) = (lockable()?, program().new_space()?, fresh_address());
    refused(space.map(address, &segment, 0..PAGE, Rights::READ), Error::BadArgument)?;
    refused(space.map(address, &segment, PAGE..2 * PAGE, Rights::READ), Error::BadArgument)?;
    ensure_eq!(space.info()?.mappings, 0);
    Ok(())
}

fn a_segment_is_mapped_once_in_a_space() -> Verdict {
    let (segment, address) = (lockable()?, fresh_address());
    let space = space_with(&segment, address, Rights::READ)?;
    refused(space.map(address + 8 * PAGE, &segment, 0..2 * PAGE, Rights::READ), Error::BadState)?;
    ensure_eq!(space.info()?.mappings, 1);
    space.unmap(address..address + 2 * PAGE)?;
    space.map(address + 8 * PAGE, &segment, 0..2 * PAGE, Rights::READ)?;
    Ok(())
}

fn subtrees_map_no_lockable_segments() -> Verdict {
    let (segment, subtree) = (lockable()?, Subtree::with_level(account(), Level::Top)?);
    refused(subtree.map(1 << 30, &segment, 0..2 * PAGE, Rights::READ), Error::BadState)?;
    ensure_eq!(segment.info()?.mappings, 0);
    Ok(())
}

fn a_space_with_views_maps_none() -> Verdict {
    let (segment, space) = (lockable()?, program().new_space()?);
    let view = View::new(account(), &space, Rights::READ)?;
    refused(space.map(fresh_address(), &segment, 0..2 * PAGE, Rights::READ), Error::BadState)?;
    view.delete()?;
    space.map(fresh_address(), &segment, 0..2 * PAGE, Rights::READ)?;
    Ok(())
}

fn a_space_with_threads_in_it_maps_none() -> Verdict {
    let (segment, space, address) = (lockable()?, program().new_space()?, fresh_address());
    let inside = Visitor::inside(&space)?;
    refused(space.map(address, &segment, 0..2 * PAGE, Rights::READ), Error::Busy)?;
    let other = Visitor::inside(&space)?;
    inside.leave()?;
    other.leave()?;
    space.map(address, &segment, 0..2 * PAGE, Rights::READ)?;
    // Nor a second one.
    let inside = Visitor::inside(&space)?;
    refused(space.map(address + 8 * PAGE, &lockable()?, 0..2 * PAGE, Rights::READ), Error::Busy)?;
    Ok(inside.leave()?)
}

fn a_space_that_is_the_callers_maps_none() -> Verdict {
    let (segment, space) = (lockable()?, program().new_space()?);
    let mapped = space.enter(|| space.map(fresh_address(), &segment, 0..2 * PAGE, Rights::READ))?;
    refused(mapped, Error::Busy)?;
    refused(program().space().map(fresh_address(), &segment, 0..2 * PAGE, Rights::READ), Error::Busy)
}

fn four_are_mapped_in_a_space() -> Verdict {
    let (space, address) = (program().new_space()?, fresh_address());
    let segments = (0..5).map(|_| lockable()).collect::<Result<Vec<_>, _>>()?;
    for (number, segment) in (0..4).zip(&segments) {
        space.map(address + number * 4 * PAGE, segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    }
    refused(space.map(address + 16 * PAGE, &segments[4], 0..2 * PAGE, Rights::READ), Error::LimitReached)?;
    let inside = Visitor::inside(&space)?;
    for segment in &segments[..4] {
        ensure_eq!(holders(segment)?, (1, 0, 0));
    }
    inside.leave()?;
    space.unmap(address..address + 2 * PAGE)?;
    space.map(address + 16 * PAGE, &segments[4], 0..2 * PAGE, Rights::READ)?;
    Ok(())
}

fn one_is_mapped_in_thirty_two_spaces() -> Verdict {
    let (segment, address) = (lockable()?, fresh_address());
    let mut spaces = (0..32).map(|_| space_with(&segment, address, Rights::READ)).collect::<Result<Vec<_>, _>>()?;
    refused(space_with(&segment, address, Rights::READ).map(|_| ()), Error::LimitReached)?;
    drop(spaces.pop());
    let last = space_with(&segment, address, Rights::READ)?;
    Ok(last.try_enter(|| ())?)
}

fn a_refused_mapping_leaves_the_space_as_it_was() -> Verdict {
    let (segment, space, address) = (lockable()?, program().new_space()?, fresh_address());
    let plain = Segment::new(account(), PAGE)?;
    space.map(address + PAGE, &plain, 0..PAGE, Rights::READ)?;
    let before = account().available_bytes()?;
    refused(space.map(address, &segment, 0..2 * PAGE, Rights::READ), Error::Overlap)?;
    ensure_eq!(account().available_bytes()?, before);
    // It takes no locks: threads may begin there.
    Ok(Builder::new().space(&space).spawn(|| ())?.join()?)
}

fn a_mapping_is_not_split_by_unmapping() -> Verdict {
    let locked = Locked::new()?;
    refused(locked.writers.unmap(locked.address..locked.address + PAGE), Error::BadState)?;
    refused(locked.writers.unmap(locked.address + PAGE..locked.address + PAGE + PAGE), Error::BadState)?;
    ensure_eq!(locked.writers.info()?.mapped_bytes, 2 * PAGE);
    Ok(locked.writers.unmap(locked.address..locked.address + 2 * PAGE)?)
}

fn a_mapping_is_not_split_by_protection() -> Verdict {
    let locked = Locked::new()?;
    refused(locked.writers.protect(locked.address..locked.address + PAGE, Rights::READ), Error::BadState)?;
    refused(
        locked.writers.protect(locked.address + PAGE..locked.address + PAGE + PAGE, Rights::READ),
        Error::BadState,
    )?;
    ensure_eq!(locked.writers.info()?.mappings, 1);
    Ok(())
}

fn a_mapping_keeps_being_written_by_one_when_it_is_protected() -> Verdict {
    let locked = Locked::new()?;
    locked.writers.protect(locked.address..locked.address + 2 * PAGE, Rights::READ)?;
    let inside = Visitor::inside(&locked.writers)?;
    refused(locked.readers.try_enter(|| ()), Error::Busy)?;
    locked.writers.protect(locked.address..locked.address + 2 * PAGE, Rights::READ_WRITE)?;
    inside.leave()?;
    // Who came to read only may not begin to write.
    let narrow = locked.segment.derive(Rights::READ, 0)?;
    let space = space_with(&narrow, locked.address, Rights::READ)?;
    refused(space.protect(locked.address..locked.address + 2 * PAGE, Rights::READ_WRITE), Error::MissingRight)?;
    refused(locked.readers.protect(locked.address..locked.address + 2 * PAGE, Rights::READ_WRITE), Error::MissingRight)
}

serves!(Nothing, |_called| [0; 6]);

fn gates_lead_to_no_space_with_locks() -> Verdict {
    let service = Service::new::<Nothing>(2)?;
    service.gate.call([0; 6])?;
    let segment = lockable()?;
    service.space.map(fresh_address(), &segment, 0..2 * PAGE, Rights::READ)?;
    refused(service.gate.call([0; 6]).map(|_| ()), Error::BadState)?;
    let waits = caller(service.bits(), Request::new([0; 6]).wait())?;
    ensure_eq!(waits.join()?.err(), Some(Error::BadState));
    Ok(())
}

fn guests_run_in_no_space_with_locks() -> Verdict {
    let (x86_64, aarch64) = GUEST_CALLS;
    let scene = GuestScene::new(x86_64, aarch64)?;
    scene.run()?;
    scene.space.map(fresh_address(), &lockable()?, 0..2 * PAGE, Rights::READ)?;
    refused(scene.run().map(|_| ()), Error::BadState)
}

fn threads_begin_in_no_space_with_locks() -> Verdict {
    let locked = Locked::new()?;
    refused(Thread::new(account(), program().table(), &locked.writers, 0).map(|_| ()), Error::BadState)?;
    refused(Builder::new().space(&locked.readers).spawn(|| ()).map(|_| ()), Error::BadState)
}

extern "C" fn landing(_: u64, _: u64) -> ! {
    thread::exit(5)
}

fn threads_land_in_no_space_with_locks() -> Verdict {
    let (locked, other) = (Locked::new()?, program().new_space()?);
    let (to, by) = (lent_by(&locked.writers), lent_by(&other));
    let thread: JoinHandle<Result<(), Error>> = thread::spawn(move || {
        set_fallback(&*to, landing, SpareStack::new())?;
        by.enter(|| thread::sleep(Duration::from_secs(3600)))
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    other.delete()?;
    ensure_eq!(thread.join().err(), Some(Error::Gone));
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn a_space_with_locks_is_not_cloned() -> Verdict {
    let locked = Locked::new()?;
    refused(Space::clone_of(account(), &locked.writers).map(|_| ()), Error::BadState)?;
    locked.writers.unmap(locked.address..locked.address + 2 * PAGE)?;
    Space::clone_of(account(), &locked.writers)?;
    Ok(())
}

fn a_switch_needs_its_right() -> Verdict {
    let locked = Locked::new()?;
    let narrow = locked.writers.derive(Rights::INSPECT, 0)?;
    refused(narrow.switch_until(Duration::MAX).map(|_| ()), Error::MissingRight)?;
    refused(narrow.try_enter(|| ()), Error::MissingRight)?;
    let subtree = Subtree::new(account())?;
    refused(attempt(number::space_switch_until, [subtree.handle().bits(), 0, 0, 0, 0, 0]), Error::WrongObject)?;
    refused(attempt(number::space_switch_until, [u64::MAX, 0, 0, 0, 0, 0]), Error::BadHandle)
}

fn a_switch_needs_shared_ground() -> Verdict {
    let bare = Space::new(account())?;
    bare.map(TOP_SLOT_BYTES, &lockable()?, 0..2 * PAGE, Rights::READ)?;
    refused(bare.switch().map(|_| ()), Error::NotShared)?;
    refused(bare.try_enter(|| ()), Error::NotShared)
}

/// An account that has all that another one has, but for so many bytes.
fn drained(purse: &Cap<Account>, left: u64) -> Result<Cap<Account>, Error> {
    let before = purse.available_bytes()?;
    let first = purse.split(PAGE)?;
    let record = before - purse.available_bytes()? - PAGE;
    drop(first);
    purse.split(purse.available_bytes()? - record - left)
}

/// A thread that is in the first space and goes on to the second.
fn from_to(from: &Cap<Space>, to: &Cap<Space>) -> Result<JoinHandle<Result<(), Error>>, Error> {
    let (from, to) = (lent_by(from), lent_by(to));
    thread::spawn(move || from.enter(|| to.enter_within(Duration::from_secs(3000), || ()))?)
}

fn two_who_want_each_others_locks_do_not_wait() -> Verdict {
    let (first, second) = (Locked::new()?, Locked::new()?);
    let result = second.writers.enter(|| {
        let other = from_to(&first.writers, &second.writers)?;
        wait_until(|| Ok(second.holders()?.2 == 1)).map_err(|_| Error::BadState)?;
        let refusal = first.writers.try_enter(|| ()).err();
        let deadlock = first.writers.enter(|| ()).err();
        let reading = first.readers.enter(|| ()).err();
        Ok::<_, Error>((other, [refusal, deadlock, reading]))
    })??;
    ensure_eq!(result.1, [Some(Error::Busy), Some(Error::Deadlock), Some(Error::Deadlock)]);
    result.0.join()??;
    ensure_eq!((first.holders()?, second.holders()?), ((0, 0, 0), (0, 0, 0)));
    Ok(())
}

fn three_in_a_ring_do_not_wait() -> Verdict {
    let [first, second, third] = [Locked::new()?, Locked::new()?, Locked::new()?];
    let (others, deadlock) = third.writers.enter(|| -> Result<_, Failure> {
        let two = from_to(&second.readers, &third.readers)?;
        wait_until(|| Ok(third.holders()?.2 == 1))?;
        let one = from_to(&first.readers, &second.writers)?;
        wait_until(|| Ok(second.holders()?.2 == 1))?;
        Ok(([one, two], first.writers.enter(|| ()).err()))
    })??;
    ensure_eq!(deadlock, Some(Error::Deadlock));
    for other in others {
        other.join()??;
    }
    Ok(())
}

fn two_readers_who_both_want_to_write_do_not_wait() -> Verdict {
    let locked = Locked::new()?;
    let (other, deadlock) = locked.readers.enter(|| {
        let other = from_to(&locked.readers, &locked.writers)?;
        wait_for_state(other.thread(), ThreadState::Entering).map_err(|_| Error::BadState)?;
        let deadlock = locked.writers.enter(|| ()).err();
        Ok::<_, Error>((other, deadlock))
    })??;
    ensure_eq!(deadlock, Some(Error::Deadlock));
    other.join()??;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn who_waits_for_the_end_of_one_who_waits_for_it_is_told() -> Verdict {
    let locked = Locked::new()?;
    let (waits, joined) = locked.writers.enter(|| {
        let waits = Visitor::waiting(&locked.readers).map_err(|_| Error::BadState)?;
        let joined = waits.thread().join();
        Ok::<_, Error>((waits, joined))
    })??;
    ensure_eq!(joined, Err(Error::Deadlock));
    waits.is_in()?;
    Ok(waits.leave()?)
}

fn who_is_joined_by_the_holder_does_not_wait() -> Verdict {
    let locked = Locked::new()?;
    let (go, space) = (alloc::sync::Arc::new(core::sync::atomic::AtomicBool::new(false)), lent_by(&locked.readers));
    let own = alloc::sync::Arc::clone(&go);
    let joined = thread::spawn(move || {
        while !own.load(core::sync::atomic::Ordering::SeqCst) {
            thread::sleep(Duration::from_micros(150));
        }
        space.enter(|| ()).err()
    })?;
    let (by, target) = (lent_by(&locked.writers), joined.thread().handle());
    let joins = thread::spawn(move || by.enter(|| conformance::lent::<Thread>(target.bits()).join().is_ok()))?;
    wait_for_state(joins.thread(), ThreadState::Joining)?;
    go.store(true, core::sync::atomic::Ordering::SeqCst);
    ensure_eq!(joins.join()?, Ok(true));
    ensure_eq!(joined.join()?, Some(Error::Deadlock));
    Ok(())
}

serves!(Enters, |called| {
    let space = conformance::lent::<Space>(called.words[0]);
    let result = space.switch();
    [result.map_or_else(|error| error as u64, |_| 0), 0, 0, 0, 0, 0]
});

fn a_callee_does_not_wait_for_its_caller() -> Verdict {
    let locked = Locked::new()?;
    let stack = alloc::boxed::Box::leak(alloc::boxed::Box::new([0_u128; 2048]));
    let start = stack.as_ptr().expose_provenance() as u64;
    let stacks = Stacks { start, stack_bytes: size_of_val(stack) as u64, count: 1 };
    let gate = gate_into::<Enters>(account(), program().space(), program().table(), stacks)?;
    let ask = |space: &Cap<Space>| gate.call([space.handle().bits(), 0, 0, 0, 0, 0]).map(|words| words[0]);
    let answers = locked.writers.enter(|| [ask(&locked.writers), ask(&locked.readers)])?;
    ensure_eq!(answers, [Ok(Error::Deadlock as u64); 2]);
    let answers = locked.readers.enter(|| [ask(&locked.writers), ask(&locked.readers)])?;
    ensure_eq!(answers, [Ok(Error::Deadlock as u64), Ok(0)]);
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

/// One waits for the first of two locks while the other is free; when its turn comes, the other is held by one who waits for it.
fn a_ring_is_told_of_when_a_wait_moves_on() -> Verdict {
    let [first, second, own] = [Locked::new()?, Locked::new()?, Locked::new()?];
    let both = program().new_space()?;
    both.map(fresh_address(), &first.segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    both.map(fresh_address(), &second.segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    let holder = Visitor::inside(&first.writers)?;
    let waits = from_to(&own.writers, &both)?;
    wait_until(|| Ok(first.holders()?.2 == 1))?;
    // Holds the second lock, and waits for what the other has.
    let ring = from_to(&second.writers, &own.writers)?;
    wait_until(|| Ok(own.holders()?.2 == 1))?;
    holder.leave()?;
    ensure_eq!(waits.join()?.err(), Some(Error::Deadlock));
    ring.join()??;
    for locked in [&first, &second, &own] {
        ensure_eq!(locked.holders()?, (0, 0, 0));
    }
    Ok(())
}

fn after_a_deadlock_all_is_as_it_was() -> Verdict {
    let locked = Locked::new()?;
    let word = locked.word()?;
    let (other, (refusal, held)) = locked.readers.enter(|| {
        let other = from_to(&locked.readers, &locked.writers)?;
        wait_until(|| Ok(locked.holders()?.2 == 1)).map_err(|_| Error::BadState)?;
        let refusal = locked.writers.enter(|| ()).err();
        // Inside still, and a reader still.
        let value = word.get();
        Ok::<_, Error>((other, (refusal, (value, locked.holders()?))))
    })??;
    ensure_eq!((refusal, held), (Some(Error::Deadlock), (0, (0, 2, 1))));
    other.join()??;
    Ok(())
}
