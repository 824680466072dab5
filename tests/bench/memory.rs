//! `first_touch`: from the instruction that touches a page without memory to the one behind it; the page is cleared.
//! `memory_read` and `memory_write`, of 4096 bytes unless the name says otherwise, of a space in which nobody runs.

use crate::mapping::{ADDRESS, Scene};
use crate::measure::{Benchmark, Meter, SAMPLES_AND_WARM_UPS};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("first_touch", |meter| measure_touch(meter, program().space())),
    ("first_touch_10000_mappings", |meter| {
        let scene = Scene::beside(10_000)?;
        scene.space.switch()?;
        let measured = measure_touch(meter, &scene.space);
        program().space().switch()?;
        measured
    }),
    ("memory_read", |meter| measure_read::<4096>(meter, &Scene::new()?.space)),
    ("memory_read_8", |meter| measure_read::<8>(meter, &Scene::new()?.space)),
    ("memory_read_4096", |meter| measure_read::<4096>(meter, &Scene::new()?.space)),
    ("memory_read_4096_10000_mappings", |meter| measure_read::<4096>(meter, &Scene::beside(10_000)?.space)),
    ("memory_write", |meter| measure_write(meter, &Scene::new()?.space)),
    ("memory_write_4096", |meter| measure_write(meter, &Scene::new()?.space)),
];

/// Off the pages of [`Scene`].
const HERE: u64 = ADDRESS + (1 << 30);

fn measure_touch(meter: &mut Meter, space: &Cap<Space>) -> Result<(), Error> {
    let length_bytes = SAMPLES_AND_WARM_UPS as u64 * PAGE_BYTES;
    let segment = Segment::new_lazy(program().account(), length_bytes)?;
    space.map(HERE, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    let mut next = HERE;
    let fresh_page = || {
        next += PAGE_BYTES;
        Place::<u64>::new(next - PAGE_BYTES)
    };
    meter.sample(1, fresh_page, |place| {
        place.set(1);
        Ok(())
    })?;
    space.unmap(HERE..HERE + length_bytes)
}

fn measure_read<const BYTES: usize>(meter: &mut Meter, space: &Cap<Space>) -> Result<(), Error> {
    let mut bytes = [0; BYTES];
    map_there(space)?;
    meter.call(|| space.read(HERE, &mut bytes))
}

fn measure_write(meter: &mut Meter, space: &Cap<Space>) -> Result<(), Error> {
    let bytes = [1; 4096];
    map_there(space)?;
    meter.call(|| space.write(HERE, &bytes))
}

fn map_there(space: &Cap<Space>) -> Result<(), Error> {
    let segment = Segment::new(program().account(), 2 * PAGE_BYTES)?;
    space.map(HERE, &segment, 0..2 * PAGE_BYTES, Rights::READ_WRITE)
}
