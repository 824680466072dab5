//! One page of a subtree that many spaces share, in which nobody runs.
//!
//! The spaces have all been entered, so each may have translations of its own left somewhere.

use crate::measure::{Measured, Meter};
use crate::support::count::counted;
use crate::support::scene::page;
use alloc::vec::Vec;
use core::hint::black_box;
use core::ops::Range;
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

const PAGE: Range<u64> = PAGE_BYTES..2 * PAGE_BYTES;
/// Its table stays, for this page.
const KEEPER: u64 = 4 * PAGE_BYTES;

/// Spaces that show the subtree and have been entered.
pub(crate) fn sharers(subtree: &Cap<Subtree>, count: u64) -> Result<Vec<Cap<Space>>, Error> {
    let sharer = |_| {
        let space = program().new_space()?;
        space.attach(TOP_SLOT_BYTES, subtree, Rights::READ_WRITE)?;
        space.enter(|| ())?;
        Ok(space)
    };
    (0..count).map(sharer).collect()
}

struct Shared {
    subtree: Cap<Subtree>,
    segment: Cap<Segment>,
    spaces: Vec<Cap<Space>>,
}

impl Shared {
    fn by(sharers_count: u64) -> Result<Shared, Error> {
        let (subtree, segment) = (Subtree::new(program().account())?, page()?);
        subtree.map(KEEPER, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        let spaces = sharers(&subtree, sharers_count)?;
        Ok(Shared { subtree, segment, spaces })
    }

    #[inline(always)]
    fn map(&self) -> Result<(), Error> {
        self.subtree.map(PAGE.start, &self.segment, 0..PAGE_BYTES, Rights::READ_WRITE)
    }
}

/// Making the page read-only while so many spaces share it.
pub(crate) fn measure_protect(meter: &mut Meter, sharers: u64) -> Measured {
    let shared = Shared::by(sharers)?;
    shared.map()?;
    let writable = || shared.subtree.protect(PAGE, Rights::READ_WRITE);
    meter.sample(1, writable, |()| shared.subtree.protect(PAGE, Rights::READ))
}

/// Mapping it.
pub(crate) fn measure_map(meter: &mut Meter, sharers: u64) -> Measured {
    let shared = Shared::by(sharers)?;
    meter.sample(1, || shared.subtree.unmap(PAGE).or(Ok(())), |()| shared.map())
}

/// Unmapping it.
pub(crate) fn measure_unmap(meter: &mut Meter, sharers: u64) -> Measured {
    let shared = Shared::by(sharers)?;
    meter.sample(1, || shared.map(), |()| shared.subtree.unmap(PAGE))
}

/// What unmapping it invalidates on all CPUs, after one of the spaces has read it.
pub(crate) fn count_invalidations(meter: &mut Meter, sharers: u64) -> Measured {
    let shared = Shared::by(sharers)?;
    shared.map()?;
    let place = Place::<u64>::new(TOP_SLOT_BYTES + PAGE.start)?;
    shared.spaces[0].enter(|| black_box(place.get()))?;
    let counters = counted(|| shared.subtree.unmap(PAGE))?;
    meter.figure("invalidations", counters.page_flushes + counters.shared_page_flushes);
    Ok(())
}

/// The first touch of other pages, one after the other, by one of the spaces.
pub(crate) fn measure_first_touch(meter: &mut Meter, sharers: u64) -> Measured {
    let (shared, length_bytes) = (Shared::by(sharers)?, meter.rounds() as u64 * PAGE_BYTES);
    let (segment, start) = (Segment::new_lazy(program().account(), length_bytes)?, 2 << 20);
    shared.subtree.map(start, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    let mut next = TOP_SLOT_BYTES + start;
    let fresh_page = || {
        next += PAGE_BYTES;
        Place::<u64>::new(next - PAGE_BYTES)
    };
    shared.spaces[0].switch()?;
    let measured = meter.sample(1, fresh_page, |place| {
        place.set(1);
        Ok(())
    });
    program().space().switch()?;
    measured
}
