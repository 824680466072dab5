//! `map_private`, and the first write to a page that is mapped so.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{ADDRESS, Scene, page};
use libvas::{PAGE_BYTES, Place, Rights, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "map_private",
        points: &[],
        axis: "",
        what: "mapping one small page of a space in which nobody runs, to be copied when it is written to",
        leaves_out: "the making of tables, and of the memory",
        measure: |meter, _| {
            let (scene, segment) = (Scene::new()?, page()?);
            let map = || scene.space.map_private(ADDRESS, &segment, 0..PAGE_BYTES, Rights::READ_WRITE);
            meter.sample(1, || scene.unmap(ADDRESS).or(Ok(())), |()| map())
        },
    },
    Benchmark {
        name: "private_first_write",
        points: &[],
        axis: "",
        what: "the first write to a page that is mapped to be copied then, in the caller's space",
        leaves_out: "mapping it, and reading it",
        measure: |meter, _| measure_write(meter),
    },
];

fn measure_write(meter: &mut Meter) -> Measured {
    let (space, segment) = (program().space(), page()?);
    let range = START..START + PAGE_BYTES;
    let place = Place::<u64>::new(START)?;
    let again = || {
        space.unmap(range.clone()).or(Ok(()))?;
        space.map_private(START, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        place.get();
        Ok(())
    };
    let measured = meter.sample(1, again, |()| {
        place.set(1);
        Ok(())
    });
    space.unmap(range)?;
    measured
}

/// Where the caller's space has nothing.
const START: u64 = 5 * TOP_SLOT_BYTES;
