//! `counters` of CPU 0.

use crate::measure::Benchmark;
use libvas::counters;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "counters",
    points: &[],
    axis: "",
    what: "reading the counters of CPU 0 into memory of the program",
    leaves_out: "adding those of several CPUs up, which is the program's business",
    measure: |meter, _| meter.call(|| counters::of_cpu(0)),
}];
