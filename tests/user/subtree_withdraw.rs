//! Withdrawal: a subtree is taken out of every place at once, and stays for who holds it.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Failure, LEVELS, Shared, Snapshot, Verdict, claim, ensure_eq, leaves_nothing, reach_page, refused, run,
    spot, start_on, the_kernel_passes_its_own_checks, wait_for_state, word_at,
};
use core::time::Duration;
use libvas::thread::{self, ThreadState};
use libvas::{
    Cap, CapTable, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT,
    Thread, View, program, raw,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(it_goes_from_all_spaces_at_once),
        claim!(it_goes_from_all_outer_subtrees_too),
        claim!(withdrawing_what_is_nowhere_finds_no_place),
        claim!(what_was_withdrawn_can_be_attached_again),
        claim!(its_places_are_free_and_its_tables_paid_back),
        claim!(withdrawing_needs_control),
        claim!(a_seal_keeps_nothing_that_its_holder_withdraws),
        claim!(what_lies_in_it_stays_in_it),
        claim!(it_goes_from_windows_and_core_windows),
        claim!(views_lose_it_with_their_base),
        claim!(threads_inside_fault_when_they_go_on),
        claim!(a_thread_inside_can_withdraw_it_itself),
        claim!(a_thread_whose_stack_is_withdrawn_stops_alone),
        claim!(hundreds_of_places_are_given_up_in_one_call),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("subtree_withdraw", CLAIMS)
}

/// So many spaces with the program that have a subtree at the spot of its level.
fn sharers_of(shared: &Shared, level: Level, count: usize) -> Result<Vec<Cap<Space>>, Error> {
    let make = |_| {
        let space = program().new_space()?;
        space.attach(spot(level), &shared.subtree, Rights::READ_WRITE)?;
        Ok(space)
    };
    (0..count).map(make).collect()
}

/// Fails unless nothing is there any more for threads, for who looks from outside, and in the list.
#[track_caller]
fn is_gone(space: &Cap<Space>, at: u64) -> Result<(), Failure> {
    ensure_eq!((at, reach_page(space, at)?), (at, Rights::empty()));
    refused(space.read(at + Shared::OFFSET, &mut [0]), Error::BadAddress)?;
    refused(space.detach(at), Error::NotMapped)
}

/// It says from how many places it went; no space has it any more, though each has used it.
fn it_goes_from_all_spaces_at_once() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        let (spaces, word) = (sharers_of(&shared, level, 5)?, word_at(spot(level))?);
        for space in &spaces {
            space.enter(|| word.set(word.get() + 1))?;
        }
        let second = spot(level) + 2 * level.size_bytes();
        spaces[0].attach(second, &shared.subtree, Rights::READ)?;
        ensure_eq!((level, shared.subtree.withdraw()?), (level, 6));
        for space in &spaces {
            is_gone(space, spot(level))?;
            ensure_eq!(space.info()?.attachments, 1);
        }
        is_gone(&spaces[0], second)?;
        ensure_eq!((level, shared.subtree.info()?.sharers, shared.get()?), (level, 0, 5));
    }
    Ok(())
}

/// From subtrees that hold it, it goes as well, and so from every space that has those.
fn it_goes_from_all_outer_subtrees_too() -> Verdict {
    for (outer_level, inner_level) in
        [(Level::Top, Level::OneGib), (Level::Top, Level::TwoMib), (Level::OneGib, Level::TwoMib)]
    {
        let inner = Shared::new(inner_level, Rights::READ_WRITE)?;
        let outer = Shared::new(outer_level, Rights::READ_WRITE)?;
        let offset = 4 * inner_level.size_bytes();
        outer.subtree.attach(offset, &inner.subtree, Rights::READ_WRITE)?;
        let spaces = sharers_of(&outer, outer_level, 3)?;
        spaces[2].attach(spot(inner_level) + SLOT, &inner.subtree, Rights::READ)?;
        let (word, own) = (word_at(spot(outer_level) + offset)?, word_at(spot(outer_level))?);
        for space in &spaces {
            space.enter(|| word.set(1))?;
        }
        ensure_eq!(inner.subtree.withdraw()?, 2);
        for space in &spaces {
            ensure_eq!(reach_page(space, spot(outer_level) + offset)?, Rights::empty());
            ensure_eq!(space.enter(|| own.get())?, 0);
        }
        is_gone(&spaces[2], spot(inner_level) + SLOT)?;
        ensure_eq!((outer.subtree.info()?.attachments, inner.subtree.info()?.sharers), (0, 0));
    }
    Ok(())
}

