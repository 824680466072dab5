//! Time since boot, and waiting for it to pass.

use crate::call::{perform, perform_short};
use core::time::Duration;
use tessera_abi::Call;

pub use crate::raw::ticks;

/// The time since boot.
///
/// ```no_run
/// use core::time::Duration;
/// use libvas::clock;
///
/// let before = clock::now();
/// clock::sleep(Duration::from_millis(5));
/// assert!(clock::now() - before >= Duration::from_millis(5));
/// ```
pub fn now() -> Duration {
    // The call has no errors; on a host without a kernel the clock stands still.
    Duration::from_nanos(perform_short(Call::Clock {}).unwrap_or(0))
}

/// Stops the calling thread for at least `time` (at most 584 years, the range of nanoseconds in 64 bits).
pub fn sleep(time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    // The call has no errors.
    let _ = perform(Call::Sleep { nanoseconds });
}
