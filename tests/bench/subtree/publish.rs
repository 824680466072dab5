//! `subtree_publish`.

use crate::measure::Benchmark;
use crate::support::machine::machine;
use crate::support::scene::{SLOT, subtree};
use libvas::Rights;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_publish",
    points: &[],
    axis: "",
    what: "making an empty subtree public, with few spaces",
    leaves_out: "more spaces and mappings, at each of which it looks",
    measure: |meter, _| {
        let (subtree, machine) = (subtree()?, machine()?);
        let hidden = || subtree.withdraw();
        meter.sample(1, hidden, |_| machine.publish(&subtree, SLOT, Rights::READ))
    },
}];
