//! `subtree_destroy`: giving up the last capability.

use crate::measure::Benchmark;
use crate::support::scene::subtree;
use libvas::Cap;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_destroy",
    points: &[],
    axis: "",
    what: "giving up an empty subtree that is attached nowhere",
    leaves_out: "places where it is attached, which keep it",
    measure: |meter, _| meter.sample(1, subtree, Cap::delete),
}];
