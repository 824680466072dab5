//! `capability_info`, of a segment's capability.

use crate::measure::Benchmark;
use crate::support::scene::page;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "capability_info",
    points: &[],
    axis: "",
    what: "asking for kind, rights, badge, parent and name of a capability",
    leaves_out: "nothing: it is the whole call, as the program makes it",
    measure: |meter, _| {
        let segment = page()?;
        meter.call(|| segment.capability_info())
    },
}];
