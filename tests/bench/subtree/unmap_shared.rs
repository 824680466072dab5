//! `unmap_shared_N`: one page of a subtree that N spaces share, all of which have been entered.

use crate::measure::Benchmark;
use crate::support::shared::measure_unmap;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "unmap_shared_1",
        points: &[],
        axis: "",
        what: "unmapping one page of a subtree that one space shows, which has been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: |meter, _| measure_unmap(meter, 1),
    },
    Benchmark {
        name: "unmap_shared_1500",
        points: &[],
        axis: "",
        what: "unmapping one page of a subtree that 1,500 spaces show, which have been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: |meter, _| measure_unmap(meter, 1500),
    },
];
