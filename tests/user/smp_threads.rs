//! Threads on several CPUs: affinity, balancing, moving and stopping what runs elsewhere.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    CLAIM_PRIORITY, Claim, Code, Failure, LIMIT, Room, SpareStack, Spinner, Verdict, claim, ensure, ensure_eq,
    fresh_address, needs_cpus, on_cpu, refused, run_at, run_on, running_cpus, start_at,
    the_kernel_passes_its_own_checks, turns_of_each, wait_until,
};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libvas::sync::Mutex;
use libvas::thread::{self, Builder};
use libvas::{Cap, CapTable, Error, PAGE_BYTES, Place, Rights, Segment, Space, Thread, clock, counters, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(every_cpu_runs_threads_and_counts_for_itself),
        claim!(affinity_keeps_a_thread_on_its_cpu),
        claim!(a_set_without_a_running_cpu_is_refused),
        claim!(cpus_that_do_not_run_are_left_out_of_a_set),
        claim!(affinity_needs_the_right_to_control),
        claim!(a_thread_that_runs_elsewhere_moves_at_once),
        claim!(a_sleeping_thread_wakes_on_its_new_cpu),
        claim!(a_thread_can_move_itself),
        claim!(spinning_threads_spread_over_the_idle_cpus),
        claim!(more_threads_than_cpus_all_come_to_their_turn),
        claim!(two_threads_in_one_space_share_its_memory),
        claim!(a_thread_that_runs_elsewhere_can_be_stopped),
        claim!(a_program_s_threads_stop_on_every_cpu),
        claim!(stopping_a_table_s_threads_needs_the_right_to_control),
        claim!(threads_are_made_and_joined_on_all_cpus),
        claim!(a_breakpoint_is_not_lost_when_its_thread_is_moved),
        claim!(a_thread_that_is_moved_without_a_breakpoint_goes_on),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_threads", CLAIMS, 1)
}

/// A space with the program and one page at `address` that holds `value` in its first word.
fn space_with(address: u64, value: u64) -> Result<Cap<Space>, Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), PAGE_BYTES)?);
    space.map(address, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    space.write(address, &value.to_le_bytes())?;
    Ok(space)
}

/// Each CPU runs the threads that are meant for it, and its counters move as they call.
fn every_cpu_runs_threads_and_counts_for_itself() -> Verdict {
    for cpu in 0..counters::cpus()? {
        let before = counters::of_cpu(cpu)?;
        on_cpu(cpu).spawn(|| (0..50).for_each(|_| thread::yield_now()))?.join()?;
        let after = counters::of_cpu(cpu)?;
        let calls = after.system_calls - before.system_calls;
        ensure!(calls >= 50, "CPU {cpu} counted {calls} of 50 calls");
        ensure!(after.thread_switches > before.thread_switches, "CPU {cpu} changed no thread");
    }
    Ok(())
}

/// A thread that may run on one CPU is never seen on another, however often it sleeps and yields.
fn affinity_keeps_a_thread_on_its_cpu() -> Verdict {
    for cpu in 0..counters::cpus()? {
        let thread = on_cpu(cpu).spawn(|| {
            for _ in 0..40 {
                thread::yield_now();
                thread::sleep(Duration::from_micros(50));
            }
        })?;
        for _ in 0..20 {
            ensure_eq!(thread.thread().info()?.cpu, cpu);
            thread::sleep(Duration::from_micros(100));
        }
        thread.join()?;
    }
    Ok(())
}

/// A set that holds no CPU that runs is refused, and the old one stays.
fn a_set_without_a_running_cpu_is_refused() -> Verdict {
    let (running, table) = (running_cpus()?, CapTable::new(program().account(), 1)?);
    let thread = Thread::new(program().account(), &table, program().space(), 0)?;
    thread.set_affinity(1)?;
    for set in [0, running.wrapping_add(1), 1 << 63, u64::MAX].map(|set| set & !running) {
        refused(thread.set_affinity(set), Error::BadArgument)?;
        refused(Builder::new().cpus(set).spawn(|| ()).map(drop), Error::BadArgument)?;
        ensure_eq!(thread.info()?.affinity, 1);
    }
    Ok(())
}

