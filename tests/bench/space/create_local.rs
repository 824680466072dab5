//! `space_create_local`.

use crate::measure::Benchmark;
use libvas::{Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "space_create_local",
    points: &[],
    axis: "",
    what: "making an empty space that is local to CPU 0",
    leaves_out: "giving up what was made, which is done after the measurement",
    measure: |meter, _| meter.call(|| Space::new_local(program().account(), 0)),
}];
