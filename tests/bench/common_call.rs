//! `common_call`: `clock`, the simplest call on the path that all calls but the fastest take.

use crate::measure::Meter;
use libvas::clock;

pub(crate) fn measure(meter: &mut Meter) -> Result<(), libvas::Error> {
    meter.sample(1, || Ok(()), |()| Ok(clock::now()))
}
