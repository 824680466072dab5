//! The frames of a segment, by regions of 2 MiB: none, all in one piece, or page by page.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::slice;

use tessera_abi::Error;
use tessera_arch::Frame;

use crate::base::effort::Effort;

/// Pages in one region, the unit in which a segment's frames are kept: 2 MiB.
pub const REGION_PAGES: u64 = 512;

/// Effort of giving a region back.
pub(super) const REGION_UNITS: u32 = 40;

/// The frames behind one 2 MiB of a segment, or behind what is left at its end.
#[derive(Debug)]
pub(super) enum Region {
    /// None yet.
    Empty,
    /// All, one behind the other.
    Block(Frame),
    /// Page by page, as many as there are; 0 for none. (Frame 0 is never handed out: it holds the first physical page.)
    Pages(Box<[u64]>),
}

impl Region {
    /// Whether there are frames, or there is a list of them.
    pub(super) fn is_taken(&self) -> bool {
        !matches!(self, Region::Empty)
    }
}

/// Regions in one list, at most: what is longer has a list of lists, each of which is made when something in it is.
pub(super) const LIST_REGIONS: usize = 128;

/// The regions of a segment, in order. Most have only one, which lies in their record.
#[derive(Debug)]
pub(super) enum Regions {
    One(Region),
    List(Vec<Region>),
    Lists(Vec<Option<Box<[Region; LIST_REGIONS]>>>),
}

/// What a region is that is in no list yet.
pub(super) static EMPTY: Region = Region::Empty;

impl Regions {
    #[inline(always)]
    pub(super) fn new(count: usize) -> Result<Regions, Error> {
        if count == 1 { Ok(Regions::One(Region::Empty)) } else { Regions::several(count) }
    }

    #[inline(never)]
    fn several(count: usize) -> Result<Regions, Error> {
        Ok(if count <= LIST_REGIONS {
            Regions::List(empty_list(count, || Region::Empty)?)
        } else {
            Regions::Lists(empty_list(count.div_ceil(LIST_REGIONS), || None)?)
        })
    }

    #[inline(always)]
    pub(super) fn get(&self, number: usize) -> Option<&Region> {
        match self {
            Regions::One(region) => (number == 0).then_some(region),
            Regions::List(list) => list.get(number),
            Regions::Lists(lists) => {
                let list = lists.get(number / LIST_REGIONS)?;
                Some(list.as_ref().map_or(&EMPTY, |list| &list[number % LIST_REGIONS]))
            }
        }
    }

    /// The region with a number that the segment has, to be changed. The heap has room for the list that it is in.
    #[inline(always)]
    pub(super) fn get_mut(&mut self, number: usize) -> &mut Region {
        match self {
            Regions::One(region) => region,
            Regions::List(list) => &mut list[number],
            Regions::Lists(lists) => {
                let list = &mut lists[number / LIST_REGIONS];
                &mut list.get_or_insert_with(|| Box::new([const { Region::Empty }; LIST_REGIONS]))
                    [number % LIST_REGIONS]
            }
        }
    }

    /// The pages of kernel heap that a page's frame takes where none is yet near it, in a segment whose lists are made on
    /// first touch.
    #[inline(always)]
    pub(super) fn missing_lists(&self, number: usize) -> u64 {
        let Regions::Lists(lists) = self else { return 0 };
        match &lists[number / LIST_REGIONS] {
            None => 2,
            Some(list) => u64::from(matches!(list[number % LIST_REGIONS], Region::Empty)),
        }
    }

    /// Whether a region has frames, or a list of them.
    pub(super) fn is_taken(&self, number: usize) -> bool {
        self.get(number).is_some_and(Region::is_taken)
    }

    /// Has room for more regions, which are empty. The heap has the list, and a page for one that becomes part of it.
    pub(super) fn lengthen(&mut self, count: usize) -> Result<(), Error> {
        if let Regions::Lists(lists) = self {
            let more = count.div_ceil(LIST_REGIONS) - lists.len();
            lists.try_reserve_exact(more).map_err(|_| Error::OutOfMemory)?;
            lists.resize_with(lists.len() + more, || None);
            return Ok(());
        }
        if count == 1 {
            return Ok(());
        }
        let mut longer = Regions::several(count)?;
        let had = core::mem::replace(self, Regions::One(Region::Empty));
        let had = match had {
            Regions::One(region) => alloc::vec![region],
            Regions::List(list) => list,
            Regions::Lists(_) => Vec::new(),
        };
        for (number, region) in had.into_iter().enumerate().filter(|(_, region)| region.is_taken()) {
            *longer.get_mut(number) = region;
        }
        *self = longer;
        Ok(())
    }

    /// Lets go of lists at the end in which nothing is; gives false if the effort was spent by that.
    pub(super) fn shorten(&mut self, effort: &mut Effort) -> bool {
        let Regions::Lists(lists) = self else { return true };
        while let Some(last) = lists.last() {
            if last.as_ref().is_some_and(|list| list.iter().any(Region::is_taken)) {
                return true;
            }
            let units = if last.is_some() { REGION_UNITS } else { 1 };
            lists.pop();
            if !effort.spend(units) {
                return false;
            }
        }
        true
    }

    /// The last region that is not empty, with its number, where lists without any were let go of.
    pub(super) fn last_taken(&mut self) -> Option<(usize, &mut Region)> {
        let (before, regions) = match self {
            Regions::One(region) => (0, slice::from_mut(region)),
            Regions::List(list) => (0, list.as_mut_slice()),
            Regions::Lists(lists) => {
                let before = lists.len().saturating_sub(1) * LIST_REGIONS;
                (before, lists.last_mut()?.as_mut()?.as_mut_slice())
            }
        };
        let last = regions.iter().rposition(Region::is_taken)?;
        Some((before + last, &mut regions[last]))
    }
}

fn empty_list<T>(count: usize, empty: impl FnMut() -> T) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| Error::OutOfMemory)?;
    list.resize_with(count, empty);
    Ok(list)
}
