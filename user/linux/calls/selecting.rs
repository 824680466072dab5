//! `select`: the same as `poll`, with sets of descriptors.

use super::waiting::{event, events, is_over};
use super::{Served, times};
use crate::errno::Errno;
use crate::process::Process;
use crate::schedule::now_ns;
use alloc::vec::Vec;

/// Descriptors that one call asks about.
const DESCRIPTORS_MAX: u64 = 1024;

/// What is asked with each of the three sets: an end and an error are seen by who reads and who writes; nothing is exceptional.
const ASKED: [u16; 3] = [event::INPUT | event::END, event::OUTPUT | event::ERROR, 0];

/// `select(count, to read, to write, exceptional, time)`, the time in seconds and microseconds
pub(super) fn select(process: &mut Process<'_>, [count, reading, writing, other, time, _]: [u64; 6]) -> Served {
    const MICROSECOND_NS: u64 = 1000;
    const SECOND_NS: u64 = 1_000_000_000;
    let until_ns = match (process.progress.until_ns, time) {
        (Some(until_ns), _) => Some(until_ns),
        (None, 0) => None,
        (None, time) => {
            let (seconds, rest) = (process.memory.word(time)?, process.memory.word(time.wrapping_add(8))?);
            let asked_ns = seconds.saturating_mul(SECOND_NS).saturating_add(rest.saturating_mul(MICROSECOND_NS));
            Some(now_ns().saturating_add(asked_ns))
        }
    };
    answer(process, count, [reading, writing, other], until_ns)
}

/// `pselect6(count, to read, to write, exceptional, time, mask's place)`
pub(super) fn select_until(
    process: &mut Process<'_>,
    [count, reading, writing, other, time, mask]: [u64; 6],
) -> Served {
    let until_ns = if time == 0 { None } else { Some(times::until_ns(process, time)?) };
    let place = if mask == 0 { 0 } else { process.memory.word(mask)? };
    if place != 0 {
        let mask = process.memory.word(place)?;
        process.signals.set_mask_while_waiting(mask);
    }
    answer(process, count, [reading, writing, other], until_ns)
}

fn answer(process: &mut Process<'_>, count: u64, sets: [u64; 3], until_ns: Option<u64>) -> Served {
    if count > DESCRIPTORS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut found = [const { Vec::new() }; 3];
    let mut ready = 0;
    for ((set, asked), found) in sets.into_iter().zip(ASKED).zip(&mut found).filter(|((set, _), _)| *set != 0) {
        for first in (0..count).step_by(64) {
            let wanted = process.memory.word(set.wrapping_add(first / 8))?;
            let answer = answered(process, wanted, first, count, asked)?;
            ready += u64::from(answer.count_ones());
            found.extend(answer.to_le_bytes());
        }
    }
    if !is_over(ready, until_ns) {
        return Err(process.wait_until(until_ns));
    }
    for (set, found) in sets.into_iter().zip(found).filter(|(set, _)| *set != 0) {
        process.memory.write(set, &found)?;
    }
    Ok(ready)
}

/// Of the descriptors in a word of a set, whose first is `first`, those of which something is so that is asked.
fn answered(process: &Process<'_>, wanted: u64, first: u64, count: u64, asked: u16) -> Result<u64, Errno> {
    let mut answer = 0;
    for bit in (0..64).filter(|bit| wanted & 1 << bit != 0 && first + bit < count) {
        let open = process.files.get(first + bit)?;
        answer |= u64::from(events(&open) & asked != 0) << bit;
    }
    Ok(answer)
}
