//! A range of pages that one call maps, protects or unmaps, in a space of its own.

use crate::measure::Stop;
use core::hint::black_box;
use core::ops::Range;
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, TOP_SLOT_BYTES, program};

/// The size of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// 4 KiB.
    Small,
    /// 2 MiB.
    Large,
}

impl Size {
    const fn bytes(self) -> u64 {
        match self {
            Size::Small => PAGE_BYTES,
            Size::Large => 2 << 20,
        }
    }

    /// Where the range begins. Small pages lie off 2 MiB, so that no large page is used.
    const fn start(self) -> u64 {
        match self {
            Size::Small => SLOT + 8 * PAGE_BYTES,
            Size::Large => SLOT + 2 * Size::Large.bytes(),
        }
    }
}

const SLOT: u64 = 2 * TOP_SLOT_BYTES;

/// The range, and memory for all of it.
pub(crate) struct Pages {
    space: Cap<Space>,
    segment: Cap<Segment>,
    count: u64,
    size: Size,
}

impl Pages {
    /// So many pages, mapped.
    pub(crate) fn mapped(count: u64, size: Size) -> Result<Pages, Stop> {
        let segment = Segment::new(program().account(), count * size.bytes())?;
        let pages = Pages { space: program().new_space()?, segment, count, size };
        pages.map()?;
        if size == Size::Large && pages.space.info()?.table_bytes > 3 * PAGE_BYTES {
            return Err(Stop::Skipped("free memory is in pieces, so there are no large pages".into()));
        }
        Ok(pages)
    }

    /// Has the tables stay that the range shares with what lies before and behind it.
    pub(crate) fn keep_tables(&self) -> Result<(), Error> {
        let (keeper, range) = (Segment::new(program().account(), PAGE_BYTES)?, self.range());
        for address in [SLOT, range.end + PAGE_BYTES] {
            self.space.map(address, &keeper, 0..PAGE_BYTES, Rights::READ)?;
        }
        Ok(())
    }

    /// How many pages there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The space that they are in.
    pub(crate) fn space(&self) -> &Cap<Space> {
        &self.space
    }

    fn range(&self) -> Range<u64> {
        self.size.start()..self.size.start() + self.count * self.size.bytes()
    }

    /// Reads a word of each, from inside the space.
    pub(crate) fn touch(&self) -> Result<(), Error> {
        for address in self.range().step_by(self.size.bytes() as usize) {
            black_box(Place::<u64>::new(address)?.get());
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn map(&self) -> Result<(), Error> {
        self.space.map(self.size.start(), &self.segment, 0..self.count * self.size.bytes(), Rights::READ_WRITE)
    }

    #[inline(always)]
    pub(crate) fn unmap(&self) -> Result<(), Error> {
        self.space.unmap(self.range())
    }

    #[inline(always)]
    pub(crate) fn protect(&self, rights: Rights) -> Result<(), Error> {
        self.space.protect(self.range(), rights)
    }
}
