//! `segment_info`.

use crate::measure::Benchmark;
use crate::support::scene::page;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "segment_info",
    points: &[],
    axis: "",
    what: "asking for length, memory and mappings of a segment",
    leaves_out: "nothing: it is the whole call, as the program makes it",
    measure: |meter, _| {
        let segment = page()?;
        meter.call(|| segment.info())
    },
}];
