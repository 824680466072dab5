//! Segments: memory that can be mapped.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::ops::Bound;

use tessera_abi::layout::Name;
use tessera_abi::{Error, ObjectKind, PAGE_BYTES};
use tessera_arch::{Frame, PhysRange};

use crate::base::effort::Effort;
use crate::mem::FrameAllocator;
use crate::mem::block;
use crate::object::id::{AccountId, Object, kind};
use crate::object::lock::Lock;
use crate::object::regions::{EMPTY, LIST_REGIONS, REGION_UNITS, Region, Regions};
use crate::object::store::Store;

pub use crate::object::regions::REGION_PAGES;

/// The longest segment, bytes: 1 TiB.
pub const LENGTH_MAX_BYTES: u64 = 1 << 40;

/// Effort of giving back a page of a region that has its pages one by one.
const PAGE_UNITS: u32 = 10;

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
    /// Mappings of it that exist; each is a reference to it as well, of which there are no more.
    pub mappings: u32,
    pub(super) regions: Regions,
    pub(super) pages: u32,
    pub(super) populated_pages: u32,
    /// Of one that gets its memory on first touch: pages that its account pays for, memory and, if it is long, lists of the kernel's. Of
    /// one that is being made: how many have been cleared so far of those that have frames.
    pub(super) own_pages: u32,
    /// How many pages others pay for, lists included, and who: those who touched first and may not write.
    pub(super) others: BTreeMap<AccountId, u64>,
    pub(super) origin: Origin,
    /// Its lock, if it is lockable.
    pub lock: Option<Box<Lock>>,
    /// Whether each mapping of it is noted as a use, so that all can be found.
    pub notes_all: bool,
    /// Whether it is lockable, or notes all, so that mapping it takes more than it does otherwise.
    pub is_special: bool,
}

/// Where a segment's frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// They are made on first touch.
    Touch,
    /// All were there at once.
    Start,
    /// The same, of one that is being made.
    Making,
    /// They are not the frame allocator's.
    Elsewhere,
}

/// Pages of a segment that has lists of regions in lists are more than these: 256 MiB.
pub(super) const SHORT_PAGES: u64 = LIST_REGIONS as u64 * REGION_PAGES;

const _: () = assert!(block::box_bytes::<[Region; LIST_REGIONS]>() == PAGE_BYTES, "a list of regions takes a page");

/// What the first touch of a page takes of the account that pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// In all, bytes.
    pub bytes: u64,
    /// Whether it is the first that this account pays for, and the account is not the segment's.
    pub is_new_payer: bool,
}

/// What the first touch of a page by somebody who may not write, the first in this segment, costs besides the page.
pub const PAYER_BYTES: u64 = block::tree_entry_bytes::<AccountId, u64>();

