//! How late a sleeper wakes if nobody makes a call: what sleeping and waking take by themselves.

use crate::measure::Benchmark;
use crate::support::lateness::lateness;
use libvas::raw;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "lateness_of_nothing",
    points: &[],
    axis: "",
    what: "how late a sleeper wakes while another thread counts, and makes no call",
    leaves_out: "nothing: it is the sleeper's own way into sleep and out of it",
    measure: |meter, _| {
        lateness(
            meter,
            || Ok(()),
            |()| {
                let begin = raw::cycles();
                while raw::cycles().wrapping_sub(begin) < COUNTED_TICKS {
                    raw::relax();
                }
                Ok(())
            },
        )
    },
}];

const COUNTED_TICKS: u64 = 500_000;
