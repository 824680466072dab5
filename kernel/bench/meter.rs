//! Taking samples.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, compiler_fence};

/// How often an operation is done before the first sample.
const WARM_UPS: usize = 40;

/// Samples of each benchmark.
pub const SAMPLES: usize = 200;

/// Marks, for whoever watches the machine: what is measured begins, and ends; a benchmark is complete.
const BEGINS: u8 = 1;
const ENDS: u8 = 2;
const IS_COMPLETE: u8 = 3;

/// Says to whoever watches that a benchmark is complete.
pub(crate) fn note_complete() {
    tessera_arch::mark::<IS_COMPLETE>();
}

/// Collects the samples of one benchmark.
#[derive(Debug)]
pub struct Meter {
    /// What two readings of the counter cost with nothing in between.
    own_ticks: u64,
    samples: Vec<u64>,
}

impl Meter {
    /// A meter that knows its own cost. Its memory is one block of the heap.
    pub(crate) fn new() -> Meter {
        let own_ticks = (0..WARM_UPS).map(|_| ticks_of(|| ()).0).min().unwrap_or(0);
        Meter { own_ticks, samples: Vec::with_capacity(SAMPLES) }
    }

    /// The samples, in the order they were taken.
    pub(crate) fn samples(&self) -> &[u64] {
        &self.samples
    }

    /// Measures what can be done again and again.
    #[inline(always)]
    pub(crate) fn call<R>(&mut self, mut operation: impl FnMut() -> R) {
        self.sample(1, &mut (), |()| (), |(), ()| operation(), |(), _| ());
    }

    /// Measures an operation that does its subject `parts` times; the cost of one part, rounded up, is the sample.
    ///
    /// All work on the scene. What `before` makes is handed to the operation, and what that gives to `after`; these two
    /// are not measured.
    #[inline(always)]
    pub(crate) fn sample<C, S, R>(
        &mut self,
        parts: u64,
        scene: &mut C,
        mut before: impl FnMut(&mut C) -> S,
        mut operation: impl FnMut(&mut C, S) -> R,
        mut after: impl FnMut(&mut C, R),
    ) {
        for round in 0..WARM_UPS + SAMPLES {
            let prepared = before(scene);
            let is_sample = round >= WARM_UPS;
            if is_sample {
                tessera_arch::mark::<BEGINS>();
            }
            let (ticks, result) = ticks_of(|| operation(scene, prepared));
            if is_sample {
                tessera_arch::mark::<ENDS>();
                self.samples.push(ticks.saturating_sub(self.own_ticks).div_ceil(parts));
            }
            after(scene, result);
        }
    }
}

/// The ticks that pass between just before an operation and just after it, the readings included; and what it gives.
#[inline(always)]
fn ticks_of<R>(operation: impl FnOnce() -> R) -> (u64, R) {
    let before = tessera_arch::ticks();
    // Nothing of the operation is done before the reading, or after the other one.
    compiler_fence(Ordering::SeqCst);
    let result = operation();
    compiler_fence(Ordering::SeqCst);
    (tessera_arch::ticks().wrapping_sub(before), result)
}
