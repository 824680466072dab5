//! Calls on time. It begins when the machine is started: there is no clock that knows the date.

use super::Served;
use crate::errno::Errno;
use crate::process::Process;
use crate::records;
use crate::schedule::now_ns;

/// The clocks that Linux has, by number. All are the same here.
const CLOCKS: u64 = 12;

const SECOND_NS: u64 = 1_000_000_000;

/// `clock_gettime(clock, buffer)`
pub(super) fn now(process: &mut Process<'_>, [clock, buffer, ..]: [u64; 6]) -> Served {
    if clock >= CLOCKS {
        return Err(Errno::EINVAL);
    }
    process.memory.write(buffer, &records::time(now_ns())).map(|()| 0)
}

/// `clock_getres(clock, buffer)`
pub(super) fn resolution(process: &mut Process<'_>, [clock, buffer, ..]: [u64; 6]) -> Served {
    if clock >= CLOCKS {
        return Err(Errno::EINVAL);
    }
    if buffer != 0 {
        process.memory.write(buffer, &records::time(1))?;
    }
    Ok(0)
}

/// `gettimeofday(buffer, zone)`
pub(super) fn time_of_day(process: &mut Process<'_>, [buffer, zone, ..]: [u64; 6]) -> Served {
    let now = now_ns();
    if buffer != 0 {
        process.memory.write(buffer, &records::pair(now / SECOND_NS, now % SECOND_NS / 1000))?;
    }
    if zone != 0 {
        process.memory.write(zone, &[0; 8])?;
    }
    Ok(0)
}

/// `time(buffer)`
pub(super) fn seconds(process: &mut Process<'_>, [buffer, ..]: [u64; 6]) -> Served {
    let seconds = now_ns() / SECOND_NS;
    if buffer != 0 {
        process.memory.write(buffer, &seconds.to_le_bytes())?;
    }
    Ok(seconds)
}

/// `times(buffer)`: what the program has used is all the time that there was.
pub(super) fn ticks(process: &mut Process<'_>, [buffer, ..]: [u64; 6]) -> Served {
    // As the auxiliary vector says (`CLOCK_TICKS` in stack.rs).
    const TICKS_PER_SECOND: u64 = 100;
    let ticks = now_ns() / (SECOND_NS / TICKS_PER_SECOND);
    if buffer != 0 {
        process.memory.write(buffer, &records::pair(ticks, 0))?;
        process.memory.write(buffer.wrapping_add(16), &records::pair(0, 0))?;
    }
    Ok(ticks)
}

/// `getrusage(who, buffer)`: the same, but for children, of which there are none; nothing else is counted.
pub(super) fn usage(process: &mut Process<'_>, [who, buffer, ..]: [u64; 6]) -> Served {
    const USAGE_BYTES: usize = 144;
    const CHILDREN: i32 = -1;
    let mut bytes = [0; USAGE_BYTES];
    let now = if who as i32 == CHILDREN { 0 } else { now_ns() };
    bytes[..16].copy_from_slice(&records::pair(now / SECOND_NS, now % SECOND_NS / 1000));
    process.memory.write(buffer, &bytes).map(|()| 0)
}

/// `nanosleep(time, rest)`
pub(super) fn sleep(process: &mut Process<'_>, [time, ..]: [u64; 6]) -> Served {
    let until_ns = until_ns(process, time)?;
    sleep_until(process, until_ns)
}

/// `clock_nanosleep(clock, flags, time, rest)`
pub(super) fn sleep_by(process: &mut Process<'_>, [clock, flags, time, ..]: [u64; 6]) -> Served {
    const UNTIL: u64 = 1;
    if clock >= CLOCKS {
        return Err(Errno::EINVAL);
    }
    let until_ns = if flags & UNTIL != 0 { asked_ns(process, time) } else { until_ns(process, time) }?;
    sleep_until(process, until_ns)
}

/// When a call is over that has been waiting for so long, or does from now on: what is at `time` is read when it is made first.
pub(super) fn until_ns(process: &Process<'_>, time: u64) -> Result<u64, Errno> {
    match process.progress.until_ns {
        Some(until_ns) => Ok(until_ns),
        None => Ok(now_ns().saturating_add(asked_ns(process, time)?)),
    }
}

fn sleep_until(process: &mut Process<'_>, until_ns: u64) -> Served {
    if now_ns() >= until_ns { Ok(0) } else { Err(process.wait_until(Some(until_ns))) }
}

/// The time in a `struct timespec` of the program's.
pub(super) fn asked_ns(process: &Process<'_>, address: u64) -> Result<u64, Errno> {
    let (seconds, rest) = (process.memory.word(address)?, process.memory.word(address.wrapping_add(8))?);
    if rest >= SECOND_NS || i64::try_from(seconds).is_err() {
        return Err(Errno::EINVAL);
    }
    Ok(seconds.saturating_mul(SECOND_NS).saturating_add(rest))
}

/// `sched_yield()`: it waits for its next turn.
pub(super) fn give_way(process: &mut Process<'_>, _arguments: [u64; 6]) -> Served {
    if core::mem::replace(&mut process.progress.is_woken, true) { Ok(0) } else { Err(process.wait_until(Some(0))) }
}
