//! A benchmark, and what takes its samples and prints them.

use crate::runs::{print_runs, print_whole};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libvas::{Error, counters, raw};

/// A benchmark, or a curve of them. `docs/benchmarks.md` is made from these, so each field has a line of its own.
pub(crate) struct Benchmark {
    /// What it is called in results, for good.
    pub(crate) name: &'static str,
    /// Where a curve is measured; none for a single figure.
    pub(crate) points: &'static [u64],
    /// What a curve's points are numbers of.
    #[expect(dead_code, reason = "x.py reads it in the source")]
    pub(crate) axis: &'static str,
    /// What is measured.
    #[expect(dead_code, reason = "x.py reads it in the source")]
    pub(crate) what: &'static str,
    /// What is not, and might be missed.
    #[expect(dead_code, reason = "x.py reads it in the source")]
    pub(crate) leaves_out: &'static str,
    /// Takes the samples; for a curve, at this point.
    pub(crate) measure: fn(&mut Meter, u64) -> Measured,
}

/// How measuring ended.
pub(crate) type Measured = Result<(), Stop>;

/// Why a benchmark has no result.
pub(crate) enum Stop {
    /// The kernel refused something.
    Failed(Error),
    /// This machine, or how it was booted, does not offer what is to be measured.
    Skipped(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// Skips the benchmark unless the machine runs so many CPUs.
pub(crate) fn need_cpus(wanted: u64) -> Measured {
    match counters::cpus()? {
        cpus if cpus < wanted => Err(Stop::Skipped(format!("it needs {wanted} CPUs, and there are {cpus}"))),
        _ => Ok(()),
    }
}

/// How often an operation is done before the first sample.
const WARM_UPS: usize = 200;

/// Samples of each benchmark.
const SAMPLES: usize = 1000;

/// How many rounds [`Meter::fewer`] leaves at least, and of these before the first sample.
const LEAST_ROUNDS: usize = 20;
const LEAST_WARM_UPS: usize = 2;

/// What all rounds of a benchmark may take, where each says what one takes.
const TICKS_OF_ALL: u64 = 2_000_000;

/// Collects the samples of one benchmark.
pub(crate) struct Meter {
    /// What two readings of the counter cost with nothing in between.
    own_ticks: u64,
    warm_ups: usize,
    rounds: usize,
    /// What is counted, if not the counter's ticks.
    unit: Option<&'static str>,
    samples: Vec<u64>,
}

impl Meter {
    /// A meter that knows its own cost.
    pub(crate) fn new() -> Meter {
        let own_ticks = (0..WARM_UPS).map(|_| ticks_of(|| ())).min().unwrap_or(0);
        let (rounds, samples) = (WARM_UPS + SAMPLES, Vec::with_capacity(SAMPLES));
        Meter { own_ticks, warm_ups: WARM_UPS, rounds, unit: None, samples }
    }

    /// Has everything done fewer times, for what takes long or leaves much behind.
    pub(crate) fn fewer(&mut self, times: usize) -> &mut Meter {
        self.warm_ups = (WARM_UPS / times).max(LEAST_WARM_UPS);
        self.rounds = ((WARM_UPS + SAMPLES) / times).max(LEAST_ROUNDS);
        self
    }

    /// Has everything done fewer times, if a round takes about so many ticks, so that all together stay in bounds.
    pub(crate) fn at_cost(&mut self, round_ticks: u64) -> &mut Meter {
        let all_ticks = round_ticks * (WARM_UPS + SAMPLES) as u64;
        self.fewer((all_ticks / TICKS_OF_ALL).max(1) as usize)
    }

    /// How often the operation is done in all.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    /// How often it is done before the first sample.
    pub(crate) fn warm_ups(&self) -> usize {
        self.warm_ups
    }

    /// Measures a call that can be made again and again.
    #[inline(always)]
    pub(crate) fn call<R>(&mut self, mut operation: impl FnMut() -> Result<R, Error>) -> Measured {
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
    ) -> Measured {
        for round in 0..self.rounds {
            let prepared = before()?;
            let mut result = Err(Error::BadState);
            if round + 1 == self.rounds {
                last_measurement();
            }
            let counts = round >= self.warm_ups;
            if counts {
                mark_begin();
            }
            let ticks = ticks_of(|| result = operation(prepared));
            if counts {
                mark_end();
            }
            // An operation that fails has not cost what it should.
            drop(result?);
            self.take(round, ticks, parts);
        }
        Ok(())
    }

    /// Takes what somebody else measures: the ticks from one reading to another, round by round. The operation is told
    /// whether the round counts; then it marks where the measured region begins and ends.
    pub(crate) fn sample_from(&mut self, mut operation: impl FnMut(bool) -> Result<u64, Error>) -> Measured {
        for round in 0..self.rounds {
            if round + 1 == self.rounds {
                last_measurement();
            }
            let ticks = operation(round >= self.warm_ups)?;
            self.take(round, ticks, 1);
        }
        Ok(())
    }

    /// Takes what somebody else has measured: the ticks of each round, of `parts` times the subject. Who measured has marked
    /// where the regions begin and end, and which measurement was the last.
    pub(crate) fn take_all(&mut self, parts: u64, mut all: impl Iterator<Item = u64>) -> Measured {
        for round in 0..self.rounds {
            self.take(round, all.next().ok_or(Error::BadState)?, parts);
        }
        Ok(())
    }

    fn take(&mut self, round: usize, ticks: u64, parts: u64) {
        if round >= self.warm_ups {
            self.samples.push(ticks.saturating_sub(self.own_ticks).div_ceil(parts));
        }
    }

    /// Takes a single sample that somebody else made of the counter's ticks.
    pub(crate) fn ticks(&mut self, ticks: u64) {
        self.samples.push(ticks);
    }

    /// Takes a figure that is no time: so many of what `unit`, one word, names.
    pub(crate) fn figure(&mut self, unit: &'static str, value: u64) {
        self.unit = Some(unit);
        self.samples.push(value);
    }

    /// Prints the samples for `./x.py bench`.
    pub(crate) fn report(self, name: &str) {
        print_runs(name, &self.samples);
        let unit = self.unit.map_or(String::new(), |unit| format!(" unit={unit}"));
        print_whole(&format!("bench {name} end n={}{unit}", self.samples.len()));
        raw::mark::<COMPLETE>();
    }
}

/// What is said to a plugin of the emulator that watches: where a measured region begins and ends, and that a benchmark is
/// complete.
const BEGIN: u8 = 1;
const END: u8 = 2;
const COMPLETE: u8 = 3;

/// A measured region begins: before the counter is read for the first time, so that it costs nothing measured.
#[inline(always)]
pub(crate) fn mark_begin() {
    raw::mark::<BEGIN>();
}

/// The region ends: after the counter was read for the second time.
#[inline(always)]
pub(crate) fn mark_end() {
    raw::mark::<END>();
}

/// The ticks that pass between just before an operation and just after it, the readings included.
#[inline(always)]
fn ticks_of(operation: impl FnOnce()) -> u64 {
    let before = raw::cycles();
    operation();
    raw::cycles().wrapping_sub(before)
}

/// Where `./x.py bench --profile` waits for a benchmark: what is measured next has been done often, and is done a last time.
#[inline(never)]
pub(crate) fn last_measurement() {
    // Says to the compiler that something happens here.
    core::hint::black_box(());
}
