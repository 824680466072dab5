//! `space_create_destroy`, alone, beside threads that are elsewhere, and beside other spaces.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::runner::Runner;
use alloc::vec::Vec;
use libvas::{Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "space_create_destroy",
        points: &[],
        axis: "",
        what: "making an empty space and giving it up",
        leaves_out: "anything mapped in it, or anybody having been in it",
        measure: |meter, _| create_destroy(meter),
    },
    Benchmark {
        name: "space_create_destroy_300_threads",
        points: &[],
        axis: "",
        what: "making an empty space and giving it up, beside 300 threads that are in another space",
        leaves_out: "the making of those",
        measure: |meter, _| {
            let _threads = (0..300).map(|_| Runner::idle_thread(program().table())).collect::<Result<Vec<_>, _>>()?;
            create_destroy(meter)
        },
    },
    Benchmark {
        name: "space_create_destroy_1500_spaces",
        points: &[],
        axis: "",
        what: "making an empty space and giving it up, beside 1,500 other spaces",
        leaves_out: "the making of those",
        measure: |meter, _| {
            let _spaces = (0..1500).map(|_| Space::new(program().account())).collect::<Result<Vec<_>, _>>()?;
            create_destroy(meter)
        },
    },
];

fn create_destroy(meter: &mut Meter) -> Measured {
    meter.call(|| Space::new(program().account())?.delete())
}
