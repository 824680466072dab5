//! `protect_512_per_page`: one call that changes the rights of 512 small pages, to and fro, per page.

use crate::map_512_per_page::{ADDRESS, LENGTH_BYTES, PAGES, map};
use crate::measure::Meter;
use libvas::{Error, Rights, Segment, program};

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), LENGTH_BYTES)?);
    map(&space, &segment)?;
    let mut writable = true;
    let flip = || {
        writable = !writable;
        Ok(if writable { Rights::READ_WRITE } else { Rights::READ })
    };
    meter.sample(PAGES, flip, |rights| space.protect(ADDRESS..ADDRESS + LENGTH_BYTES, rights))
}
