//! `subtree_withdraw`, out of the one place where it is attached.

use crate::measure::Benchmark;
use crate::support::scene::{SLOT, subtree};
use libvas::{Rights, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_withdraw",
    points: &[],
    axis: "",
    what: "taking an empty subtree out of the one place where it is attached",
    leaves_out: "more places, with which it grows in proportion",
    measure: |meter, _| {
        let (subtree, space) = (subtree()?, program().new_space()?);
        let attached = || space.attach(SLOT, &subtree, Rights::READ);
        meter.sample(1, attached, |()| subtree.withdraw())
    },
}];
