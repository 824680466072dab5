//! `thread_join`, of a thread that has ended; with the wait, see `thread_spawn_join`.

use crate::measure::Benchmark;
use crate::support::runner::Runner;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_join",
    points: &[],
    axis: "",
    what: "joining a thread that has ended",
    leaves_out: "the wait for its end",
    measure: |meter, _| {
        let runner = Runner::new();
        meter.sample(1, || runner.ended_thread(false), |(thread, _)| thread.join().map(|_| thread))
    },
}];
