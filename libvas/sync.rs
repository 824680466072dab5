//! Locks for the threads of a program.

use crate::clock;
use core::time::Duration;
use spin::RelaxStrategy;

/// A lock for what threads share; who finds it taken sleeps a little and looks again.
///
/// ```
/// use libvas::sync::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
/// *TOTAL.lock() += 1;
/// ```
pub type Mutex<T> = spin::mutex::SpinMutex<T, Nap>;

/// Waits by sleeping. Spinning would keep a holder of lower priority from ever running, and so would yielding.
#[derive(Debug)]
pub enum Nap {}

impl RelaxStrategy for Nap {
    fn relax() {
        clock::sleep(Duration::from_micros(50));
    }
}
