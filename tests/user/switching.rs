//! Switching: a thread goes on in another space where its code and stack are the same, and only there.

#![no_std]
#![no_main]

use conformance::{
    Claim, KERNEL_ADDRESSES, SpareStack, UNMAPPED, Verdict, attempt, claim, ends_in_fault, ensure, ensure_eq,
    fresh_address, jump_to, refused, run, the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicU64, Ordering};
use libvas::{
    Cap, Error, Handle, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, counters, program, thread,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(each_space_shows_its_own_bytes),
        claim!(a_switch_returns_the_handle_it_came_by),
        claim!(two_threads_see_different_bytes_at_one_address),
        claim!(a_space_without_the_program_is_refused),
        claim!(a_space_with_other_tables_at_the_stack_is_refused),
        claim!(a_switch_needs_its_right_and_a_live_handle),
        claim!(a_refused_switch_leaves_the_thread_where_it_was),
        claim!(a_jump_arrives_with_its_argument),
        claim!(a_jump_to_no_user_address_is_refused),
        claim!(a_jump_into_nothing_stops_only_that_thread),
        claim!(a_space_counts_the_threads_inside),
        claim!(switches_are_counted),
        claim!(known_spaces_are_switched_on_the_fast_path),
        claim!(a_thread_keeps_its_space_while_others_switch),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("switching", CLAIMS)
}

/// A space with the program in it and one page at `address` that begins with `value`.
fn space_with(address: u64, value: u64) -> Result<Cap<Space>, Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), PAGE_BYTES)?);
    space.map(address, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    space.write(address, &value.to_le_bytes())?;
    Ok(space)
}

/// One thread, one address: each space it switches to has its own value there, and keeps what is written.
fn each_space_shows_its_own_bytes() -> Verdict {
    let address = fresh_address();
    let place = Place::<u64>::new(address)?;
    let spaces = [space_with(address, 0)?, space_with(address, 10)?, space_with(address, 20)?];
    for round in 0..50 {
        for (number, space) in spaces.iter().enumerate() {
            let value = space.enter(|| {
                let value = place.get();
                place.set(value + 1);
                value
            })?;
            ensure_eq!(value, number as u64 * 10 + round);
        }
    }
    Ok(())
}

/// A switch tells by which handle the thread had entered the space it leaves; the null handle for the first one.
fn a_switch_returns_the_handle_it_came_by() -> Verdict {
    let (left, right) = (program().new_space()?, program().new_space()?);
    let also_left = left.derive(Rights::SWITCH, 0)?;
    let came_by = [left.switch()?, right.switch()?, also_left.switch()?, program().space().switch()?];
    ensure_eq!(came_by, [Handle::NONE, left.handle(), right.handle(), also_left.handle()]);
    ensure_eq!(left.switch()?, program().space().handle());
    // Into the space it is in already: the same handle comes back.
    ensure_eq!(left.switch()?, left.handle());
    program().space().switch()?;
    Ok(())
}

/// Two threads, each in a space of its own at the same time, read and write different memory at one address.
fn two_threads_see_different_bytes_at_one_address() -> Verdict {
    let address = fresh_address();
    let place = Place::<u64>::new(address)?;
    let count = move || {
        for _ in 0..200 {
            place.set(place.get() + 1);
            thread::yield_now();
        }
        place.get()
    };
    let (left, right) = (space_with(address, 1000)?, space_with(address, 5000)?);
    let (first, second) = (thread::spawn_in(&left, count)?, thread::spawn_in(&right, count)?);
    ensure_eq!((first.join()?, second.join()?), (1200, 5200));
    Ok(())
}

/// A space in which neither the thread's code nor its stack is, is refused.
fn a_space_without_the_program_is_refused() -> Verdict {
    let bare = Space::new(program().account())?;
    refused(bare.switch(), Error::NotShared)?;
    let other = Subtree::new(program().account())?;
    bare.attach(TOP_SLOT_BYTES, program().subtree(), Rights::ACCESS)?;
    refused(bare.switch(), Error::NotShared)?;
    bare.attach(0, &other, Rights::ACCESS)?;
    refused(bare.switch(), Error::NotShared)?;
    bare.detach(0)?;
    bare.attach(0, program().subtree(), Rights::ACCESS)?;
    bare.enter(|| ())?;
    bare.enter(|| ())?;
    bare.detach(0)?;
    refused(bare.switch(), Error::NotShared)
}

