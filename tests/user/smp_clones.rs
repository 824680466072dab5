//! Clones on several CPUs: who runs in the source or in a clone elsewhere sees what is true there, at once.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::cloned::{account, clone_of, get, set, space_with_pages, word};
use conformance::{
    Claim, Failure, Shared, Spinner, Verdict, claim, ends_in_fault, ensure, ensure_eq, fresh_address, needs_cpus,
    on_cpu, run_on, the_kernel_passes_its_own_checks, wait_until, word_at,
};
use libvas::{Error, Level, PAGE_BYTES as PAGE, Rights, Segment, TOP_SLOT_BYTES, counters, program, thread};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_clone_stands_still_while_its_source_is_written_to),
        claim!(readers_elsewhere_see_the_page_that_was_copied),
        claim!(readers_of_a_clone_see_nothing_of_its_source),
        claim!(writers_on_all_cpus_are_apart_in_clones_of_one_space),
        claim!(what_is_taken_from_a_clone_is_gone_for_threads_in_it),
        claim!(a_space_is_cloned_while_threads_write_to_it),
        claim!(clones_go_while_others_run),
        claim!(windows_of_other_cpus_stay_when_their_space_is_cloned),
        claim!(what_is_taken_back_is_gone_for_threads_in_clones),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_clones", CLAIMS, 1)
}

/// How many CPUs there are, two at least and eight at most: more threads show no more.
fn cpus() -> Result<u64, Failure> {
    needs_cpus(2)?;
    Ok(counters::cpus()?.min(8))
}

fn a_clone_stands_still_while_its_source_is_written_to() -> Verdict {
    needs_cpus(2)?;
    let (space, address) = space_with_pages(4)?;
    let place = word(address, 1)?;
    let writer = Spinner::writing(on_cpu(1), &space, place.address())?;
    for _ in 0..20 {
        writer.wait()?;
        let clone = clone_of(&space)?;
        let value = get(&clone, place)?;
        writer.wait()?;
        ensure_eq!(get(&clone, place)?, value);
        ensure!(get(&space, place)? > value, "the source stands still");
    }
    Ok(writer.end()?)
}

/// What they hold is the old page, which is the clone's.
fn readers_elsewhere_see_the_page_that_was_copied() -> Verdict {
    let cpus = cpus()?;
    let (space, address) = space_with_pages(3)?;
    let place = word(address, 0)?;
    let readers =
        (1..cpus).map(|cpu| Spinner::reading(on_cpu(cpu), &space, place.address())).collect::<Result<Vec<_>, _>>()?;
    for value in 1..30 {
        let clone = clone_of(&space)?;
        readers.iter().try_for_each(Spinner::wait)?;
        set(&space, place, value)?;
        for reader in &readers {
            reader.wait()?;
            ensure_eq!(reader.last(), value);
        }
        ensure_eq!(get(&clone, place)?, value - 1);
    }
    Ok(readers.into_iter().try_for_each(Spinner::end)?)
}

fn readers_of_a_clone_see_nothing_of_its_source() -> Verdict {
    needs_cpus(2)?;
    let (space, address) = space_with_pages(3)?;
    let place = word(address, 2)?;
    set(&space, place, 7)?;
    let clone = clone_of(&space)?;
    let reader = Spinner::reading(on_cpu(1), &clone, place.address())?;
    for value in 100..120 {
        set(&space, place, value)?;
        reader.wait()?;
        ensure_eq!(reader.last(), 7);
    }
    set(&clone, place, 8)?;
    reader.wait()?;
    ensure_eq!(reader.last(), 8);
    Ok(reader.end()?)
}

