//! Segments: memory that can be mapped.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use core::slice;

use tessera_abi::layout::Name;
use tessera_abi::{Error, ObjectKind, PAGE_BYTES};
use tessera_arch::{Frame, PhysRange};

use crate::base::effort::Effort;
use crate::mem::FrameAllocator;
use crate::mem::block;
use crate::object::id::{AccountId, Object, kind};
use crate::object::store::Store;

/// Pages in one region, the unit in which a segment's frames are kept: 2 MiB.
pub const REGION_PAGES: u64 = 512;

/// The longest segment, bytes: 1 TiB.
pub const LENGTH_MAX_BYTES: u64 = 1 << 40;

/// Effort of giving a region back, and a page of one that has its pages one by one.
const REGION_UNITS: u32 = 20;
const PAGE_UNITS: u32 = 10;

/// The frames behind one 2 MiB of a segment, or behind what is left at its end.
#[derive(Debug)]
enum Region {
    /// None yet.
    Empty,
    /// All, one behind the other.
    Block(Frame),
    /// Page by page, as many as there are; 0 for none. (Frame 0 is never handed out: it holds the first physical page.)
    Pages(Box<[u64]>),
}

/// The regions of a segment, in order. Most have only one, which lies in their record.
#[derive(Debug)]
enum Regions {
    One(Region),
    List(Vec<Region>),
}

impl Regions {
    #[inline(always)]
    fn new(count: usize) -> Result<Regions, Error> {
        if count == 1 { Ok(Regions::One(Region::Empty)) } else { Regions::list(count) }
    }

    #[inline(never)]
    fn list(count: usize) -> Result<Regions, Error> {
        let mut list = Vec::new();
        list.try_reserve_exact(count).map_err(|_| Error::OutOfMemory)?;
        list.resize_with(count, || Region::Empty);
        Ok(Regions::List(list))
    }

    /// Drops the last one; gives whether there is a list of them.
    fn drop_last(&mut self) -> bool {
        match self {
            Regions::One(_) => false,
            Regions::List(list) => list.pop().is_some(),
        }
    }
}

impl Deref for Regions {
    type Target = [Region];
    #[inline(always)]
    fn deref(&self) -> &[Region] {
        match self {
            Regions::One(region) => slice::from_ref(region),
            Regions::List(list) => list,
        }
    }
}

impl DerefMut for Regions {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [Region] {
        match self {
            Regions::One(region) => slice::from_mut(region),
            Regions::List(list) => list,
        }
    }
}

/// Contiguous frames of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first frame, or `None` where nothing is populated yet.
    pub frame: Option<Frame>,
    /// How many pages.
    pub pages: u64,
}

/// Memory: frames, present from the start or on first touch.
#[derive(Debug)]
pub struct Segment {
    /// For people.
    pub name: Name,
    /// Who pays for record and frames; but for those that others touched first who may not write.
    pub account: AccountId,
    /// Mappings of it that exist.
    pub mappings: u64,
    regions: Regions,
    pages: u64,
    populated_pages: u64,
    /// How many pages others pay for, and who: those who touched first and may not write.
    others: BTreeMap<AccountId, u64>,
    origin: Origin,
}

/// Where a segment's frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// They are made on first touch.
    Touch,
    /// All were there at once.
    Start,
    /// They are not the frame allocator's.
    Elsewhere,
}

/// What the first touch of a page by somebody who may not write, the first in this segment, costs besides the page.
pub const PAYER_BYTES: u64 = block::tree_entry_bytes::<AccountId, u64>();

// More would be charged for the next byte.
const _: () = assert!(size_of::<Segment>() <= 128, "a segment's record fits into a block of 128 bytes");

impl Object for Segment {
    type Kind = kind::Segment;
    const KIND: ObjectKind = ObjectKind::Segment;
    const WHAT: &'static str = "segment";

    #[inline(always)]
    fn payer(&self) -> Option<AccountId> {
        Some(self.account)
    }

    /// What the account is charged besides the record, bytes.
    fn extra_bytes(&self) -> u64 {
        match self.origin {
            Origin::Elsewhere => Segment::region_bytes(self.pages),
            Origin::Start => Segment::new_bytes(self.pages, false),
            Origin::Touch => {
                let others = self.others.values().sum::<u64>();
                Segment::new_bytes(self.pages, true) + (self.populated_pages - others) * PAGE_BYTES
            }
        }
    }
}

impl Segment {
    /// A segment without frames.
    ///
    /// # Errors
    /// `OutOfMemory` if the kernel heap was not provided with [`Segment::list_bytes`].
    #[inline(always)]
    pub fn new(account: AccountId, pages: u64) -> Result<Segment, Error> {
        let regions = Regions::new(pages.div_ceil(REGION_PAGES) as usize)?;
        let (others, origin) = (BTreeMap::new(), Origin::Touch);
        Ok(Segment { name: Name::EMPTY, account, mappings: 0, regions, pages, populated_pages: 0, others, origin })
    }

