//! `unmap`, also called `unmap_1`: one small page of a space in which nobody runs. Its tables stay, but for
//! `unmap_1_table`.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{ADDRESS, Scene};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "unmap",
        points: &[],
        axis: "",
        what: "unmapping one small page of a space in which nobody runs; its tables stay",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, _| measure(meter, &Scene::new()?),
    },
    Benchmark {
        name: "unmap_1",
        points: &[],
        axis: "",
        what: "unmapping one small page of a space in which nobody runs; its tables stay",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, _| measure(meter, &Scene::new()?),
    },
    Benchmark {
        name: "unmap_1_10000_mappings",
        points: &[],
        axis: "",
        what: "unmapping one small page of a space in which nobody runs, beside 10,000 mappings there",
        leaves_out: "the making of those",
        measure: |meter, _| measure(meter, &Scene::beside(10_000)?),
    },
    Benchmark {
        name: "unmap_1_table",
        points: &[],
        axis: "",
        what: "unmapping the last page of a table, which goes too",
        leaves_out: "invalidations, as no CPU has been in the space",
        measure: |meter, _| {
            let scene = Scene::new()?;
            meter.sample(1, || scene.map(ALONE), |()| scene.unmap(ALONE))
        },
    },
];

/// A table of its own for this page, in a table that stays.
const ALONE: u64 = ADDRESS + (2 << 20);

fn measure(meter: &mut Meter, scene: &Scene) -> Measured {
    meter.sample(1, || scene.map(ADDRESS), |()| scene.unmap(ADDRESS))
}
