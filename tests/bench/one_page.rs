//! `map_1`, `unmap_1`, `unmap_1_table`, `protect_1`: one small page of a space in which nobody runs. Its tables stay,
//! but for `unmap_1_table`, which takes the last page of a table out.

use crate::measure::Meter;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program};

/// Off 2 MiB; the page before it keeps the table.
const ADDRESS: u64 = 0x100_0000_0000 + 8 * PAGE_BYTES;
const KEEPER: u64 = ADDRESS - 2 * PAGE_BYTES;
/// A table of its own for this page, in a table that stays.
const ALONE: u64 = ADDRESS + (2 << 20);

struct Scene {
    space: Cap<Space>,
    segment: Cap<Segment>,
}

impl Scene {
    fn new() -> Result<Scene, Error> {
        let scene = Scene { space: program().new_space()?, segment: Segment::new(program().account(), PAGE_BYTES)? };
        scene.map(KEEPER)?;
        Ok(scene)
    }

    #[inline(always)]
    fn map(&self, address: u64) -> Result<(), Error> {
        self.space.map(address, &self.segment, 0..PAGE_BYTES, Rights::READ_WRITE)
    }

    #[inline(always)]
    fn unmap(&self, address: u64) -> Result<(), Error> {
        self.space.unmap(address..address + PAGE_BYTES)
    }
}

pub(crate) fn measure_map(meter: &mut Meter) -> Result<(), Error> {
    let scene = Scene::new()?;
    meter.sample(1, || scene.unmap(ADDRESS).or(Ok(())), |()| scene.map(ADDRESS))
}

pub(crate) fn measure_unmap(meter: &mut Meter) -> Result<(), Error> {
    let scene = Scene::new()?;
    meter.sample(1, || scene.map(ADDRESS), |()| scene.unmap(ADDRESS))
}

pub(crate) fn measure_unmap_table(meter: &mut Meter) -> Result<(), Error> {
    let scene = Scene::new()?;
    meter.sample(1, || scene.map(ALONE), |()| scene.unmap(ALONE))
}

pub(crate) fn measure_protect(meter: &mut Meter) -> Result<(), Error> {
    let scene = Scene::new()?;
    scene.map(ADDRESS)?;
    let protect = |rights| scene.space.protect(ADDRESS..ADDRESS + PAGE_BYTES, rights);
    meter.sample(1, || protect(Rights::READ_WRITE), |()| protect(Rights::READ))
}
