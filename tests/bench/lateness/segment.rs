//! How late a sleeper wakes while segments are made and given up.

use crate::measure::Benchmark;
use crate::support::lateness::lateness;
use libvas::{Cap, Error, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "lateness_segment_create",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread makes a segment of 128 MiB, all of which is cleared",
        leaves_out: "giving it up",
        measure: |meter, _| lateness(meter, || Ok(()), |()| Segment::new(program().account(), LARGE_BYTES)),
    },
    Benchmark {
        name: "lateness_segment_create_lazy",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread makes a segment of 128 GiB without memory",
        leaves_out: "giving it up",
        measure: |meter, _| lateness(meter, || Ok(()), |()| Segment::new_lazy(program().account(), LONG_BYTES)),
    },
    Benchmark {
        name: "lateness_segment_destroy",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread gives up a segment of 128 MiB",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, || Segment::new(program().account(), LARGE_BYTES), Cap::delete),
    },
    Benchmark {
        name: "lateness_segment_destroy_lazy",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread gives up a segment of 128 GiB that has a page in each 16 MiB",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, sparse, Cap::delete),
    },
];

const LARGE_BYTES: u64 = 128 << 20;
/// What this machine's memory can pay the records of.
const LONG_BYTES: u64 = 128 << 30;
const PAGE_EVERY_BYTES: u64 = 16 << 20;

/// A long segment with memory here and there.
fn sparse() -> Result<Cap<Segment>, Error> {
    let segment = Segment::new_lazy(program().account(), LONG_BYTES)?;
    (0..LONG_BYTES).step_by(PAGE_EVERY_BYTES as usize).try_for_each(|offset| segment.write(offset, &[1]))?;
    Ok(segment)
}
