//! `capability_copy`, of a segment's capability.

use crate::measure::Benchmark;
use crate::support::scene::page;
use libvas::{CapTable, Rights, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "capability_copy",
    points: &[],
    axis: "",
    what: "putting a weaker capability into another table",
    leaves_out: "the table's making",
    measure: |meter, _| {
        let (segment, table) = (page()?, CapTable::new(program().account(), meter.rounds() as u64)?);
        meter.call(|| segment.copy_into(&table, Rights::READ, 1))
    },
}];
