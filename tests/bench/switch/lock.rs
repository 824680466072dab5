//! Switches into spaces that take locks: free ones, and one that is handed on to who waits.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::spaces::go_home;
use core::time::Duration;
use libvas::{Cap, PAGE_BYTES, Rights, Segment, Space, TOP_SLOT_BYTES, program};

const ADDRESS: u64 = 5 * TOP_SLOT_BYTES;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "switch_lock_free",
        points: &[],
        axis: "",
        what: "a switch from the program's own space into one with a lockable segment that may be written there, which nobody holds",
        leaves_out: "the way back",
        measure: |meter, _| into(meter, &locked(1, Rights::READ_WRITE)?),
    },
    Benchmark {
        name: "switch_lock_free_read",
        points: &[],
        axis: "",
        what: "the same where the segment may only be read",
        leaves_out: "the way back",
        measure: |meter, _| into(meter, &locked(1, Rights::READ)?),
    },
    Benchmark {
        name: "switch_lock_free_4",
        points: &[],
        axis: "",
        what: "the same with four lockable segments that may be written",
        leaves_out: "the way back",
        measure: |meter, _| into(meter, &locked(4, Rights::READ_WRITE)?),
    },
    Benchmark {
        name: "switch_lock_release",
        points: &[],
        axis: "",
        what: "a switch from a space with a lockable segment back to the program's own: the lock is given up",
        leaves_out: "the way there",
        measure: |meter, _| {
            let space = locked(1, Rights::READ_WRITE)?;
            let measured = meter.sample(1, || space.switch(), |_| program().space().switch());
            go_home()?;
            measured
        },
    },
    Benchmark {
        name: "space_switch_until",
        points: &[],
        axis: "",
        what: "a switch from the program's own space into one with a lockable segment that nobody holds, without waiting",
        leaves_out: "the way back",
        measure: |meter, _| {
            let space = locked(1, Rights::READ_WRITE)?;
            let measured = meter.sample(1, go_home, |()| space.switch_until(Duration::ZERO));
            go_home()?;
            measured
        },
    },
];

/// A space with so many lockable segments.
fn locked(count: u64, rights: Rights) -> Result<Cap<Space>, libvas::Error> {
    let space = program().new_space()?;
    for number in 0..count {
        let segment = Segment::new_lockable(program().account(), PAGE_BYTES)?;
        space.map(ADDRESS + number * PAGE_BYTES, &segment, 0..PAGE_BYTES, rights)?;
    }
    Ok(space)
}

fn into(meter: &mut Meter, there: &Cap<Space>) -> Measured {
    let measured = meter.sample(1, go_home, |()| there.switch());
    go_home()?;
    measured
}
