//! `view_create_destroy`, of the program's own space.

use crate::measure::Benchmark;
use crate::support::scene::view;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "view_create_destroy",
    points: &[],
    axis: "",
    what: "making a read-only view of the program's own space and giving it up",
    leaves_out: "anybody having been in it",
    measure: |meter, _| meter.call(|| view()?.delete()),
}];
