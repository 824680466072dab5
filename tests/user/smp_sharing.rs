//! Shared subtrees on several CPUs: after a change returns, no CPU goes by what was there, in whatever sharer it runs.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, LEVELS, NEW, OLD, Room, Shared, Spinner, Target, Verdict, all_have_faulted, claim, counted, ensure_eq,
    has_faulted, needs_cpus, on_cpu, refused, run_on, spot, the_kernel_passes_its_own_checks, turns_of_each,
    wait_for_state, word_at,
};
use core::sync::atomic::{AtomicU64, Ordering};
use libvas::thread::ThreadState;
use libvas::{
    Cap, Error, Level, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES as SLOT, View,
    counters, program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(after_unmap_every_sharer_faults_and_reads_nothing_new),
        claim!(after_protect_no_sharer_writes_any_more),
        claim!(after_a_nested_change_every_sharer_faults),
        claim!(however_many_sharers_there_are_each_of_them_faults),
        claim!(a_page_that_is_seen_twice_goes_from_both_places),
        claim!(what_lies_in_a_core_window_goes_from_its_cpu),
        claim!(after_detach_one_sharer_faults_and_the_others_go_on),
        claim!(after_detach_from_a_subtree_all_who_have_it_fault),
        claim!(after_withdrawal_every_sharer_faults),
        claim!(memory_that_was_withdrawn_and_destroyed_is_read_by_nobody),
        claim!(sealing_disturbs_nobody_and_binds_everybody),
        claim!(what_is_mapped_or_attached_is_seen_on_every_cpu_at_once),
        claim!(a_sharer_that_goes_leaves_those_on_other_cpus_alone),
        claim!(all_cpus_change_one_subtree_through_different_places),
        claim!(all_cpus_attach_and_withdraw_at_once),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_sharing", CLAIMS, 1)
}

const GIB: u64 = 1 << 30;

