//! `space_create_destroy`: a new empty space, made and given up again; `space_create_destroy_300_threads`: the same beside
//! 300 threads that are elsewhere.

use alloc::vec::Vec;

use crate::measure::Meter;
use libvas::{CapTable, Error, Space, Thread, program};

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    meter.sample(1, || Ok(()), |()| Space::new(program().account())?.delete())
}

pub(crate) fn measure_beside_threads(meter: &mut Meter) -> Result<(), Error> {
    let (account, table, space) = (program().account(), CapTable::new(program().account(), 1)?, program().space());
    let _threads = (0..300).map(|_| Thread::new(account, &table, space, 0)).collect::<Result<Vec<_>, _>>()?;
    measure(meter)
}
