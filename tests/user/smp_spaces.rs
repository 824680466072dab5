//! Spaces on several CPUs: destroyed under threads that run in them elsewhere, and more of them than there are tags.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::vec::Vec;
use conformance::{
    Claim, Failure, SpareStack, Spinner, Verdict, claim, ensure, ensure_eq, fresh_address, needs_cpus, on_cpu, refused,
    run_on, set_fallback, the_kernel_passes_its_own_checks, turns_of_each, wait_until,
};
use core::sync::atomic::{AtomicU64, Ordering};
use libvas::layout::FallbackReason;
use libvas::thread::{self, JoinHandle};
use libvas::{Cap, Error, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, counters, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_thread_that_runs_elsewhere_lands_when_its_space_goes),
        claim!(threads_on_all_cpus_land_when_their_space_goes),
        claim!(without_a_fallback_a_thread_that_runs_elsewhere_stops),
        claim!(a_space_that_goes_leaves_others_alone),
        claim!(all_cpus_make_and_destroy_spaces_at_once),
        claim!(every_space_reads_its_own_memory_on_every_cpu),
        claim!(what_changes_in_a_space_nobody_is_in_is_seen_everywhere),
        claim!(tags_are_as_narrow_as_the_machine_says),
        claim!(narrow_tags_roll_over),
        claim!(without_tags_every_switch_flushes),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_spaces", CLAIMS, 1)
}

/// The exit code of a thread that landed because its space was destroyed.
const LANDED: u64 = 70 + FallbackReason::SpaceDestroyed as u64;

extern "C" fn landing(reason: u64, _: u64) -> ! {
    thread::exit(70 + reason)
}

fn space_with(address: u64, value: u64) -> Result<Cap<Space>, Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), PAGE)?);
    space.map(address, &segment, 0..PAGE, Rights::READ_WRITE)?;
    space.write(address, &value.to_le_bytes())?;
    Ok(space)
}

/// Starts a thread on a CPU that falls back to the home space, and spins in `space`, which it does not own.
fn spin_in(space: &Cap<Space>, cpu: u64, place: Place<u64>) -> Result<JoinHandle<()>, Error> {
    let handle = space.handle();
    on_cpu(cpu).spawn(move || {
        let space = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(program().space(), landing, SpareStack::new()).is_ok() && space.switch().is_ok() {
            loop {
                place.set(place.get() + 1);
            }
        }
    })
}

/// A thread that runs on another CPU without entering the kernel lands at its fallback when its space goes.
fn a_thread_that_runs_elsewhere_lands_when_its_space_goes() -> Verdict {
    needs_cpus(2)?;
    let address = fresh_address();
    let place = Place::<u64>::new(address)?;
    for cpu in 1..counters::cpus()? {
        let space = space_with(address, 0)?;
        let thread = spin_in(&space, cpu, place)?;
        wait_until(|| Ok(space.enter(|| place.get())? > 0))?;
        drop(space);
        ensure_eq!(thread.thread().join(), Ok(LANDED));
    }
    Ok(())
}

/// So do the threads of all CPUs.
fn threads_on_all_cpus_land_when_their_space_goes() -> Verdict {
    let address = fresh_address();
    for _ in 0..5 {
        let space = space_with(address, 0)?;
        let mut threads = Vec::new();
        for cpu in 0..counters::cpus()? {
            let place = Place::<u64>::new(address + 8 * cpu)?;
            threads.push(spin_in(&space, cpu, place)?);
            wait_until(|| Ok(space.enter(|| place.get())? > 0))?;
        }
        drop(space);
        for thread in threads {
            ensure_eq!(thread.thread().join(), Ok(LANDED));
        }
    }
    Ok(())
}

/// A thread without a fallback stops, and who joins it is told so.
fn without_a_fallback_a_thread_that_runs_elsewhere_stops() -> Verdict {
    needs_cpus(2)?;
    let address = fresh_address();
    let space = space_with(address, 3)?;
    let spinner = Spinner::reading(on_cpu(1), &space, address)?;
    spinner.wait()?;
    drop(space);
    let turns = spinner.turns();
    ensure_eq!(spinner.last(), 3);
    ensure_eq!(spinner.turns(), turns);
    refused(spinner.join(), Error::Gone)
}

/// Threads in other spaces, and the mapped memory that others share, are not touched.
fn a_space_that_goes_leaves_others_alone() -> Verdict {
    needs_cpus(2)?;
    let address = fresh_address();
    let (first, second) = (space_with(address, 3)?, space_with(address, 4)?);
    let (one, two) = (Spinner::reading(on_cpu(1), &first, address)?, Spinner::reading(on_cpu(1), &second, address)?);
    one.wait()?;
    two.wait()?;
    drop(first);
    refused(one.join(), Error::Gone)?;
    two.wait()?;
    ensure_eq!(two.last(), 4);
    two.end()?;
    Ok(())
}

