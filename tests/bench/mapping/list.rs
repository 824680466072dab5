//! `mappings_list`: the first mapping of a space.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{KEEPER, Scene};
use libvas::Error;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "mappings_list",
        points: &[],
        axis: "",
        what: "asking for the first mapping from an address on",
        leaves_out: "the others, of which one call can tell 1,024",
        measure: |meter, _| measure(meter, &Scene::new()?),
    },
    Benchmark {
        name: "mappings_list_10000_mappings",
        points: &[],
        axis: "",
        what: "asking for the first mapping from an address on, beside 10,000",
        leaves_out: "the making of those",
        measure: |meter, _| measure(meter, &Scene::beside(10_000)?),
    },
];

fn measure(meter: &mut Meter, scene: &Scene) -> Measured {
    meter.call(|| scene.space.mappings(KEEPER).next().unwrap_or(Err(Error::NotMapped)))
}
