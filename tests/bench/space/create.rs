//! `space_create`.

use crate::measure::Benchmark;
use libvas::{Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "space_create",
    points: &[],
    axis: "",
    what: "making an empty space",
    leaves_out: "attaching the program to it, without which no closure runs in it; and giving up what was made, \
            which is done after the measurement",
    measure: |meter, _| meter.call(|| Space::new(program().account())),
}];
