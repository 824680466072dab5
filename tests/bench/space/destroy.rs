//! `space_destroy`: giving up the last capability.

use crate::measure::Benchmark;
use libvas::{Cap, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "space_destroy",
    points: &[],
    axis: "",
    what: "giving up a space that shows the program",
    leaves_out: "anybody having been in it",
    measure: |meter, _| meter.sample(1, || program().new_space(), Cap::delete),
}];
