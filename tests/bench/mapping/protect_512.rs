//! `protect_512_per_page`, to and fro, and `protect_code_512_per_page`, made executable: one call for 512 small
//! pages, per page.

use crate::measure::Benchmark;
use crate::support::pages::{Pages, Size};
use libvas::Rights;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "protect_512_per_page",
        points: &[],
        axis: "",
        what: "making 512 small pages read-only, or writable again, by one call, per page",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, _| {
            let (pages, mut writable) = (Pages::mapped(512, Size::Small)?, true);
            let flip = || {
                writable = !writable;
                Ok(if writable { Rights::READ_WRITE } else { Rights::READ })
            };
            meter.sample(pages.count(), flip, |rights| pages.protect(rights))
        },
    },
    Benchmark {
        name: "protect_code_512_per_page",
        points: &[],
        axis: "",
        what: "making 512 small pages executable by one call, per page",
        leaves_out: "what fetching from them costs first",
        measure: |meter, _| {
            let pages = Pages::mapped(512, Size::Small)?;
            meter.sample(pages.count(), || pages.protect(Rights::READ), |()| pages.protect(Rights::READ_EXECUTE))
        },
    },
];
