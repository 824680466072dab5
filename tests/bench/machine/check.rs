//! `machine_check`.

use crate::measure::Benchmark;
use crate::support::machine::machine;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "machine_check",
    points: &[],
    axis: "",
    what: "every consistency check that the kernel has over its own state, with little in it",
    leaves_out: "more objects, with which it grows in proportion",
    measure: |meter, _| meter.fewer(50).call(|| machine()?.check()),
}];
