//! `subtree_detach`: with 2 MiB mapped in it or 300 GiB, and with no other space that has it or 1,500: that must
//! make no difference.

use crate::measure::Benchmark;
use crate::support::attach::{LARGE_BYTES, SMALL_BYTES, measure_detach, subtree_with};
use crate::support::shared::sharers;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "subtree_detach",
        points: &[],
        axis: "",
        what: "taking a subtree out of a space in which nobody runs; 2 MiB are mapped in it",
        leaves_out: "translations left over, as no CPU has been in the space",
        measure: |meter, _| measure_detach(meter, &subtree_with(SMALL_BYTES)?),
    },
    Benchmark {
        name: "subtree_detach_300_gib",
        points: &[],
        axis: "",
        what: "taking a subtree out of a space in which nobody runs; 300 GiB are mapped in it",
        leaves_out: "the mapping of those",
        measure: |meter, _| measure_detach(meter, &subtree_with(LARGE_BYTES)?),
    },
    Benchmark {
        name: "subtree_detach_1500_sharers",
        points: &[],
        axis: "",
        what: "taking a subtree out of a space in which nobody runs, while 1,500 others have it",
        leaves_out: "the making of those",
        measure: |meter, _| {
            let subtree = subtree_with(SMALL_BYTES)?;
            let _others = sharers(&subtree, 1500)?;
            measure_detach(meter, &subtree)
        },
    },
];
