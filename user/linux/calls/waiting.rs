//! Calls that wait for what is open.

use super::{Served, times};
use crate::errno::Errno;
use crate::files::{Open, What};
use crate::process::Process;
use crate::schedule::now_ns;

/// The most descriptors that one call asks about.
const ENTRIES_MAX: u64 = 1024;

const MILLISECOND_NS: u64 = 1_000_000;

/// What is asked about a descriptor, and what is so (`POLLIN` and its like).
pub(super) mod event {
    pub(in crate::calls) const INPUT: u16 = 0x1 | 0x40;
    pub(in crate::calls) const OUTPUT: u16 = 0x4 | 0x100;
    pub(in crate::calls) const ERROR: u16 = 0x8;
    pub(in crate::calls) const END: u16 = 0x10;
    pub(in crate::calls) const NOT_OPEN: u16 = 0x20;
}

/// `poll(entries, count, milliseconds)`
pub(super) fn poll(process: &mut Process<'_>, [entries, count, milliseconds, ..]: [u64; 6]) -> Served {
    let until_ns = match (process.progress.until_ns, u64::try_from(milliseconds as i32)) {
        (Some(until_ns), _) => Some(until_ns),
        (None, Ok(milliseconds)) => Some(now_ns().saturating_add(milliseconds * MILLISECOND_NS)),
        // Less than nothing is for ever.
        (None, Err(_)) => None,
    };
    answer_until(process, entries, count, until_ns)
}

/// `ppoll(entries, count, time, mask)`
pub(super) fn poll_until(process: &mut Process<'_>, [entries, count, time, mask, ..]: [u64; 6]) -> Served {
    let until_ns = if time == 0 { None } else { Some(times::until_ns(process, time)?) };
    if mask != 0 {
        let mask = process.memory.word(mask)?;
        process.signals.set_mask_while_waiting(mask);
    }
    answer_until(process, entries, count, until_ns)
}

fn answer_until(process: &mut Process<'_>, entries: u64, count: u64, until_ns: Option<u64>) -> Served {
    let ready = answer(process, entries, count)?;
    if is_over(ready, until_ns) { Ok(ready) } else { Err(process.wait_until(until_ns)) }
}

/// Whether a call has not to wait any more.
pub(super) fn is_over(ready: u64, until_ns: Option<u64>) -> bool {
    ready > 0 || until_ns.is_some_and(|until_ns| now_ns() >= until_ns)
}

/// Says of each descriptor what can be done at once of what was asked; returns of how many something can.
fn answer(process: &Process<'_>, entries: u64, count: u64) -> Served {
    if count > ENTRIES_MAX {
        return Err(Errno::EINVAL);
    }
    let mut ready = 0;
    for entry in 0..count {
        // The descriptor, an `int`; what is asked, and the answer, a `short` each.
        let at = entries.wrapping_add(8 * entry);
        let word = process.memory.word(at)?;
        let (descriptor, asked) = (word as u32, (word >> 32) as u16);
        let answer = match process.files.get(u64::from(descriptor)) {
            // Less than nothing is an entry to be passed over.
            _ if (descriptor as i32) < 0 => 0,
            Ok(open) => events(&open) & (asked | event::ERROR | event::END),
            Err(_) => event::NOT_OPEN,
        };
        process.memory.write(at.wrapping_add(6), &answer.to_le_bytes())?;
        ready += u64::from(answer != 0);
    }
    Ok(ready)
}

/// What is so of what is behind a descriptor.
pub(super) fn events(open: &Open<'_>) -> u16 {
    let when = |is_so: bool, events: u16| if is_so { events } else { 0 };
    match &open.what {
        What::Input => event::INPUT,
        What::Output(_) => event::OUTPUT,
        What::Node(_) => event::INPUT | event::OUTPUT,
        What::Reader(reader) => when(reader.has_bytes(), event::INPUT) | when(reader.is_at_end(), event::END),
        What::Writer(writer) => when(writer.has_room(), event::OUTPUT) | when(writer.is_broken(), event::ERROR),
    }
}
