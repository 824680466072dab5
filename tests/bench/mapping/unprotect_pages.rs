//! `unprotect_pages/N` and its like: one call for N pages, small and large, from outside of the space and from
//! inside.

use crate::measure::Benchmark;
use crate::support::pages::Size;
use crate::support::phase::{Phase, Position};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "unprotect_pages",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "making small pages writable again by one call, in a space in which nobody has been",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, pages| Phase::Unprotect.measure(meter, Position::Outside, pages, Size::Small),
    },
    Benchmark {
        name: "unprotect_pages_here",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "making small pages writable again by one call, in the space that the thread is in",
        leaves_out: "what refilling the TLB costs afterwards",
        measure: |meter, pages| Phase::Unprotect.measure(meter, Position::Inside, pages, Size::Small),
    },
    Benchmark {
        name: "unprotect_huge_pages",
        points: &[1, 4, 16, 64],
        axis: "pages",
        what: "making pages of 2 MiB writable again by one call, in a space in which nobody has been",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, pages| Phase::Unprotect.measure(meter, Position::Outside, pages, Size::Large),
    },
    Benchmark {
        name: "unprotect_huge_pages_here",
        points: &[1, 4, 16, 64],
        axis: "pages",
        what: "making pages of 2 MiB writable again by one call, in the space that the thread is in",
        leaves_out: "what refilling the TLB costs afterwards",
        measure: |meter, pages| Phase::Unprotect.measure(meter, Position::Inside, pages, Size::Large),
    },
];
