//! `capability_delete`, of a segment's capability.

use crate::measure::Benchmark;
use crate::support::scene::page;
use libvas::{Cap, Rights};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "capability_delete",
    points: &[],
    axis: "",
    what: "giving up a capability that has no children, to an object that stays",
    leaves_out: "the end of an object with its last capability",
    measure: |meter, _| {
        let segment = page()?;
        meter.sample(1, || segment.derive(Rights::READ, 1), Cap::delete)
    },
}];
