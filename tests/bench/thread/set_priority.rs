//! `thread_set_priority`.

use crate::measure::Benchmark;
use crate::support::runner::idle;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_set_priority",
    points: &[],
    axis: "",
    what: "setting the priority of a thread that is not running",
    leaves_out: "a change of turn that follows from it",
    measure: |meter, _| {
        let other = idle()?;
        meter.call(|| other.set_priority(1))
    },
}];
