//! `segment_grow` and `segment_discard`.

use crate::measure::{Benchmark, Measured, Meter};
use libvas::{PAGE_BYTES, Place, Rights, Segment, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "segment_grow",
        points: &[],
        axis: "",
        what: "making a segment of a page one of two, the second of which has no memory yet",
        leaves_out: "making it, and giving it up",
        measure: |meter, _| {
            let make = || Segment::new(program().account(), PAGE_BYTES);
            meter.sample(1, make, |segment| segment.grow(2 * PAGE_BYTES).map(|_| segment))
        },
    },
    Benchmark {
        name: "segment_discard",
        points: &[],
        axis: "",
        what: "giving a page back that is mapped in the caller's space, and was written to",
        leaves_out: "writing to it, which brings it",
        measure: |meter, _| discard(meter, PAGE_BYTES),
    },
    Benchmark {
        name: "segment_discard_1m",
        points: &[],
        axis: "",
        what: "the same of 256 pages at once",
        leaves_out: "writing to them, which brings them",
        measure: |meter, _| discard(meter, 1 << 20),
    },
];

fn discard(meter: &mut Meter, length_bytes: u64) -> Measured {
    let (space, segment) = (program().space(), Segment::new_discardable_lazy(program().account(), length_bytes)?);
    space.map(START, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    let touch = || {
        for offset in (0..length_bytes).step_by(PAGE_BYTES as usize) {
            Place::<u64>::new(START + offset)?.set(1);
        }
        Ok(())
    };
    let measured = meter.sample(1, touch, |()| segment.discard(0..length_bytes));
    space.unmap(START..START + length_bytes)?;
    measured
}

/// Where the caller's space has nothing.
const START: u64 = 5 * TOP_SLOT_BYTES;
