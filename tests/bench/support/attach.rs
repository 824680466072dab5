//! A subtree that goes into a space in which nobody runs, and out of it again.

use crate::measure::{Measured, Meter};
use libvas::{Cap, Error, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

const LARGE_PAGE_BYTES: u64 = 2 << 20;
/// What a subtree has mapped at least.
pub(crate) const SMALL_BYTES: u64 = LARGE_PAGE_BYTES;
/// What the database server had that ran out of memory for page tables.
pub(crate) const LARGE_BYTES: u64 = 300 << 30;

/// Attaching it.
pub(crate) fn measure_attach(meter: &mut Meter, subtree: &Cap<Subtree>) -> Measured {
    let space = program().new_space()?;
    let empty = || space.detach(TOP_SLOT_BYTES).or(Ok(()));
    meter.sample(1, empty, |()| space.attach(TOP_SLOT_BYTES, subtree, Rights::READ))
}

/// Taking it out.
pub(crate) fn measure_detach(meter: &mut Meter, subtree: &Cap<Subtree>) -> Measured {
    let space = Space::new(program().account())?;
    let full = || space.attach(TOP_SLOT_BYTES, subtree, Rights::READ);
    meter.sample(1, full, |()| space.detach(TOP_SLOT_BYTES))
}

/// A subtree with so much mapped in it, all of it the same 2 MiB.
pub(crate) fn subtree_with(mapped_bytes: u64) -> Result<Cap<Subtree>, Error> {
    let account = program().account();
    let (subtree, segment) = (Subtree::new(account)?, Segment::new(account, LARGE_PAGE_BYTES)?);
    for address in (LARGE_PAGE_BYTES..=mapped_bytes).step_by(LARGE_PAGE_BYTES as usize) {
        subtree.map(address, &segment, 0..LARGE_PAGE_BYTES, Rights::READ)?;
    }
    Ok(subtree)
}
