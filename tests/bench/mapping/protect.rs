//! `protect`, also called `protect_1`: one small page of a space in which nobody runs, made read-only.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{ADDRESS, Scene};
use libvas::{PAGE_BYTES, Rights};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "protect",
        points: &[],
        axis: "",
        what: "making one small page of a space in which nobody runs read-only",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, _| measure(meter, &Scene::new()?),
    },
    Benchmark {
        name: "protect_1",
        points: &[],
        axis: "",
        what: "making one small page of a space in which nobody runs read-only",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, _| measure(meter, &Scene::new()?),
    },
    Benchmark {
        name: "protect_1_10000_mappings",
        points: &[],
        axis: "",
        what: "making one small page of a space in which nobody runs read-only, beside 10,000 mappings there",
        leaves_out: "the making of those",
        measure: |meter, _| measure(meter, &Scene::beside(10_000)?),
    },
];

fn measure(meter: &mut Meter, scene: &Scene) -> Measured {
    scene.map(ADDRESS)?;
    let protect = |rights| scene.space.protect(ADDRESS..ADDRESS + PAGE_BYTES, rights);
    meter.sample(1, || protect(Rights::READ_WRITE), |()| protect(Rights::READ))
}
