//! A lock for the threads of a program, which knows who has it.

use crate::{clock, raw, stack};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// The owner of a lock that nobody has.
const NOBODY: u64 = 0;

/// How often a taken lock is looked at before the first nap: its owner may be at work on another CPU, and done soon.
const SPINS: u32 = 64;

/// The first nap; each further one is twice as long, so that many who wait do not keep the owner from its CPU.
const NAP: Duration = Duration::from_micros(50);

/// The longest nap.
const NAP_LONGEST: Duration = Duration::from_millis(5);

/// A lock for what threads share; who finds it taken sleeps and looks again.
///
/// The value is reached in a closure, never by a guard that could be kept: when the closure is over, so is every use of
/// the value, and when the thread has ended within it, so has every use as well.
///
/// ```
/// use libvas::sync::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
/// TOTAL.lock(|total| *total += 1);
/// assert_eq!(TOTAL.try_lock(|total| *total), Some(1));
/// ```
///
/// # When the owner ends
///
/// A thread can end within the closure: it panics, faults, exits, or is stopped
/// ([`Cap::<Thread>::stop`](crate::Cap::stop)), at any instruction. The value may be torn then, so nobody is shown it
/// again, and it is not dropped. Others do not wait for ever: [`Mutex::lock`] panics, and [`Mutex::lock_or_renew`]
/// puts a new value in and goes on.
///
/// All this is among libvas' own threads: the first one, and those that [`crate::thread::spawn`] made. A lock that a
/// thread on another stack ([`Cap::<Thread>::start`](crate::Cap::start)) had when it ended stays taken, and a thread
/// there waits for ever for one that an ended thread had, or it itself.
pub struct Mutex<T> {
    /// The thread that has the lock, as `stack::own_number` gives it; [`NOBODY`] if none has.
    owner: AtomicU64,
    /// Dropped only if nobody has the lock.
    value: UnsafeCell<ManuallyDrop<T>>,
}

// SAFETY: one thread at a time gets at the value, so it goes from thread to thread, and is never used by two at once.
unsafe impl<T: Send> Sync for Mutex<T> {}

/// Why a lock is not to be had, now or later.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The calling thread has it.
    Own,
    /// This thread has it, and has ended.
    Abandoned(u64),
}

impl<T> Mutex<T> {
    /// An open lock.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { owner: AtomicU64::new(NOBODY), value: UnsafeCell::new(ManuallyDrop::new(value)) }
    }

    /// Runs a closure with the value, when no other thread has the lock.
    ///
    /// # Panics
    /// If the thread that has the lock has ended, or is the calling one.
    pub fn lock<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let own = stack::own_number();
        // Most often it is free.
        match self.try_acquire(own).or_else(|_| self.acquire(own, stack::has_ended)) {
            Ok(()) => self.run(body),
            Err(refusal) => refuse(&refusal),
        }
    }

    /// As [`Mutex::lock`]; but if the thread that has the lock has ended, its value is forgotten, without being
    /// dropped, and the closure gets one that `make` made.
    ///
    /// ```
    /// # static NAMES: libvas::sync::Mutex<Vec<String>> = libvas::sync::Mutex::new(Vec::new());
    /// NAMES.lock_or_renew(Vec::new, |names| names.push("one more".into()));
    /// ```
    ///
    /// # Panics
    /// If the calling thread has the lock.
    pub fn lock_or_renew<R>(&self, make: impl Fn() -> T, body: impl FnOnce(&mut T) -> R) -> R {
        let own = stack::own_number();
        loop {
            match self.acquire(own, stack::has_ended) {
                Ok(()) => return self.run(body),
                Err(Refusal::Abandoned(before)) if self.renew(before, own, make()) => return self.run(body),
                // Another thread renewed it first.
                Err(Refusal::Abandoned(_)) => {}
                Err(refusal) => refuse(&refusal),
            }
        }
    }

    /// Runs a closure with the value if the lock is free; it is not while an ended thread has it.
    pub fn try_lock<R>(&self, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.try_acquire(stack::own_number()).ok().map(|()| self.run(body))
    }

    /// Runs the closure of the thread that has the lock, and frees it.
    fn run<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let _freed = Freed(&self.owner);
        // SAFETY: the lock is this thread's until `_freed` is dropped, and the closure cannot keep the reference. If the
        // thread ends within, the lock changes hands only when it can use the reference no more.
        body(unsafe { &mut *self.value.get() })
    }

    #[inline]
    fn try_acquire(&self, own: u64) -> Result<(), u64> {
        self.owner.compare_exchange(NOBODY, own, Ordering::Acquire, Ordering::Relaxed).map(|_| ())
    }

    fn acquire(&self, own: u64, has_ended: impl Fn(u64) -> bool) -> Result<(), Refusal> {
        // Sleeping, and not only spinning or yielding: an owner of lower priority must get to run.
        let mut nap = NAP;
        loop {
            let mut owner = NOBODY;
            for _ in 0..SPINS {
                match self.try_acquire(own) {
                    Ok(()) => return Ok(()),
                    Err(other) => owner = other,
                }
                raw::relax();
            }
            if owner == own && own != stack::FOREIGN {
                return Err(Refusal::Own);
            }
            // It may have freed the lock before it ended. If not, nobody else does.
            if has_ended(owner) && self.owner.load(Ordering::Acquire) == owner {
                return Err(Refusal::Abandoned(owner));
            }
            clock::sleep(nap);
            nap = (nap * 2).min(NAP_LONGEST);
        }
    }

    /// Takes the lock over from a thread that has ended, with a new value; `false` if another one did.
    fn renew(&self, before: u64, own: u64, value: T) -> bool {
        let is_mine = self.owner.compare_exchange(before, own, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if is_mine {
            // SAFETY: the lock is this thread's now. The old value, torn perhaps, is overwritten and not dropped.
            unsafe { self.value.get().write(ManuallyDrop::new(value)) };
        }
        is_mine
    }
}

