//! `clock`, the simplest call on the path that all but the quickest calls take, and so `common_call`.

use crate::measure::Benchmark;
use libvas::clock;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "clock",
        points: &[],
        axis: "",
        what: "reading the time since boot: the simplest call on the path that all but the quickest take",
        leaves_out: "finding an object by its handle",
        measure: |meter, _| meter.call(|| Ok(clock::now())),
    },
    Benchmark {
        name: "common_call",
        points: &[],
        axis: "",
        what: "reading the time since boot: the simplest call on the path that all but the quickest take",
        leaves_out: "finding an object by its handle",
        measure: |meter, _| meter.call(|| Ok(clock::now())),
    },
];