/// Of a set, those CPUs count that run.
fn cpus_that_do_not_run_are_left_out_of_a_set() -> Verdict {
    let (running, table) = (running_cpus()?, CapTable::new(program().account(), 1)?);
    let thread = Thread::new(program().account(), &table, program().space(), 0)?;
    ensure_eq!(thread.info()?.affinity, running);
    thread.set_affinity(1)?;
    thread.set_affinity(u64::MAX)?;
    ensure_eq!(thread.info()?.affinity, running);
    Ok(())
}

/// Without `CONTROL`, and on what is no thread, setting the affinity is refused.
fn affinity_needs_the_right_to_control() -> Verdict {
    let thread = thread::spawn(|| thread::sleep(Duration::from_millis(1)))?;
    refused(thread.thread().derive(Rights::WAIT, 0)?.set_affinity(1), Error::MissingRight)?;
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    refused(Cap::<Thread>::from_handle(segment.into_handle()).set_affinity(1), Error::WrongObject)?;
    thread.join()?;
    Ok(())
}

/// A thread that never enters the kernel is moved by the call, and goes on where it was.
fn a_thread_that_runs_elsewhere_moves_at_once() -> Verdict {
    needs_cpus(2)?;
    let cpus = counters::cpus()?;
    let address = fresh_address();
    let space = space_with(address, 7)?;
    let spinner = Spinner::reading(on_cpu(1), &space, address)?;
    for round in 0..24 {
        spinner.wait()?;
        let cpu = round % cpus;
        spinner.thread()?.set_affinity(1 << cpu)?;
        ensure_eq!((round, spinner.thread()?.info()?.cpu), (round, cpu));
        ensure_eq!(spinner.last(), 7);
    }
    spinner.wait()?;
    spinner.end()?;
    Ok(())
}

