//! `derive_delete`: both, alone and beside many other children of the same capability.

use crate::measure::Benchmark;
use crate::support::scene::page;
use libvas::{CapTable, Rights, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "derive_delete",
        points: &[],
        axis: "",
        what: "making a weaker capability and giving it up",
        leaves_out: "other children of the same capability",
        measure: |meter, _| {
            let segment = page()?;
            meter.call(|| segment.derive(Rights::READ, 1)?.delete())
        },
    },
    Benchmark {
        name: "derive_delete_10000_capabilities",
        points: &[],
        axis: "",
        what: "making a weaker capability and giving it up, beside 10,000 children of the same capability in another table",
        leaves_out: "the making of those",
        measure: |meter, _| {
            let (segment, table) = (page()?, CapTable::new(program().account(), 10_000)?);
            (0..10_000).try_for_each(|badge| segment.copy_into(&table, Rights::READ, badge).map(|_| ()))?;
            meter.call(|| segment.derive(Rights::READ, 1)?.delete())
        },
    },
];
