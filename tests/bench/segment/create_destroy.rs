//! `segment_create_destroy`, of one page, alone and beside other segments.

use crate::measure::Benchmark;
use crate::support::scene::page;
use libvas::{CapTable, PAGE_BYTES, Rights, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "segment_create_destroy",
        points: &[],
        axis: "",
        what: "making a segment of one page and giving it up",
        leaves_out: "other segments",
        measure: |meter, _| meter.call(|| page()?.delete()),
    },
    Benchmark {
        name: "segment_create_destroy_10000_segments",
        points: &[],
        axis: "",
        what: "making a segment of one page and giving it up, beside 10,000 others that have no memory yet",
        leaves_out: "the making of those",
        measure: |meter, _| {
            let table = CapTable::new(program().account(), 10_000)?;
            for _ in 0..10_000 {
                Segment::new_lazy(program().account(), PAGE_BYTES)?.copy_into(&table, Rights::READ, 0)?;
            }
            meter.call(|| page()?.delete())
        },
    },
];
