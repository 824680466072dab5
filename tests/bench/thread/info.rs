//! `thread_info`.

use crate::measure::Benchmark;
use crate::support::runner::idle;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_info",
    points: &[],
    axis: "",
    what: "asking for state, priority, space and CPU of a thread that is not running",
    leaves_out: "nothing: it is the whole call, as the program makes it",
    measure: |meter, _| {
        let other = idle()?;
        meter.call(|| other.info())
    },
}];
