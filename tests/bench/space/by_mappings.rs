//! Destroying a space by how many mappings it has, each of one page.

use crate::measure::Benchmark;
use crate::support::scene::page;
use libvas::{Cap, PAGE_BYTES, Rights, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "space_destroy_mappings",
    points: &[1, 16, 256, 4096],
    axis: "mappings",
    what: "giving up a space with so many mappings of one page each, and their tables",
    leaves_out: "making them, and anybody having been in it",
    measure: |meter, mappings| {
        meter.at_cost(MAPPING_TICKS * mappings);
        let segment = page()?;
        let full = || {
            let space = program().new_space()?;
            for index in 0..mappings {
                let address = TOP_SLOT_BYTES + 2 * index * PAGE_BYTES;
                space.map(address, &segment, 0..PAGE_BYTES, Rights::READ)?;
            }
            Ok(space)
        };
        meter.sample(1, full, Cap::delete)
    },
}];

/// What making a mapping and giving it up takes, roughly.
const MAPPING_TICKS: u64 = 1000;
