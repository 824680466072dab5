//! Faults of first touches when N spaces read a region of 64 pages, by one shared subtree or each by mappings of
//! its own.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::count::counted;
use crate::support::scene::{SLOT, subtree};
use crate::support::spaces::spaces;
use core::hint::black_box;
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "faults_shared",
        points: &[1, 4, 16, 64, 256, 1024],
        axis: "sharers",
        what: "faults when so many spaces read each of 64 pages of a subtree that they share, none of which has \
            memory yet",
        leaves_out: "what each takes: see `first_touch_by_sharers`",
        measure: |meter, sharers| {
            let (subtree, spaces) = (subtree()?, spaces(sharers)?);
            subtree.map(PAGE_BYTES, &region()?, 0..REGION_BYTES, Rights::READ_WRITE)?;
            spaces.iter().try_for_each(|space| space.attach(SLOT, &subtree, Rights::READ_WRITE))?;
            count_faults(meter, &spaces)
        },
    },
    Benchmark {
        name: "faults_private",
        points: &[1, 4, 16, 64, 256, 1024],
        axis: "sharers",
        what: "faults when so many spaces read each of 64 pages of the same memory, each by mappings of its own",
        leaves_out: "what each takes: see `first_touch`",
        measure: |meter, sharers| {
            let (region, spaces) = (region()?, spaces(sharers)?);
            for space in &spaces {
                space.map(SLOT + PAGE_BYTES, &region, 0..REGION_BYTES, Rights::READ_WRITE)?;
            }
            count_faults(meter, &spaces)
        },
    },
];

/// It begins off 2 MiB.
const REGION_BYTES: u64 = 64 * PAGE_BYTES;

fn region() -> Result<Cap<Segment>, Error> {
    Segment::new_lazy(program().account(), REGION_BYTES)
}

fn count_faults(meter: &mut Meter, spaces: &[Cap<Space>]) -> Measured {
    let counters = counted(|| spaces.iter().try_for_each(|space| space.enter(touch_each)?))?;
    meter.figure("faults", counters.faults);
    Ok(())
}

/// Reads a word of each page, from inside a space.
fn touch_each() -> Result<(), Error> {
    let start = SLOT + PAGE_BYTES;
    for address in (start..start + REGION_BYTES).step_by(PAGE_BYTES as usize) {
        black_box(Place::<u64>::new(address)?.get());
    }
    Ok(())
}
