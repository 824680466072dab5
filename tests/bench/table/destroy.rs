//! `table_destroy`: giving up the last capability.

use crate::measure::Benchmark;
use crate::support::scene::table;
use libvas::Cap;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "table_destroy",
    points: &[],
    axis: "",
    what: "giving up an empty capability table of 64 slots",
    leaves_out: "capabilities in it: see `table_destroy_full`",
    measure: |meter, _| meter.sample(1, table, Cap::delete),
}];
