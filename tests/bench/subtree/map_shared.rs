//! `map_shared_N`: one page of a subtree that N spaces share, all of which have been entered.

use crate::measure::Benchmark;
use crate::support::shared::measure_map;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "map_shared_1",
        points: &[],
        axis: "",
        what: "mapping one page in a subtree that one space shows, which has been entered",
        leaves_out: "the making of tables, and of the memory",
        measure: |meter, _| measure_map(meter, 1),
    },
    Benchmark {
        name: "map_shared_1500",
        points: &[],
        axis: "",
        what: "mapping one page in a subtree that 1,500 spaces show, which have been entered",
        leaves_out: "the making of tables, and of the memory",
        measure: |meter, _| measure_map(meter, 1500),
    },
];
