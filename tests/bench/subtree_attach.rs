//! `subtree_attach` and `subtree_detach`: a subtree into a space in which nobody runs, and out of it again.
//!
//! Once with 2 MiB mapped in it and once with 300 GiB: what it holds must make no difference.

use crate::measure::Meter;
use libvas::{Cap, Error, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

const LARGE_PAGE_BYTES: u64 = 2 << 20;
const SMALL_BYTES: u64 = LARGE_PAGE_BYTES;
const LARGE_BYTES: u64 = 300 << 30;

pub(crate) fn measure_attach(meter: &mut Meter) -> Result<(), Error> {
    attach(meter, SMALL_BYTES)
}

pub(crate) fn measure_attach_large(meter: &mut Meter) -> Result<(), Error> {
    attach(meter, LARGE_BYTES)
}

pub(crate) fn measure_detach(meter: &mut Meter) -> Result<(), Error> {
    detach(meter, SMALL_BYTES)
}

pub(crate) fn measure_detach_large(meter: &mut Meter) -> Result<(), Error> {
    detach(meter, LARGE_BYTES)
}

fn attach(meter: &mut Meter, mapped_bytes: u64) -> Result<(), Error> {
    let (subtree, space) = (subtree_with(mapped_bytes)?, program().new_space()?);
    let empty = || space.detach(TOP_SLOT_BYTES).or(Ok(()));
    meter.sample(1, empty, |()| space.attach(TOP_SLOT_BYTES, &subtree, Rights::READ))
}

fn detach(meter: &mut Meter, mapped_bytes: u64) -> Result<(), Error> {
    let (subtree, space) = (subtree_with(mapped_bytes)?, Space::new(program().account())?);
    let full = || space.attach(TOP_SLOT_BYTES, &subtree, Rights::READ);
    meter.sample(1, full, |()| space.detach(TOP_SLOT_BYTES))
}

/// A subtree with so much mapped in it, all of it the same 2 MiB.
fn subtree_with(mapped_bytes: u64) -> Result<Cap<Subtree>, Error> {
    let account = program().account();
    let (subtree, segment) = (Subtree::new(account)?, Segment::new(account, LARGE_PAGE_BYTES)?);
    for address in (LARGE_PAGE_BYTES..=mapped_bytes).step_by(LARGE_PAGE_BYTES as usize) {
        subtree.map(address, &segment, 0..LARGE_PAGE_BYTES, Rights::READ)?;
    }
    Ok(subtree)
}
