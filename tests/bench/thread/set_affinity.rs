//! `thread_set_affinity`.

use crate::CPU_0;
use crate::measure::Benchmark;
use crate::support::runner::idle;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_set_affinity",
    points: &[],
    axis: "",
    what: "setting the CPUs of a thread that is not running",
    leaves_out: "a move to another CPU that follows from it",
    measure: |meter, _| {
        let other = idle()?;
        meter.call(|| other.set_affinity(CPU_0))
    },
}];
