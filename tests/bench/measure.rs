//! Taking samples of an operation, and telling minimum, median and maximum.

use alloc::vec::Vec;
use libvas::{Error, raw};
use rt::println;

/// A benchmark: its name and what measures it.
pub(crate) type Benchmark = (&'static str, fn(&mut Meter) -> Result<(), Error>);

/// How often an operation is done before the first sample.
const WARM_UPS: usize = 200;

/// Samples of each benchmark.
const SAMPLES: usize = 1000;

/// How often an operation is done in all.
pub(crate) const SAMPLES_AND_WARM_UPS: usize = WARM_UPS + SAMPLES;

/// How many rounds [`Meter::fewer`] leaves at least.
const LEAST_ROUNDS: usize = 20;

/// Collects the samples of one benchmark.
pub(crate) struct Meter {
    /// What two readings of the counter cost with nothing in between.
    own_ticks: u64,
    warm_ups: usize,
    rounds: usize,
    samples: Vec<u64>,
}

impl Meter {
    /// A meter that knows its own cost.
    pub(crate) fn new() -> Meter {
        let own_ticks = (0..WARM_UPS).map(|_| ticks_of(|| ())).min().unwrap_or(0);
        Meter { own_ticks, warm_ups: WARM_UPS, rounds: SAMPLES_AND_WARM_UPS, samples: Vec::with_capacity(SAMPLES) }
    }

    /// Has everything done fewer times, for what takes long or leaves much behind.
    pub(crate) fn fewer(&mut self, times: usize) -> &mut Meter {
        self.warm_ups = WARM_UPS / times;
        self.rounds = (SAMPLES_AND_WARM_UPS / times).max(LEAST_ROUNDS);
        self
    }

    /// Measures a call that can be made again and again.
    #[inline(always)]
    pub(crate) fn call<R>(&mut self, mut operation: impl FnMut() -> Result<R, Error>) -> Result<(), Error> {
        self.sample(1, || Ok(()), |()| operation())
    }

    /// Measures an operation that does its subject `parts` times; the cost of one part, rounded up, is the sample.
    ///
    /// `before` is done before each measurement and not measured; what it makes is handed to the operation. What that
    /// returns is dropped after it.
    #[inline(always)]
    pub(crate) fn sample<S, R>(
        &mut self,
        parts: u64,
        mut before: impl FnMut() -> Result<S, Error>,
        mut operation: impl FnMut(S) -> Result<R, Error>,
    ) -> Result<(), Error> {
        for round in 0..self.rounds {
            let prepared = before()?;
            let mut result = Err(Error::BadState);
            if round + 1 == self.rounds {
                last_measurement();
            }
            let ticks = ticks_of(|| result = operation(prepared));
            // An operation that fails has not cost what it should.
            drop(result?);
            self.take(round, ticks, parts);
        }
        Ok(())
    }

    /// Takes what somebody else measured: the ticks from one reading to another, round by round.
    pub(crate) fn sample_from(&mut self, mut operation: impl FnMut() -> Result<u64, Error>) -> Result<(), Error> {
        for round in 0..self.rounds {
            let ticks = operation()?;
            self.take(round, ticks, 1);
        }
        Ok(())
    }

    fn take(&mut self, round: usize, ticks: u64, parts: u64) {
        if round >= self.warm_ups {
            self.samples.push(ticks.saturating_sub(self.own_ticks).div_ceil(parts));
        }
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

/// Where `./x.py bench --profile` waits for a benchmark: what is measured next has been done often.
#[inline(never)]
fn last_measurement() {
    // Says to the compiler that something happens here.
    core::hint::black_box(());
}