/// With the stack in a mapping of the space's own, no other space will do, though the code is shared.
fn a_space_with_other_tables_at_the_stack_is_refused() -> Verdict {
    static RESULT: AtomicU64 = AtomicU64::new(0);
    static TARGET: AtomicU64 = AtomicU64::new(0);
    extern "C" fn on_own_stack(_: u64, _: u64) -> ! {
        let target =
            core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(Handle::from_bits(TARGET.load(Ordering::Relaxed))));
        RESULT.store(target.switch().err().map_or(0, Error::status), Ordering::Relaxed);
        thread::exit(0)
    }
    let (own, other) = (program().new_space()?, program().new_space()?);
    let (stack, segment) = (fresh_address(), Segment::new(program().account(), 4 * PAGE_BYTES)?);
    // The other space has the very same memory at the same address, but in tables of its own.
    for space in [&own, &other] {
        space.map(stack, &segment, 0..4 * PAGE_BYTES, Rights::READ_WRITE)?;
        // Entered once, a space is one that the kernel's fast path knows.
        space.enter(|| ())?;
    }
    TARGET.store(other.handle().bits(), Ordering::Relaxed);
    let thread = libvas::Thread::new(program().account(), program().table(), &own, 0)?;
    let top = stack + 4 * PAGE_BYTES - libvas::raw::STACK_ENTRY_BIAS_BYTES;
    conformance::start_on(&thread, on_own_stack, top)?;
    ensure_eq!(thread.join()?, 0);
    ensure_eq!(RESULT.load(Ordering::Relaxed), Error::NotShared.status());
    Ok(())
}

/// Without the right to switch, by a stale handle and by a handle of something else, nobody gets in.
fn a_switch_needs_its_right_and_a_live_handle() -> Verdict {
    let space = program().new_space()?;
    space.enter(|| ())?;
    let other_rights = space.derive(Rights::all() - Rights::SWITCH, 0)?;
    refused(other_rights.switch(), Error::MissingRight)?;
    let stale = space.derive(Rights::SWITCH, 0)?;
    let handle = stale.handle().bits();
    stale.enter(|| ())?;
    stale.delete()?;
    refused(attempt(number::space_switch, [handle, 0, 0, 0, 0, 0]), Error::BadHandle)?;
    refused(attempt(number::space_switch, [0; 6]), Error::BadHandle)?;
    let subtree = program().subtree().handle().bits();
    refused(attempt(number::space_switch, [subtree, 0, 0, 0, 0, 0]), Error::WrongObject)
}

/// After a refusal the thread still is in its space, and the handle it came by is unchanged.
fn a_refused_switch_leaves_the_thread_where_it_was() -> Verdict {
    let address = fresh_address();
    let (space, bare) = (space_with(address, 42)?, Space::new(program().account())?);
    let place = Place::<u64>::new(address)?;
    let (results, seen, came_by) = {
        space.switch()?;
        let results = (bare.switch().err(), attempt(number::space_switch, [u64::MAX, 0, 0, 0, 0, 0]).err());
        let seen = place.get();
        (results, seen, program().space().switch()?)
    };
    ensure_eq!(results, (Some(Error::NotShared), Some(Error::BadHandle)));
    ensure_eq!((seen, came_by), (42, space.handle()));
    Ok(())
}

/// A jump enters the space at the function, with the argument and the handle of the space it came from.
fn a_jump_arrives_with_its_argument() -> Verdict {
    static SEEN: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
    extern "C" fn arrive(address: u64, came_by: u64) -> ! {
        let value = Place::<u64>::new(address).map_or(0, Place::get);
        for (slot, value) in SEEN.iter().zip([address, came_by, value]) {
            slot.store(value, Ordering::Relaxed);
        }
        thread::exit(31)
    }
    let address = fresh_address();
    let (first, second) = (program().new_space()?, space_with(address, 99)?);
    let (into_first, into_second) = (first.derive(Rights::SWITCH, 0)?, second.derive(Rights::SWITCH, 0)?);
    let came_by = into_first.handle().bits();
    let thread = thread::spawn(move || {
        let entered = into_first.switch();
        entered.map(|_| jump_to(&into_second, arrive, SpareStack::new(), address))
    })?;
    ensure_eq!(thread.thread().join()?, 31);
    let seen = [0, 1, 2].map(|index: usize| SEEN[index].load(Ordering::Relaxed));
    ensure_eq!(seen, [address, came_by, 99]);
    Ok(())
}

