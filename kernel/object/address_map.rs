//! Address maps: which ranges are mapped to what, and the page tables that say so to the hardware.
//!
//! A space has one for what is its own, a subtree one for what is in it. Besides mappings a map has attachments: other
//! subtrees, an entry each, which is all there is to say of them (`vm/attach.rs`). Each operation has a `plan_`
//! half that checks everything and changes nothing, and a perform half that cannot be refused.

use tessera_abi::{Error, PAGE_BYTES, Rights};
use tessera_arch::{Frame, Leaf};

use crate::base::effort::Effort;
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::object::id::AttachPoint;
use crate::object::mapping::Record;
use crate::object::page_map::{self, PageMap, Place};
use crate::object::private_pages::PrivatePages;
use crate::object::reverse_map::ATTACHMENT_BYTES;
use crate::object::segment::{self, Extent, Segment};
use crate::object::use_pool::USE_BYTES;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::{TableCount, Tree};
use crate::paging::range::{PageRange, page_address};
use crate::paging::shared_entry::Search;
use crate::paging::slots::Slots;

pub use crate::object::mapping::{CURRENT, Lenders, Mapping};

/// What one mapping costs its account besides tables, bytes: its record, and that it is noted as a use.
pub const MAPPING_BYTES: u64 = page_map::entry_bytes::<Record>() + USE_BYTES;

/// What a map of nothing costs besides its root table: the first node of its tree of mappings, bytes.
pub const MAP_BYTES: u64 = page_map::base_bytes::<Record>();

/// Effort of forgetting a mapping.
const MAPPING_UNITS: u32 = 20;

/// What an operation will take, checked against account and memory before it is performed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Page tables, at most.
    pub tables: u64,
    /// Mapping records, at most.
    pub records: u64,
    /// Attachments.
    pub attachments: u64,
}

impl Cost {
    /// Bytes that the account must have.
    #[inline(always)]
    pub fn bytes(&self) -> u64 {
        self.tables * PAGE_BYTES + self.records * MAPPING_BYTES + self.attachments * ATTACHMENT_BYTES
    }
}

/// A mapping that may be made: what it takes, and what was looked up for it.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is mapped yet"]
pub struct MapPlan {
    /// What it takes.
    pub cost: Cost,
    /// Where its entries go, and the first of the frames that they lead to, if all are in one table that is there and the
    /// memory lies in one piece.
    pub slots: Option<(Slots, Frame)>,
}

/// Room for a mapping that takes nothing but its record: the leaf has room, and the table is there that will have the entries.
#[derive(Debug)]
#[must_use = "nothing is mapped yet"]
pub struct Vacancy<'a> {
    place: Place<'a, Record>,
    slots: Slots,
    mapped_pages: &'a mut u64,
    noted: &'a mut u32,
    global: bool,
    epoch: u32,
}

impl Vacancy<'_> {
    /// Makes a mapping that is no code, at this page; its memory begins with this frame, if it has any yet.
    #[inline(always)]
    pub fn map(self, frames: &mut FrameAllocator, first: u64, mapping: &Mapping, memory: Option<Frame>) {
        if let Some(frame) = memory {
            self.slots.fill(frames, frame, Leaf { rights: mapping.rights, global: self.global });
        }
        self.place.insert(first, Record::of(&Mapping { epoch: self.epoch, ..*mapping }));
        *self.mapped_pages += mapping.pages;
        if mapping.lent.is_some() {
            *self.noted += 1;
        }
        tessera_arch::publish_tables();
    }
}

/// A mapping that changes as a whole, with its record in a leaf that can spare it, and its entries in one table.
#[derive(Debug)]
#[must_use = "nothing has changed yet"]
pub struct Whole<'a> {
    place: Place<'a, Record>,
    slots: Slots,
    tree: &'a mut Tree,
    mapped_pages: &'a mut u64,
    noted: &'a mut u32,
    global: bool,
}

impl Whole<'_> {
    /// Whether the mapping may be given these rights.
    #[inline(always)]
    pub fn may_allow(&self, rights: Rights) -> bool {
        self.place.last().is_some_and(|(_, record)| record.maximum().contains(rights))
    }

    /// Unmaps it. Tables that became empty go to `freed`, to be freed after the range was invalidated.
    #[inline(always)]
    pub fn unmap(
        self,
        frames: &mut FrameAllocator,
        lenders: &mut Lenders<'_>,
        range: PageRange,
        freed: &mut FrameList,
    ) {
        self.tree.clear_slots(frames, self.slots, range.start(), freed);
        *self.mapped_pages -= range.count;
        self.place.remove().give_up(lenders, self.noted);
    }

    /// Gives it new rights, which let nobody execute.
    #[inline(always)]
    pub fn protect(self, rights: Rights) {
        self.slots.protect(Leaf { rights, global: self.global });
        if let Some(record) = self.place.last_mut() {
            record.set_rights(rights);
        }
    }
}