/// A subtree that is nowhere is withdrawn from no place, before it was attached and afterwards.
fn withdrawing_what_is_nowhere_finds_no_place() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ)?;
        let before = Snapshot::of_subtree(&shared.subtree)?;
        ensure_eq!((level, shared.subtree.withdraw()?), (level, 0));
        let spaces = sharers_of(&shared, level, 1)?;
        ensure_eq!((level, shared.subtree.withdraw()?, shared.subtree.withdraw()?), (level, 1, 0));
        ensure_eq!((Snapshot::of_subtree(&shared.subtree)?, spaces.len()), (before, 1));
    }
    Ok(())
}

/// Afterwards the subtree is as usable as before: its mappings are there, and it finds places again.
fn what_was_withdrawn_can_be_attached_again() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        let (spaces, word) = (sharers_of(&shared, level, 2)?, word_at(spot(level))?);
        for round in 0..3 {
            shared.set(round)?;
            ensure_eq!((level, spaces[0].enter(|| word.get())?), (level, round));
            ensure_eq!((level, shared.subtree.withdraw()?), (level, 2));
            shared.subtree.unmap(shared.range())?;
            shared.subtree.map(Shared::OFFSET, &shared.segment, 0..PAGE, Rights::READ_WRITE)?;
            for space in &spaces {
                space.attach(spot(level), &shared.subtree, Rights::READ_WRITE)?;
            }
        }
    }
    Ok(())
}

/// Where it was, other things find a place; what its places had cost the spaces' accounts is credited.
fn its_places_are_free_and_its_tables_paid_back() -> Verdict {
    for level in LEVELS {
        let account = program().account().split(1 << 20)?;
        let (space, shared) = (Space::new(&account)?, Shared::new(level, Rights::READ)?);
        let before = (account.info()?.used_bytes, Snapshot::of(&space)?);
        space.attach(spot(level), &shared.subtree, Rights::READ)?;
        space.attach(spot(level) + SLOT, &shared.subtree, Rights::READ)?;
        ensure_eq!((level, shared.subtree.withdraw()?), (level, 2));
        ensure_eq!((account.info()?.used_bytes, Snapshot::of(&space)?), before);
        space.map(spot(level) + Shared::OFFSET, &shared.segment, 0..PAGE, Rights::READ)?;
        space.attach(spot(level) + SLOT, &Shared::new(Level::TwoMib, Rights::READ)?.subtree, Rights::READ)?;
    }
    Ok(())
}

/// Without `CONTROL` on it a subtree stays where it is, whatever else the capability allows.
fn withdrawing_needs_control() -> Verdict {
    let shared = Shared::new(Level::Top, Rights::READ)?;
    let spaces = sharers_of(&shared, Level::Top, 1)?;
    refused(shared.subtree.derive(Rights::all() - Rights::CONTROL, 0)?.withdraw(), Error::MissingRight)?;
    ensure_eq!((shared.subtree.info()?.sharers, spaces[0].info()?.attachments), (1, 2));
    // And it needs nothing but that: neither the spaces nor their capabilities.
    ensure_eq!(shared.subtree.derive(Rights::CONTROL, 0)?.withdraw()?, 1);
    is_gone(&spaces[0], spot(Level::Top))
}

