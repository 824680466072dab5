//! `subtree_detach_core`.

use crate::measure::Benchmark;
use crate::support::scene::{SLOT, subtree};
use libvas::{Rights, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_detach_core",
    points: &[],
    axis: "",
    what: "taking a core window out",
    leaves_out: "invalidations, as no CPU has been in the space",
    measure: |meter, _| {
        let (subtree, space) = (subtree()?, program().new_space()?);
        let full = || space.attach_core(SLOT, &subtree, Rights::READ, 0);
        meter.sample(1, full, |()| space.detach_core(SLOT, 0))
    },
}];