/// A new affinity of a thread that sleeps counts when it wakes up.
fn a_sleeping_thread_wakes_on_its_new_cpu() -> Verdict {
    needs_cpus(2)?;
    static TURNS: AtomicU64 = AtomicU64::new(0);
    static END: AtomicU64 = AtomicU64::new(0);
    let sleeper = on_cpu(0).spawn(|| {
        while END.load(Ordering::Relaxed) == 0 {
            thread::sleep(Duration::from_millis(1));
            TURNS.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    for cpu in [1, 0, 1] {
        sleeper.thread().set_affinity(1 << cpu)?;
        let seen = TURNS.load(Ordering::Relaxed);
        wait_until(|| Ok(TURNS.load(Ordering::Relaxed) > seen + 2))?;
        ensure_eq!(sleeper.thread().info()?.cpu, cpu);
    }
    END.store(1, Ordering::Relaxed);
    sleeper.join()?;
    Ok(())
}

/// A thread that sets its own affinity runs on the new CPU when the call returns.
fn a_thread_can_move_itself() -> Verdict {
    static OWN: Mutex<Option<Cap<Thread>>> = Mutex::new(None);
    let cpus = counters::cpus()?;
    let thread = thread::spawn(move || -> Result<u64, Error> {
        let own = loop {
            if let Some(own) = OWN.lock(Option::take) {
                break own;
            }
            thread::yield_now();
        };
        let mut wrong = 0;
        for round in 0..5 * cpus {
            own.set_affinity(1 << (round % cpus))?;
            wrong += u64::from(own.info()?.cpu != round % cpus);
        }
        Ok(wrong)
    })?;
    let own = thread.thread().derive(Rights::CONTROL, 0)?;
    OWN.lock(|shared| *shared = Some(own));
    ensure_eq!(thread.join()??, 0);
    Ok(())
}

/// While this thread keeps one CPU busy, as many spinning threads as there are other CPUs get one each.
fn spinning_threads_spread_over_the_idle_cpus() -> Verdict {
    needs_cpus(2)?;
    let (cpus, others) = (counters::cpus()?, running_cpus()? & !1);
    let address = fresh_address();
    let space = space_with(address, 5)?;
    let anywhere = Builder::new().priority(CLAIM_PRIORITY - 1);
    let spinners = (1..cpus).map(|_| Spinner::reading(anywhere, &space, address)).collect::<Result<Vec<_>, _>>()?;
    wait_until(|| {
        let mut used = 0;
        for spinner in &spinners {
            used |= 1 << spinner.thread()?.info()?.cpu;
        }
        Ok(used == others)
    })?;
    let before: Vec<_> = spinners.iter().map(Spinner::turns).collect();
    let moved = |(spinner, before): (&Spinner, &u64)| spinner.turns() > *before;
    // Without any sleep: none of them needs this CPU to go on.
    let deadline = clock::now() + LIMIT;
    while !spinners.iter().zip(&before).all(moved) {
        ensure!(clock::now() < deadline, "not all of them went on");
    }
    spinners.into_iter().try_for_each(Spinner::end)?;
    Ok(())
}

/// Three times as many spinning threads as CPUs all make progress, by the timer alone.
fn more_threads_than_cpus_all_come_to_their_turn() -> Verdict {
    let address = fresh_address();
    let space = space_with(address, 6)?;
    let anywhere = Builder::new().priority(CLAIM_PRIORITY - 1);
    let count = 3 * counters::cpus()?;
    let spinners = (0..count).map(|_| Spinner::reading(anywhere, &space, address)).collect::<Result<Vec<_>, _>>()?;
    spinners.iter().try_for_each(Spinner::wait)?;
    spinners.iter().try_for_each(Spinner::wait)?;
    spinners.into_iter().try_for_each(Spinner::end)?;
    Ok(())
}

/// What a thread on one CPU writes to a space, a thread on another in that space reads, and back.
fn two_threads_in_one_space_share_its_memory() -> Verdict {
    needs_cpus(2)?;
    const ROUNDS: u64 = 500;
    let address = fresh_address();
    let space = space_with(address, 0)?;
    let turn = Place::<u64>::new(address)?;
    let player = move |own: u64| {
        move || {
            for round in (own..2 * ROUNDS).step_by(2) {
                while turn.get() != round {
                    core::hint::spin_loop();
                }
                turn.set(round + 1);
            }
        }
    };
    let first = on_cpu(0).space(&space).spawn(player(0))?;
    let second = on_cpu(1).space(&space).spawn(player(1))?;
    first.join()?;
    second.join()?;
    ensure_eq!(space.enter(|| turn.get())?, 2 * ROUNDS);
    Ok(())
}

/// A thread that runs on another CPU without entering the kernel has stopped for good when `thread_stop` returns.
fn a_thread_that_runs_elsewhere_can_be_stopped() -> Verdict {
    needs_cpus(2)?;
    let address = fresh_address();
    let space = space_with(address, 1)?;
    for cpu in 1..counters::cpus()? {
        let spinner = Spinner::reading(on_cpu(cpu), &space, address)?;
        spinner.wait()?;
        spinner.thread()?.stop()?;
        let turns = spinner.turns();
        thread::sleep(Duration::from_millis(2));
        ensure_eq!(spinner.turns(), turns);
        refused(spinner.join(), Error::Gone)?;
    }
    Ok(())
}

/// `table_stop_threads` ends what uses a table on whatever CPU, says how many that were, and spares all others.
fn a_program_s_threads_stop_on_every_cpu() -> Verdict {
    static STEPS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
    extern "C" fn spin(index: u64, _: u64) -> ! {
        loop {
            STEPS[index as usize % 8].fetch_add(1, Ordering::Relaxed);
        }
    }
    let cpus = counters::cpus()?.min(8);
    let table = CapTable::new(program().account(), 1)?;
    let mut threads = Vec::new();
    for cpu in 0..cpus {
        let thread = Thread::new(program().account(), &table, program().space(), CLAIM_PRIORITY - 1)?;
        thread.set_affinity(1 << cpu)?;
        start_at(&thread, spin, SpareStack::new(), cpu)?;
        threads.push(thread);
    }
    let bystander = thread::spawn(|| thread::sleep(Duration::from_millis(5)))?;
    wait_until(|| Ok(STEPS.iter().take(cpus as usize).all(|steps| steps.load(Ordering::Relaxed) > 0)))?;
    ensure_eq!(table.stop_threads()?, cpus);
    let sum = || STEPS.iter().map(|steps| steps.load(Ordering::Relaxed)).sum::<u64>();
    let steps = sum();
    for thread in &threads {
        refused(thread.join(), Error::Gone)?;
    }
    ensure_eq!((sum(), table.stop_threads()?), (steps, 0));
    bystander.join()?;
    Ok(())
}

/// Without `CONTROL` on the table, its threads go on.
fn stopping_a_table_s_threads_needs_the_right_to_control() -> Verdict {
    let rights = Rights::INSERT | Rights::GRANT;
    refused(program().table().derive(rights, 0)?.stop_threads(), Error::MissingRight)?;
    let space = program().space().derive(Rights::INSPECT, 0)?;
    refused(Cap::<CapTable>::from_handle(space.into_handle()).stop_threads(), Error::WrongObject)
}

/// Moves a thread from CPU 2 to CPU 0 at the moment when it runs a few bytes of code, again and again, each time while
/// CPU 1 is in a long call, so that both have to wait for the kernel; gives how often the thread ended in a fault.
fn faults_of_moved_threads(code: Code, rounds: u64) -> Result<u64, Failure> {
    /// The round that has begun; none more after `END`.
    static ROUND: AtomicU64 = AtomicU64::new(0);
    static READY: AtomicU64 = AtomicU64::new(0);
    const END: u64 = u64::MAX;
    const BYTES: usize = 1 << 20;
    let wait_for = |round| {
        while ROUND.load(Ordering::Acquire) < round {
            core::hint::spin_loop();
        }
    };
    let room = Room::new(BYTES as u64 / PAGE_BYTES)?;
    let (address, text) = (room.address(), Segment::new(program().account(), PAGE_BYTES)?);
    text.write(0, &code.bytes())?;
    let text = Room::with(text, 1, Rights::READ_EXECUTE)?;
    let place = text.address();
    ROUND.store(0, Ordering::Release);
    let holder = on_cpu(1).spawn(move || -> Result<(), Error> {
        let bytes = alloc::vec![0; BYTES];
        for round in 1.. {
            wait_for(round);
            if ROUND.load(Ordering::Acquire) == END {
                break;
            }
            program().space().write(address, &bytes)?;
        }
        Ok(())
    })?;
    let moved_in = |round: u64| -> Result<u64, Failure> {
        READY.store(0, Ordering::Relaxed);
        // Some way to go, so that the call below is made before and after the moment in question.
        let delay = round % 8 * 300;
        let moved = on_cpu(2).spawn(move || {
            READY.store(1, Ordering::Relaxed);
            wait_for(round);
            (0..delay).for_each(|_| core::hint::spin_loop());
            run_at(place);
        })?;
        wait_until(|| Ok(READY.load(Ordering::Relaxed) != 0))?;
        ROUND.store(round, Ordering::Release);
        (0..1500).for_each(|_| core::hint::spin_loop());
        moved.thread().set_affinity(1)?;
        match moved.join() {
            Ok(()) => Ok(0),
            Err(Error::Faulted) => Ok(1),
            Err(other) => Err(other.into()),
        }
    };
    let faults = (1..=rounds).try_fold(0, |faults, round| Ok(faults + moved_in(round)?));
    ROUND.store(END, Ordering::Release);
    holder.join()??;
    faults
}

/// A breakpoint stops its thread, also if another CPU moves the thread before the kernel has seen to it: the instruction
/// has been executed by then, so it does not come again by itself.
fn a_breakpoint_is_not_lost_when_its_thread_is_moved() -> Verdict {
    needs_cpus(3)?;
    ensure_eq!(faults_of_moved_threads(Code::Breakpoint, 120)?, 120);
    Ok(())
}

/// And without a breakpoint, none stops.
fn a_thread_that_is_moved_without_a_breakpoint_goes_on() -> Verdict {
    needs_cpus(3)?;
    ensure_eq!(faults_of_moved_threads(Code::Return, 20)?, 0);
    Ok(())
}

/// On all CPUs at once, threads make threads and join them, and every result comes back.
fn threads_are_made_and_joined_on_all_cpus() -> Verdict {
    let rounds = turns_of_each(30)?;
    let makers = (0..counters::cpus()?)
        .map(|cpu| {
            on_cpu(cpu).spawn(move || -> Result<u64, Error> {
                let mut sum = 0;
                for round in 0..rounds {
                    sum += thread::spawn(move || round * 10 + cpu)?.join()?;
                }
                Ok(sum)
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for (cpu, maker) in makers.into_iter().enumerate() {
        ensure_eq!(maker.join()??, (0..rounds).map(|round| round * 10 + cpu as u64).sum::<u64>());
    }
    Ok(())
}