/// Who attaches another's subtree to one of their own, and seals that, cannot keep it there.
fn a_seal_keeps_nothing_that_its_holder_withdraws() -> Verdict {
    let (open, closed) = (Subtree::new(program().account())?, Subtree::new(program().account())?);
    let inner = Shared::new(Level::OneGib, Rights::READ_WRITE)?;
    let spaces = sharers_of(&inner, Level::OneGib, 2)?;
    open.attach(1 << 30, &inner.subtree, Rights::READ)?;
    closed.attach(1 << 30, &inner.subtree, Rights::READ)?;
    closed.seal()?;
    refused(closed.detach(1 << 30), Error::Sealed)?;
    ensure_eq!(inner.subtree.withdraw()?, 4);
    ensure_eq!([&open, &closed, &inner.subtree].map(|subtree| subtree.info().map(|info| info.attachments)), [Ok(0); 3]);
    ensure_eq!(inner.subtree.info()?.sharers, 0);
    spaces.iter().try_for_each(|space| is_gone(space, spot(Level::OneGib)))
}

/// What is attached in a subtree stays there when that one is withdrawn.
fn what_lies_in_it_stays_in_it() -> Verdict {
    let (outer, inner) = (Subtree::new(program().account())?, Shared::new(Level::TwoMib, Rights::READ)?);
    let (space, at) = (program().new_space()?, spot(Level::Top));
    outer.attach(5 << 30, &inner.subtree, Rights::READ)?;
    space.attach(at, &outer, Rights::READ)?;
    inner.set(44)?;
    ensure_eq!(outer.withdraw()?, 1);
    ensure_eq!(reach_page(&space, at + (5 << 30))?, Rights::empty());
    ensure_eq!((outer.info()?.attachments, inner.subtree.info()?.sharers), (1, 1));
    space.attach(at, &outer, Rights::READ)?;
    let word = word_at(at + (5 << 30))?;
    ensure_eq!(space.enter(|| word.get())?, 44);
    Ok(())
}

/// Places that are windows, of all CPUs or of one, are places like others.
fn it_goes_from_windows_and_core_windows() -> Verdict {
    let (window, core) = (Shared::new(Level::Top, Rights::READ)?, Shared::new(Level::Top, Rights::READ)?);
    let (space, at) = (program().new_space()?, spot(Level::Top));
    space.attach_window(at, &window.subtree, Rights::READ)?;
    space.attach_core(at + SLOT, &core.subtree, Rights::READ, 0)?;
    ensure_eq!((window.subtree.withdraw()?, core.subtree.withdraw()?), (1, 1));
    is_gone(&space, at)?;
    ensure_eq!(reach_page(&space, at + SLOT)?, Rights::empty());
    refused(space.detach_core(at + SLOT, 0), Error::NotMapped)?;
    ensure_eq!((space.info()?.attachments, space.info()?.core_windows), (1, 0));
    // It is bound to no CPU any more.
    space.attach(at, &core.subtree, Rights::READ)?;
    Ok(())
}

/// A view shows it no longer, and the view is no place of its own.
fn views_lose_it_with_their_base() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        let spaces = sharers_of(&shared, level, 1)?;
        let view = View::new(program().account(), &spaces[0], Rights::READ)?;
        let word = word_at(spot(level))?;
        ensure_eq!((level, view.enter(|| word.get())?), (level, 0));
        ensure_eq!((level, shared.subtree.withdraw()?), (level, 1));
        ensure_eq!((level, reach_page(&view, spot(level))?), (level, Rights::empty()));
        refused(view.read(word.address(), &mut [0]), Error::BadAddress)?;
    }
    Ok(())
}

