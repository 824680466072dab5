//! `thread_set_fallback`.

use crate::measure::Benchmark;
use crate::support::runner::Runner;
use libvas::thread;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_set_fallback",
    points: &[],
    axis: "",
    what: "setting where the calling thread lands if its space goes",
    leaves_out: "landing there",
    measure: |meter, _| {
        let runner = Runner::new();
        let measured = meter.call(|| runner.set_fallback());
        thread::clear_fallback();
        measured
    },
}];
