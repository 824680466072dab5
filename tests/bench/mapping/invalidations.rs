//! What unmapping N pages invalidates on this CPU, whose translations are in use: page by page up to a bound, then
//! the whole tag.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::count::counted;
use crate::support::pages::{Pages, Size};
use libvas::layout::Counters;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "unmap_pages_invalidations",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "pages invalidated one by one when the thread unmaps pages of the space that it is in",
        leaves_out: "the instructions that this takes: see `unmap_pages_here`",
        measure: |meter, pages| measure(meter, pages, "invalidations", |counters| counters.page_flushes),
    },
    Benchmark {
        name: "unmap_pages_flushes",
        points: &[1, 4, 16, 64, 256, 512, 1024, 2048],
        axis: "pages",
        what: "tags flushed as a whole when the thread unmaps pages of the space that it is in",
        leaves_out: "the refills that follow from it",
        measure: |meter, pages| measure(meter, pages, "flushes", |counters| counters.range_flushes),
    },
];

fn measure(meter: &mut Meter, count: u64, unit: &'static str, of: fn(&Counters) -> u64) -> Measured {
    let pages = Pages::mapped(count, Size::Small)?;
    pages.keep_tables()?;
    let counters = pages.space().enter(|| {
        pages.touch()?;
        counted(|| pages.unmap())
    })??;
    meter.figure(unit, of(&counters));
    Ok(())
}
