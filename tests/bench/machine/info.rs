//! `machine_info`.

use crate::measure::Benchmark;
use crate::support::machine::machine;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "machine_info",
    points: &[],
    axis: "",
    what: "asking for memory, CPUs and numbers of objects of the machine",
    leaves_out: "nothing: it is the whole call, as the program makes it",
    measure: |meter, _| meter.call(|| machine()?.info()),
}];
