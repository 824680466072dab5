//! `map_512_per_page`: one call for 2 MiB of memory as 512 small pages, per page.

use crate::measure::Benchmark;
use crate::support::pages::{Pages, Size};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "map_512_per_page",
    points: &[],
    axis: "",
    what: "mapping 512 small pages by one call, per page",
    leaves_out: "the making of the memory",
    measure: |meter, _| {
        let pages = Pages::mapped(512, Size::Small)?;
        meter.sample(pages.count(), || pages.unmap(), |()| pages.map())
    },
}];
