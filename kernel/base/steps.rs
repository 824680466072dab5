//! Steps: on a host, how often loops went round whose length programs decide, so that tests can say how a cost grows.
//!
//! On bare metal nothing is counted, and nothing of this is left in the kernel.

/// Counts a step.
#[cfg(target_os = "none")]
#[inline(always)]
pub const fn count() {}

#[cfg(not(target_os = "none"))]
pub use on_host::{count, take};

#[cfg(not(target_os = "none"))]
mod on_host {
    use std::cell::Cell;

    std::thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    /// Counts a step of the calling test thread's kernel.
    pub fn count() {
        STEPS.set(STEPS.get() + 1);
    }

    /// The steps since the last call.
    pub fn take() -> u64 {
        STEPS.replace(0)
    }
}
