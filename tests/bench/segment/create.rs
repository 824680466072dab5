//! `segment_create`, of one page.

use crate::measure::Benchmark;
use crate::support::scene::page;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "segment_create",
    points: &[],
    axis: "",
    what: "making a segment of one page, which is cleared",
    leaves_out: "giving up what was made, which is done after the measurement",
    measure: |meter, _| meter.call(page),
}];
