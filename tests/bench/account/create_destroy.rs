//! `account_create_destroy`.

use crate::measure::Benchmark;
use libvas::{PAGE_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "account_create_destroy",
    points: &[],
    axis: "",
    what: "splitting an account off and giving it up",
    leaves_out: "an account that anything was charged to",
    measure: |meter, _| meter.call(|| program().account().split(PAGE_BYTES)?.delete()),
}];
