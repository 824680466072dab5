//! How late a sleeper wakes while much is mapped, protected or unmapped by one call.

use crate::measure::Benchmark;
use crate::support::crowd::{MANY, space_with_mappings};
use crate::support::lateness::lateness;
use crate::support::scene::SLOT;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "lateness_map",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread maps 64 MiB in pages of 4 KiB",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, large, |large| large.map().map(|()| large)),
    },
    Benchmark {
        name: "lateness_protect",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread makes 64 MiB in pages of 4 KiB read-only",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, mapped, |large| large.space.protect(RANGE, Rights::READ).map(|()| large)),
    },
    Benchmark {
        name: "lateness_unmap",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread unmaps 64 MiB in pages of 4 KiB",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, mapped, |large| large.space.unmap(RANGE).map(|()| large)),
    },
    Benchmark {
        name: "lateness_protect_mappings",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread makes 20,000 mappings read-only by one call",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, space_with_mappings, |space| protect_many(&space).map(|()| space)),
    },
    Benchmark {
        name: "lateness_unmap_mappings",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread unmaps 20,000 mappings by one call",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, space_with_mappings, |space| space.unmap(MANY).map(|()| space)),
    },
];

const LENGTH_BYTES: u64 = 64 << 20;
/// Off 2 MiB, so that no large page is used.
const RANGE: core::ops::Range<u64> = SLOT + PAGE_BYTES..SLOT + PAGE_BYTES + LENGTH_BYTES;

struct Large {
    space: Cap<Space>,
    memory: Cap<Segment>,
}

fn large() -> Result<Large, Error> {
    let account = program().account();
    Ok(Large { space: Space::new(account)?, memory: Segment::new(account, LENGTH_BYTES)? })
}

fn mapped() -> Result<Large, Error> {
    let large = large()?;
    large.map()?;
    Ok(large)
}

impl Large {
    fn map(&self) -> Result<(), Error> {
        self.space.map(RANGE.start, &self.memory, 0..LENGTH_BYTES, Rights::READ_WRITE)
    }
}

fn protect_many(space: &Cap<Space>) -> Result<(), Error> {
    space.protect(MANY, Rights::READ)
}