/// Instruction and stack pointer of a jump must be user addresses; else the thread goes on where it is.
fn a_jump_to_no_user_address_is_refused() -> Verdict {
    let space = program().new_space()?;
    let handle = space.handle().bits();
    let bad = KERNEL_ADDRESSES.into_iter().chain([1 << 47, 1 << 48, 1 << 63]);
    for address in bad {
        let jumps = [[handle, address, UNMAPPED, 0, 0, 0], [handle, UNMAPPED, address + 16, 0, 0, 0]];
        for words in jumps {
            let result = attempt(number::space_jump, words);
            ensure!(result == Err(Error::BadAddress), "a jump with {words:x?}: {result:?}");
        }
    }
    ensure_eq!(program().space().switch()?, Handle::NONE);
    Ok(())
}

/// A jump into an empty space is allowed, and ends in a fault of that thread alone.
fn a_jump_into_nothing_stops_only_that_thread() -> Verdict {
    let bare = Space::new(program().account())?;
    let handle = bare.handle().bits();
    let jump = move || attempt(number::space_jump, [handle, UNMAPPED, UNMAPPED, 0, 0, 0]);
    ensure!(ends_in_fault(program().space(), jump)?, "the thread went on");
    ensure_eq!(bare.info()?.threads, 0);
    // Now the CPU knows the space; a switch is refused all the same.
    refused(bare.switch(), Error::NotShared)
}

/// A space tells how many threads are inside, whether they run or sleep.
fn a_space_counts_the_threads_inside() -> Verdict {
    static LEAVE: AtomicU64 = AtomicU64::new(0);
    let space = program().new_space()?;
    let wait = || {
        while LEAVE.load(Ordering::Acquire) == 0 {
            thread::sleep(core::time::Duration::from_micros(200));
        }
    };
    ensure_eq!(space.info()?.threads, 0);
    let (first, second) = (thread::spawn_in(&space, wait)?, thread::spawn_in(&space, wait)?);
    ensure_eq!(space.enter(|| space.info())??.threads, 3);
    LEAVE.store(1, Ordering::Release);
    first.join()?;
    second.join()?;
    ensure_eq!(space.info()?.threads, 0);
    Ok(())
}

/// Every switch counts, and each either kept or flushed the translations of its tag.
fn switches_are_counted() -> Verdict {
    let spaces = [program().new_space()?, program().new_space()?];
    let before = counters::total()?;
    for _ in 0..100 {
        spaces[0].enter(|| spaces[1].enter(|| ()))??;
    }
    let after = counters::total()?;
    let switches = after.space_switches - before.space_switches;
    ensure!(switches >= 400, "400 switches were counted as {switches}");
    let (hits, flushes) = (after.tag_hits - before.tag_hits, after.tag_flushes - before.tag_flushes);
    ensure_eq!(hits + flushes, switches);
    Ok(())
}

/// Between spaces that the CPU knows, a switch does not take the kernel's common path.
fn known_spaces_are_switched_on_the_fast_path() -> Verdict {
    let space = program().new_space()?;
    space.enter(|| ())?;
    let before = counters::total()?.system_calls;
    for _ in 0..200 {
        space.enter(|| ())?;
    }
    let calls = counters::total()?.system_calls - before;
    // Reading the counters, and what the watching thread does, are calls as well.
    ensure!(calls < 100, "400 switches took the common path {calls} times");
    Ok(())
}

/// A thread that is preempted in one space goes on there, whatever spaces the others visited meanwhile.
fn a_thread_keeps_its_space_while_others_switch() -> Verdict {
    let address = fresh_address();
    let place = Place::<u64>::new(address)?;
    let (mine, theirs) = (space_with(address, 1)?, space_with(address, 2)?);
    let visitor = theirs.derive(Rights::SWITCH, 0)?;
    let other = thread::spawn(move || -> Result<u64, Error> {
        let mut wrong = 0;
        for _ in 0..500 {
            wrong += u64::from(visitor.enter(|| place.get())? != 2);
            thread::yield_now();
        }
        Ok(wrong)
    })?;
    let wrong = mine.enter(|| {
        let look = |_| {
            thread::yield_now();
            place.get() != 1
        };
        (0..500).filter(|round: &u64| look(*round)).count()
    })?;
    ensure_eq!((wrong, other.join()??), (0, 0));
    Ok(())
}
