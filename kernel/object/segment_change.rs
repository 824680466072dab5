//! Changing a segment that exists: making it longer, and giving pages back.
//!
//! Either turns one that had all its memory from the start into one that gets it on first touch: what it has not, it gets then.

use tessera_abi::{Error, PAGE_BYTES};
use tessera_arch::Frame;

use crate::mem::FrameAllocator;
use crate::object::id::AccountId;
use crate::object::regions::{LIST_REGIONS, REGION_PAGES, Region, Regions};
use crate::object::segment::{Origin, PAYER_BYTES, SHORT_PAGES, Segment, page_list, region_pages};

/// Kernel heap that a change takes at most besides [`Segment::list_bytes`], pages: a list of regions, one of lists, and one of pages.
pub const CHANGE_HEAP_PAGES: u64 = 3;

/// What a payer gets back who had paid for others' first touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Who.
    pub account: AccountId,
    /// How much, bytes.
    pub bytes: u64,
    /// Whether that was the last that it had paid for in this segment.
    pub is_last: bool,
}

impl Segment {
    /// Whether it can be changed: its memory is the frame allocator's, and nobody relies on its length.
    ///
    /// # Errors
    /// `BadState`.
    pub fn ensure_changeable(&self) -> Result<(), Error> {
        if self.origin == Origin::Elsewhere { Err(Error::BadState) } else { Ok(()) }
    }

    /// From here on, what has no memory gets it on first touch.
    fn become_lazy(&mut self) {
        if self.origin == Origin::Start {
            (self.own_pages, self.origin) = (self.own_pages_when_lazy() as u32, Origin::Touch);
        }
    }

    /// Pages that its account pays for, as one that gets its memory on first touch.
    fn own_pages_when_lazy(&self) -> u64 {
        match self.origin {
            Origin::Start if self.pages() <= SHORT_PAGES => self.pages(),
            Origin::Start => self.pages() + Segment::heap_pages(self.pages()),
            _ => u64::from(self.own_pages),
        }
    }

    /// What it costs besides its record when it has been made so long, bytes: nobody has touched more of it yet.
    pub fn grown_bytes(&self, pages: u64) -> u64 {
        let lists = if self.pages() <= SHORT_PAGES && pages > SHORT_PAGES { self.taken_regions() } else { 0 };
        Segment::new_bytes(pages, true) + (self.own_pages_when_lazy() + lists) * PAGE_BYTES
    }

    /// Heap pages that its lists of a short segment are charged as when it has become a long one.
    fn taken_regions(&self) -> u64 {
        let Regions::Lists(_) = self.regions else {
            let count = self.pages().div_ceil(REGION_PAGES) as usize;
            let taken =
                (0..count).filter(|number| self.regions.get(*number).is_some_and(Region::is_taken)).count() as u64;
            return taken + u64::from(taken != 0);
        };
        0
    }

    /// Makes it longer; the new pages have no memory.
    ///
    /// # Errors
    /// `OutOfMemory` if the kernel heap was not provided with [`Segment::list_bytes`] and [`CHANGE_HEAP_PAGES`], with nothing changed.
    pub fn grow(&mut self, pages: u64) -> Result<(), Error> {
        let (before, last) = (self.pages(), (self.pages() - 1) / REGION_PAGES);
        let becomes_long = before <= SHORT_PAGES && pages > SHORT_PAGES;
        let lists = if becomes_long { self.taken_regions() } else { 0 };
        self.regions.lengthen(pages.div_ceil(REGION_PAGES) as usize)?;
        self.become_lazy();
        let (had, has) = (region_pages(before, last as usize), region_pages(pages, last as usize));
        let length = if pages > SHORT_PAGES { REGION_PAGES } else { has };
        if had < has && self.regions.is_taken(last as usize) {
            let region = self.regions.get_mut(last as usize);
            *region = Region::Pages(page_list(region, had, length));
        }
        self.pages = pages as u32;
        self.own_pages += lists as u32;
        Ok(())
    }

    /// Takes the memory of pages, all in one region, which nobody is shown any more, and gives it back. Gives how much less there is
    /// to be paid for, pages.
    pub fn discard(&mut self, page: u64, count: u64, frames: &mut FrameAllocator) -> u64 {
        self.become_lazy();
        let (number, within) = ((page / REGION_PAGES) as usize, page % REGION_PAGES);
        if !self.regions.is_taken(number) {
            return 0;
        }
        let (in_region, is_long) = (region_pages(self.pages(), number), self.pages() > SHORT_PAGES);
        let region = self.regions.get_mut(number);
        let freed = match region {
            Region::Block(first) if count == in_region => {
                frames.free_extent(*first, count);
                count
            }
            _ => {
                if matches!(region, Region::Block(_)) {
                    let length = if is_long { REGION_PAGES } else { in_region };
                    *region = Region::Pages(page_list(region, in_region, length));
                }
                free_listed(region, (within, count), frames)
            }
        };
        let lists = if count == in_region { u64::from(is_long) } else { 0 };
        if count == in_region {
            *self.regions.get_mut(number) = Region::Empty;
        }
        self.populated_pages -= freed as u32;
        freed + lists
    }

    /// Of so many pages that are not to be paid for any more, those that one of the others has paid for, as long as there is one: they
    /// get theirs back before the segment's account does, which can tell what is discarded. The last answer is none.
    pub fn next_credit(&mut self, pages: &mut u64) -> Option<Credit> {
        let Some(mut entry) = self.others.first_entry().filter(|_| *pages != 0) else {
            self.own_pages -= core::mem::take(pages) as u32;
            return None;
        };
        let (account, given) = (*entry.key(), (*entry.get()).min(*pages));
        *entry.get_mut() -= given;
        *pages -= given;
        let is_last = *entry.get() == 0;
        if is_last {
            entry.remove();
        }
        let bytes = given * PAGE_BYTES + if is_last { PAYER_BYTES } else { 0 };
        Some(Credit { account, bytes, is_last })
    }
}

/// Frees what a region's list has of some pages; gives how many these were.
fn free_listed(region: &mut Region, (within, count): (u64, u64), frames: &mut FrameAllocator) -> u64 {
    let Region::Pages(list) = region else { return 0 };
    let mut freed = 0;
    for number in list[within as usize..(within + count) as usize].iter_mut().filter(|number| **number != 0) {
        frames.free(Frame::new(core::mem::take(number)), 0);
        freed += 1;
    }
    freed
}

/// The regions that a long segment's list begins with.
const _: () = assert!(SHORT_PAGES / REGION_PAGES == LIST_REGIONS as u64, "a short segment's regions fill one list");