/// All CPUs make spaces, look into them and destroy them at the same time.
fn all_cpus_make_and_destroy_spaces_at_once() -> Verdict {
    let address = fresh_address();
    let place = Place::<u64>::new(address)?;
    let rounds = turns_of_each(40)?;
    let threads = (0..counters::cpus()?)
        .map(|cpu| {
            on_cpu(cpu).spawn(move || -> Result<u64, Error> {
                let mut wrong = 0;
                for round in 0..rounds {
                    let own = cpu << 32 | round;
                    let space = space_with(address, own)?;
                    wrong += u64::from(space.enter(|| place.get())? != own);
                }
                Ok(wrong)
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    Ok(())
}

/// More spaces than narrow tags can name, visited by all CPUs in different orders, each show their own memory.
fn every_space_reads_its_own_memory_on_every_cpu() -> Verdict {
    const SPACES: u64 = 23;
    let address = fresh_address();
    let place = Place::<u64>::new(address)?;
    let spaces = (0..SPACES).map(|index| space_with(address, index)).collect::<Result<Vec<_>, _>>()?;
    let visit = |cpu: u64| -> Result<JoinHandle<Result<u64, Error>>, Error> {
        let own = spaces.iter().map(|space| space.derive(Rights::SWITCH, 0)).collect::<Result<Vec<_>, _>>()?;
        on_cpu(cpu).spawn(move || {
            let mut wrong = 0;
            for round in 0..200 {
                let index = (round * (2 * cpu + 3) + cpu) % SPACES;
                wrong += u64::from(own[index as usize].enter(|| place.get())? != index);
            }
            Ok(wrong)
        })
    };
    let threads = (0..counters::cpus()?).map(visit).collect::<Result<Vec<_>, _>>()?;
    for thread in threads {
        ensure_eq!(thread.join()??, 0);
    }
    Ok(())
}

/// Memory that is exchanged while nobody is in its space is seen by every CPU that enters it later.
fn what_changes_in_a_space_nobody_is_in_is_seen_everywhere() -> Verdict {
    const SPACES: u64 = 6;
    let address = fresh_address();
    let place = Place::<u64>::new(address)?;
    let spaces = (0..SPACES).map(|index| space_with(address, index)).collect::<Result<Vec<_>, _>>()?;
    for round in 1..6 {
        for cpu in 0..counters::cpus()? {
            let own = spaces.iter().map(|space| space.derive(Rights::SWITCH, 0)).collect::<Result<Vec<_>, _>>()?;
            let look = on_cpu(cpu).spawn(move || own.iter().map(|space| space.enter(|| place.get())).collect())?;
            let seen: Result<Vec<u64>, Error> = look.join()?;
            ensure_eq!(seen?, (0..SPACES).map(|index| (round - 1) * 100 + index).collect::<Vec<_>>());
        }
        for (index, space) in spaces.iter().enumerate() {
            let segment = Segment::new(program().account(), PAGE)?;
            segment.write(0, &(round * 100 + index as u64).to_le_bytes())?;
            space.unmap(address..address + PAGE)?;
            space.map(address, &segment, 0..PAGE, Rights::READ)?;
        }
    }
    Ok(())
}

fn tag_bits() -> Result<u64, Error> {
    Ok(program().machine().ok_or(Error::MissingRight)?.info()?.tag_bits)
}

/// A space's tag has no more bits than the machine says.
fn tags_are_as_narrow_as_the_machine_says() -> Verdict {
    let bits = tag_bits()?;
    let address = fresh_address();
    let spaces = (0..9).map(|index| space_with(address, index)).collect::<Result<Vec<_>, _>>()?;
    for space in &spaces {
        let tag = space.enter(|| space.info())??.tag;
        ensure!(tag < 1 << bits, "tag {tag} with {bits} bits");
        ensure!(bits == 0 || counters::cpus()? >= (1 << bits) || tag != 0, "a space is untagged without need");
    }
    Ok(())
}

/// With tags of a few bits, entering more spaces than there are tags begins new generations.
fn narrow_tags_roll_over() -> Verdict {
    let bits = tag_bits()?;
    if !(1..=4).contains(&bits) {
        return Err(Failure::skip(format!("needs tags=2 to tags=4 and a CPU with tags; this one has {bits} bits")));
    }
    let before = counters::total()?;
    every_space_reads_its_own_memory_on_every_cpu()?;
    let after = counters::total()?;
    ensure!(after.tag_rollovers > before.tag_rollovers + 5, "there were {} roll-overs", after.tag_rollovers);
    Ok(())
}

/// Untagged, no switch keeps a translation, and no space has a tag.
fn without_tags_every_switch_flushes() -> Verdict {
    let bits = tag_bits()?;
    if bits != 0 {
        return Err(Failure::skip(format!("needs tags=off, or a CPU without tags; this one has {bits} bits")));
    }
    static DONE: AtomicU64 = AtomicU64::new(0);
    let before = counters::total()?;
    let space = space_with(fresh_address(), 0)?;
    (0..10).try_for_each(|_| space.enter(|| DONE.fetch_add(1, Ordering::Relaxed)).map(drop))?;
    let after = counters::total()?;
    ensure_eq!(after.tag_hits, before.tag_hits);
    ensure!(after.tag_flushes >= before.tag_flushes + 20, "20 switches flushed less often");
    ensure_eq!(space.info()?.tag, 0);
    Ok(())
}
