//! `thread_exit`: to the next instruction of the thread that has its turn then.

use crate::measure::Benchmark;
use crate::support::runner::Runner;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "thread_exit",
    points: &[],
    axis: "",
    what: "from a thread's last call to the next instruction of the thread that has its turn then",
    leaves_out: "giving up its record and its stack",
    measure: |meter, _| {
        let runner = Runner::new();
        meter.sample_from(|counts| runner.ended_thread(counts).map(|(_, ticks)| ticks))
    },
}];
