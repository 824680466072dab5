//! `console_write`: a line of 64 bytes, while nothing waits for the serial line.

use crate::measure::Benchmark;
use core::time::Duration;
use libvas::{clock, console};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "console_write",
    points: &[],
    axis: "",
    what: "writing a line of 64 bytes to the console, while nothing waits for the serial line",
    leaves_out: "the serial line's own time, and waiting for it while much is on its way",
    measure: |meter, _| {
        // A byte takes 87 microseconds.
        let drained = || {
            clock::sleep(Duration::from_millis(10));
            Ok(())
        };
        meter.fewer(20).sample(1, drained, |()| console::write(LINE))
    },
}];

const LINE: &str = "one line of sixty-four bytes, as programs print them now and th\n";

const _: () = assert!(LINE.len() == 64);
