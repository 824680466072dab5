//! `object_set_name`, of a segment's capability.

use crate::measure::Benchmark;
use crate::support::scene::page;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "object_set_name",
    points: &[],
    axis: "",
    what: "giving a segment a name of 16 bytes",
    leaves_out: "longer names, up to 32 bytes",
    measure: |meter, _| {
        let segment = page()?;
        meter.call(|| segment.set_name("sixteen bytes of"))
    },
}];
