//! `memory_read_8`, `memory_read_4096`, `memory_write_4096`: bytes of another space, in which nobody runs.

use crate::measure::Meter;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program};

const ADDRESS: u64 = 0x100_0000_0000;

pub(crate) fn measure_read<const BYTES: usize>(meter: &mut Meter) -> Result<(), Error> {
    let (space, mut bytes) = (space_with_memory()?, [0; BYTES]);
    meter.sample(1, || Ok(()), |()| space.read(ADDRESS, &mut bytes))
}

pub(crate) fn measure_write<const BYTES: usize>(meter: &mut Meter) -> Result<(), Error> {
    let (space, bytes) = (space_with_memory()?, [1; BYTES]);
    meter.sample(1, || Ok(()), |()| space.write(ADDRESS, &bytes))
}

fn space_with_memory() -> Result<Cap<Space>, Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), 2 * PAGE_BYTES)?);
    space.map(ADDRESS, &segment, 0..2 * PAGE_BYTES, Rights::READ_WRITE)?;
    Ok(space)
}
