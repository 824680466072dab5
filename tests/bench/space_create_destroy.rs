//! `space_create_destroy`: a new empty space, made and given up again.

use crate::measure::Meter;
use libvas::{Error, Space, program};

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    meter.sample(1, || Ok(()), |()| Space::new(program().account())?.delete())
}
