//! `null`, also called `null_call`: into the kernel and out again, with nothing done there.

use crate::measure::Benchmark;
use libvas::{Error, raw};

pub(crate) const BENCHMARKS: &[Benchmark] =
    &[("null", |meter| meter.call(null)), ("null_call", |meter| meter.call(null))];

/// The number of the call that does nothing.
const NULL: u64 = 0;

#[inline(always)]
fn null() -> Result<(), Error> {
    // SAFETY: the call changes nothing but registers.
    let (status, _) = unsafe { raw::call_short(NULL, 0) };
    Error::from_status(status)
}
