//! One page of a subtree that so many spaces share, in which nobody runs: `protect_shared_N`, `map_shared_N`,
//! `unmap_shared_N`; and touched for the first time by one of them, `first_touch_shared_N`.
//!
//! The spaces have all been entered, so each may have translations of its own left somewhere.

use crate::measure::{Benchmark, Meter, SAMPLES_AND_WARM_UPS};
use alloc::vec::Vec;
use core::ops::Range;
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("protect_shared_1", measure_protect::<1>),
    ("protect_shared_2", measure_protect::<2>),
    ("protect_shared_4", measure_protect::<4>),
    ("protect_shared_5", measure_protect::<5>),
    ("protect_shared_16", measure_protect::<16>),
    ("protect_shared_1500", measure_protect::<1500>),
    ("map_shared_1", measure_map::<1>),
    ("map_shared_1500", measure_map::<1500>),
    ("unmap_shared_1", measure_unmap::<1>),
    ("unmap_shared_1500", measure_unmap::<1500>),
    ("first_touch_shared_1", measure_touch::<1>),
    ("first_touch_shared_1500", measure_touch::<1500>),
];

const PAGE: Range<u64> = PAGE_BYTES..2 * PAGE_BYTES;
/// Its table stays, for this page.
const KEEPER: u64 = 4 * PAGE_BYTES;

/// Spaces that show the subtree and have been entered.
pub(crate) fn sharers<const SHARERS: usize>(subtree: &Cap<Subtree>) -> Result<Vec<Cap<Space>>, Error> {
    let sharer = |_| {
        let space = program().new_space()?;
        space.attach(TOP_SLOT_BYTES, subtree, Rights::READ_WRITE)?;
        space.enter(|| ())?;
        Ok(space)
    };
    (0..SHARERS).map(sharer).collect()
}

struct Scene {
    subtree: Cap<Subtree>,
    segment: Cap<Segment>,
    spaces: Vec<Cap<Space>>,
}

impl Scene {
    fn new<const SHARERS: usize>() -> Result<Scene, Error> {
        let (subtree, segment) = (Subtree::new(program().account())?, Segment::new(program().account(), PAGE_BYTES)?);
        subtree.map(KEEPER, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        let spaces = sharers::<SHARERS>(&subtree)?;
        Ok(Scene { subtree, segment, spaces })
    }

    #[inline(always)]
    fn map(&self) -> Result<(), Error> {
        self.subtree.map(PAGE.start, &self.segment, 0..PAGE_BYTES, Rights::READ_WRITE)
    }
}

fn measure_protect<const SHARERS: usize>(meter: &mut Meter) -> Result<(), Error> {
    let scene = Scene::new::<SHARERS>()?;
    scene.map()?;
    let writable = || scene.subtree.protect(PAGE, Rights::READ_WRITE);
    meter.sample(1, writable, |()| scene.subtree.protect(PAGE, Rights::READ))
}

fn measure_map<const SHARERS: usize>(meter: &mut Meter) -> Result<(), Error> {
    let scene = Scene::new::<SHARERS>()?;
    meter.sample(1, || scene.subtree.unmap(PAGE).or(Ok(())), |()| scene.map())
}

fn measure_unmap<const SHARERS: usize>(meter: &mut Meter) -> Result<(), Error> {
    let scene = Scene::new::<SHARERS>()?;
    meter.sample(1, || scene.map(), |()| scene.subtree.unmap(PAGE))
}

fn measure_touch<const SHARERS: usize>(meter: &mut Meter) -> Result<(), Error> {
    let (scene, length_bytes) = (Scene::new::<SHARERS>()?, SAMPLES_AND_WARM_UPS as u64 * PAGE_BYTES);
    let (segment, start) = (Segment::new_lazy(program().account(), length_bytes)?, 2 << 20);
    scene.subtree.map(start, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    let mut next = TOP_SLOT_BYTES + start;
    let fresh_page = || {
        next += PAGE_BYTES;
        Place::<u64>::new(next - PAGE_BYTES)
    };
    scene.spaces[0].switch()?;
    let measured = meter.sample(1, fresh_page, |place| {
        place.set(1);
        Ok(())
    });
    program().space().switch()?;
    measured
}