    /// A segment over memory that is not the frame allocator's, and stays when the segment goes.
    ///
    /// # Errors
    /// As [`Segment::new`].
    pub fn borrowing(account: AccountId, range: PhysRange) -> Result<Segment, Error> {
        let mut segment = Segment::new(account, range.length_bytes.div_ceil(PAGE_BYTES))?;
        let first = Frame::containing(range.start);
        for (number, region) in segment.regions.iter_mut().enumerate() {
            *region = Region::Block(first.offset(number as u64 * REGION_PAGES));
        }
        (segment.populated_pages, segment.origin) = (segment.pages, Origin::Elsewhere);
        Ok(segment)
    }

    /// The block that the list of regions takes, bytes: none for one region.
    pub const fn list_bytes(pages: u64) -> u64 {
        if pages <= REGION_PAGES { 0 } else { block::list_bytes::<Region>(pages.div_ceil(REGION_PAGES)) }
    }

    /// What the records of so many pages cost, bytes: the list, and the page list that each of its regions may take.
    pub const fn region_bytes(pages: u64) -> u64 {
        let rest_bytes = block::list_bytes::<u64>(pages % REGION_PAGES);
        Segment::list_bytes(pages) + pages / REGION_PAGES * PAGE_BYTES + rest_bytes
    }

    /// What a new one costs that gets its memory on first touch (or at once), bytes.
    pub const fn new_bytes(pages: u64, on_first_touch: bool) -> u64 {
        let rest = if on_first_touch { block::tree_base_bytes::<AccountId, u64>() } else { pages * PAGE_BYTES };
        Segment::region_bytes(pages) + rest
    }

    /// Pages of kernel heap that populating may take.
    pub const fn heap_pages(pages: u64) -> u64 {
        pages.div_ceil(REGION_PAGES)
    }

    /// Length in pages.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Pages that have a frame.
    pub fn populated_pages(&self) -> u64 {
        self.populated_pages
    }

    /// What other accounts are charged, bytes each.
    pub fn charged_to_others(&self) -> impl Iterator<Item = (AccountId, u64)> {
        self.others.iter().map(|(account, pages)| (*account, PAYER_BYTES + pages * PAGE_BYTES))
    }

    /// What a page that has no frame costs an account if that pays for it, bytes.
    #[inline(always)]
    pub fn touch_bytes(&self, payer: AccountId) -> u64 {
        let is_known = payer == self.account || self.others.contains_key(&payer);
        PAGE_BYTES + if is_known { 0 } else { PAYER_BYTES }
    }

    /// Gives every page a cleared frame, in blocks as large as there are. The allocator has enough.
    pub fn populate(&mut self, frames: &mut FrameAllocator) {
        let mut page = 0;
        while page < self.pages {
            let (frame, count) = take_frames(frames, self.pages - page);
            tessera_arch::clear_frames(frame, count);
            self.place(page, frame, count);
            page += count;
        }
        (self.populated_pages, self.origin) = (self.pages, Origin::Start);
    }

    /// The frame of a page, if it has one.
    #[inline(always)]
    pub fn frame(&self, page: u64) -> Option<Frame> {
        self.extent_in_region(page, 1).frame
    }

    /// Gives a page that has none its frame, for which an account pays.
    #[inline(always)]
    pub fn place_page(&mut self, page: u64, frame: Frame, payer: AccountId) {
        match &mut self.regions[(page / REGION_PAGES) as usize] {
            Region::Pages(list) => list[(page % REGION_PAGES) as usize] = frame.number(),
            _ => self.place(page, frame, 1),
        }
        self.populated_pages += 1;
        if payer != self.account {
            *self.others.entry(payer).or_default() += 1;
        }
    }

    /// The memory behind pages that the segment has, if one look tells: the first of their frames, which lie one behind the
    /// other, or nothing yet for all of them.
    #[inline(always)]
    pub fn memory_at_once(&self, page: u64, pages: u64) -> Option<Option<Frame>> {
        let within = page % REGION_PAGES;
        match self.regions.get((page / REGION_PAGES) as usize)? {
            _ if within + pages > REGION_PAGES => None,
            Region::Empty => Some(None),
            Region::Block(first) => Some(Some(first.offset(within))),
            Region::Pages(list) if pages == 1 => {
                let number = *list.get(within as usize)?;
                Some((number != 0).then(|| Frame::new(number)))
            }
            Region::Pages(_) => None,
        }
    }

    /// The longest extent of frames (or of missing ones) from `page` on, at most `limit` pages.
    #[inline(always)]
    pub fn extent(&self, page: u64, limit: u64) -> Extent {
        let limit = limit.min(self.pages - page);
        let extent = self.extent_in_region(page, limit);
        if extent.pages == limit { extent } else { self.extended(extent, page, limit) }
    }

