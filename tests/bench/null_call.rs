//! `null_call`: into the kernel and out again, with nothing done there.

use crate::measure::Meter;
use libvas::{Error, raw};

/// The number of the call that does nothing.
const NULL: u64 = 0;

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    meter.sample(1, || Ok(()), |()| call())
}

#[inline(always)]
fn call() -> Result<(), Error> {
    // SAFETY: the call changes nothing but registers.
    let (status, _) = unsafe { raw::call_short(NULL, 0) };
    Error::from_status(status)
}
