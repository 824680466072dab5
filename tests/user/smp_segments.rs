//! Discarding, moving and copying on several CPUs: who runs elsewhere sees what is true there, at once.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::cloned::{get, set, word};
use conformance::{
    Claim, Failure, Spinner, Verdict, claim, ensure, ensure_eq, fresh_address, needs_cpus, on_cpu, run_on,
    the_kernel_passes_its_own_checks,
};
use libvas::{Cap, Error, PAGE_BYTES as PAGE, Rights, Segment, Space, counters, program, thread};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(readers_elsewhere_see_that_a_page_was_discarded),
        claim!(writers_elsewhere_get_new_memory),
        claim!(all_write_while_all_is_discarded),
        claim!(what_was_moved_is_gone_for_readers_elsewhere),
        claim!(what_is_lent_is_the_same_memory_elsewhere),
        claim!(readers_elsewhere_see_the_copy_of_a_private_page),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_segments", CLAIMS, 1)
}

/// How many CPUs there are, two at least and eight at most: more threads show no more.
fn cpus() -> Result<u64, Failure> {
    needs_cpus(2)?;
    Ok(counters::cpus()?.min(8))
}

/// A segment that can be discarded from, and a space that shows it.
fn scene(pages: u64) -> Result<(Cap<Segment>, Cap<Space>, u64), Error> {
    let (segment, address) = (Segment::new_discardable(program().account(), pages * PAGE)?, fresh_address());
    let space = program().new_space()?;
    space.map(address, &segment, 0..pages * PAGE, Rights::READ_WRITE)?;
    Ok((segment, space, address))
}

fn readers_on_all(space: &Cap<Space>, address: u64) -> Result<Vec<Spinner>, Failure> {
    let spinners = (1..cpus()?).map(|cpu| Spinner::reading(on_cpu(cpu), space, address));
    Ok(spinners.collect::<Result<Vec<_>, _>>()?)
}

fn readers_elsewhere_see_that_a_page_was_discarded() -> Verdict {
    let (segment, space, address) = scene(3)?;
    let place = word(address, 1)?;
    let readers = readers_on_all(&space, place.address())?;
    for value in 1..30 {
        set(&space, place, value)?;
        for reader in &readers {
            reader.wait()?;
            ensure_eq!(reader.last(), value);
        }
        segment.discard(PAGE..2 * PAGE)?;
        for reader in &readers {
            reader.wait()?;
            ensure_eq!(reader.last(), 0);
        }
    }
    Ok(readers.into_iter().try_for_each(Spinner::end)?)
}

/// A write that went to the old page would be lost, or found in what has that memory now.
fn writers_elsewhere_get_new_memory() -> Verdict {
    needs_cpus(2)?;
    let (segment, space, address) = scene(1)?;
    let place = word(address, 0)?;
    let writer = Spinner::writing(on_cpu(1), &space, place.address())?;
    for _ in 0..30 {
        writer.wait()?;
        segment.discard(0..PAGE)?;
        // Whoever gets the page now finds zeros, and goes on finding them.
        let (other, there) = (Segment::new(program().account(), PAGE)?, fresh_address());
        let taken = program().new_space()?;
        taken.map(there, &other, 0..PAGE, Rights::READ_WRITE)?;
        writer.wait()?;
        ensure_eq!(get(&taken, word(there, 0)?)?, 0);
        let before = get(&space, place)?;
        writer.wait()?;
        ensure!(get(&space, place)? > before, "what is written does not arrive");
    }
    Ok(writer.end()?)
}

fn all_write_while_all_is_discarded() -> Verdict {
    let (cpus, (segment, space, address)) = (cpus()?, scene(64)?);
    let writers = (1..cpus)
        .map(|cpu| {
            on_cpu(cpu).space(&space).spawn(move || {
                for round in 0..40 {
                    for page in 0..64 {
                        word(address, page)?.set(round * 1000 + page);
                    }
                    thread::yield_now();
                }
                Ok::<(), Error>(())
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for round in 0..60 {
        segment.discard(round % 64 * PAGE..64 * PAGE)?;
    }
    for writer in writers {
        writer.join()??;
    }
    for page in 0..64 {
        let value = get(&space, word(address, page)?)?;
        ensure!(value == 0 || value % 1000 == page, "page {page} has {value}");
    }
    segment.discard(0..64 * PAGE)?;
    ensure_eq!(segment.info()?.populated_bytes, 0);
    Ok(())
}

fn what_was_moved_is_gone_for_readers_elsewhere() -> Verdict {
    let (_segment, space, address) = scene(2)?;
    let (to, there) = (program().new_space()?, fresh_address());
    let readers = readers_on_all(&space, word(address, 1)?.address())?;
    readers.iter().try_for_each(Spinner::wait)?;
    space.move_to(address..address + 2 * PAGE, &to, there)?;
    for reader in readers {
        ensure!(matches!(reader.join(), Err(Error::Faulted)), "what was moved could be read where it was");
    }
    set(&to, word(there, 1)?, 1)?;
    Ok(())
}

fn what_is_lent_is_the_same_memory_elsewhere() -> Verdict {
    let (_segment, space, address) = scene(2)?;
    let (to, there) = (program().new_space()?, fresh_address());
    space.lend_to(address..address + 2 * PAGE, &to, there)?;
    let readers = readers_on_all(&to, word(there, 1)?.address())?;
    for value in 1..20 {
        set(&space, word(address, 1)?, value)?;
        for reader in &readers {
            reader.wait()?;
            ensure_eq!(reader.last(), value);
        }
    }
    Ok(readers.into_iter().try_for_each(Spinner::end)?)
}

fn readers_elsewhere_see_the_copy_of_a_private_page() -> Verdict {
    let (segment, shared, address) = scene(3)?;
    for value in 1..20 {
        let private = program().new_space()?;
        private.map_private(address, &segment, 0..3 * PAGE, Rights::READ_WRITE)?;
        let place = word(address, 1)?;
        set(&shared, place, value)?;
        let readers = readers_on_all(&private, place.address())?;
        readers.iter().try_for_each(Spinner::wait)?;
        ensure!(readers.iter().all(|reader| reader.last() == value), "a page that was not copied is another");
        set(&private, place, 1000 + value)?;
        for reader in &readers {
            reader.wait()?;
            ensure_eq!(reader.last(), 1000 + value);
        }
        ensure_eq!(get(&shared, place)?, value);
        readers.into_iter().try_for_each(Spinner::end)?;
    }
    Ok(())
}
