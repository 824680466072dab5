//! `attach_mib/N` and `attach_by_sharers/N`: neither what is mapped in the subtree, up to 300 GiB, nor who else has
//! it should make a difference.

use crate::measure::Benchmark;
use crate::support::attach::{SMALL_BYTES, measure_attach, subtree_with};
use crate::support::shared::sharers;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "attach_mib",
        points: &[2, 64, 1024, 16384, 307200],
        axis: "MiB",
        what: "attaching a subtree to a space in which nobody runs, by how much is mapped in it",
        leaves_out: "the mapping of it",
        measure: |meter, mib| measure_attach(meter, &subtree_with(mib << 20)?),
    },
    Benchmark {
        name: "attach_by_sharers",
        points: &[1, 4, 16, 64, 256, 1024, 1500],
        axis: "sharers",
        what: "attaching a subtree to a space in which nobody runs, by how many others have it",
        leaves_out: "the making of those",
        measure: |meter, count| {
            let subtree = subtree_with(SMALL_BYTES)?;
            let _others = sharers(&subtree, count)?;
            measure_attach(meter, &subtree)
        },
    },
];
