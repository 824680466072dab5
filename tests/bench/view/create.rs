//! `view_create`, of the program's own space.

use crate::measure::Benchmark;
use crate::support::scene::view;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "view_create",
    points: &[],
    axis: "",
    what: "making a read-only view of the program's own space",
    leaves_out: "giving up what was made, which is done after the measurement",
    measure: |meter, _| meter.call(view),
}];
