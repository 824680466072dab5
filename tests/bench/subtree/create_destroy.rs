//! `subtree_create_destroy`, of the top level.

use crate::measure::Benchmark;
use crate::support::scene::subtree;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_create_destroy",
    points: &[],
    axis: "",
    what: "making an empty subtree of the top level and giving it up",
    leaves_out: "anything mapped in it",
    measure: |meter, _| meter.call(|| subtree()?.delete()),
}];
