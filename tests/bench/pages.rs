//! One call for 2 MiB of memory as 512 small pages: per page.

use crate::measure::Benchmark;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("map_512_per_page", |meter| {
        let scene = Scene::new()?;
        meter.sample(PAGES, || scene.space.unmap(RANGE), |()| scene.map())
    }),
    // To and fro.
    ("protect_512_per_page", |meter| {
        let (scene, mut writable) = (Scene::new()?, true);
        let flip = || {
            writable = !writable;
            Ok(if writable { Rights::READ_WRITE } else { Rights::READ })
        };
        meter.sample(PAGES, flip, |rights| scene.space.protect(RANGE, rights))
    }),
    // Made executable.
    ("protect_code_512_per_page", |meter| {
        let scene = Scene::new()?;
        let prepare = || scene.space.protect(RANGE, Rights::READ);
        meter.sample(PAGES, prepare, |()| scene.space.protect(RANGE, Rights::READ_EXECUTE))
    }),
];

const PAGES: u64 = 512;
const LENGTH_BYTES: u64 = PAGES * PAGE_BYTES;
/// Off 2 MiB, so that no large page is used.
const ADDRESS: u64 = 0x100_0000_0000 + PAGE_BYTES;
const RANGE: core::ops::Range<u64> = ADDRESS..ADDRESS + LENGTH_BYTES;

/// All of it mapped.
struct Scene {
    space: Cap<Space>,
    segment: Cap<Segment>,
}

impl Scene {
    fn new() -> Result<Scene, Error> {
        let segment = Segment::new(program().account(), LENGTH_BYTES)?;
        let scene = Scene { space: program().new_space()?, segment };
        scene.map()?;
        Ok(scene)
    }

    #[inline(always)]
    fn map(&self) -> Result<(), Error> {
        self.space.map(ADDRESS, &self.segment, 0..LENGTH_BYTES, Rights::READ_WRITE)
    }
}
