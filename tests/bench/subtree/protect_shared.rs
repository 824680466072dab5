//! `protect_shared_N`: one page of a subtree that N spaces share, all of which have been entered.

use crate::measure::Benchmark;
use crate::support::shared::measure_protect;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "protect_shared_1",
        points: &[],
        axis: "",
        what: "making one page read-only in a subtree that one space shows, which has been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: |meter, _| measure_protect(meter, 1),
    },
    Benchmark {
        name: "protect_shared_2",
        points: &[],
        axis: "",
        what: "making one page read-only in a subtree that 2 spaces show, which have been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: |meter, _| measure_protect(meter, 2),
    },
    Benchmark {
        name: "protect_shared_4",
        points: &[],
        axis: "",
        what: "making one page read-only in a subtree that 4 spaces show, which have been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: |meter, _| measure_protect(meter, 4),
    },
    Benchmark {
        name: "protect_shared_5",
        points: &[],
        axis: "",
        what: "making one page read-only in a subtree that 5 spaces show, which have been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: |meter, _| measure_protect(meter, 5),
    },
    Benchmark {
        name: "protect_shared_16",
        points: &[],
        axis: "",
        what: "making one page read-only in a subtree that 16 spaces show, which have been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: |meter, _| measure_protect(meter, 16),
    },
    Benchmark {
        name: "protect_shared_1500",
        points: &[],
        axis: "",
        what: "making one page read-only in a subtree that 1,500 spaces show, which have been entered",
        leaves_out: "interrupts, as no CPU is in one of the spaces",
        measure: |meter, _| measure_protect(meter, 1500),
    },
];
