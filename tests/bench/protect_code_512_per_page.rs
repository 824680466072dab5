//! `protect_code_512_per_page`: one call that makes 512 small pages executable, per page.

use crate::map_512_per_page::{ADDRESS, LENGTH_BYTES, PAGES, map};
use crate::measure::Meter;
use libvas::{Error, Rights, Segment, program};

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), LENGTH_BYTES)?);
    map(&space, &segment)?;
    let range = ADDRESS..ADDRESS + LENGTH_BYTES;
    let prepare = || space.protect(range.clone(), Rights::READ);
    meter.sample(PAGES, prepare, |()| space.protect(range.clone(), Rights::READ_EXECUTE))
}
