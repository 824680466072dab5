//! `subtree_attach_core`.

use crate::measure::Benchmark;
use crate::support::scene::{SLOT, subtree};
use libvas::{Rights, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "subtree_attach_core",
    points: &[],
    axis: "",
    what: "attaching a subtree on one CPU only: a core window",
    leaves_out: "the first core window of a space, which makes a root table for each CPU",
    measure: |meter, _| {
        let (subtree, space) = (subtree()?, program().new_space()?);
        let empty = || space.detach_core(SLOT, 0).or(Ok(()));
        meter.sample(1, empty, |()| space.attach_core(SLOT, &subtree, Rights::READ, 0))
    },
}];