/// What a segment costs more that is lockable, bytes.
pub const LOCK_BYTES: u64 = block::box_bytes::<Lock>();

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
        let lock = if self.lock.is_some() { LOCK_BYTES } else { 0 };
        lock + match self.origin {
            Origin::Elsewhere => Segment::region_bytes(self.pages()),
            Origin::Start | Origin::Making => Segment::new_bytes(self.pages(), false),
            Origin::Touch => Segment::new_bytes(self.pages(), true) + u64::from(self.own_pages) * PAGE_BYTES,
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
        let (others, origin, pages) = (BTreeMap::new(), Origin::Touch, pages as u32);
        let (name, mappings, populated_pages, own_pages) = (Name::EMPTY, 0, 0, 0);
        let (lock, notes_all, is_special) = (None, false, false);
        Ok(Segment {
            name,
            account,
            mappings,
            regions,
            pages,
            populated_pages,
            own_pages,
            others,
            origin,
            lock,
            notes_all,
            is_special,
        })
    }

    /// Makes it lockable, or have all its mappings noted. It is new.
    pub fn set_special(&mut self, is_lockable: bool, notes_all: bool) {
        self.lock = is_lockable.then(Box::default);
        (self.notes_all, self.is_special) = (notes_all, is_lockable || notes_all);
    }

    /// A segment over memory that is not the frame allocator's, and stays when the segment goes.
    ///
    /// # Errors
    /// As [`Segment::new`].
    pub fn borrowing(account: AccountId, range: PhysRange) -> Result<Segment, Error> {
        let mut segment = Segment::new(account, range.length_bytes.div_ceil(PAGE_BYTES))?;
        let first = Frame::containing(range.start);
        for number in 0..segment.pages().div_ceil(REGION_PAGES) {
            *segment.regions.get_mut(number as usize) = Region::Block(first.offset(number * REGION_PAGES));
        }
        (segment.populated_pages, segment.origin) = (segment.pages, Origin::Elsewhere);
        Ok(segment)
    }

    /// The block that the list of regions (or of lists) takes, bytes: none for one region.
    pub const fn list_bytes(pages: u64) -> u64 {
        if pages <= REGION_PAGES {
            0
        } else if pages <= SHORT_PAGES {
            block::list_bytes::<Region>(pages.div_ceil(REGION_PAGES))
        } else {
            block::list_bytes::<Option<Box<[Region; LIST_REGIONS]>>>(pages.div_ceil(SHORT_PAGES))
        }
    }

    /// What the records of so many pages cost, bytes: the lists, and the page list that each of the regions may take.
    pub const fn region_bytes(pages: u64) -> u64 {
        let further = if pages <= SHORT_PAGES {
            pages / REGION_PAGES * PAGE_BYTES + block::list_bytes::<u64>(pages % REGION_PAGES)
        } else {
            (pages.div_ceil(SHORT_PAGES) + pages.div_ceil(REGION_PAGES)) * PAGE_BYTES
        };
        Segment::list_bytes(pages) + further
    }

    /// What a new one costs that gets its memory on first touch (or at once), bytes. The lists of a long one are made, and
    /// charged, when they are needed.
    pub const fn new_bytes(pages: u64, on_first_touch: bool) -> u64 {
        if !on_first_touch {
            return Segment::region_bytes(pages) + pages * PAGE_BYTES;
        }
        let lists = if pages <= SHORT_PAGES { Segment::region_bytes(pages) } else { Segment::list_bytes(pages) };
        lists + block::tree_base_bytes::<AccountId, u64>()
    }

    /// Pages of kernel heap that populating may take.
    pub const fn heap_pages(pages: u64) -> u64 {
        pages.div_ceil(REGION_PAGES) + if pages <= SHORT_PAGES { 0 } else { pages.div_ceil(SHORT_PAGES) }
    }

    /// Length in pages.
    #[inline(always)]
    pub fn pages(&self) -> u64 {
        u64::from(self.pages)
    }

    /// Pages that have a frame.
    pub fn populated_pages(&self) -> u64 {
        u64::from(self.populated_pages)
    }

    /// What other accounts are charged, bytes each: of those behind one, or of all.
    pub fn charged_to_others(&self, behind: Option<AccountId>) -> impl Iterator<Item = (AccountId, u64)> {
        let others = self.others.range((behind.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        others.map(|(account, pages)| (*account, PAYER_BYTES + pages * PAGE_BYTES))
    }

    /// What a page that has no frame costs an account if that pays for it.
    #[inline(always)]
    pub fn touch(&self, page: u64, payer: AccountId) -> Touch {
        let is_new_payer = payer != self.account && !self.others.contains_key(&payer);
        let lists = self.regions.missing_lists((page / REGION_PAGES) as usize);
        let bytes = (1 + lists) * PAGE_BYTES + if is_new_payer { PAYER_BYTES } else { 0 };
        Touch { bytes, is_new_payer }
    }

    /// Gives every page a cleared frame, in blocks as large as there are. The allocator has enough.
    pub fn populate(&mut self, frames: &mut FrameAllocator) {
        while self.populated_pages < self.pages {
            let taken = self.take_frames(frames).expect("enough frames were found free before");
            let first = self.populated_pages() - taken;
            self.clear(first, taken);
        }
        self.origin = Origin::Start;
    }

    /// Begins to give every page a cleared frame, in steps.
    pub fn begin_to_populate(&mut self) {
        self.origin = Origin::Making;
    }

    /// Whether it is being made, with so many pages for an account.
    pub fn is_being_made(&self, account: AccountId, pages: u64) -> bool {
        self.origin == Origin::Making && (self.account, self.pages()) == (account, pages)
    }

    /// A part of giving every page a cleared frame: takes the next block of frames if all that were taken are cleared, else
    /// clears up to so many pages. Gives how many pages were taken and how many cleared, neither when all is done; `None`
    /// if there is no frame. For each block the heap has [`Segment::STEP_HEAP_PAGES`].
    pub fn populate_further(&mut self, frames: &mut FrameAllocator, most: u64) -> Option<(u64, u64)> {
        if self.origin != Origin::Making {
            return Some((0, 0));
        }
        let cleared = self.own_pages;
        if cleared < self.populated_pages {
            let count = self.clear(u64::from(cleared), most.min(u64::from(self.populated_pages - cleared)));
            self.own_pages = cleared + count as u32;
            return Some((0, count));
        }
        if self.populated_pages < self.pages {
            return self.take_frames(frames).map(|taken| (taken, 0));
        }
        (self.origin, self.own_pages) = (Origin::Start, 0);
        Some((0, 0))
    }

    /// Kernel heap that a part of populating takes at most, pages: a list of pages, or the lists of the largest block's
    /// regions, which need not begin with a list.
    pub const STEP_HEAP_PAGES: u64 = 2 + (1 << crate::mem::frames::ORDER_MAX) / SHORT_PAGES;

    /// Takes frames for the next pages; gives how many there were.
    fn take_frames(&mut self, frames: &mut FrameAllocator) -> Option<u64> {
        let page = self.populated_pages();
        let (frame, count) = take_frames(frames, page, self.pages() - page)?;
        self.place(page, frame, count);
        self.populated_pages += count as u32;
        Some(count)
    }

    /// Clears pages that have frames, as many as lie one behind the other, so many at most; gives how many.
    fn clear(&self, page: u64, most: u64) -> u64 {
        let extent = self.extent(page, most);
        if let Some(frame) = extent.frame {
            tessera_arch::clear_frames(frame, extent.pages);
        }
        extent.pages
    }

    /// The frame of a page, if it has one.
    #[inline(always)]
    pub fn frame(&self, page: u64) -> Option<Frame> {
        self.extent_in_region(page, 1).frame
    }

    /// Gives a page that has none its frame, for which an account pays.
    #[inline(always)]
    pub fn place_page(&mut self, page: u64, frame: Frame, payer: AccountId) {
        let number = (page / REGION_PAGES) as usize;
        let lists = self.regions.missing_lists(number);
        match self.regions.get_mut(number) {
            Region::Pages(list) => list[(page % REGION_PAGES) as usize] = frame.number(),
            _ => self.place(page, frame, 1),
        }
        self.populated_pages += 1;
        if payer != self.account {
            *self.others.entry(payer).or_default() += 1 + lists;
        } else {
            self.own_pages += 1 + lists as u32;
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
        let limit = limit.min(self.pages() - page);
        let extent = self.extent_in_region(page, limit);
        if extent.pages == limit { extent } else { self.extended(extent, page, limit) }
    }

    /// An extent together with what follows it, region by region.
    #[inline(never)]
    fn extended(&self, mut extent: Extent, page: u64, limit: u64) -> Extent {
        while extent.pages < limit {
            // Most regions are as the one before: nothing, or a block that goes on where that ends.
            let at = page + extent.pages;
            let goes_on = match self.regions.get((at / REGION_PAGES) as usize) {
                _ if !at.is_multiple_of(REGION_PAGES) => false,
                Some(Region::Block(next)) => extent.frame.is_some_and(|first| first.offset(extent.pages) == *next),
                Some(Region::Empty) => extent.frame.is_none(),
                _ => false,
            };
            if goes_on {
                extent.pages += REGION_PAGES.min(limit - extent.pages);
                continue;
            }
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

    /// Gives frames back, from the end; gives whether none is left. What it was charged for them, it is charged still.
    pub fn release_frames(&mut self, frames: &mut FrameAllocator, effort: &mut Effort) -> bool {
        let (pages, is_own) = (self.pages(), self.origin != Origin::Elsewhere);
        while self.regions.shorten(effort) {
            let Some((number, region)) = self.regions.last_taken() else { return true };
            match region {
                Region::Block(first) if is_own => frames.free_extent(*first, region_pages(pages, number)),
                Region::Pages(list) => {
                    if !release_pages(list, frames, effort) {
                        return false;
                    }
                }
                Region::Block(_) | Region::Empty => {}
            }
            *region = Region::Empty;
            if !effort.spend(REGION_UNITS) {
                return false;
            }
        }
        false
    }

    /// Takes out what one of the others is charged for first touches, bytes.
    pub fn take_other(&mut self) -> Option<(AccountId, u64)> {
        let (account, pages) = self.others.pop_first()?;
        Some((account, PAYER_BYTES + pages * PAGE_BYTES))
    }

    #[inline(never)]
    fn place(&mut self, page: u64, frame: Frame, count: u64) {
        let mut done = 0;
        while done < count {
            let (number, within) = (((page + done) / REGION_PAGES) as usize, (page + done) % REGION_PAGES);
            let in_region = region_pages(self.pages(), number);
            let pages = (count - done).min(in_region - within);
            // Where lists are charged one by one, all are alike.
            let length = if matches!(self.regions, Regions::Lists(_)) { REGION_PAGES } else { in_region };
            let region = self.regions.get_mut(number);
            if pages == in_region {
                *region = Region::Block(frame.offset(done));
            } else {
                if matches!(region, Region::Empty) {
                    *region = Region::Pages(page_list(region, 0, length));
                }
                let Region::Pages(list) = region else { unreachable!("blocks are placed once") };
                for number in 0..pages {
                    list[(within + number) as usize] = frame.offset(done + number).number();
                }
            }
            done += pages;
        }
    }

    /// The same within one region: what a look at it tells.
    #[inline(always)]
    pub fn extent_in_region(&self, page: u64, limit: u64) -> Extent {
        let within = page % REGION_PAGES;
        if self.populated_pages == 0 {
            return Extent { frame: None, pages: limit };
        }
        if let Regions::Lists(lists) = &self.regions
            && matches!(lists.get((page / SHORT_PAGES) as usize), Some(None))
        {
            return Extent { frame: None, pages: limit.min(SHORT_PAGES - page % SHORT_PAGES) };
        }
        let limit = limit.min(REGION_PAGES - within);
        match self.regions.get((page / REGION_PAGES) as usize).unwrap_or(&EMPTY) {
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
    effort.spend(list.len() as u32 / 2);
    true
}

/// How many pages a region of a segment with so many has.
pub(super) fn region_pages(pages: u64, number: usize) -> u64 {
    REGION_PAGES.min(pages - number as u64 * REGION_PAGES)
}

/// A list of so many pages, which begins with the frames that a region has.
pub(super) fn page_list(region: &Region, had: u64, length: u64) -> Box<[u64]> {
    let mut list = alloc::vec![0; length as usize].into_boxed_slice();
    match region {
        Region::Empty => {}
        Region::Block(first) => {
            for (page, number) in (0..had).zip(list.iter_mut()) {
                *number = first.offset(page).number();
            }
        }
        Region::Pages(before) => {
            for (before, number) in before.iter().zip(list.iter_mut()) {
                *number = *before;
            }
        }
    }
    list
}

/// Takes frames for a segment's page and those behind it, so many at most, which lie one behind the other; and how many they
/// are: the largest block that is not too large; but what is left at the segment's end in one extent, if there is one.
fn take_frames(frames: &mut FrameAllocator, page: u64, pages: u64) -> Option<(Frame, u64)> {
    // Blocks become smaller from page to page. If others give back larger ones meanwhile, these are not cut to pieces.
    let order = (pages.ilog2()).min(page.trailing_zeros()).min(u32::from(crate::mem::frames::ORDER_MAX));
    if pages < REGION_PAGES
        && let Some(first) = frames.allocate_extent(pages)
    {
        return Some((first, pages));
    }
    let (frame, order) = frames.allocate_up_to(order as u8)?;
    Some((frame, 1 << order))
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
    let segment = segments.released_at(number);
    segment.mappings -= 1;
    if let Some(lock) = &mut segment.lock {
        lock.must_look = true;
        // Whether it is mapped still where it was is looked at before the kernel is left.
        segments.list_due(number);
    }
}
