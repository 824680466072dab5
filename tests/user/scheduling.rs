//! Scheduling: strict priorities, round robin by the timer among equals, sleep that is long enough.

#![no_std]
#![no_main]

use conformance::{
    CLAIM_PRIORITY, Claim, Failure, Verdict, claim, ensure, ensure_eq, refused, run_on,
    the_kernel_passes_its_own_checks, wait_until,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use libvas::sync::Mutex;
use libvas::thread::{self, Builder, JoinHandle};
use libvas::{CapTable, Error, PRIORITY_MAX, Thread, clock, counters, program};

rt::main!(main);

/// All that these claims speak of happens on one CPU; `smp_threads` has the claims about several.
const CPU_0: u64 = 1;

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(the_higher_priority_runs_first),
        claim!(a_lower_priority_waits_until_the_higher_is_done),
        claim!(equals_take_turns_without_yielding),
        claim!(a_spinning_thread_does_not_keep_a_sleeper_from_waking),
        claim!(yield_lets_an_equal_run),
        claim!(yield_does_not_let_a_lower_one_run),
        claim!(sleep_is_at_least_as_long_as_told),
        claim!(sleepers_wake_in_order_of_their_times),
        claim!(nobody_makes_a_thread_above_itself),
        claim!(nobody_raises_a_thread_above_itself),
        claim!(a_new_priority_counts_at_once),
        claim!(threads_made_equal_take_turns),
        claim!(who_becomes_an_equal_does_not_take_the_cpu),
        claim!(the_clock_never_goes_back),
        claim!(timer_interrupts_and_switches_are_counted),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("scheduling", CLAIMS, CPU_0)
}

/// Who did something, in order.
static ORDER: Mutex<([u64; 16], usize)> = Mutex::new(([0; 16], 0));

fn note(who: u64) {
    ORDER.lock(|(order, length)| {
        if let Some(place) = order.get_mut(*length) {
            *place = who;
            *length += 1;
        }
    });
}

fn take_order() -> ([u64; 16], usize) {
    ORDER.lock(core::mem::take)
}

fn at<T: Send + 'static>(priority: u64, body: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    Builder::new().priority(priority).cpus(CPU_0).spawn(body)
}

fn join_all<T, const N: usize>(threads: [JoinHandle<T>; N]) -> Result<(), Error> {
    threads.into_iter().try_for_each(|thread| thread.join().map(drop))
}

/// Spins, without any call, for a while by the clock that is read in between.
fn spin(time: Duration) {
    let end = clock::now() + time;
    while clock::now() < end {
        for _ in 0..100 {
            core::hint::spin_loop();
        }
    }
}

/// Checks something that the timer, which ends turns too, could disturb: what counts is a run without interrupts.
fn undisturbed(check: impl Fn() -> Verdict) -> Verdict {
    for _ in 0..1000 {
        let before = counters::of_cpu(0)?.timer_interrupts;
        let verdict = check();
        if counters::of_cpu(0)?.timer_interrupts == before {
            return verdict;
        }
    }
    Err(Failure::new("the timer disturbed each of 1000 runs".into()))
}

/// Of several threads that are ready, the one of the highest priority runs first, whatever order they came in.
fn the_higher_priority_runs_first() -> Verdict {
    take_order();
    let threads = [at(3, || note(3))?, at(9, || note(9))?, at(0, || note(0))?, at(6, || note(6))?];
    join_all(threads)?;
    let (order, count) = take_order();
    ensure_eq!(order[..count], [9, 6, 3, 0]);
    Ok(())
}

/// While a thread of higher priority is ready, one of lower priority does not run at all.
fn a_lower_priority_waits_until_the_higher_is_done() -> Verdict {
    static LOW_RAN: AtomicBool = AtomicBool::new(false);
    let low = at(2, || LOW_RAN.store(true, Ordering::Relaxed))?;
    let high = at(8, || {
        spin(Duration::from_millis(40));
        LOW_RAN.load(Ordering::Relaxed)
    })?;
    ensure!(!high.join()?, "the lower one ran in between");
    low.join()?;
    ensure!(LOW_RAN.load(Ordering::Relaxed), "the lower one never ran");
    Ok(())
}

