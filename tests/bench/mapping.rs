//! `map`, `unmap`, `protect`, also called `map_1`, `unmap_1`, `protect_1`: one small page of a space in which nobody
//! runs. Its tables stay, but for `unmap_1_table`, which takes the last page of a table out. `mappings_list`: the first.

use crate::measure::{Benchmark, Meter};
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("map", |meter| measure_map(meter, &Scene::new()?)),
    ("map_1", |meter| measure_map(meter, &Scene::new()?)),
    ("map_1_10000_mappings", |meter| measure_map(meter, &Scene::beside(10_000)?)),
    ("unmap", |meter| measure_unmap(meter, &Scene::new()?)),
    ("unmap_1", |meter| measure_unmap(meter, &Scene::new()?)),
    ("unmap_1_10000_mappings", |meter| measure_unmap(meter, &Scene::beside(10_000)?)),
    ("unmap_1_table", |meter| {
        let scene = Scene::new()?;
        meter.sample(1, || scene.map(ALONE), |()| scene.unmap(ALONE))
    }),
    ("protect", |meter| measure_protect(meter, &Scene::new()?)),
    ("protect_1", |meter| measure_protect(meter, &Scene::new()?)),
    ("protect_1_10000_mappings", |meter| measure_protect(meter, &Scene::beside(10_000)?)),
    ("mappings_list", |meter| measure_list(meter, &Scene::new()?)),
    ("mappings_list_10000_mappings", |meter| measure_list(meter, &Scene::beside(10_000)?)),
];

/// Off 2 MiB; the page before it keeps the table.
pub(crate) const ADDRESS: u64 = 2 * TOP_SLOT_BYTES + 8 * PAGE_BYTES;
const KEEPER: u64 = ADDRESS - 2 * PAGE_BYTES;
/// A table of its own for this page, in a table that stays.
const ALONE: u64 = ADDRESS + (2 << 20);
/// Where other mappings begin: half of them before the pages that are measured, half of them behind.
const BESIDE: [u64; 2] = [TOP_SLOT_BYTES, 3 * TOP_SLOT_BYTES];

pub(crate) struct Scene {
    pub(crate) space: Cap<Space>,
    segment: Cap<Segment>,
}

impl Scene {
    pub(crate) fn new() -> Result<Scene, Error> {
        let scene = Scene { space: program().new_space()?, segment: Segment::new(program().account(), PAGE_BYTES)? };
        scene.map(KEEPER)?;
        Ok(scene)
    }

    /// The same where so many other pages are mapped, every second one.
    pub(crate) fn beside(mappings: u64) -> Result<Scene, Error> {
        let scene = Scene::new()?;
        for start in BESIDE {
            (0..mappings / 2).try_for_each(|index| scene.map(start + index * 2 * PAGE_BYTES))?;
        }
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

fn measure_map(meter: &mut Meter, scene: &Scene) -> Result<(), Error> {
    meter.sample(1, || scene.unmap(ADDRESS).or(Ok(())), |()| scene.map(ADDRESS))
}

fn measure_unmap(meter: &mut Meter, scene: &Scene) -> Result<(), Error> {
    meter.sample(1, || scene.map(ADDRESS), |()| scene.unmap(ADDRESS))
}

fn measure_protect(meter: &mut Meter, scene: &Scene) -> Result<(), Error> {
    scene.map(ADDRESS)?;
    let protect = |rights| scene.space.protect(ADDRESS..ADDRESS + PAGE_BYTES, rights);
    meter.sample(1, || protect(Rights::READ_WRITE), |()| protect(Rights::READ))
}

fn measure_list(meter: &mut Meter, scene: &Scene) -> Result<(), Error> {
    meter.call(|| scene.space.mappings(KEEPER).next().unwrap_or(Err(Error::NotMapped)))
}
