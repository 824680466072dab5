//! Making and destroying a capability table by its slots, and destroying one that is full.

use crate::measure::Benchmark;
use crate::support::scene::page;
use libvas::{Cap, CapTable, Rights, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "table_create_slots",
        points: &[1, 16, 256, 4096, 65536],
        axis: "slots",
        what: "making a capability table with so many slots",
        leaves_out: "giving it up",
        measure: |meter, slots| {
            meter.at_cost(SLOT_TICKS * slots);
            meter.call(|| CapTable::new(program().account(), slots))
        },
    },
    Benchmark {
        name: "table_destroy_slots",
        points: &[1, 16, 256, 4096, 65536],
        axis: "slots",
        what: "giving up an empty capability table with so many slots",
        leaves_out: "making it",
        measure: |meter, slots| {
            meter.at_cost(SLOT_TICKS * slots);
            meter.sample(1, || CapTable::new(program().account(), slots), Cap::delete)
        },
    },
    Benchmark {
        name: "table_destroy_full",
        points: &[1, 16, 256, 4096],
        axis: "capabilities",
        what: "giving up a capability table that is full of capabilities to one segment",
        leaves_out: "making them",
        measure: |meter, capabilities| {
            meter.at_cost(CAPABILITY_TICKS * capabilities);
            let segment = page()?;
            let full = || {
                let table = CapTable::new(program().account(), capabilities)?;
                (0..capabilities).try_for_each(|_| segment.copy_into(&table, Rights::READ, 0).map(|_| ()))?;
                Ok(table)
            };
            meter.sample(1, full, Cap::delete)
        },
    },
];

/// What clearing a slot takes, roughly.
const SLOT_TICKS: u64 = 10;
/// What making a capability and giving it up takes.
const CAPABILITY_TICKS: u64 = 500;