#[cold]
fn refuse(refusal: &Refusal) -> ! {
    match refusal {
        Refusal::Own => panic!("this thread has the lock already"),
        Refusal::Abandoned(_) => panic!("the thread that has the lock has ended"),
    }
}

/// Frees a lock when dropped.
struct Freed<'a>(&'a AtomicU64);

impl Drop for Freed<'_> {
    fn drop(&mut self) {
        self.0.store(NOBODY, Ordering::Release);
    }
}

impl<T> Drop for Mutex<T> {
    /// Drops the value, unless a thread ended with it in hand.
    fn drop(&mut self) {
        if *self.owner.get_mut() == NOBODY {
            // SAFETY: nobody has the lock, and nobody will.
            unsafe { ManuallyDrop::drop(self.value.get_mut()) };
        }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mutex").field("owner", &self.owner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Mutex, Refusal};
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    const ALIVE: fn(u64) -> bool = |_| false;
    const ENDED: fn(u64) -> bool = |_| true;

    #[test]
    fn one_thread_at_a_time() {
        let total = Arc::new(Mutex::new((0_u64, 0_u64)));
        let threads = [(); 4].map(|()| {
            let total = Arc::clone(&total);
            std::thread::spawn(move || {
                for _ in 0..1000 {
                    total.lock(|(first, second)| {
                        assert_eq!(first, second);
                        *first += 1;
                        std::thread::yield_now();
                        *second += 1;
                    });
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().expect("it counts"));
        assert_eq!(total.try_lock(|total| *total), Some((4000, 4000)));
    }

    #[test]
    fn who_has_the_lock_does_not_wait_for_it() {
        let lock = Mutex::new(1);
        assert_eq!(lock.acquire(7, ALIVE), Ok(()));
        assert_eq!(lock.acquire(7, ALIVE), Err(Refusal::Own));
        assert_eq!(lock.try_lock(|value| *value), None);
    }

    #[test]
    fn what_an_ended_thread_had_is_renewed_by_one_and_not_dropped() {
        let value = Arc::new(());
        let lock = Mutex::new(Arc::clone(&value));
        assert_eq!(lock.acquire(7, ALIVE), Ok(()));
        assert_eq!(lock.acquire(8, ENDED), Err(Refusal::Abandoned(7)));
        assert!(lock.renew(7, 8, Arc::new(())), "the first who sees it takes it over");
        assert!(!lock.renew(7, 9, Arc::new(())), "the second does not");
        assert_eq!(lock.owner.swap(0, Ordering::Relaxed), 8);
        assert_eq!(Arc::strong_count(&value), 2, "the torn value is left alone");
        lock.lock_or_renew(|| unreachable!("it is whole"), |value| assert_eq!(Arc::strong_count(value), 1));
    }

    #[test]
    fn an_owner_that_freed_it_and_ended_abandoned_nothing() {
        let lock = Mutex::new(());
        assert_eq!(lock.acquire(7, ALIVE), Ok(()));
        let frees_first = |owner| {
            assert_eq!(lock.owner.swap(0, Ordering::Relaxed), owner);
            true
        };
        assert_eq!(lock.acquire(8, frees_first), Ok(()));
    }

    #[test]
    fn a_value_is_dropped_unless_it_may_be_torn() {
        let value = Arc::new(());
        drop(Mutex::new(Arc::clone(&value)));
        assert_eq!(Arc::strong_count(&value), 1);
        let lock = Mutex::new(Arc::clone(&value));
        assert_eq!(lock.acquire(7, ALIVE), Ok(()));
        drop(lock);
        assert_eq!(Arc::strong_count(&value), 2);
    }
}
