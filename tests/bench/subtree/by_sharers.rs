//! One page of a subtree by how many spaces share it: mapped, made read-only, unmapped, touched first; and the
//! invalidations of that.

use crate::measure::Benchmark;
use crate::support::shared::{count_invalidations, measure_first_touch, measure_map, measure_protect, measure_unmap};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "map_by_sharers",
        points: &[1, 4, 16, 64, 256, 1024, 1500],
        axis: "sharers",
        what: "mapping one page in a subtree that so many spaces show, all of which have been entered",
        leaves_out: "the making of tables, and of the memory",
        measure: measure_map,
    },
    Benchmark {
        name: "protect_by_sharers",
        points: &[1, 4, 16, 64, 256, 1024, 1500],
        axis: "sharers",
        what: "making one page read-only in a subtree that so many spaces show, all of which have been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: measure_protect,
    },
    Benchmark {
        name: "unmap_by_sharers",
        points: &[1, 4, 16, 64, 256, 1024, 1500],
        axis: "sharers",
        what: "unmapping one page of a subtree that so many spaces show, all of which have been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: measure_unmap,
    },
    Benchmark {
        name: "first_touch_by_sharers",
        points: &[1, 4, 16, 64, 256, 1024, 1500],
        axis: "sharers",
        what: "the first touch of a page in a subtree that so many spaces show, all of which have been entered",
        leaves_out: "the making of the segment",
        measure: measure_first_touch,
    },
    Benchmark {
        name: "unmap_by_sharers_invalidations",
        points: &[1, 4, 16, 64, 256, 1024, 1500],
        axis: "sharers",
        what: "pages invalidated by an unmap of one page of a subtree, under one tag or under all at once, that \
            so many spaces show",
        leaves_out: "tags marked stale, which are flushed when their spaces are next entered",
        measure: count_invalidations,
    },
];
