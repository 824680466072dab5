//! `map`, also called `map_1`: one small page of a space in which nobody runs, whose tables stay.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{ADDRESS, Scene};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "map",
        points: &[],
        axis: "",
        what: "mapping one small page of a space in which nobody runs; its tables are there",
        leaves_out: "the making of tables, and of the memory",
        measure: |meter, _| measure(meter, &Scene::new()?),
    },
    Benchmark {
        name: "map_1",
        points: &[],
        axis: "",
        what: "mapping one small page of a space in which nobody runs; its tables are there",
        leaves_out: "the making of tables, and of the memory",
        measure: |meter, _| measure(meter, &Scene::new()?),
    },
    Benchmark {
        name: "map_1_10000_mappings",
        points: &[],
        axis: "",
        what: "mapping one small page of a space in which nobody runs, beside 10,000 mappings there",
        leaves_out: "the making of those",
        measure: |meter, _| measure(meter, &Scene::beside(10_000)?),
    },
];

fn measure(meter: &mut Meter, scene: &Scene) -> Measured {
    meter.sample(1, || scene.unmap(ADDRESS).or(Ok(())), |()| scene.map(ADDRESS))
}
