//! How late a sleeper wakes while memory is copied, and while a large page is touched first.

use crate::measure::Benchmark;
use crate::support::lateness::lateness;
use crate::support::scene::SLOT;
use alloc::vec;
use alloc::vec::Vec;
use libvas::{Cap, Error, Place, Rights, Segment, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "lateness_memory_write",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread copies 16 MiB into a space, whose memory is made meanwhile",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, space_and_bytes, |(space, bytes)| space.write(SLOT, &bytes).map(|()| (space, bytes)))
        },
    },
    Benchmark {
        name: "lateness_memory_read",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread copies 16 MiB out of a space",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(
                meter,
                || space_and_bytes().and_then(|(space, bytes)| space.write(SLOT, &bytes).map(|()| (space, bytes))),
                |(space, mut bytes)| space.read(SLOT, &mut bytes).map(|()| (space, bytes)),
            )
        },
    },
    Benchmark {
        name: "lateness_first_touch_large",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread touches a page of 2 MiB without memory",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, untouched, |space| space.enter(touch)?.map(|()| space)),
    },
];

const COPIED_BYTES: u64 = 16 << 20;
const LARGE_PAGE_BYTES: u64 = 2 << 20;

fn space_and_bytes() -> Result<(Cap<Space>, Vec<u8>), Error> {
    Ok((space_with(COPIED_BYTES)?, vec![1; COPIED_BYTES as usize]))
}

fn untouched() -> Result<Cap<Space>, Error> {
    space_with(LARGE_PAGE_BYTES)
}

/// A space with so much memory at [`SLOT`] that nobody has touched.
fn space_with(length_bytes: u64) -> Result<Cap<Space>, Error> {
    let (space, memory) = (program().new_space()?, Segment::new_lazy(program().account(), length_bytes)?);
    space.map(SLOT, &memory, 0..length_bytes, Rights::READ_WRITE)?;
    Ok(space)
}

fn touch() -> Result<(), Error> {
    Place::<u64>::new(SLOT)?.set(1);
    Ok(())
}
