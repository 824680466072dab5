//! How late a thread of top priority wakes while another one makes a long call.
//!
//! The sleeper wakes, looks how late it is, and sleeps again, for as long as the call goes on. Under `-icount` the clock and the
//! instruction counter run together, so what it is late by is what CPUs worked in between: the rest of a stretch in which
//! the kernel takes no interrupt, and its own way out of sleep and into it.

use crate::CPU_0;
use crate::measure::{Measured, Meter, Stop};
use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use libvas::thread::Builder;
use libvas::{Error, clock, program, raw};

/// What is slept, by turns, nanoseconds. Little, because each sleep begins when a stretch has ended, and whoever sleeps long
/// into the next one sees little of it; but longer than falling asleep takes, or the call would never go on.
const SLEEPS_NS: [u64; 8] = [4_001, 7_013, 5_003, 11_003, 6_007, 19_001, 4_507, 8_009];

/// By how much the counter may run faster or slower than the clock, of a hundred.
const TOLERATED_PER_CENT: u64 = 2;
const TRIAL_TICKS: u64 = 1_000_000;

static IS_OVER: AtomicBool = AtomicBool::new(false);
static IS_SEEN: AtomicBool = AtomicBool::new(false);

/// The most that any call has shown since this was last taken, and of how many.
static WORST: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// The latest that the sleeper wakes while a thread of the priority below its own makes a call, on the same CPU. (On another one,
/// how often it looks at the kernel's lock meanwhile would be the emulator's affair, and differ from run to run.)
///
/// What `prepare` makes is handed to the call. What that returns is dropped after it, when nobody measures.
pub(crate) fn lateness<S: Send + 'static, R: Send + 'static>(
    meter: &mut Meter,
    prepare: impl FnOnce() -> Result<S, Error>,
    call: impl FnOnce(S) -> Result<R, Error> + Send + 'static,
) -> Measured {
    need_ticks_of_the_clock()?;
    let prepared = prepare()?;
    IS_OVER.store(false, Relaxed);
    IS_SEEN.store(false, Relaxed);
    let below = program().thread().info()?.priority.checked_sub(1).ok_or(Error::BadState)?;
    let worker = Builder::new().cpus(CPU_0).priority(below).spawn(move || {
        let result = call(prepared);
        IS_OVER.store(true, Relaxed);
        // Nobody of a lower priority, whom the call may have made ready, is to run before the sleeper has seen the end.
        while !IS_SEEN.load(Relaxed) {
            raw::relax();
        }
        result
    })?;
    let latest = sleep_until_over();
    IS_SEEN.store(true, Relaxed);
    drop(worker.join()??);
    meter.ticks(latest);
    WORST.fetch_max(latest, Relaxed);
    CALLS.fetch_add(1, Relaxed);
    Ok(())
}

/// Skips a call that this machine cannot make.
pub(crate) fn skipped(reason: String) -> Stop {
    CALLS.fetch_add(1, Relaxed);
    Stop::Skipped(reason)
}

/// The most that any call has shown since the last time, and of how many that is, those that were skipped included.
pub(crate) fn take_worst() -> (u64, u64) {
    (WORST.swap(0, Relaxed), CALLS.swap(0, Relaxed))
}

/// The sleeper: until the call is over.
fn sleep_until_over() -> u64 {
    let mut latest = 0;
    for slept_ns in SLEEPS_NS.into_iter().cycle() {
        let before = raw::cycles();
        clock::sleep(Duration::from_nanos(slept_ns));
        latest = latest.max(raw::cycles().wrapping_sub(before).saturating_sub(slept_ns));
        if IS_OVER.load(Relaxed) {
            break;
        }
    }
    latest
}

/// Skips the benchmark unless a tick is a nanosecond of the clock: what is late in one is not late in the other.
fn need_ticks_of_the_clock() -> Measured {
    let (ticks, time) = (raw::cycles(), clock::now());
    while raw::cycles().wrapping_sub(ticks) < TRIAL_TICKS {
        raw::relax();
    }
    let (ticks, time_ns) = (raw::cycles().wrapping_sub(ticks), (clock::now() - time).as_nanos() as u64);
    if ticks.abs_diff(time_ns) * 100 > ticks * TOLERATED_PER_CENT {
        return Err(skipped(format!("{ticks} ticks of its counter are {time_ns} ns, where both have to be the same")));
    }
    Ok(())
}
