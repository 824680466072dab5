//! Calls on accounts.

use crate::measure::Benchmark;
use libvas::{PAGE_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("account_create", |meter| meter.call(|| program().account().split(PAGE_BYTES))),
    ("account_create_destroy", |meter| meter.call(|| program().account().split(PAGE_BYTES)?.delete())),
    ("account_info", |meter| meter.call(|| program().account().info())),
];
