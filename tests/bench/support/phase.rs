//! What sel4bench does with pages, phase by phase: map, protect, unprotect, unmap.

use crate::measure::{Measured, Meter};
use crate::support::pages::{Pages, Size};
use libvas::{Error, Rights};

/// What is done with the pages by one call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Map,
    /// Made read-only.
    Protect,
    /// Made writable again.
    Unprotect,
    Unmap,
}

/// Where the thread is meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// In the space that it changes, with the pages' translations in use.
    Inside,
    /// In another space; nobody has been in the one that is changed.
    Outside,
}

/// What the kernel may take for a page of a range, roughly.
const PAGE_TICKS: u64 = 20;
/// What a call and its undoing take besides.
const CALL_TICKS: u64 = 1000;

impl Phase {
    /// Measures the phase of so many pages.
    pub(crate) fn measure(self, meter: &mut Meter, from: Position, count: u64, size: Size) -> Measured {
        let pages = Pages::mapped(count, size)?;
        pages.keep_tables()?;
        self.measure_of(meter, from, &pages)
    }

    /// Measures it where nothing keeps tables: those that only the range needs come and go with it.
    pub(crate) fn measure_with_tables(self, meter: &mut Meter, count: u64) -> Measured {
        self.measure_of(meter, Position::Outside, &Pages::mapped(count, Size::Small)?)
    }

    fn measure_of(self, meter: &mut Meter, from: Position, pages: &Pages) -> Measured {
        meter.at_cost(CALL_TICKS + PAGE_TICKS * pages.count());
        let before = || {
            self.prepare(pages)?;
            if from == Position::Inside && self != Phase::Map { pages.touch() } else { Ok(()) }
        };
        let mut measure = || meter.sample(1, before, |()| self.perform(pages));
        if from == Position::Inside { pages.space().enter(measure)? } else { measure() }
    }

    /// Makes the pages as they are before the phase.
    fn prepare(self, pages: &Pages) -> Result<(), Error> {
        match self {
            Phase::Map => pages.unmap().or(Ok(())),
            Phase::Protect => pages.protect(Rights::READ_WRITE),
            Phase::Unprotect => pages.protect(Rights::READ),
            Phase::Unmap => pages.map().or(Ok(())),
        }
    }

    #[inline(always)]
    fn perform(self, pages: &Pages) -> Result<(), Error> {
        match self {
            Phase::Map => pages.map(),
            Phase::Protect => pages.protect(Rights::READ),
            Phase::Unprotect => pages.protect(Rights::READ_WRITE),
            Phase::Unmap => pages.unmap(),
        }
    }
}
