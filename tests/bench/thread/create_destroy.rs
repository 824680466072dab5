//! `thread_create_destroy`, alone and beside other threads.

use crate::measure::Benchmark;
use crate::support::runner::{Runner, small_table, unstarted};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "thread_create_destroy",
        points: &[],
        axis: "",
        what: "making a thread and giving it up before it starts",
        leaves_out: "its stack and its start",
        measure: |meter, _| {
            let table = small_table()?;
            meter.call(|| unstarted(&table)?.delete())
        },
    },
    Benchmark {
        name: "thread_create_destroy_1000_threads",
        points: &[],
        axis: "",
        what: "making a thread and giving it up before it starts, beside 1,000 that are ready, but lower",
        leaves_out: "the making of those",
        measure: |meter, _| {
            let (table, _others) = (small_table()?, Runner::new().ready_threads(1000)?);
            meter.call(|| unstarted(&table)?.delete())
        },
    },
];
