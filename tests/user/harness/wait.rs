//! Waiting for other threads without trusting that any length of time is enough on a busy emulator.

use crate::{Failure, ensure};
use core::time::Duration;
use libvas::thread::{self, ThreadState};
use libvas::{Cap, Thread, clock};

/// What has not come true by then never will, on however busy a host.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Sleeps until something is true.
///
/// # Errors
/// A failure if it does not come true, and what asking fails with.
#[track_caller]
pub fn wait_until(mut is_true: impl FnMut() -> Result<bool, libvas::Error>) -> Result<(), Failure> {
    let (deadline, mut nap_us) = (clock::now() + LIMIT, 100);
    while !is_true()? {
        ensure!(clock::now() < deadline, "what was waited for did not happen within {LIMIT:?}");
        thread::sleep(Duration::from_micros(nap_us));
        // Never in step with others that sleep again and again: where time is the count of instructions, that would last for ever.
        nap_us = (nap_us + 37) % 211 + 50;
    }
    Ok(())
}

/// Sleeps until a thread is in a state.
///
/// # Errors
/// A failure if it never is.
#[track_caller]
pub fn wait_for_state(thread: &Cap<Thread>, state: ThreadState) -> Result<(), Failure> {
    wait_until(|| Ok(thread.info()?.state == state as u64))
}
