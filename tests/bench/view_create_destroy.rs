//! `view_create_destroy`: a read-only view of the program's own space, made and given up again.

use crate::measure::Meter;
use libvas::{Error, Rights, View, program};

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    let (account, base) = (program().account(), program().space());
    meter.sample(1, || Ok(()), |()| View::new(account, base, Rights::READ)?.delete())
}
