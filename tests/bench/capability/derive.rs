//! `capability_derive`, of a segment's capability.

use crate::measure::Benchmark;
use crate::support::scene::page;
use libvas::Rights;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "capability_derive",
    points: &[],
    axis: "",
    what: "making a weaker capability to a segment in the same table",
    leaves_out: "the table's growth",
    measure: |meter, _| {
        let segment = page()?;
        meter.call(|| segment.derive(Rights::READ, 1))
    },
}];
