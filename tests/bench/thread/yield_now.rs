//! `yield_now`, also called `yield_alone`: giving way to nobody.

use crate::measure::Benchmark;
use libvas::{Error, thread};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "yield_now",
        points: &[],
        axis: "",
        what: "giving way while nobody else is ready",
        leaves_out: "a change of thread",
        measure: |meter, _| meter.call(yield_now),
    },
    Benchmark {
        name: "yield_alone",
        points: &[],
        axis: "",
        what: "giving way while nobody else is ready",
        leaves_out: "a change of thread",
        measure: |meter, _| meter.call(yield_now),
    },
];

#[inline(always)]
fn yield_now() -> Result<(), Error> {
    thread::yield_now();
    Ok(())
}