/// Threads that sleep in spaces that had it fault at their next access, and nobody else notices.
fn threads_inside_fault_when_they_go_on() -> Verdict {
    let shared = Shared::new(Level::OneGib, Rights::READ)?;
    let (spaces, word) = (sharers_of(&shared, Level::OneGib, 4)?, word_at(spot(Level::OneGib))?);
    let look = move || {
        loop {
            word.get();
            thread::sleep(Duration::from_micros(200));
        }
    };
    let threads = spaces.iter().map(|space| thread::spawn_in(space, look)).collect::<Result<Vec<_>, _>>()?;
    for thread in &threads {
        wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    }
    let bystander = thread::spawn_in(&spaces[0], || thread::sleep(Duration::from_millis(1)))?;
    ensure_eq!(shared.subtree.withdraw()?, 4);
    for thread in threads {
        ensure_eq!(thread.join(), Err::<(), _>(Error::Faulted));
    }
    bystander.join()?;
    Ok(())
}

/// A thread in a space that has it may withdraw it, and faults there afterwards; others find it gone too.
fn a_thread_inside_can_withdraw_it_itself() -> Verdict {
    for level in LEVELS {
        let shared = Shared::new(level, Rights::READ_WRITE)?;
        let (spaces, word) = (sharers_of(&shared, level, 2)?, word_at(spot(level))?);
        let own = shared.subtree.derive(Rights::CONTROL, 0)?;
        let inside = thread::spawn_in(&spaces[0], move || {
            word.set(8);
            if own.withdraw() == Ok(2) {
                word.set(9);
            }
        })?;
        refused(inside.join(), Error::Faulted)?;
        ensure_eq!((level, shared.get()?), (level, 8));
        is_gone(&spaces[1], spot(level))?;
    }
    Ok(())
}

/// A thread whose stack was in it is stopped by a fault when it goes on; the program is not disturbed.
fn a_thread_whose_stack_is_withdrawn_stops_alone() -> Verdict {
    extern "C" fn sleep_on_own_stack(_: u64, _: u64) -> ! {
        loop {
            thread::sleep(Duration::from_micros(500));
        }
    }
    let (subtree, space) = (Subtree::new(program().account())?, program().new_space()?);
    let (memory, at) = (Segment::new(program().account(), 4 * PAGE)?, spot(Level::Top));
    subtree.map(PAGE, &memory, 0..4 * PAGE, Rights::READ_WRITE)?;
    space.attach(at, &subtree, Rights::READ_WRITE)?;
    let table = CapTable::new(program().account(), 1)?;
    let thread = Thread::new(program().account(), &table, &space, 1)?;
    start_on(&thread, sleep_on_own_stack, at + 5 * PAGE - raw::STACK_ENTRY_BIAS_BYTES)?;
    wait_for_state(&thread, ThreadState::Sleeping)?;
    ensure_eq!(subtree.withdraw()?, 1);
    refused(thread.join(), Error::Faulted)?;
    let place = Place::<u64>::new(at + PAGE)?;
    space.attach(at, &subtree, Rights::READ)?;
    space.enter(|| place.get())?;
    Ok(())
}

/// Hundreds of spaces and outer subtrees lose it in one call, and all that the places had cost is back.
fn hundreds_of_places_are_given_up_in_one_call() -> Verdict {
    const SPACES: u64 = 150;
    leaves_nothing(2, |_| {
        let shared = Shared::new(Level::OneGib, Rights::READ)?;
        let spaces = (0..SPACES).map(|_| Space::new(program().account())).collect::<Result<Vec<_>, _>>()?;
        let outer = Subtree::new(program().account())?;
        let before = program().account().info()?.used_bytes;
        for (number, space) in (1..).zip(&spaces) {
            space.attach(number * SLOT + (3 << 30), &shared.subtree, Rights::READ)?;
            outer.attach(number << 30, &shared.subtree, Rights::READ)?;
        }
        ensure_eq!(shared.subtree.withdraw()?, 2 * SPACES);
        ensure_eq!(program().account().info()?.used_bytes, before);
        for (number, space) in (1..).zip(&spaces) {
            refused(space.detach(number * SLOT + (3 << 30)), Error::NotMapped)?;
        }
        Ok(())
    })
}
