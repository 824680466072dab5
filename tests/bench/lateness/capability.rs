//! How late a sleeper wakes while something is done to a capability with many children.

use crate::measure::Benchmark;
use crate::support::crowd::{CAPABILITIES, children};
use crate::support::lateness::lateness;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "lateness_capability_delete",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread gives up a capability with 60,000 children",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, || children(CAPABILITIES), |(segment, table)| segment.delete().map(|()| table))
        },
    },
    Benchmark {
        name: "lateness_capability_info",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread asks about a capability with 60,000 children",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(
                meter,
                || children(CAPABILITIES),
                |(segment, table)| segment.capability_info().map(|_| (segment, table)),
            )
        },
    },
];
