//! `KIND_create_destroy`: an object of each kind, made and given up again; and `derive_delete`, a capability.

use crate::measure::Meter;
use libvas::{CapTable, Error, PAGE_BYTES, Rights, Segment, Subtree, Thread, program};

pub(crate) fn measure_derive(meter: &mut Meter) -> Result<(), Error> {
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    meter.sample(1, || Ok(()), |()| segment.derive(Rights::READ, 1)?.delete())
}

/// One page, cleared.
pub(crate) fn measure_segment(meter: &mut Meter) -> Result<(), Error> {
    meter.sample(1, || Ok(()), |()| Segment::new(program().account(), PAGE_BYTES)?.delete())
}

/// 64 slots.
pub(crate) fn measure_table(meter: &mut Meter) -> Result<(), Error> {
    meter.sample(1, || Ok(()), |()| CapTable::new(program().account(), 64)?.delete())
}

pub(crate) fn measure_subtree(meter: &mut Meter) -> Result<(), Error> {
    meter.sample(1, || Ok(()), |()| Subtree::new(program().account())?.delete())
}

/// A thread that never starts.
pub(crate) fn measure_thread(meter: &mut Meter) -> Result<(), Error> {
    let (account, table, space) = (program().account(), CapTable::new(program().account(), 8)?, program().space());
    meter.sample(1, || Ok(()), |()| Thread::new(account, &table, space, 0)?.delete())
}

pub(crate) fn measure_account(meter: &mut Meter) -> Result<(), Error> {
    meter.sample(1, || Ok(()), |()| program().account().split(PAGE_BYTES)?.delete())
}