fn writers_on_all_cpus_are_apart_in_clones_of_one_space() -> Verdict {
    let cpus = cpus()?;
    let (space, address) = space_with_pages(64)?;
    let clones = (0..cpus).map(|_| clone_of(&space)).collect::<Result<Vec<_>, _>>()?;
    let threads = (0..cpus)
        .zip(&clones)
        .map(|(cpu, clone)| {
            on_cpu(cpu).space(clone).spawn(move || {
                (0..64).try_for_each(|page| word(address, page).map(|place| place.set(1000 * cpu + page)))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for thread in threads {
        thread.join()??;
    }
    for (cpu, clone) in (0..cpus).zip(&clones) {
        for page in [0, 1, 15, 16, 63] {
            ensure_eq!((cpu, page, get(clone, word(address, page)?)?), (cpu, page, 1000 * cpu + page));
            ensure_eq!(get(&space, word(address, page)?)?, 0);
        }
    }
    Ok(())
}

fn what_is_taken_from_a_clone_is_gone_for_threads_in_it() -> Verdict {
    needs_cpus(2)?;
    let (space, address) = space_with_pages(3)?;
    let place = word(address, 1)?;
    let clone = clone_of(&space)?;
    let writer = Spinner::writing(on_cpu(1), &clone, place.address())?;
    writer.wait()?;
    clone.protect(address..address + 3 * PAGE, Rights::READ)?;
    ensure!(matches!(writer.join(), Err(Error::Faulted)), "a page of its own could be written though it may not");
    let value = get(&clone, place)?;
    ensure!(value > 0 && get(&space, place)? == 0, "{value} was written");
    let reader = Spinner::reading(on_cpu(1), &clone, place.address())?;
    reader.wait()?;
    clone.unmap(address..address + 3 * PAGE)?;
    ensure!(matches!(reader.join(), Err(Error::Faulted)), "a page that was unmapped could be read");
    ensure!(!ends_in_fault(&space, move || place.get())?, "the source lost it");
    Ok(())
}

fn a_space_is_cloned_while_threads_write_to_it() -> Verdict {
    let cpus = cpus()?;
    let (space, address) = space_with_pages(16)?;
    let writers = (1..cpus)
        .map(|cpu| Spinner::writing(on_cpu(cpu), &space, word(address, cpu)?.address()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut kept = Vec::new();
    for _ in 0..12 {
        let clone = clone_of(&space)?;
        let values = (1..cpus).map(|cpu| get(&clone, word(address, cpu)?)).collect::<Result<Vec<_>, _>>()?;
        kept.push((clone, values));
        writers.iter().try_for_each(Spinner::wait)?;
        for (clone, values) in &kept {
            for (cpu, value) in (1..cpus).zip(values) {
                ensure_eq!(get(clone, word(address, cpu)?)?, *value);
            }
        }
    }
    Ok(writers.into_iter().try_for_each(Spinner::end)?)
}

fn clones_go_while_others_run() -> Verdict {
    needs_cpus(2)?;
    let (space, address) = space_with_pages(8)?;
    let place = word(address, 3)?;
    let writer = Spinner::writing(on_cpu(1), &space, place.address())?;
    for turn in 0..40 {
        let clone = clone_of(&space)?;
        let again = clone_of(&clone)?;
        set(&clone, word(address, 4)?, turn)?;
        drop(clone);
        ensure_eq!(get(&again, word(address, 4)?)?, 0);
        let there = thread::Builder::new().space(&again).spawn(move || place.set(5))?;
        there.join()?;
        ensure_eq!(get(&again, place)?, 5);
    }
    wait_until(|| Ok(get(&space, place)? > 5))?;
    Ok(writer.end()?)
}

fn windows_of_other_cpus_stay_when_their_space_is_cloned() -> Verdict {
    needs_cpus(2)?;
    let (space, address) = space_with_pages(8)?;
    let shared = Shared::new(Level::Top, Rights::READ)?;
    let at = 60 * TOP_SLOT_BYTES;
    space.attach_core(at, &shared.subtree, Rights::READ, 1)?;
    let reader = Spinner::reading(on_cpu(1), &space, word_at(at)?.address())?;
    for value in 1..20 {
        let clone = clone_of(&space)?;
        set(&space, word(address, value % 8)?, value)?;
        shared.set(value)?;
        reader.wait()?;
        ensure_eq!((reader.last(), get(&space, word(address, value % 8)?)?), (value, value));
        // The clone has none, on no CPU.
        let there = Spinner::reading(on_cpu(1), &clone, word_at(at)?.address())?;
        ensure!(matches!(there.join(), Err(Error::Faulted)), "a clone has a core window");
    }
    Ok(reader.end()?)
}

fn what_is_taken_back_is_gone_for_threads_in_clones() -> Verdict {
    let cpus = cpus()?;
    for turn in 0..6 {
        let (space, address) = (program().new_space()?, fresh_address());
        let segment = Segment::new(account(), 8 * PAGE)?;
        space.map(address, &segment.derive(Rights::ACCESS, 0)?, 0..8 * PAGE, Rights::READ_WRITE)?;
        let clones = (1..cpus).map(|_| clone_of(&space)).collect::<Result<Vec<_>, _>>()?;
        let threads = (1..cpus)
            .zip(&clones)
            .map(|(cpu, clone)| match (cpu + turn) % 2 {
                0 => Spinner::reading(on_cpu(cpu), clone, word(address, cpu % 8)?.address()),
                _ => Spinner::writing(on_cpu(cpu), clone, word(address, cpu % 8)?.address()),
            })
            .collect::<Result<Vec<_>, _>>()?;
        threads.iter().try_for_each(Spinner::wait)?;
        segment.revoke()?;
        for thread in threads {
            ensure!(matches!(thread.join(), Err(Error::Faulted)), "a thread goes on with what was taken back");
        }
    }
    Ok(())
}
