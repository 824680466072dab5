//! Pages that are touched in each of several spaces, by turns.

use crate::measure::{Measured, Meter};
use crate::support::machine::machine;
use crate::support::scene::SLOT;
use crate::support::spaces::{go_home, spaces};
use alloc::vec::Vec;
use core::hint::black_box;
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, program};

/// Whose page tables show the pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each space's own, and memory of its own as well.
    Private,
    /// Those of a subtree, attached to each.
    Shared,
    /// Those of a public subtree.
    Public,
}

/// Off 2 MiB, so that no large page is used.
const OFFSET: u64 = PAGE_BYTES;

/// What a page takes, and a round besides, roughly.
const PAGE_TICKS: u64 = 8;
const ROUND_TICKS: u64 = 200;

/// The spaces, and what shows the pages.
pub(crate) struct WorkingSet {
    spaces: Vec<Cap<Space>>,
    pages: u64,
    /// Kept for as long as the spaces show it.
    _subtree: Cap<Subtree>,
}

impl WorkingSet {
    pub(crate) fn new(kind: Kind, spaces_count: u64, pages: u64) -> Result<WorkingSet, Error> {
        let (subtree, spaces) = (Subtree::new(program().account())?, spaces(spaces_count)?);
        match kind {
            Kind::Private => spaces
                .iter()
                .try_for_each(|space| space.map(SLOT + OFFSET, &memory(pages)?, 0..pages * PAGE_BYTES, Rights::READ))?,
            Kind::Shared | Kind::Public => {
                subtree.map(OFFSET, &memory(pages)?, 0..pages * PAGE_BYTES, Rights::READ)?;
            }
        }
        match kind {
            Kind::Private => {}
            Kind::Shared => spaces.iter().try_for_each(|space| space.attach(SLOT, &subtree, Rights::READ))?,
            Kind::Public => machine()?.publish(&subtree, SLOT, Rights::READ)?,
        }
        Ok(WorkingSet { spaces, pages, _subtree: subtree })
    }

    /// Measures what touching each page takes after a switch to the next space.
    pub(crate) fn measure(&self, meter: &mut Meter) -> Measured {
        meter.at_cost(ROUND_TICKS + PAGE_TICKS * self.pages);
        let mut around = self.spaces.iter().cycle();
        let switch_on = || around.next().ok_or(Error::BadState)?.switch();
        let measured = meter.sample(1, switch_on, |_| self.touch());
        go_home()?;
        measured
    }

    #[inline(always)]
    fn touch(&self) -> Result<(), Error> {
        let start = SLOT + OFFSET;
        for address in (start..start + self.pages * PAGE_BYTES).step_by(PAGE_BYTES as usize) {
            black_box(Place::<u64>::new(address)?.get());
        }
        Ok(())
    }
}

fn memory(pages: u64) -> Result<Cap<Segment>, Error> {
    Segment::new(program().account(), pages * PAGE_BYTES)
}
