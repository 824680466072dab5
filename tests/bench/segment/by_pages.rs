//! Making and destroying a segment by how many pages it has: its memory is cleared when it is made.

use crate::measure::Benchmark;
use libvas::{Cap, PAGE_BYTES, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "segment_create_pages",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "making a segment of so many pages, which are cleared",
        leaves_out: "giving it up",
        measure: |meter, pages| {
            meter.at_cost(PAGE_TICKS * pages);
            meter.call(|| Segment::new(program().account(), pages * PAGE_BYTES))
        },
    },
    Benchmark {
        name: "segment_destroy_pages",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "giving up a segment of so many pages",
        leaves_out: "making it",
        measure: |meter, pages| {
            meter.at_cost(PAGE_TICKS * pages);
            meter.sample(1, || Segment::new(program().account(), pages * PAGE_BYTES), Cap::delete)
        },
    },
];

/// What clearing a page takes, roughly.
const PAGE_TICKS: u64 = 600;
