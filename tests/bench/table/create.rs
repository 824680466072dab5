//! `table_create`, with 64 slots.

use crate::measure::Benchmark;
use crate::support::scene::table;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "table_create",
    points: &[],
    axis: "",
    what: "making a capability table of 64 slots",
    leaves_out: "giving up what was made, which is done after the measurement",
    measure: |meter, _| meter.call(table),
}];
