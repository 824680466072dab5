//! `guest_create`, a guest's end, and `guest_state_bytes`.

use crate::measure::Benchmark;
use libvas::guest::state_bytes;
use libvas::{Cap, Guest, PAGE_BYTES, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "guest_state_bytes",
        points: &[],
        axis: "",
        what: "asking how long a guest's state is",
        leaves_out: "nothing: it is the whole call, as the program makes it",
        measure: |meter, _| meter.call(state_bytes),
    },
    Benchmark {
        name: "guest_create",
        points: &[],
        axis: "",
        what: "making a guest on a page of a segment",
        leaves_out: "its end; the segment",
        measure: |meter, _| {
            let segment = Segment::new(program().account(), PAGE_BYTES)?;
            meter.sample(1, || Ok(()), |()| Cap::<Guest>::new_guest(program().account(), &segment, 0))
        },
    },
    Benchmark {
        name: "guest_destroy",
        points: &[],
        axis: "",
        what: "giving up the last capability to a guest",
        leaves_out: "making it",
        measure: |meter, _| {
            let segment = Segment::new(program().account(), PAGE_BYTES)?;
            let make = || Cap::<Guest>::new_guest(program().account(), &segment, 0);
            meter.sample(1, make, |guest| guest.delete())
        },
    },
];
