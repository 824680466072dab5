//! `sleep` for no time: parked, and woken by the timer, with nothing else to run.

use crate::measure::Benchmark;
use core::time::Duration;
use libvas::clock;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "sleep",
    points: &[],
    axis: "",
    what: "sleeping for no time: parked, and woken by the timer, with nothing else to run",
    leaves_out: "any time slept, which would be part of the figure, since the counter goes on meanwhile",
    measure: |meter, _| {
        meter.call(|| {
            clock::sleep(Duration::ZERO);
            Ok(())
        })
    },
}];
