//! `first_touch`: from the instruction that touches a page without memory to the one behind it; the page is
//! cleared.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{FREE, Scene};
use libvas::{Cap, PAGE_BYTES, Place, Rights, Segment, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "first_touch",
        points: &[],
        axis: "",
        what: "from the instruction that touches a page without memory to the one behind it; the page is cleared",
        leaves_out: "the making of the segment",
        measure: |meter, _| measure(meter, program().space()),
    },
    Benchmark {
        name: "first_touch_10000_mappings",
        points: &[],
        axis: "",
        what: "the first touch of a page without memory, which is cleared, in a space with 10,000 mappings",
        leaves_out: "the making of those",
        measure: |meter, _| {
            let scene = Scene::beside(10_000)?;
            scene.space.switch()?;
            let measured = measure(meter, &scene.space);
            program().space().switch()?;
            measured
        },
    },
];

fn measure(meter: &mut Meter, space: &Cap<Space>) -> Measured {
    let length_bytes = meter.rounds() as u64 * PAGE_BYTES;
    let segment = Segment::new_lazy(program().account(), length_bytes)?;
    space.map(FREE, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    let mut next = FREE;
    let fresh_page = || {
        next += PAGE_BYTES;
        Place::<u64>::new(next - PAGE_BYTES)
    };
    meter.sample(1, fresh_page, |place| {
        place.set(1);
        Ok(())
    })?;
    Ok(space.unmap(FREE..FREE + length_bytes)?)
}
