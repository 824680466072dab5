//! `subtree_create`, of the top level.

use crate::measure::Benchmark;
use crate::support::scene::subtree;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_create",
    points: &[],
    axis: "",
    what: "making an empty subtree of the top level",
    leaves_out: "giving up what was made, which is done after the measurement",
    measure: |meter, _| meter.call(subtree),
}];