/// Two threads of one priority that never enter the kernel both make progress, by the timer alone.
fn equals_take_turns_without_yielding() -> Verdict {
    static PROGRESS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
    /// How often each saw that the other one had moved since its last look.
    static TURNS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
    static STOP: AtomicBool = AtomicBool::new(false);
    let count = |own: usize| {
        move || {
            let mut seen = 0;
            while !STOP.load(Ordering::Relaxed) {
                PROGRESS[own].fetch_add(1, Ordering::Relaxed);
                let other = PROGRESS[1 - own].load(Ordering::Relaxed);
                TURNS[own].fetch_add(u64::from(other != seen), Ordering::Relaxed);
                seen = other;
            }
        }
    };
    let (first, second) = (at(CLAIM_PRIORITY - 1, count(0))?, at(CLAIM_PRIORITY - 1, count(1))?);
    // As long as it takes: a busy host gives this machine a small part of its time.
    let changed = wait_until(|| Ok(TURNS.iter().all(|turns| turns.load(Ordering::Relaxed) >= 3)));
    STOP.store(true, Ordering::Relaxed);
    first.join()?;
    second.join()?;
    changed
}

/// A thread whose sleep is over runs at once if its priority is higher, though another spins.
fn a_spinning_thread_does_not_keep_a_sleeper_from_waking() -> Verdict {
    static STOP: AtomicBool = AtomicBool::new(false);
    let spinner = at(1, || {
        while !STOP.load(Ordering::Relaxed) {
            core::hint::spin_loop();
        }
    })?;
    let began = clock::now();
    thread::sleep(Duration::from_millis(5));
    let slept = clock::now() - began;
    STOP.store(true, Ordering::Relaxed);
    spinner.join()?;
    // That it ended at all is the claim: the spinner goes on until then.
    ensure!(slept >= Duration::from_millis(5), "5 ms of sleep took {slept:?}");
    Ok(())
}

/// A thread that yields goes on after the others of its priority had their turn.
fn yield_lets_an_equal_run() -> Verdict {
    let step = |who| {
        move || {
            for _ in 0..3 {
                note(who);
                thread::yield_now();
            }
        }
    };
    undisturbed(|| {
        take_order();
        join_all([at(5, step(1))?, at(5, step(2))?, at(5, step(3))?])?;
        let (order, count) = take_order();
        ensure_eq!(order[..count], [1, 2, 3, 1, 2, 3, 1, 2, 3]);
        Ok(())
    })
}

/// A thread that yields does not make room for lower priorities.
fn yield_does_not_let_a_lower_one_run() -> Verdict {
    static RAN: AtomicBool = AtomicBool::new(false);
    let lower = at(CLAIM_PRIORITY - 1, || RAN.store(true, Ordering::Relaxed))?;
    for _ in 0..100 {
        thread::yield_now();
        ensure!(!RAN.load(Ordering::Relaxed), "a lower priority ran");
    }
    lower.join()?;
    Ok(())
}

/// Who sleeps for a time wakes no earlier.
fn sleep_is_at_least_as_long_as_told() -> Verdict {
    for micros in [0, 1, 50, 999, 3000, 20_000] {
        let (time, began) = (Duration::from_micros(micros), clock::now());
        thread::sleep(time);
        let slept = clock::now() - began;
        ensure!(slept >= time, "{time:?} of sleep took {slept:?}");
    }
    Ok(())
}

/// Sleepers of one priority wake in the order of their times, not in that of falling asleep.
fn sleepers_wake_in_order_of_their_times() -> Verdict {
    static IS_LATE: AtomicBool = AtomicBool::new(false);
    // On a busy host a time may have passed before its thread falls asleep: then they are further away the next time.
    for scale in (0..8).map(|shift| 1 << shift) {
        take_order();
        IS_LATE.store(false, Ordering::Relaxed);
        let began = clock::now();
        let until = move |place: u64| {
            move || {
                let time = (began + Duration::from_millis(place * scale)).saturating_sub(clock::now());
                IS_LATE.fetch_or(time.is_zero(), Ordering::Relaxed);
                thread::sleep(time);
                note(place);
            }
        };
        join_all([at(5, until(90))?, at(5, until(30))?, at(5, until(120))?, at(5, until(60))?])?;
        if !IS_LATE.load(Ordering::Relaxed) {
            let (order, count) = take_order();
            ensure_eq!(order[..count], [30, 60, 90, 120]);
            return Ok(());
        }
    }
    Err(Failure::new("each time somebody came too late to sleep".into()))
}

