//! `thread_start`: the thread has no turn before it is destroyed.

use crate::measure::Benchmark;
use crate::support::runner::{Runner, idle};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_start",
    points: &[],
    axis: "",
    what: "starting a thread that is less urgent, and so has no turn yet",
    leaves_out: "its first turn",
    measure: |meter, _| {
        let runner = Runner::new();
        meter.sample(1, idle, |thread| runner.start(&thread).map(|()| thread))
    },
}];
