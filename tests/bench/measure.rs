//! Taking samples of an operation, and telling minimum, median and maximum.

use alloc::vec::Vec;
use libvas::{Error, raw};
use rt::println;

/// How often an operation is done before the first sample.
const WARM_UPS: usize = 200;

/// Samples of each benchmark.
const SAMPLES: usize = 1000;

/// How often an operation is done in all.
pub(crate) const SAMPLES_AND_WARM_UPS: usize = WARM_UPS + SAMPLES;

/// Collects the samples of one benchmark.
pub(crate) struct Meter {
    /// What two readings of the counter cost with nothing in between.
    own_ticks: u64,
    samples: Vec<u64>,
}

impl Meter {
    /// A meter that knows its own cost.
    pub(crate) fn new() -> Meter {
        let own_ticks = (0..WARM_UPS).map(|_| ticks_of(|| ())).min().unwrap_or(0);
        Meter { own_ticks, samples: Vec::with_capacity(SAMPLES) }
    }

    /// Measures an operation that does its subject `parts` times; the cost of one part, rounded up, is the sample.
    ///
    /// `before` is done before each measurement and not measured; what it makes is handed to the operation.
    #[inline(always)]
    pub(crate) fn sample<S, R>(
        &mut self,
        parts: u64,
        mut before: impl FnMut() -> Result<S, Error>,
        mut operation: impl FnMut(S) -> Result<R, Error>,
    ) -> Result<(), Error> {
        for round in 0..SAMPLES_AND_WARM_UPS {
            let prepared = before()?;
            let mut result = Err(Error::BadState);
            let ticks = ticks_of(|| result = operation(prepared));
            // An operation that fails has not cost what it should.
            drop(result?);
            if round >= WARM_UPS {
                self.samples.push(ticks.saturating_sub(self.own_ticks).div_ceil(parts));
            }
        }
        Ok(())
    }

    /// Prints the line that `./x.py bench` reads.
    pub(crate) fn report(mut self, name: &str) {
        self.samples.sort_unstable();
        let at = |index: usize| self.samples.get(index).copied().unwrap_or(0);
        let count = self.samples.len();
        let (least, median, most) = (at(0), at(count / 2), at(count.saturating_sub(1)));
        println!("bench {name} n={count} min={least} median={median} max={most}");
    }
}

/// The ticks that pass between just before an operation and just after it, the readings included.
#[inline(always)]
fn ticks_of(operation: impl FnOnce()) -> u64 {
    let before = raw::ticks();
    operation();
    raw::ticks().wrapping_sub(before)
}
