//! `map_512_per_page`: one call that maps 2 MiB of memory that exists as 512 small pages, per page.

use crate::measure::Meter;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program};

/// How many pages one call maps.
pub(crate) const PAGES: u64 = 512;

/// Where: off 2 MiB, so that no large page is used.
pub(crate) const ADDRESS: u64 = 0x100_0000_0000 + PAGE_BYTES;

/// The length of the mapping, bytes.
pub(crate) const LENGTH_BYTES: u64 = PAGES * PAGE_BYTES;

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), LENGTH_BYTES)?);
    map(&space, &segment)?;
    let unmap = || space.unmap(ADDRESS..ADDRESS + LENGTH_BYTES);
    meter.sample(PAGES, unmap, |()| map(&space, &segment))
}

/// Maps it all.
#[inline(always)]
pub(crate) fn map(space: &Cap<Space>, segment: &Cap<Segment>) -> Result<(), Error> {
    space.map(ADDRESS, segment, 0..LENGTH_BYTES, Rights::READ_WRITE)
}
