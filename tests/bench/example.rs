//! An example of a benchmark: `./x.py bench example`.
//!
//! This file and its line in `main.rs` are all that there is to one. `what` and `leaves_out` go into
//! `docs/benchmarks.md`. What `measure` makes is gone when it returns.

use crate::measure::Benchmark;
use libvas::{PAGE_BYTES, Place, Rights, Segment, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    // A single figure: one thing, done a thousand times.
    Benchmark {
        name: "example",
        points: &[],
        axis: "",
        what: "making an empty space that shows the program, and giving it up",
        leaves_out: "entering it",
        measure: |meter, _| meter.call(|| program().new_space()?.delete()),
    },
    // A curve: the same at several points. What comes before each measurement, and is not measured, makes a fresh mapping.
    Benchmark {
        name: "example_pages",
        points: &[1, 16, 256],
        axis: "pages",
        what: "reading one word of each page of a mapping that was just made",
        leaves_out: "making the mapping, and refilling the TLB, which takes no instructions",
        measure: |meter, pages| {
            let (address, length_bytes) = (TOP_SLOT_BYTES, pages * PAGE_BYTES);
            let memory = Segment::new(program().account(), length_bytes)?;
            let fresh_mapping = || {
                // It is not there yet the first time.
                let _ = program().space().unmap(address..address + length_bytes);
                program().space().map(address, &memory, 0..length_bytes, Rights::READ)?;
                Place::<u64>::new(address)
            };
            let read_each = |place: Place<u64>| {
                (0..pages).try_fold(0, |sum, page| Ok(sum + place.at(page * (PAGE_BYTES / 8))?.get()))
            };
            let measured = meter.sample(1, fresh_mapping, read_each);
            program().space().unmap(address..address + length_bytes)?;
            measured
        },
    },
];
