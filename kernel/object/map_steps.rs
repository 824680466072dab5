//! Changes of an address map that are made in steps: checks and changes that go over any number of mappings and pages.
//!
//! Between two steps every rule holds: what is recorded is what the tables may show. Others may change the range
//! meanwhile. What they have made since the range was checked and that does not lie within it stays as it is.

use tessera_abi::{Error, Rights};
use tessera_arch::Frame;

use crate::base::effort::{CLEAN_UNITS, Effort};
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::object::address_map::{AddressMap, Cost};
use crate::object::mapping::{Lenders, Mapping, Record};
use crate::object::segment::{self, Extent, Segment};
use crate::object::use_pool::UsePool;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::TableCount;
use crate::paging::range::{PageRange, page_address};

/// What looking at a mapping takes, counting the tables for a part of one, and changing its record.
const LOOK_UNITS: u32 = 16;
const COUNT_UNITS: u32 = 14;
const RECORD_UNITS: u32 = 60;

/// How far the change of a range has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The first page that is left.
    pub page: u64,
    /// Whether what begins there is the rest of a mapping whose front was changed.
    pub is_rest: bool,
}

impl AddressMap {
    /// Checks from a page of a range on that all pages are mapped. Gives what all mappings that were looked at may allow,
    /// and the page that was come to, if that was not the end.
    ///
    /// # Errors
    /// `NotMapped`.
    pub fn covered_from(
        &self,
        range: PageRange,
        page: u64,
        effort: &mut Effort,
    ) -> Result<(Rights, Option<u64>), Error> {
        let (first, mapping) = self.find(page).ok_or(Error::NotMapped)?;
        let (mut next, mut maximum) = (first + mapping.pages, mapping.maximum);
        while next < range.end() {
            if !effort.spend(LOOK_UNITS) {
                return Ok((maximum, Some(next)));
            }
            let (first, record) = self.mappings.at_or_behind(next).ok_or(Error::NotMapped)?;
            if first > next {
                return Err(Error::NotMapped);
            }
            (next, maximum) = (first + record.pages(), maximum & self.seen(record).maximum);
        }
        Ok((maximum, None))
    }

    /// What splitting at the ends of a range takes.
    pub fn split_cost(&self, range: PageRange) -> Cost {
        let mut cost = Cost::default();
        for page in [range.first, range.end()] {
            // A large page is one mapping's, so that none straddles where no mapping does.
            if self.find(page).is_some_and(|(first, _)| first < page) {
                cost.records += 1;
                cost.tables += self.tree.split_tables(page_address(page));
            }
        }
        cost
    }

    /// Unmaps the front of a range, up to a page at most; gives the first page that is left of it. Tables that became empty and
    /// pages that were copied go to `freed`, to be freed after what was unmapped is invalidated.
    pub fn unmap_front(
        &mut self,
        frames: &mut FrameAllocator,
        lenders: &mut Lenders<'_>,
        (range, until): (PageRange, u64),
        effort: &mut Effort,
        freed: &mut FrameList,
    ) -> u64 {
        let mut page = range.first;
        while let Some((first, mapping)) = self.next_within(page, range.end()) {
            if first >= until {
                return first;
            }
            let end = first + mapping.pages;
            page = self.tree.unmap_front(frames, (first, end.min(until)), effort, freed);
            page = self.privates.forget(frames, (first, page), effort, freed);
            self.mapped_pages -= page - first;
            self.mappings.remove(first, lenders);
            if page < end {
                self.mappings.insert(page, Record::of(&mapping.part(page - first, end - page)), lenders);
                lenders.moved(&mapping, page);
                return page;
            }
            Record::of(&mapping).give_up(lenders, &mut self.noted);
            if !effort.spend(RECORD_UNITS) {
                return page;
            }
        }
        range.end()
    }

