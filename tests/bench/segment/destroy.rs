//! `segment_destroy`: giving up the last capability.

use crate::measure::Benchmark;
use crate::support::scene::page;
use libvas::Cap;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "segment_destroy",
    points: &[],
    axis: "",
    what: "giving up a segment of one page",
    leaves_out: "mappings of it, which keep it",
    measure: |meter, _| meter.sample(1, page, Cap::delete),
}];
