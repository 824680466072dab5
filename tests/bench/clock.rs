//! `clock`, the simplest call on the path that all but the quickest calls take, and so `common_call`; `sleep`.

use crate::measure::Benchmark;
use core::time::Duration;
use libvas::clock;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("clock", |meter| meter.call(|| Ok(clock::now()))),
    ("common_call", |meter| meter.call(|| Ok(clock::now()))),
    // For no time: parked, and woken by the timer, with nothing else to run. A longer sleep would be part of the figure,
    // since the counter goes on meanwhile.
    ("sleep", |meter| {
        meter.call(|| {
            clock::sleep(Duration::ZERO);
            Ok(())
        })
    }),
];
