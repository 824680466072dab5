//! `table_stop_threads`: one thread uses the table, which was started and has not run yet.

use crate::measure::Benchmark;
use crate::support::runner::Runner;
use crate::support::scene::table;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "table_stop_threads",
    points: &[],
    axis: "",
    what: "ending every thread that uses a table: one, which was started and has not run yet",
    leaves_out: "threads that run on other CPUs, which are interrupted",
    measure: |meter, _| {
        let (runner, table) = (Runner::new(), table()?);
        meter.sample(
            1,
            || {
                let thread = Runner::idle_thread(&table)?;
                runner.start(&thread).map(|()| thread)
            },
            |thread| table.stop_threads().map(|_| thread),
        )
    },
}];
