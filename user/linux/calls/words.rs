//! `futex`: threads that wait at a word of memory until somebody wakes them.

use super::{Served, times};
use crate::errno::Errno;
use crate::process::Process;
use crate::schedule::now_ns;
use crate::world::World;

/// What is asked for, without flags: for one process or for several, and by which clock, makes no difference.
const OPERATION: u64 = 0x7f;
const WAIT: u64 = 0;
const WAKE: u64 = 1;
/// The same with a set of bits, all of which are meant here; the time is one of the clock, and not how long.
const WAIT_UNTIL: u64 = 9;
const WAKE_SOME: u64 = 10;

/// `futex(word, operation, value, time)`
pub(super) fn futex<'a>(
    world: &mut World<'a>,
    process: &mut Process<'a>,
    [word, operation, value, time, ..]: [u64; 6],
) -> Served {
    if !word.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let operation = operation & OPERATION;
    match operation {
        WAIT | WAIT_UNTIL => wait(process, word, value as u32, time, operation == WAIT_UNTIL),
        WAKE | WAKE_SOME => Ok(world.wake(process, word, u64::from(value as u32))),
        _ => Err(Errno::ENOSYS),
    }
}

/// Waits while nobody wakes it, if the word has a value.
fn wait(process: &mut Process<'_>, word: u64, value: u32, time: u64, is_date: bool) -> Served {
    if process.progress.is_woken {
        return Ok(0);
    }
    let until_ns = match time {
        0 => None,
        _ if is_date => Some(times::asked_ns(process, time)?),
        _ => Some(times::until_ns(process, time)?),
    };
    if process.progress.word.is_none() {
        let mut found = [0; 4];
        process.memory.read(word, &mut found)?;
        if u32::from_le_bytes(found) != value {
            return Err(Errno::EAGAIN);
        }
        process.progress.word = Some(word);
    }
    if until_ns.is_some_and(|until_ns| now_ns() >= until_ns) {
        return Err(Errno::ETIMEDOUT);
    }
    Err(process.wait_until(until_ns))
}
