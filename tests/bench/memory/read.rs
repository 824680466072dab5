//! `memory_read`, of 4096 bytes unless the name says otherwise, of a space in which nobody runs.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{FREE, Scene, map_at_free};
use libvas::{Cap, Space};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "memory_read",
        points: &[],
        axis: "",
        what: "copying 4,096 bytes out of a space in which nobody runs",
        leaves_out: "memory that is touched first",
        measure: |meter, _| measure::<4096>(meter, &Scene::new()?.space),
    },
    Benchmark {
        name: "memory_read_8",
        points: &[],
        axis: "",
        what: "copying 8 bytes out of a space in which nobody runs",
        leaves_out: "memory that is touched first",
        measure: |meter, _| measure::<8>(meter, &Scene::new()?.space),
    },
    Benchmark {
        name: "memory_read_4096",
        points: &[],
        axis: "",
        what: "copying 4,096 bytes out of a space in which nobody runs",
        leaves_out: "memory that is touched first",
        measure: |meter, _| measure::<4096>(meter, &Scene::new()?.space),
    },
    Benchmark {
        name: "memory_read_4096_10000_mappings",
        points: &[],
        axis: "",
        what: "copying 4,096 bytes out of a space in which nobody runs, and which has 10,000 mappings",
        leaves_out: "the making of those",
        measure: |meter, _| measure::<4096>(meter, &Scene::beside(10_000)?.space),
    },
];

fn measure<const BYTES: usize>(meter: &mut Meter, space: &Cap<Space>) -> Measured {
    let mut bytes = [0; BYTES];
    map_at_free(space)?;
    meter.call(|| space.read(FREE, &mut bytes))
}
