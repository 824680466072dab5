//! `thread_set_pointer`.

use crate::measure::Benchmark;
use libvas::thread;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_set_pointer",
    points: &[],
    axis: "",
    what: "setting the calling thread's thread pointer",
    leaves_out: "nothing: it is the whole call, as the program makes it",
    measure: |meter, _| meter.call(|| thread::set_pointer(0)),
}];
