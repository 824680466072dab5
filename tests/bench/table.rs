//! Calls on capability tables, with 64 slots.

use crate::measure::Benchmark;
use crate::runner::Runner;
use libvas::{Cap, CapTable, Error, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("table_create", |meter| meter.call(table)),
    ("table_create_destroy", |meter| meter.call(|| table()?.delete())),
    // One thread uses it, which was started and has not run yet.
    ("table_stop_threads", |meter| {
        let (runner, table) = (Runner::new(), table()?);
        meter.sample(
            1,
            || {
                let thread = Runner::idle_thread(&table)?;
                runner.start(&thread).map(|()| thread)
            },
            |thread| table.stop_threads().map(|_| thread),
        )
    }),
];

#[inline(always)]
fn table() -> Result<Cap<CapTable>, Error> {
    CapTable::new(program().account(), 64)
}