    /// An extent together with what follows it, region by region.
    #[inline(never)]
    fn extended(&self, mut extent: Extent, page: u64, limit: u64) -> Extent {
        while extent.pages < limit {
            let next = self.extent_in_region(page + extent.pages, limit - extent.pages);
            let joins = match (extent.frame, next.frame) {
                (Some(first), Some(next)) => first.number() + extent.pages == next.number(),
                (None, None) => true,
                _ => false,
            };
            if !joins {
                break;
            }
            extent.pages += next.pages;
        }
        extent
    }

    /// Gives frames back, from the end; gives whether none is left, nor a record of any. What it was charged for them, it is
    /// charged still.
    pub fn release_frames(&mut self, frames: &mut FrameAllocator, effort: &mut Effort) -> bool {
        let (pages, is_own) = (self.pages, self.origin != Origin::Elsewhere);
        loop {
            let count = self.regions.len();
            let Some(region) = self.regions.last_mut() else { return true };
            let units = if matches!(region, Region::Empty) { 1 } else { REGION_UNITS };
            match region {
                Region::Block(first) if is_own => frames.free_extent(*first, region_pages(pages, count - 1)),
                Region::Pages(list) => {
                    if !release_pages(list, frames, effort) {
                        return false;
                    }
                }
                Region::Block(_) | Region::Empty => {}
            }
            *region = Region::Empty;
            // The only one lies in the record.
            if !self.regions.drop_last() {
                return true;
            }
            if !effort.spend(units) {
                return false;
            }
        }
    }

    /// Takes out what one of the others is charged for first touches, bytes.
    pub fn take_other(&mut self) -> Option<(AccountId, u64)> {
        let (account, pages) = self.others.pop_first()?;
        self.populated_pages -= pages;
        Some((account, PAYER_BYTES + pages * PAGE_BYTES))
    }

    #[inline(never)]
    fn place(&mut self, page: u64, frame: Frame, count: u64) {
        let mut done = 0;
        while done < count {
            let (number, within) = (((page + done) / REGION_PAGES) as usize, (page + done) % REGION_PAGES);
            let in_region = region_pages(self.pages, number);
            let pages = (count - done).min(in_region - within);
            let region = &mut self.regions[number];
            if pages == in_region {
                *region = Region::Block(frame.offset(done));
            } else {
                if matches!(region, Region::Empty) {
                    *region = Region::Pages(alloc::vec![0; in_region as usize].into_boxed_slice());
                }
                let Region::Pages(list) = region else { unreachable!("blocks are placed once") };
                for number in 0..pages {
                    list[(within + number) as usize] = frame.offset(done + number).number();
                }
            }
            done += pages;
        }
    }

    #[inline(always)]
    fn extent_in_region(&self, page: u64, limit: u64) -> Extent {
        let within = page % REGION_PAGES;
        let limit = limit.min(REGION_PAGES - within);
        match &self.regions[(page / REGION_PAGES) as usize] {
            Region::Empty => Extent { frame: None, pages: limit },
            Region::Block(first) => Extent { frame: Some(first.offset(within)), pages: limit },
            Region::Pages(list) => {
                let first = list[within as usize];
                let step = u64::from(first != 0);
                let follows = |number: &u64| list[(within + number) as usize] == first + step * number;
                let pages = 1 + (1..limit).take_while(follows).count() as u64;
                Extent { frame: (first != 0).then(|| Frame::new(first)), pages }
            }
        }
    }
}

/// Gives the frames of a list back, from the end; gives whether none is left.
fn release_pages(list: &mut [u64], frames: &mut FrameAllocator, effort: &mut Effort) -> bool {
    // Those that are gone already are passed by without a step of their own: there are no more than a region has.
    for number in list.iter_mut().rev().filter(|number| **number != 0) {
        frames.free(Frame::new(core::mem::take(number)), 0);
        if !effort.spend(PAGE_UNITS) {
            return false;
        }
    }
    true
}

/// How many pages a region of a segment with so many has.
fn region_pages(pages: u64, number: usize) -> u64 {
    REGION_PAGES.min(pages - number as u64 * REGION_PAGES)
}

/// Takes frames that lie one behind the other, so many at most, and how many they are: the largest block that is not too
/// large; but what is left at a segment's end in one extent, if there is one.
fn take_frames(frames: &mut FrameAllocator, pages: u64) -> (Frame, u64) {
    if pages < REGION_PAGES
        && let Some(first) = frames.allocate_extent(pages)
    {
        return (first, pages);
    }
    let order = (pages.ilog2() as u8).min(crate::mem::frames::ORDER_MAX);
    let (frame, order) = frames.allocate_up_to(order).expect("enough frames were found free before");
    (frame, 1 << order)
}

/// Notes one more mapping of the segment with this number, which keeps it; gives the segment.
pub fn add_mapping(segments: &mut Store<Segment>, number: u32) -> &Segment {
    segments.retain_at(number);
    let segment = segments.at_mut(number);
    segment.mappings += 1;
    segment
}

/// Notes one mapping less.
#[inline(always)]
pub fn drop_mapping(segments: &mut Store<Segment>, number: u32) {
    segments.released_at(number).mappings -= 1;
}
