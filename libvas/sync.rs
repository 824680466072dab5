//! Locks for the threads of a program.

use crate::clock;
use core::time::Duration;
use spin::mutex::SpinMutex;

/// What [`Mutex::lock`] gives: the value, until it is dropped.
pub type MutexGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T>;

/// How often a taken lock is looked at before the first nap: its holder may be at work on another CPU, and done soon.
const SPINS: u32 = 64;

/// The first nap; each further one is twice as long, so that many who wait do not keep the holder from its CPU.
const NAP: Duration = Duration::from_micros(50);

/// The longest nap.
const NAP_LONGEST: Duration = Duration::from_millis(5);

/// A lock for what threads share; who finds it taken sleeps and looks again.
///
/// ```
/// use libvas::sync::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
/// *TOTAL.lock() += 1;
/// assert!(TOTAL.try_lock().is_some());
/// ```
#[derive(Debug)]
pub struct Mutex<T>(SpinMutex<T>);

impl<T> Mutex<T> {
    /// An open lock.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(SpinMutex::new(value))
    }

    /// Takes the lock, waiting for as long as another thread holds it. A thread that takes it twice waits for ever.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // Sleeping, and not only spinning or yielding: a holder of lower priority must get to run.
        let mut nap = NAP;
        loop {
            for _ in 0..SPINS {
                if let Some(guard) = self.0.try_lock() {
                    return guard;
                }
                core::hint::spin_loop();
            }
            clock::sleep(nap);
            nap = (nap * 2).min(NAP_LONGEST);
        }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }
}
