//! `account_create`.

use crate::measure::Benchmark;
use libvas::{PAGE_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "account_create",
    points: &[],
    axis: "",
    what: "splitting an account with a budget of one page off the program's",
    leaves_out: "giving up what was made, which is done after the measurement",
    measure: |meter, _| meter.call(|| program().account().split(PAGE_BYTES)),
}];
