//! `mapping_move`: of a page, of much memory.

use crate::measure::{Benchmark, Measured, Meter};
use libvas::{PAGE_BYTES, Rights, Segment, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "mapping_move",
        points: &[],
        axis: "",
        what: "moving one small page from a space to another, in neither of which anybody runs",
        leaves_out: "the memory",
        measure: |meter, _| measure(meter, PAGE_BYTES),
    },
    Benchmark {
        name: "mapping_move_16m",
        points: &[],
        axis: "",
        what: "the same of 16 MiB in large pages",
        leaves_out: "the memory",
        measure: |meter, _| measure(meter, 16 << 20),
    },
];

/// Back and forth, so that each has tables.
fn measure(meter: &mut Meter, length_bytes: u64) -> Measured {
    let (spaces, segment) =
        ([program().new_space()?, program().new_space()?], Segment::new(program().account(), length_bytes)?);
    let range = START..START + length_bytes;
    spaces[0].map(START, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    for space in &spaces {
        let beside = Segment::new(program().account(), PAGE_BYTES)?;
        space.map(START + (1 << 30) - PAGE_BYTES, &beside, 0..PAGE_BYTES, Rights::READ)?;
    }
    meter.sample(
        1,
        || spaces[1].move_to(range.clone(), &spaces[0], START).or(Ok(())),
        |()| spaces[0].move_to(range.clone(), &spaces[1], START),
    )
}

/// Where large pages fit.
const START: u64 = 4 * TOP_SLOT_BYTES;
