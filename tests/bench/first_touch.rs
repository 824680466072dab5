//! `first_touch`: from the instruction that touches a page without memory to the one behind it; the page is cleared.

use crate::measure::{Meter, SAMPLES_AND_WARM_UPS};
use libvas::{Error, PAGE_BYTES, Place, Rights, Segment, program};

const ADDRESS: u64 = 0x100_0000_0000;

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    let length_bytes = SAMPLES_AND_WARM_UPS as u64 * PAGE_BYTES;
    let segment = Segment::new_lazy(program().account(), length_bytes)?;
    program().space().map(ADDRESS, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    let mut next = ADDRESS;
    let fresh_page = || {
        next += PAGE_BYTES;
        Place::<u64>::new(next - PAGE_BYTES)
    };
    meter.sample(1, fresh_page, |place| {
        place.set(1);
        Ok(())
    })?;
    program().space().unmap(ADDRESS..ADDRESS + length_bytes)
}
