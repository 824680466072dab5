//! Atomics for tests: each use is a step, and a thread can be told to stop before any of them.

use core::sync::atomic::Ordering;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

std::thread_local! {
    /// The steps that this thread still makes, if it is to stop.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    /// After how many steps it lets other threads run, and how many it has made since.
    static PAUSES: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

struct Stopped;

/// Runs `body`, which is stopped for good before its step number `steps`, counted from 0; says whether it came to its
/// end before. What was on the thread's stack must have no destructors that matter.
pub(crate) fn stops_before(steps: u64, body: impl FnOnce()) -> bool {
    LEFT.set(Some(steps));
    let result = catch_unwind(AssertUnwindSafe(body));
    LEFT.set(None);
    match result {
        Ok(()) => false,
        Err(reason) if reason.is::<Stopped>() => true,
        Err(reason) => resume_unwind(reason),
    }
}

/// Lets other threads run after so many steps of this one, again and again.
pub(crate) fn pause_after(steps: u64) {
    PAUSES.set((steps, 0));
}

/// A step.
pub(crate) fn step() {
    let (every, made) = PAUSES.get();
    if every != 0 {
        PAUSES.set((every, (made + 1) % every));
        if made + 1 == every {
            std::thread::yield_now();
        }
    }
    match LEFT.get() {
        Some(0) => resume_unwind(Box::new(Stopped)),
        left => LEFT.set(left.map(|left| left - 1)),
    }
}

macro_rules! stepped {
    ($($name:ident, $value:ty;)*) => {$(
        /// As core's, in steps.
        #[derive(Debug)]
        pub(crate) struct $name(core::sync::atomic::$name);

        impl $name {
            pub(crate) const fn new(value: $value) -> Self {
                Self(core::sync::atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }
        }
    )*};
}

stepped! {
    AtomicU32, u32;
    AtomicU64, u64;
}

impl AtomicU32 {
    pub(crate) fn store(&self, value: u32, order: Ordering) {
        step();
        self.0.store(value, order);
    }
}

impl AtomicU64 {
    pub(crate) fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        step();
        self.0.compare_exchange(old, new, success, failure)
    }

    pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_max(value, order)
    }

    /// As core's: a load and exchanges.
    pub(crate) fn fetch_update(
        &self,
        success: Ordering,
        failure: Ordering,
        change: impl Fn(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        let mut old = self.load(failure);
        while let Some(new) = change(old) {
            match self.compare_exchange(old, new, success, failure) {
                Ok(old) => return Ok(old),
                Err(now) => old = now,
            }
        }
        Err(old)
    }
}