/// When `unmap` on a subtree has returned, every CPU that was reading the page, each in another space, faults; what the
/// page's memory holds later, none of them reads.
fn after_unmap_every_sharer_faults_and_reads_nothing_new() -> Verdict {
    needs_cpus(2)?;
    for level in LEVELS {
        let target = Target::new(level, Rights::READ)?;
        let readers = target.readers()?;
        target.shared.subtree.unmap(target.shared.range())?;
        target.alias.fill(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// When `protect` on a subtree has taken `WRITE` away, every CPU that was writing faults, and what it wrote last stays.
fn after_protect_no_sharer_writes_any_more() -> Verdict {
    needs_cpus(2)?;
    for level in LEVELS {
        let (target, mut writers) = (Target::new(level, Rights::READ_WRITE)?, Vec::new());
        for cpu in 1..counters::cpus()? {
            let space = target.sharer()?;
            let own_word = word_at(spot(level))?.at(cpu)?;
            let spinner = Spinner::writing(on_cpu(cpu), &space, own_word.address())?;
            spinner.wait()?;
            writers.push((cpu, space, spinner));
        }
        target.shared.subtree.protect(target.shared.range(), Rights::READ)?;
        let last = |cpu: u64| Ok::<_, Error>(target.alias.word(cpu)?.get());
        let words = (1..counters::cpus()?).map(last).collect::<Result<Vec<_>, _>>()?;
        for (cpu, _space, spinner) in writers {
            wait_for_state(spinner.thread()?, ThreadState::Faulted)?;
            ensure_eq!((cpu, last(cpu)?), (cpu, words[cpu as usize - 1]));
            refused(spinner.join(), Error::Faulted)?;
        }
    }
    Ok(())
}

/// The same for a change in a subtree that some CPUs see through an outer one, and others directly.
fn after_a_nested_change_every_sharer_faults() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(Level::TwoMib, Rights::READ)?;
    let outers = [Subtree::new(program().account())?, Subtree::with_level(program().account(), Level::OneGib)?];
    outers[0].attach(7 * GIB, &target.shared.subtree, Rights::READ)?;
    outers[1].attach(0, &target.shared.subtree, Rights::READ)?;
    let ways = [
        (spot(Level::Top), &outers[0], spot(Level::Top) + 7 * GIB),
        (spot(Level::OneGib), &outers[1], spot(Level::OneGib)),
        (spot(Level::TwoMib), &target.shared.subtree, spot(Level::TwoMib)),
    ];
    for by_unmap in [true, false] {
        let mut readers = Vec::new();
        for cpu in 1..counters::cpus()? {
            let (space, (at, subtree, page)) = (program().new_space()?, ways[cpu as usize % 3]);
            space.attach(at, subtree, Rights::READ)?;
            let spinner = Spinner::reading(on_cpu(cpu), &space, word_at(page)?.address())?;
            spinner.wait()?;
            readers.push((space, spinner));
        }
        if by_unmap {
            target.shared.subtree.unmap(target.shared.range())?;
        } else {
            target.shared.subtree.withdraw()?;
        }
        target.alias.fill(NEW)?;
        all_have_faulted(readers)?;
        target.alias.fill(OLD)?;
        if by_unmap {
            target.shared.subtree.map(Shared::OFFSET, &target.shared.segment, 0..PAGE, Rights::READ)?;
        }
    }
    Ok(())
}

/// With more sharers than a kernel would like to tell apart, at different addresses, within an outer subtree and in a
/// view, all that read the page fault, wherever it is for them.
fn however_many_sharers_there_are_each_of_them_faults() -> Verdict {
    needs_cpus(2)?;
    let (outer, at) = (Subtree::new(program().account())?, spot(Level::TwoMib));
    let places = [at, at + SLOT, at + GIB, spot(Level::Top) + 6 * GIB];
    for rotation in 0..places.len() {
        let target = Target::new(Level::TwoMib, Rights::READ)?;
        outer.attach(6 * GIB, &target.shared.subtree, Rights::READ)?;
        let attach = |space: &Cap<Space>, place: u64| match place == places[3] {
            true => space.attach(spot(Level::Top), &outer, Rights::READ),
            false => space.attach(place, &target.shared.subtree, Rights::READ),
        };
        let (mut crowd, mut readers) = (Vec::new(), Vec::new());
        for number in 0..12 {
            let space = program().new_space()?;
            attach(&space, places[number % places.len()])?;
            crowd.push(space);
        }
        for cpu in 1..counters::cpus()? {
            let (space, place) = (program().new_space()?, places[(cpu as usize + rotation) % places.len()]);
            attach(&space, place)?;
            let view = View::new(program().account(), &space, Rights::READ)?;
            let spinner = Spinner::reading(on_cpu(cpu), &view, word_at(place)?.address())?;
            spinner.wait()?;
            readers.push((view, spinner));
        }
        target.shared.subtree.unmap(target.shared.range())?;
        target.alias.fill(NEW)?;
        all_have_faulted(readers)?;
        outer.detach(6 * GIB)?;
    }
    Ok(())
}

/// A page that a space shows at two places, directly or by an outer subtree that has it twice, goes from both: readers
/// of either fault.
fn a_page_that_is_seen_twice_goes_from_both_places() -> Verdict {
    needs_cpus(2)?;
    for (is_nested, read_first) in [(false, true), (false, false), (true, true), (true, false)] {
        let target = Target::new(Level::TwoMib, Rights::READ)?;
        let (outer, subtree) = (Subtree::new(program().account())?, &target.shared.subtree);
        let mut readers = Vec::new();
        outer.attach(3 * GIB, subtree, Rights::READ)?;
        outer.attach(9 * GIB, subtree, Rights::READ)?;
        for cpu in 1..counters::cpus()? {
            let (space, at) = (program().new_space()?, spot(Level::Top));
            let places = if is_nested { [at + 3 * GIB, at + 9 * GIB] } else { [at, at + 9 * GIB] };
            if is_nested {
                space.attach(at, &outer, Rights::READ)?;
            } else {
                places.into_iter().try_for_each(|place| space.attach(place, subtree, Rights::READ))?;
            }
            let place = if read_first { places[0] } else { places[1] };
            let spinner = Spinner::reading(on_cpu(cpu), &space, word_at(place)?.address())?;
            spinner.wait()?;
            readers.push((space, spinner));
        }
        subtree.unmap(target.shared.range())?;
        target.alias.fill(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// What goes from a subtree in one that is a core window goes from the window's CPU; another CPU, whose window at the
/// same address holds something else, reads on.
fn what_lies_in_a_core_window_goes_from_its_cpu() -> Verdict {
    needs_cpus(2)?;
    let (space, other) = (program().new_space()?, Target::new(Level::OneGib, Rights::READ)?);
    let (target, mut readers, mut outers) = (Target::new(Level::OneGib, Rights::READ)?, Vec::new(), Vec::new());
    for cpu in 1..counters::cpus()? {
        let outer = Subtree::new(program().account())?;
        let inner = if cpu == 1 { &target } else { &other };
        outer.attach(3 * GIB, &inner.shared.subtree, Rights::READ)?;
        space.attach_core(spot(Level::Top), &outer, Rights::READ, cpu)?;
        let word = word_at(spot(Level::Top) + 3 * GIB)?;
        let spinner = Spinner::reading(on_cpu(cpu), &space, word.address())?;
        spinner.wait()?;
        readers.push(((), spinner));
        outers.push(outer);
    }
    target.shared.subtree.unmap(target.shared.range())?;
    target.alias.fill(NEW)?;
    all_have_faulted(readers.drain(..1).collect())?;
    for ((), spinner) in readers {
        spinner.wait()?;
        spinner.end()?;
    }
    Ok(())
}

/// Detaching from the space of one CPU makes that CPU fault; the others, in spaces that keep it, read on.
fn after_detach_one_sharer_faults_and_the_others_go_on() -> Verdict {
    needs_cpus(2)?;
    for level in LEVELS {
        let target = Target::new(level, Rights::READ)?;
        let mut readers = target.readers()?;
        let (space, spinner) = readers.pop().ok_or(Error::Gone)?;
        space.detach(spot(level))?;
        has_faulted(spinner)?;
        for (_space, spinner) in readers {
            spinner.wait()?;
            ensure_eq!((level, spinner.last()), (level, OLD));
            spinner.end()?;
        }
    }
    Ok(())
}

/// Detaching from a subtree that the spaces of all CPUs have makes each of them fault.
fn after_detach_from_a_subtree_all_who_have_it_fault() -> Verdict {
    needs_cpus(2)?;
    for (outer_level, inner_level) in
        [(Level::Top, Level::OneGib), (Level::Top, Level::TwoMib), (Level::OneGib, Level::TwoMib)]
    {
        let (target, offset) = (Target::new(inner_level, Rights::READ)?, 5 * inner_level.size_bytes());
        let outer = Subtree::with_level(program().account(), outer_level)?;
        outer.attach(offset, &target.shared.subtree, Rights::READ)?;
        let mut readers = Vec::new();
        for cpu in 1..counters::cpus()? {
            let space = program().new_space()?;
            space.attach(spot(outer_level), &outer, Rights::READ)?;
            let word = word_at(spot(outer_level) + offset)?;
            let spinner = Spinner::reading(on_cpu(cpu), &space, word.address())?;
            spinner.wait()?;
            readers.push((space, spinner));
        }
        outer.detach(offset)?;
        target.alias.fill(NEW)?;
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// When `withdraw` has returned, every CPU faults, whatever the number of places and wherever in its space they were.
fn after_withdrawal_every_sharer_faults() -> Verdict {
    needs_cpus(2)?;
    for level in LEVELS {
        let target = Target::new(level, Rights::READ)?;
        let (readers, bystanders) = (target.readers()?, [target.sharer()?, target.sharer()?]);
        readers[0].0.attach(spot(level) + SLOT, &target.shared.subtree, Rights::READ)?;
        let places = readers.len() as u64 + 3;
        ensure_eq!((level, target.shared.subtree.withdraw()?), (level, places));
        target.alias.fill(NEW)?;
        all_have_faulted(readers)?;
        ensure_eq!(bystanders[0].info()?.attachments, 1);
    }
    Ok(())
}

/// Tables and memory of a subtree that is withdrawn under running readers and destroyed are used again for other
/// things; none of the readers sees these.
fn memory_that_was_withdrawn_and_destroyed_is_read_by_nobody() -> Verdict {
    needs_cpus(2)?;
    for level in LEVELS {
        let Target { shared, alias, .. } = Target::new(level, Rights::READ)?;
        let mut readers = Vec::new();
        for cpu in 1..counters::cpus()? {
            let space = program().new_space()?;
            space.attach(spot(level), &shared.subtree, Rights::READ)?;
            let spinner = Spinner::reading(on_cpu(cpu), &space, word_at(spot(level))?.address())?;
            spinner.wait()?;
            readers.push((space, spinner));
        }
        shared.subtree.withdraw()?;
        drop((shared, alias));
        // Freed frames come back first: as memory full of something else, and as tables full of such memory.
        for _ in 0..4 {
            let (memory, tables) = (Room::new(8)?, Subtree::new(program().account())?);
            memory.fill(NEW)?;
            tables.map(GIB, memory.segment(), 0..8 * PAGE, Rights::READ)?;
        }
        all_have_faulted(readers)?;
    }
    Ok(())
}

/// Sealing interrupts nobody; those who write in it go on; but no CPU maps in it any more.
fn sealing_disturbs_nobody_and_binds_everybody() -> Verdict {
    needs_cpus(2)?;
    let target = Target::new(Level::OneGib, Rights::READ_WRITE)?;
    let mut writers = Vec::new();
    for cpu in 1..counters::cpus()? {
        let space = target.sharer()?;
        let own_word = word_at(spot(Level::OneGib))?.at(cpu)?;
        let spinner = Spinner::writing(on_cpu(cpu), &space, own_word.address())?;
        spinner.wait()?;
        writers.push((space, spinner));
    }
    let change = counted(|| Ok(()), || target.shared.subtree.seal())?;
    ensure_eq!((change.shootdowns_sent, change.page_flushes, change.range_flushes), (0, 0, 0));
    for (_space, spinner) in writers {
        spinner.wait()?;
        spinner.end()?;
    }
    for cpu in 0..counters::cpus()? {
        let (subtree, range) = (target.shared.subtree.derive(Rights::MAP, 0)?, target.shared.range());
        refused(on_cpu(cpu).spawn(move || subtree.unmap(range))?.join()?, Error::Sealed)?;
    }
    Ok(())
}

/// A page mapped in a subtree, and a subtree attached to a space or within one, are read at once by threads that wait
/// for nothing but a word in memory, on every CPU.
fn what_is_mapped_or_attached_is_seen_on_every_cpu_at_once() -> Verdict {
    needs_cpus(2)?;
    static GO_ON: AtomicU64 = AtomicU64::new(0);
    GO_ON.store(0, Ordering::Release);
    let (outer, target) = (Subtree::new(program().account())?, Target::new(Level::OneGib, Rights::READ)?);
    let (mapped, attached) = (word_at(spot(Level::Top))?, word_at(spot(Level::Top) + 3 * GIB)?);
    let (direct, mut threads) = (word_at(spot(Level::OneGib))?, Vec::new());
    let spaces = (0..counters::cpus()?).map(|_| program().new_space()).collect::<Result<Vec<_>, _>>()?;
    for (cpu, space) in (0..).zip(&spaces) {
        space.attach(spot(Level::Top), &outer, Rights::READ)?;
        threads.push(on_cpu(cpu).space(space).spawn(move || {
            let mut seen = Vec::new();
            for (turn, word) in (1..).zip([mapped, attached, direct]) {
                while GO_ON.load(Ordering::Acquire) < turn {
                    core::hint::spin_loop();
                }
                seen.push(word.get());
            }
            seen
        })?);
    }
    outer.map(Shared::OFFSET, &target.shared.segment, 0..PAGE, Rights::READ)?;
    GO_ON.store(1, Ordering::Release);
    outer.attach(3 * GIB, &target.shared.subtree, Rights::READ)?;
    GO_ON.store(2, Ordering::Release);
    for space in &spaces {
        space.attach(spot(Level::OneGib), &target.shared.subtree, Rights::READ)?;
    }
    GO_ON.store(3, Ordering::Release);
    for thread in threads {
        ensure_eq!(thread.join()?, [OLD; 3]);
    }
    Ok(())
}

/// When a space goes that has the subtree, threads on other CPUs in other sharers read on undisturbed.
fn a_sharer_that_goes_leaves_those_on_other_cpus_alone() -> Verdict {
    needs_cpus(2)?;
    for level in LEVELS {
        let target = Target::new(level, Rights::READ)?;
        let mut readers = target.readers()?;
        for _ in 0..5 {
            let space = target.sharer()?;
            space.enter(|| word_at(spot(level)).map(Place::get))??;
        }
        let (space, spinner) = readers.pop().ok_or(Error::Gone)?;
        drop(space);
        refused(spinner.join(), Error::Gone)?;
        for (_space, spinner) in readers {
            spinner.wait()?;
            ensure_eq!(spinner.last(), OLD);
            spinner.end()?;
        }
    }
    Ok(())
}

/// Threads on all CPUs map, use and unmap pages of one subtree, which each of them sees at another place: one directly,
/// one through an outer subtree, one twice. All get done, and each reads its own memory.
fn all_cpus_change_one_subtree_through_different_places() -> Verdict {
    let (inner, outer) = (Shared::new(Level::TwoMib, Rights::READ)?, Subtree::new(program().account())?);
    outer.attach(GIB, &inner.subtree, Rights::READ_WRITE)?;
    let (rounds, mut threads, mut spaces) = (turns_of_each(50)?, Vec::new(), Vec::new());
    for cpu in 0..counters::cpus()? {
        let (space, page) = (program().new_space()?, (8 + cpu) * PAGE);
        let at = match cpu % 3 {
            0 => {
                space.attach(spot(Level::Top), &outer, Rights::READ_WRITE)?;
                spot(Level::Top) + GIB
            }
            _ => {
                space.attach(spot(Level::TwoMib) + SLOT, &inner.subtree, Rights::READ)?;
                space.attach(spot(Level::TwoMib), &inner.subtree, Rights::READ_WRITE)?;
                spot(Level::TwoMib)
            }
        };
        let (subtree, segment) = (inner.subtree.derive(Rights::MAP, 0)?, Segment::new(program().account(), PAGE)?);
        let place = Place::<u64>::new(at + page)?;
        threads.push(on_cpu(cpu).space(&space).spawn(move || -> Result<u64, Error> {
            let mut wrong = 0;
            for round in 0..rounds {
                subtree.map(page, &segment, 0..PAGE, Rights::READ_WRITE)?;
                wrong += u64::from(round > 0 && place.get() != cpu << 32 | (round - 1));
                place.set(cpu << 32 | round);
                wrong += u64::from(place.get() != cpu << 32 | round);
                subtree.unmap(page..page + PAGE)?;
            }
            Ok(wrong)
        })?);
        spaces.push(space);
    }
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    Ok(())
}

/// Threads on all CPUs attach subtrees of their own, of all levels, to one space and withdraw them again, with a common
/// one in between: nobody is disturbed, and in the end nothing is attached.
fn all_cpus_attach_and_withdraw_at_once() -> Verdict {
    let (space, common) = (program().new_space()?, Shared::new(Level::TwoMib, Rights::READ)?);
    let (rounds, mut threads) = (turns_of_each(30)? as usize, Vec::new());
    for cpu in 0..counters::cpus()? {
        let (own, everyone_s) = (space.derive(Rights::MAP, 0)?, common.subtree.derive(Rights::READ, 0)?);
        let mut subtrees = Vec::new();
        for level in LEVELS {
            let shared = Shared::new(level, Rights::READ)?;
            shared.set(cpu << 32 | level as u64)?;
            subtrees.push((level, shared.subtree));
        }
        threads.push(on_cpu(cpu).space(&space).spawn(move || -> Result<u64, Error> {
            let (at, mut wrong) = ((80 + cpu) * SLOT, 0);
            for (level, subtree) in subtrees.iter().cycle().take(rounds) {
                own.attach(at, subtree, Rights::READ)?;
                wrong += u64::from(word_at(at)?.get() != cpu << 32 | *level as u64);
                own.attach(at + 64 * SLOT, &everyone_s, Rights::READ)?;
                wrong += u64::from(subtree.withdraw()? != 1);
                own.detach(at + 64 * SLOT)?;
            }
            Ok(wrong)
        })?);
    }
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    ensure_eq!((space.info()?.attachments, common.subtree.info()?.sharers), (1, 0));
    Ok(())
}
