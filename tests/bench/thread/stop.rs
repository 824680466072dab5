//! `thread_stop`, of a thread that is ready.

use crate::measure::Benchmark;
use crate::support::runner::{Runner, idle};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_stop",
    points: &[],
    axis: "",
    what: "ending a thread that is ready",
    leaves_out: "one that runs on another CPU, which is interrupted",
    measure: |meter, _| {
        let runner = Runner::new();
        let ready = || idle().and_then(|thread| runner.start(&thread).map(|()| thread));
        meter.sample(1, ready, |thread| thread.stop().map(|()| thread))
    },
}];
