//! `first_touch_shared_N`: one page of a subtree that N spaces share, all of which have been entered.

use crate::measure::Benchmark;
use crate::support::shared::measure_first_touch;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "first_touch_shared_1",
        points: &[],
        axis: "",
        what: "the first touch of a page in a subtree that one space shows, which has been entered",
        leaves_out: "the making of the segment",
        measure: |meter, _| measure_first_touch(meter, 1),
    },
    Benchmark {
        name: "first_touch_shared_1500",
        points: &[],
        axis: "",
        what: "the first touch of a page in a subtree that 1,500 spaces show, which have been entered",
        leaves_out: "the making of the segment",
        measure: |meter, _| measure_first_touch(meter, 1500),
    },
];