/// A thread can be made with a priority up to the maker's own.
fn nobody_makes_a_thread_above_itself() -> Verdict {
    let table = CapTable::new(program().account(), 1)?;
    let make = |priority| Thread::new(program().account(), &table, program().space(), priority);
    for priority in [CLAIM_PRIORITY + 1, PRIORITY_MAX.into(), 32, 255, 256, 1 << 32, u64::MAX] {
        refused(make(priority), Error::BadArgument)?;
    }
    for priority in [0, CLAIM_PRIORITY] {
        ensure_eq!(make(priority)?.info()?.priority, priority);
    }
    Ok(())
}

/// Setting a priority goes up to the caller's own; the old one is returned, and a refusal changes nothing.
fn nobody_raises_a_thread_above_itself() -> Verdict {
    let thread = at(4, || {
        let own = thread::spawn(|| ())?;
        let result = own.thread().set_priority(5);
        own.join().and(Ok(result))
    })?;
    refused(thread.join()??, Error::BadArgument)?;
    let table = CapTable::new(program().account(), 1)?;
    let thread = Thread::new(program().account(), &table, program().space(), 7)?;
    for priority in [CLAIM_PRIORITY + 1, 32, 256 + 7, u64::MAX] {
        refused(thread.set_priority(priority), Error::BadArgument)?;
        ensure_eq!(thread.info()?.priority, 7);
    }
    ensure_eq!((thread.set_priority(CLAIM_PRIORITY)?, thread.set_priority(0)?), (7, CLAIM_PRIORITY));
    Ok(())
}

/// Raising a ready thread above another lets it run before that one.
fn a_new_priority_counts_at_once() -> Verdict {
    take_order();
    let (first, second) = (at(5, || note(1))?, at(5, || note(2))?);
    let third = at(4, || note(3))?;
    third.thread().set_priority(6)?;
    first.thread().set_priority(3)?;
    join_all([first, second, third])?;
    let (order, count) = take_order();
    ensure_eq!(order[..count], [3, 2, 1]);
    Ok(())
}

/// Threads that became equals by a new priority take turns like those that were made so, in the order in which they
/// became ready for it.
fn threads_made_equal_take_turns() -> Verdict {
    let step = |who| {
        move || {
            for _ in 0..3 {
                note(who);
                thread::yield_now();
            }
        }
    };
    undisturbed(|| {
        take_order();
        let (first, second, third) = (at(5, step(1))?, at(3, step(2))?, at(7, step(3))?);
        second.thread().set_priority(5)?;
        third.thread().set_priority(5)?;
        join_all([first, second, third])?;
        let (order, count) = take_order();
        ensure_eq!(order[..count], [1, 2, 3, 1, 2, 3, 1, 2, 3]);
        Ok(())
    })
}

/// A thread that becomes the running one's equal waits for its turn: only a higher priority takes the CPU at once.
fn who_becomes_an_equal_does_not_take_the_cpu() -> Verdict {
    static RAN: AtomicBool = AtomicBool::new(false);
    undisturbed(|| {
        RAN.store(false, Ordering::Relaxed);
        let other = at(CLAIM_PRIORITY - 1, || RAN.store(true, Ordering::Relaxed))?;
        other.thread().set_priority(CLAIM_PRIORITY)?;
        let ran_at_once = RAN.load(Ordering::Relaxed);
        thread::yield_now();
        let ran_when_given_way = RAN.load(Ordering::Relaxed);
        other.join()?;
        ensure_eq!((ran_at_once, ran_when_given_way), (false, true));
        Ok(())
    })
}

/// Time goes on, and never back.
fn the_clock_never_goes_back() -> Verdict {
    let began = clock::now();
    let mut last = began;
    for _ in 0..2000 {
        let now = clock::now();
        ensure!(now >= last, "{now:?} came after {last:?}");
        last = now;
    }
    ensure!(last > began, "the clock stands still");
    Ok(())
}

/// The CPU's counters tell of timer interrupts and of changes of thread.
fn timer_interrupts_and_switches_are_counted() -> Verdict {
    let before = counters::of_cpu(0)?;
    for _ in 0..10 {
        thread::sleep(Duration::from_micros(500));
    }
    let after = counters::of_cpu(0)?;
    ensure!(after.timer_interrupts >= before.timer_interrupts + 10, "10 sleeps took fewer timer interrupts");
    ensure!(after.thread_switches >= before.thread_switches + 10, "10 sleeps took fewer changes of thread");
    ensure!(after.system_calls >= before.system_calls + 10, "10 sleeps were fewer calls");
    refused(counters::of_cpu(1 << 20), Error::BadArgument)?;
    ensure_eq!(counters::cpus()?, program().machine().ok_or(Error::MissingRight)?.info()?.cpus);
    Ok(())
}
