//! Calls that wait for what is open. Nothing here has to be waited for.

use super::{Served, times};
use crate::process::Process;
use core::time::Duration;
use libvas::clock;
use linux::errno::Errno;

/// The most descriptors that one call asks about.
const ENTRIES_MAX: u64 = 1024;

/// `poll(entries, count, milliseconds)`
pub(super) fn poll(process: &mut Process<'_>, [entries, count, milliseconds, ..]: [u64; 6]) -> Served {
    let ready = answer(process, entries, count)?;
    if ready == 0 {
        // Less than nothing is for ever, and nothing would ever come.
        clock::sleep(Duration::from_millis(u64::try_from(milliseconds as i32).unwrap_or(0)));
    }
    Ok(ready)
}

/// `ppoll(entries, count, time, mask)`
pub(super) fn poll_until(process: &mut Process<'_>, [entries, count, time, ..]: [u64; 6]) -> Served {
    let ready = answer(process, entries, count)?;
    if ready == 0 && time != 0 {
        times::sleep(process, [time, 0, 0, 0, 0, 0])?;
    }
    Ok(ready)
}

/// Says of each descriptor that it can be read and written at once, as far as that was asked; returns how many there are.
fn answer(process: &Process<'_>, entries: u64, count: u64) -> Served {
    const INPUT_AND_OUTPUT: u16 = 0x1 | 0x4 | 0x40 | 0x100;
    const NOT_OPEN: u16 = 0x20;
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
            Ok(_) => asked & INPUT_AND_OUTPUT,
            Err(_) => NOT_OPEN,
        };
        process.memory.write(at.wrapping_add(6), &answer.to_le_bytes())?;
        ready += u64::from(answer != 0);
    }
    Ok(ready)
}
