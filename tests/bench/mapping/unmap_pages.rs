//! `unmap_pages/N` and its like: one call for N pages, small and large, from outside of the space and from inside.
//! The tables at the ends of the range stay; one that the range fills goes and comes with it.

use crate::measure::Benchmark;
use crate::support::pages::Size;
use crate::support::phase::{Phase, Position};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "unmap_pages",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "unmapping small pages by one call, in a space in which nobody has been",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, pages| Phase::Unmap.measure(meter, Position::Outside, pages, Size::Small),
    },
    Benchmark {
        name: "unmap_pages_here",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "unmapping small pages by one call, in the space that the thread is in",
        leaves_out: "what refilling the TLB costs afterwards",
        measure: |meter, pages| Phase::Unmap.measure(meter, Position::Inside, pages, Size::Small),
    },
    Benchmark {
        name: "unmap_huge_pages",
        points: &[1, 4, 16, 64],
        axis: "pages",
        what: "unmapping pages of 2 MiB by one call, in a space in which nobody has been",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, pages| Phase::Unmap.measure(meter, Position::Outside, pages, Size::Large),
    },
    Benchmark {
        name: "unmap_huge_pages_here",
        points: &[1, 4, 16, 64],
        axis: "pages",
        what: "unmapping pages of 2 MiB by one call, in the space that the thread is in",
        leaves_out: "what refilling the TLB costs afterwards",
        measure: |meter, pages| Phase::Unmap.measure(meter, Position::Inside, pages, Size::Large),
    },
    Benchmark {
        name: "unmap_pages_tables",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "unmapping small pages by one call, in a space in which nobody has been, and the tables that go \
            with them",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, pages| Phase::Unmap.measure_with_tables(meter, pages),
    },
];