/// Mappings, attachments, and the tables that show them.
#[derive(Debug)]
pub struct AddressMap {
    /// The page tables.
    pub tree: Tree,
    pub(super) mappings: PageMap<Record>,
    /// Pages that were copied when they were written to.
    pub privates: PrivatePages,
    /// How many of its mappings are noted as uses of a capability.
    pub(super) noted: u32,
    attachments: u64,
    core_windows: u64,
    pub(super) mapped_pages: u64,
    global: bool,
    /// What was made before the map had been cloned so often lets nobody write.
    pub(super) frozen_before: u32,
    /// Whether no CPU holds anything of it any more, nor ever will: it is being taken apart.
    pub is_unseen: bool,
}

impl AddressMap {
    /// A map of nothing.
    pub fn new(tree: Tree) -> AddressMap {
        AddressMap {
            tree,
            mappings: PageMap::default(),
            privates: PrivatePages::default(),
            noted: 0,
            attachments: 0,
            core_windows: 0,
            mapped_pages: 0,
            global: false,
            frozen_before: 0,
            is_unseen: false,
        }
    }

    /// Pages covered by mappings.
    pub fn mapped_pages(&self) -> u64 {
        self.mapped_pages
    }

    /// How many mappings there are.
    pub fn len(&self) -> usize {
        self.mappings.len()
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    /// Whether there is nothing in it at all, not even a table below the root.
    pub fn is_blank(&self) -> bool {
        self.mappings.is_empty() && self.attachments == 0 && self.tree.tables == 1
    }

    /// What the map, its tables, mappings and attachments cost now, bytes.
    pub fn charged_bytes(&self) -> u64 {
        MAP_BYTES + self.bytes() + Cost { attachments: self.attachments, ..Cost::default() }.bytes()
    }

    /// What its tables and mappings cost now, bytes: all that changes while no attachment comes or goes.
    #[inline(always)]
    pub fn bytes(&self) -> u64 {
        let mapped = Cost { tables: self.tree.tables, records: self.mappings.len() as u64, attachments: 0 }.bytes();
        mapped + self.privates.bytes()
    }

    /// How many attachments there are, core windows included.
    pub fn attachments(&self) -> u64 {
        self.attachments
    }

    /// How many of them are core windows.
    pub fn core_windows(&self) -> u64 {
        self.core_windows
    }

    /// The mapping that covers a page, and its first page.
    #[inline(always)]
    pub fn find(&self, page: u64) -> Option<(u64, Mapping)> {
        let (first, record) = self.mappings.at_or_before(page)?;
        (page < first + record.pages()).then(|| (first, self.seen(record)))
    }

    /// The first mapping that ends after `page`, with its first page.
    pub fn first_from(&self, page: u64) -> Option<(u64, Mapping)> {
        let behind = || self.mappings.at_or_behind(page).map(|(first, record)| (first, self.seen(record)));
        self.find(page).or_else(behind)
    }

    /// Mappings that end after `page`, in order, with their first pages.
    pub fn from(&self, page: u64) -> impl Iterator<Item = (u64, Mapping)> {
        let start = self.find(page).map_or(page, |(first, _)| first);
        let at_or_behind = |page| self.mappings.at_or_behind(page).map(|(first, record)| (first, self.seen(record)));
        core::iter::successors(at_or_behind(start), move |(first, mapping)| at_or_behind(first + mapping.pages))
    }

    /// The room for a mapping at a range, if there is such room as a [`Vacancy`] is.
    #[inline(always)]
    pub fn vacancy(&mut self, range: PageRange) -> Option<Vacancy<'_>> {
        // Where a lowest table of the map's own is, nothing is attached, public or a core window's.
        let slots = self.tree.lowest_slots(range)?;
        // What begins last before the range's end is what would be in the way.
        let place = self.mappings.place(range.end() - 1)?;
        let is_free = place.last().is_none_or(|(first, record)| first + record.pages() <= range.first);
        let is_vacant = is_free && place.has_room();
        let AddressMap { mapped_pages, noted, global, privates, .. } = self;
        let (global, epoch) = (*global, privates.epoch());
        is_vacant.then_some(Vacancy { place, slots, mapped_pages, noted, global, epoch })
    }

