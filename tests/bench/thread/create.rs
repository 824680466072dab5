//! `thread_create`.

use crate::measure::Benchmark;
use crate::support::runner::{small_table, unstarted};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_create",
    points: &[],
    axis: "",
    what: "making a thread that is never started",
    leaves_out: "its stack and its start; and giving up what was made, which is done after the measurement",
    measure: |meter, _| {
        let table = small_table()?;
        meter.call(|| unstarted(&table))
    },
}];