    /// Gives the front of a range, up to a page at most, new rights; gives where what is left of it begins. A mapping of which only the
    /// front has
    /// them is two meanwhile, for one more of which the account was found good.
    pub fn protect_front(
        &mut self,
        lenders: &mut Lenders<'_>,
        (range, until): (PageRange, u64),
        from: Reached,
        rights: Rights,
        effort: &mut Effort,
    ) -> Reached {
        let (mut page, mut is_rest) = (from.page, from.is_rest);
        while let Some((first, mapping)) = self.next_within(page, range.end()) {
            if first >= until {
                return Reached { page: first, is_rest: is_rest && first == page };
            }
            let (end, leaf) = (first + mapping.pages, self.leaf_of(&Mapping { rights, ..mapping }));
            is_rest &= first == page;
            if !mapping.maximum.contains(rights) {
                (page, is_rest) = (end, false);
            } else {
                page = self.tree.protect_front((first, end.min(until)), leaf, effort);
                self.note_rights(lenders, (first, mapping), page - first, rights, is_rest);
                is_rest = page < end;
            }
            if !effort.spend(RECORD_UNITS) || is_rest {
                return Reached { page, is_rest };
            }
        }
        Reached { page: range.end(), is_rest: false }
    }

    /// Notes that the first pages of a mapping have new rights. `is_rest`: those before it, which were part of it, have them
    /// already.
    fn note_rights(
        &mut self,
        lenders: &mut Lenders<'_>,
        (first, mapping): (u64, Mapping),
        pages: u64,
        rights: Rights,
        is_rest: bool,
    ) {
        let changed = Mapping { rights, ..mapping.part(0, pages) };
        let rest = (pages < mapping.pages).then(|| mapping.part(pages, mapping.pages - pages));
        let front = if is_rest { self.front_of(lenders.uses, first, rights) } else { None };
        if let Some((start, before)) = front {
            self.mappings.remove(first, lenders);
            self.set_record(lenders, start, &Mapping { pages: before.pages + pages, ..before });
            match rest {
                Some(rest) => {
                    self.mappings.insert(first + pages, Record::of(&rest), lenders);
                    lenders.moved(&mapping, first + pages);
                }
                None => Record::of(&mapping).give_up(lenders, &mut self.noted),
            }
            return;
        }
        let rest = rest.map(|rest| Mapping { lent: lenders.split(&mapping, first + pages), ..rest });
        self.set_record(lenders, first, &changed);
        if let Some(rest) = rest {
            self.noted += u32::from(rest.lent.is_some());
            self.mappings.insert(first + pages, Record::of(&rest), lenders);
            segment::add_mapping(lenders.segments, rest.segment);
        }
    }

    /// The mapping with these rights that ends where another one begins and was one with it before, if there is such a one: it
    /// shows what comes before it in the same segment, and is lent by the same.
    pub fn front_of(&self, uses: &UsePool, first: u64, rights: Rights) -> Option<(u64, Mapping)> {
        let (at, mapping) = self.find(first).filter(|(at, _)| *at == first)?;
        // A subtree has a page 0, before which nothing is.
        let (start, before) = self.find(at.checked_sub(1)?)?;
        let (pages, offset) = (mapping.pages, before.offset + before.pages);
        let follows = Mapping { pages, offset, lent: mapping.lent, ..before };
        let is_alike = start + before.pages == first && follows == Mapping { rights, ..mapping };
        let is_lent_alike = match (before.lent, mapping.lent) {
            (Some(one), Some(other)) => uses.are_alike(one, other),
            (one, other) => one == other,
        };
        (is_alike && is_lent_alike).then_some((start, before))
    }

    /// Counts the tables that showing a mapping takes, from a page of it on, which was come to with this count. Gives the
    /// page that it came to, and the count.
    pub fn count_further(
        &self,
        (first, mapping): (u64, &Mapping),
        segment: &Segment,
        (mut done, so_far): (u64, (u64, u64)),
        effort: &mut Effort,
    ) -> (u64, (u64, u64)) {
        let mut count = TableCount::resumed(page_address(first + done), so_far);
        while done < mapping.pages {
            let piece = self.piece(segment, (first, mapping), done);
            if let Some(frame) = piece.frame {
                count.add(&self.tree, page_address(first + done), frame, piece.pages);
            }
            done += piece.pages;
            if !effort.spend(COUNT_UNITS + piece.look_units) {
                break;
            }
        }
        (done, count.so_far(page_address(first + done)))
    }

    /// Whether a mapping is at a page, as it was made or, if others have changed it, again.
    pub fn shows(&self, first: u64, mapping: &Mapping) -> bool {
        // As which use, whoever has made it does not know.
        let as_made = |found: &Mapping| Mapping { lent: found.lent, epoch: found.epoch, ..*mapping };
        self.find(first).is_some_and(|(at, found)| (at, found) == (first, as_made(&found)))
    }

