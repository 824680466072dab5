//! `account_info`.

use crate::measure::Benchmark;
use libvas::program;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "account_info",
    points: &[],
    axis: "",
    what: "asking for an account's budget and what is used of it",
    leaves_out: "nothing: it is the whole call, as the program makes it",
    measure: |meter, _| meter.call(|| program().account().info()),
}];
