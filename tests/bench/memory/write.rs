//! `memory_write`, of 4096 bytes, of a space in which nobody runs.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{FREE, Scene, map_at_free};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "memory_write",
        points: &[],
        axis: "",
        what: "copying 4,096 bytes into a space in which nobody runs",
        leaves_out: "memory that is touched first",
        measure: |meter, _| measure(meter),
    },
    Benchmark {
        name: "memory_write_4096",
        points: &[],
        axis: "",
        what: "copying 4,096 bytes into a space in which nobody runs",
        leaves_out: "memory that is touched first",
        measure: |meter, _| measure(meter),
    },
];

fn measure(meter: &mut Meter) -> Measured {
    let (bytes, scene) = ([1; 4096], Scene::new()?);
    map_at_free(&scene.space)?;
    meter.call(|| scene.space.write(FREE, &bytes))
}
