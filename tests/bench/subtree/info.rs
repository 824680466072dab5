//! `subtree_info`.

use crate::measure::Benchmark;
use crate::support::scene::subtree;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_info",
    points: &[],
    axis: "",
    what: "asking for tables, mappings and sharers of a subtree",
    leaves_out: "nothing: it is the whole call, as the program makes it",
    measure: |meter, _| {
        let subtree = subtree()?;
        meter.call(|| subtree.info())
    },
}];
