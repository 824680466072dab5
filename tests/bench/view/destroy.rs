//! `view_destroy`: giving up the last capability.

use crate::measure::Benchmark;
use crate::support::scene::view;
use libvas::Cap;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "view_destroy",
    points: &[],
    axis: "",
    what: "giving up a view of the program's own space",
    leaves_out: "anybody having been in it",
    measure: |meter, _| meter.sample(1, view, Cap::delete),
}];
