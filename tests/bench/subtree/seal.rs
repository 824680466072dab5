//! `subtree_seal`.

use crate::measure::Benchmark;
use crate::support::scene::subtree;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_seal",
    points: &[],
    axis: "",
    what: "freezing an empty subtree",
    leaves_out: "nothing: it is the whole call, as the program makes it",
    measure: |meter, _| meter.sample(1, subtree, |subtree| subtree.seal().map(|()| subtree)),
}];