    /// The mapping that a range is, if it is one of those that a [`Whole`] is, shown by small pages or by `LARGE` ones.
    #[inline(always)]
    pub fn whole<const LARGE: bool>(&mut self, range: PageRange) -> Option<Whole<'_>> {
        let slots = if LARGE { self.tree.large_slots(range) } else { self.tree.lowest_slots(range) }?;
        let place = self.mappings.place(range.first)?;
        let (first, record) = place.last()?;
        // What is written to pages that were copied is a matter for each page.
        let is_whole = first == range.first && record.pages() == range.count && record.epoch() == self.privates.epoch();
        if !is_whole || !place.can_spare() {
            return None;
        }
        let AddressMap { tree, mapped_pages, noted, global, .. } = self;
        Some(Whole { place, slots, tree, mapped_pages, noted, global: *global })
    }

    /// Writes the entry of an attachment at a place that was found vacant. Other CPUs' core windows are not in these
    /// tables.
    #[inline(always)]
    pub fn attach(&mut self, frames: &mut FrameAllocator, place: AttachPoint, level: u8, entry: u64) {
        if place.cpu.is_none_or(|cpu| cpu == 0) {
            self.tree.attach(frames, page_address(place.page), level, entry);
        }
        self.attachments += 1;
        self.core_windows += u64::from(place.cpu.is_some());
        tessera_arch::publish_tables();
    }

    /// Takes the entry of an attachment out; the caller flushes, then frees the tables that became empty.
    #[inline(always)]
    pub fn detach(&mut self, frames: &mut FrameAllocator, place: AttachPoint, level: u8, freed: &mut FrameList) {
        self.attachments -= 1;
        self.core_windows -= u64::from(place.cpu.is_some());
        if place.cpu.is_none_or(|cpu| cpu == 0) {
            self.tree.detach(frames, page_address(place.page), level, freed);
        }
    }

    /// Whether nothing is in the way of an entry at a level.
    ///
    /// Every attachment shows in the tables, and so does what is public. A mapping need not: its pages may have no
    /// memory yet.
    #[inline(always)]
    pub fn is_free(&self, page: u64, level: u8) -> bool {
        let range = PageRange { first: page, count: entry_pages(level) };
        self.tree.is_free(range.start(), level) && !self.overlaps(range)
    }

    /// Makes leaves, those to come included, global or not, from a page on; no CPU can reach them now. Gives the page that it
    /// came to.
    pub fn set_global_from(&mut self, page: u64, global: bool, effort: &mut Effort) -> u64 {
        self.global = global;
        // Of one with nothing in it there is nothing to be looked at.
        if self.is_blank() { entry_pages(self.tree.level + 1) } else { self.tree.set_global_from(page, global, effort) }
    }

    /// What entries say that show a mapping with these rights.
    #[inline(always)]
    pub fn leaf(&self, rights: Rights) -> Leaf {
        Leaf { rights, global: self.global }
    }

    /// Whether any mapping meets the range.
    #[inline(always)]
    pub fn overlaps(&self, range: PageRange) -> bool {
        let last = self.mappings.at_or_before(range.end() - 1);
        last.is_some_and(|(first, record)| range.first < first + record.pages())
    }

    /// Checks that nothing is in the way of a mapping. If something is attached below the root, that takes a look along the tables
    /// on the ways to both ends, up to five. Some effort is left for whoever comes to this at each step.
    ///
    /// # Errors
    /// `Overlap`.
    pub fn ensure_vacant(&self, range: PageRange, effort: &mut Effort) -> Result<(), Error> {
        let mut looked = Effort::of(u32::MAX);
        let is_free = !self.overlaps(range)
            && self.tree.search_attached(range.first, range.end(), &mut looked) == Search::Nothing;
        effort.spend((u32::MAX - looked.left()).min(effort.left().saturating_sub(1)));
        if is_free { Ok(()) } else { Err(Error::Overlap) }
    }

    /// Checks that a short mapping can be made, and what it takes.
    ///
    /// # Errors
    /// `Overlap`.
    #[inline(always)]
    pub fn plan_map(
        &self,
        first: u64,
        mapping: &Mapping,
        (segment, extent): (&Segment, Extent),
    ) -> Result<MapPlan, Error> {
        let range = PageRange { first, count: mapping.pages };
        if self.overlaps(range) {
            return Err(Error::Overlap);
        }
        let whole = extent.frame.filter(|_| extent.pages == mapping.pages);
        let slots = whole.and_then(|frame| Some((self.tree.slots(range.start(), frame, extent.pages)?, frame)));
        // The lowest tables have no attachments, and none is on the way to one of the map's own.
        let may_be_attached = !slots.is_some_and(|(slots, _)| slots.are_lowest());
        if may_be_attached && self.tree.next_attached(range.first, range.end()).is_some() {
            return Err(Error::Overlap);
        }
        let tables = if slots.is_some() { 0 } else { self.count_tables(first, mapping, segment, whole) };
        Ok(MapPlan { cost: Cost { tables, records: 1, attachments: 0 }, slots })
    }

    /// The tables that a mapping will add.
    #[inline(never)]
    fn count_tables(&self, first: u64, mapping: &Mapping, segment: &Segment, whole: Option<Frame>) -> u64 {
        let mut count = TableCount::default();
        let mut add = |done, frame, pages| count.add(&self.tree, page_address(first + done), frame, pages);
        match whole {
            Some(frame) => add(0, frame, mapping.pages),
            None => for_each_extent(segment, mapping, add),
        }
        count.tables
    }

    /// Makes a mapping that was planned.
    #[inline(always)]
    pub fn map(
        &mut self,
        frames: &mut FrameAllocator,
        lenders: &mut Lenders<'_>,
        first: u64,
        mapping: Mapping,
        slots: Option<(Slots, Frame)>,
    ) {
        let mapping = self.as_made(&mapping);
        let (segment, leaf) = (segment::add_mapping(lenders.segments, mapping.segment), self.leaf_of(&mapping));
        if mapping.rights.contains(Rights::EXECUTE) {
            publish_code(segment, &mapping);
        }
        match slots {
            Some((slots, frame)) => slots.fill(frames, frame, leaf),
            None => self.show(frames, segment, first, &mapping),
        }
        self.mappings.insert(first, Record::of(&mapping), lenders);
        self.mapped_pages += mapping.pages;
        self.noted += u32::from(mapping.lent.is_some());
        tessera_arch::publish_tables();
    }

    /// Shows all that a mapping has memory for, however it lies.
    #[inline(never)]
    fn show(&mut self, frames: &mut FrameAllocator, segment: &Segment, first: u64, mapping: &Mapping) {
        let leaf = self.leaf_of(mapping);
        for_each_extent(segment, mapping, |done, frame, pages| {
            self.tree.map(frames, page_address(first + done), frame, pages, leaf);
        });
    }

    /// Forgets mappings, which no table shows any more; gives whether none is left.
    pub fn forget_mappings(&mut self, lenders: &mut Lenders<'_>, effort: &mut Effort) -> bool {
        let AddressMap { mappings, mapped_pages, noted, .. } = self;
        let mut units = 0;
        while mappings.take_last_leaf(|record| {
            *mapped_pages -= record.pages();
            record.give_up(lenders, noted);
            units += MAPPING_UNITS;
        }) {
            if !effort.spend(core::mem::take(&mut units)) {
                return mappings.is_empty();
            }
        }
        // What clones have as well was let go of at once.
        *mapped_pages = 0;
        true
    }

    /// An attachment of a map that is being taken apart has gone with its entry, in the root or below.
    pub fn forget_attachment(&mut self, place: AttachPoint, is_below: bool) {
        self.attachments -= 1;
        self.core_windows -= u64::from(place.cpu.is_some());
        if place.cpu.is_none_or(|cpu| cpu == 0) {
            self.tree.attached -= 1;
            self.tree.attached_below -= u64::from(is_below);
        }
    }

    /// Splits the mapping that straddles the start of a page, if one does; no large page does.
    pub fn split_record(&mut self, lenders: &mut Lenders<'_>, page: u64) {
        let Some((first, mapping)) = self.find(page) else { return };
        if first == page {
            return;
        }
        let left = mapping.part(0, page - first);
        let mut right = mapping.part(page - first, first + mapping.pages - page);
        right.lent = lenders.split(&mapping, page);
        self.noted += u32::from(right.lent.is_some());
        if let Some(record) = self.mappings.get_mut(first, lenders) {
            *record = Record::of(&left);
        }
        self.mappings.insert(page, Record::of(&right), lenders);
        segment::add_mapping(lenders.segments, right.segment);
    }
}

/// Makes what a mapping has memory for fit to be fetched as code, before it may be.
#[cold]
fn publish_code(segment: &Segment, mapping: &Mapping) {
    for_each_extent(segment, mapping, |_, frame, pages| tessera_arch::clean_code(frame, pages));
    tessera_arch::publish_code();
}

/// Calls `each` with (pages from the mapping's start, first frame, pages) for each populated extent.
fn for_each_extent(segment: &Segment, mapping: &Mapping, mut each: impl FnMut(u64, Frame, u64)) {
    let mut done = 0;
    while done < mapping.pages {
        let extent = segment.extent(mapping.offset + done, mapping.pages - done);
        if let Some(frame) = extent.frame {
            each(done, frame, extent.pages);
        }
        done += extent.pages;
    }
}
