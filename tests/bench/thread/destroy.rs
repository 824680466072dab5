//! `thread_destroy`: giving up the last capability.

use crate::measure::Benchmark;
use crate::support::runner::idle;
use libvas::Cap;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_destroy",
    points: &[],
    axis: "",
    what: "giving up a thread that was never started",
    leaves_out: "ending one that runs",
    measure: |meter, _| meter.sample(1, idle, Cap::delete),
}];
