//! `null`, also called `null_call`: into the kernel and out again.

use crate::measure::Benchmark;
use libvas::{Error, raw};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "null",
        points: &[],
        axis: "",
        what: "into the kernel and out again, with nothing done there",
        leaves_out: "what every other call does there: finding the call and its objects, the lock",
        measure: |meter, _| meter.call(null),
    },
    Benchmark {
        name: "null_call",
        points: &[],
        axis: "",
        what: "into the kernel and out again, with nothing done there",
        leaves_out: "what every other call does there: finding the call and its objects, the lock",
        measure: |meter, _| meter.call(null),
    },
];

/// The number of the call that does nothing.
const NULL: u64 = 0;

#[inline(always)]
fn null() -> Result<(), Error> {
    // SAFETY: the call changes nothing but registers.
    let (status, _) = unsafe { raw::call_short(NULL, 0) };
    Error::from_status(status)
}