    /// Notes a mapping, of whose memory nothing is shown yet.
    pub fn note(&mut self, lenders: &mut Lenders<'_>, first: u64, mapping: &Mapping) {
        segment::add_mapping(lenders.segments, mapping.segment);
        self.mappings.insert(first, Record::of(&self.as_made(mapping)), lenders);
        self.mapped_pages += mapping.pages;
        self.noted += u32::from(mapping.lent.is_some());
    }

    /// Shows more of a mapping's memory, from a page of it on and up to one, as far as `may_take` allows of tables. Gives the page that it
    /// came to; the last one if it can go no further, and what is not shown then is shown when it is touched.
    pub fn show_further(
        &mut self,
        frames: &mut FrameAllocator,
        segment: &Segment,
        (first, mapping): (u64, &Mapping),
        (mut done, until): (u64, u64),
        effort: &mut Effort,
        may_take: impl Fn(&FrameAllocator, u64) -> bool,
    ) -> u64 {
        let (leaf, before) = (self.leaf_of(mapping), self.tree.tables);
        while done < until {
            let mut piece = self.piece(segment, (first, mapping), done);
            piece.pages = piece.pages.min(until - done);
            match piece.frame {
                Some(frame) => {
                    let (address, taken) = (page_address(first + done), self.tree.tables - before);
                    if !may_take(frames, taken + self.tree.tables_for(address, frame, piece.pages)) {
                        return mapping.pages;
                    }
                    done += self.tree.show_front(frames, address, frame, piece.pages, leaf, effort);
                }
                None => done += piece.pages,
            }
            if !effort.spend(LOOK_UNITS + piece.look_units) {
                break;
            }
        }
        done
    }

    /// What a mapping has from one of its pages on: frames one behind the other that can be shown at once, or none.
    fn piece(&self, segment: &Segment, (first, mapping): (u64, &Mapping), done: u64) -> Piece {
        let (page, at, rest) = (first + done, mapping.offset + done, mapping.pages - done);
        let Extent { frame, pages } = segment.extent_in_region(at, rest);
        let (Some(first), large, largest) = (frame, entry_pages(1), entry_pages(2)) else {
            return Piece { frame: None, pages, look_units: 0 };
        };
        let is_largest = page.is_multiple_of(largest) && first.number().is_multiple_of(largest) && rest >= largest;
        if is_largest && tessera_arch::largest_leaf_level() >= 2 {
            let Extent { frame, pages } = segment.extent(at, largest);
            return Piece { frame, pages, look_units: LARGEST_UNITS };
        }
        // Up to the next page at which a large page may begin, so that none is cut.
        let Extent { frame, pages } = segment.extent(at, rest.min(large - page % large));
        Piece { frame, pages, look_units: 0 }
    }

    /// The first mapping that begins at a page or behind it and ends in time.
    fn next_within(&self, page: u64, end: u64) -> Option<(u64, Mapping)> {
        let (first, record) = self.mappings.at_or_behind(page)?;
        (first + record.pages() <= end).then(|| (first, self.seen(record)))
    }

    fn set_record(&mut self, lenders: &mut Lenders<'_>, first: u64, mapping: &Mapping) {
        if let Some(record) = self.mappings.get_mut(first, lenders) {
            *record = Record::of(mapping);
        }
    }
}

/// Makes more of a mapping's memory fit to be fetched as code, from a page of it on; gives the page that it came to. When that
/// is the last, the caller publishes.
pub fn clean_further(segment: &Segment, mapping: &Mapping, mut done: u64, effort: &mut Effort) -> u64 {
    while done < mapping.pages && effort.is_left() {
        let Extent { frame, pages } = segment.extent_in_region(mapping.offset + done, mapping.pages - done);
        let count = match frame {
            Some(frame) => {
                let count = pages.min(u64::from(effort.left().div_ceil(CLEAN_UNITS)));
                tessera_arch::clean_code(frame, count);
                effort.spend(count as u32 * CLEAN_UNITS);
                count
            }
            None => pages,
        };
        done += count;
        effort.spend(LOOK_UNITS);
    }
    done
}

/// A part of a mapping's memory.
struct Piece {
    frame: Option<Frame>,
    pages: u64,
    /// What finding it took that is out of the ordinary.
    look_units: u32,
}

/// What it takes to look whether the memory of the largest page lies in one piece.
const LARGEST_UNITS: u32 = 500;
