//! `thread_spawn_join`: a closure in a thread of its own, from its start to its result.

use crate::measure::Benchmark;
use libvas::thread;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_spawn_join",
    points: &[],
    axis: "",
    what: "libvas's spawn of a closure that does nothing, and the wait for its end: stack, thread, start, \
            first turn, end",
    leaves_out: "the closure's own work",
    measure: |meter, _| meter.call(|| thread::spawn(|| ())?.join()),
}];
