//! `space_switch`: from one space to another and back, per switch.

use crate::measure::Meter;
use libvas::{Error, program};

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    let (here, there) = (program().new_space()?, program().new_space()?);
    here.switch()?;
    let there_and_back = |()| {
        there.switch()?;
        here.switch()
    };
    let measured = meter.sample(2, || Ok(()), there_and_back);
    program().space().switch()?;
    measured
}
