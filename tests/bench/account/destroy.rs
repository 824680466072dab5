//! `account_destroy`: giving up the last capability.

use crate::measure::Benchmark;
use libvas::{Cap, PAGE_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "account_destroy",
    points: &[],
    axis: "",
    what: "giving up an account to which nothing is charged",
    leaves_out: "what was charged to it, which must go first",
    measure: |meter, _| meter.sample(1, || program().account().split(PAGE_BYTES), Cap::delete),
}];
