//! Locks on several CPUs: nobody is beside a writer, whoever comes from wherever, and nobody waits for ever.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::locked::{Locked, Visitor, lent_by};
use conformance::{
    Claim, Failure, Verdict, claim, ensure, ensure_eq, needs_cpus, on_cpu, run_on, the_kernel_passes_its_own_checks,
    wait_until,
};
use core::time::Duration;
use libvas::thread::{self, JoinHandle};
use libvas::{Cap, Error, PAGE_BYTES as PAGE, Place, Rights, Space, counters, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(additions_from_all_cpus_are_never_lost),
        claim!(readers_never_see_a_writers_work_half_done),
        claim!(a_space_begins_to_take_locks_while_others_come_and_go),
        claim!(holders_that_are_stopped_at_any_moment_leave_the_lock),
        claim!(spaces_that_go_at_any_moment_leave_the_lock),
        claim!(tries_and_deadlines_end_on_busy_machines),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_locks", CLAIMS, 1)
}

/// How many CPUs there are, two at least and four at most: more threads show no more.
fn cpus() -> Result<u64, Failure> {
    needs_cpus(2)?;
    Ok(counters::cpus()?.min(4))
}

fn additions_from_all_cpus_are_never_lost() -> Verdict {
    let (cpus, locked) = (cpus()?, Locked::new()?);
    let word = locked.word()?;
    let add = |cpu| {
        let space = lent_by(&locked.writers);
        on_cpu(cpu).spawn(move || {
            (0..200).try_for_each(|_| {
                space.enter(|| {
                    let value = word.get();
                    core::hint::spin_loop();
                    word.set(value + 1);
                })
            })
        })
    };
    let threads = (0..cpus).map(add).collect::<Result<Vec<_>, _>>()?;
    for thread in threads {
        thread.join()??;
    }
    ensure_eq!(locked.readers.enter(|| word.get())?, 200 * cpus);
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn readers_never_see_a_writers_work_half_done() -> Verdict {
    let (cpus, locked) = (cpus()?, Locked::new()?);
    let words = [Place::<u64>::new(locked.address)?, Place::<u64>::new(locked.address + PAGE)?];
    let writers = lent_by(&locked.writers);
    let writer = on_cpu(0).spawn(move || {
        (1..200).try_for_each(|value| writers.enter(|| words.iter().for_each(|word| word.set(value))))
    })?;
    let read = |cpu| {
        let readers = lent_by(&locked.readers);
        on_cpu(cpu).spawn(move || {
            let mut torn = 0;
            for _ in 0..200 {
                let seen = readers.enter(|| words.map(|word| word.get()))?;
                torn += u64::from(seen[0] != seen[1]);
            }
            Ok::<_, Error>(torn)
        })
    };
    let readers = (1..cpus).map(read).collect::<Result<Vec<_>, _>>()?;
    for reader in readers {
        ensure_eq!(reader.join()??, 0);
    }
    writer.join()??;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

/// A thread that comes and goes so often; gives how often it was inside.
fn comer(cpu: u64, space: &Cap<Space>, times: u64) -> Result<JoinHandle<Result<u64, Error>>, Error> {
    let space = lent_by(space);
    on_cpu(cpu).spawn(move || {
        for _ in 0..times {
            space.enter(core::hint::spin_loop)?;
        }
        Ok(times)
    })
}

fn a_space_begins_to_take_locks_while_others_come_and_go() -> Verdict {
    let cpus = cpus()?;
    for _ in 0..10 {
        let (locked, space) = (Locked::new()?, program().new_space()?);
        let comers = (1..cpus).map(|cpu| comer(cpu, &space, 300)).collect::<Result<Vec<_>, _>>()?;
        let mut mapped = Err(Error::Busy);
        while mapped == Err(Error::Busy) {
            mapped = space.map(locked.address, &locked.segment, 0..2 * PAGE, Rights::READ_WRITE);
        }
        mapped?;
        // From here on nobody is inside without the lock.
        for _ in 0..20 {
            if locked.writers.try_enter(|| ()).is_ok() {
                space.try_enter(|| ()).or_else(|error| if error == Error::Busy { Ok(()) } else { Err(error) })?;
            }
        }
        for comer in comers {
            ensure_eq!(comer.join()??, 300);
        }
        ensure_eq!(locked.holders()?, (0, 0, 0));
    }
    Ok(())
}

fn holders_that_are_stopped_at_any_moment_leave_the_lock() -> Verdict {
    let (cpus, locked) = (cpus()?, Locked::new()?);
    for turn in 0..40 {
        let comers = (1..cpus)
            .map(|cpu| comer(cpu, if turn % 2 == 0 { &locked.writers } else { &locked.readers }, 1_000_000))
            .collect::<Result<Vec<_>, _>>()?;
        thread::sleep(Duration::from_micros(50 + 37 * turn));
        comers.iter().try_for_each(|comer| comer.thread().stop())?;
        locked.writers.enter(|| ())?;
        ensure_eq!(locked.holders()?, (0, 0, 0));
    }
    Ok(())
}

fn spaces_that_go_at_any_moment_leave_the_lock() -> Verdict {
    let (cpus, locked) = (cpus()?, Locked::new()?);
    for turn in 0..20 {
        let space = program().new_space()?;
        space.map(locked.address, &locked.segment, 0..2 * PAGE, Rights::READ_WRITE)?;
        let comers = (1..cpus).map(|cpu| comer(cpu, &space, 1_000_000)).collect::<Result<Vec<_>, _>>()?;
        thread::sleep(Duration::from_micros(50 + 53 * turn));
        space.delete()?;
        for comer in comers {
            // Thrown out, or told that there is no such space.
            ensure!(!matches!(comer.join(), Ok(Ok(_))), "a million visits are over already");
        }
        locked.writers.enter(|| ())?;
        ensure_eq!(locked.holders()?, (0, 0, 0));
    }
    Ok(())
}

fn tries_and_deadlines_end_on_busy_machines() -> Verdict {
    let (cpus, locked) = (cpus()?, Locked::new()?);
    let inside = Visitor::inside(&locked.writers)?;
    let waits = |cpu: u64| {
        let space = lent_by(&locked.readers);
        on_cpu(cpu).spawn(move || {
            let mut errors = [0; 2];
            for turn in 0..20 {
                let result = if turn % 2 == 0 {
                    space.try_enter(|| ())
                } else {
                    space.enter_within(Duration::from_micros(200), || ())
                };
                errors[0] += u64::from(result == Err(Error::Busy));
                errors[1] += u64::from(result == Err(Error::TimedOut));
            }
            errors
        })
    };
    let threads = (0..cpus).map(waits).collect::<Result<Vec<_>, _>>()?;
    for thread in threads {
        ensure_eq!(thread.join()?, [10, 10]);
    }
    wait_until(|| Ok(locked.holders()?.2 == 0))?;
    Ok(inside.leave()?)
}
