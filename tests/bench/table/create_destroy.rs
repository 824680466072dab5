//! `table_create_destroy`, with 64 slots.

use crate::measure::Benchmark;
use crate::support::scene::table;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "table_create_destroy",
    points: &[],
    axis: "",
    what: "making an empty capability table of 64 slots and giving it up",
    leaves_out: "capabilities in it, which are given up one by one",
    measure: |meter, _| meter.call(|| table()?.delete()),
}];
