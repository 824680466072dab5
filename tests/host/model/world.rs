//! All maps with segments, attachments and contents of memory.

use std::collections::BTreeMap;

use tessera_abi::{Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES, USER_END, USER_START};
use tessera_arch::Access;
use tessera_kernel::segment;
use tessera_kernel::store::Id;

use super::map::{Extent, Map};
use crate::walker::{Run, merge};

const SLOT_PAGES: u64 = TOP_SLOT_BYTES / PAGE_BYTES;

/// The frames behind a segment.
#[derive(Clone, Debug)]
pub enum Frames {
    /// One behind the other from this number on; not memory that can be read or written.
    From(u64),
    /// Page by page, `None` until the page is touched.
    List(Vec<Option<u64>>),
}

/// A segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The kernel's name for it.
    pub id: Id<segment::Segment>,
    /// Its length.
    pub pages: u64,
    /// Its frames.
    pub frames: Frames,
}

/// A capability to a segment.
#[derive(Clone, Copy, Debug)]
pub struct SegmentCap {
    /// Its handle.
    pub handle: Handle,
    /// Number of the segment in the world.
    pub segment: usize,
    /// What it allows of `Rights::ACCESS`.
    pub rights: Rights,
}

/// Contents: the word at a page of a segment and an index in the page.
pub type Memory = BTreeMap<(usize, u64, u64), u64>;

/// Everything: spaces first, then subtrees.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The address maps of spaces, then those of subtrees.
    pub maps: Vec<Map>,
    /// How many of the maps are spaces.
    pub spaces: usize,
    /// Attachments: space and slot to subtree (a number in `maps`) and bounds.
    pub attachments: BTreeMap<(usize, u64), (usize, Rights)>,
    /// Segments.
    pub segments: Vec<Segment>,
    /// Capabilities to them.
    pub caps: Vec<SegmentCap>,
    /// Words that are not zero.
    pub memory: Memory,
}

impl World {
    /// Adds a space; spaces come before subtrees.
    pub fn add_space(&mut self) {
        self.maps.push(Map::new(USER_START, USER_END));
        self.spaces = self.maps.len();
    }

    /// Adds a subtree.
    pub fn add_subtree(&mut self) {
        self.maps.push(Map::new(USER_START, TOP_SLOT_BYTES));
    }

    /// What stands against mapping; nothing, and it is done.
    pub fn map(
        &mut self,
        target: usize,
        cap: usize,
        offset: u64,
        address: u64,
        length: u64,
        rights: Rights,
    ) -> Vec<Error> {
        let cap = self.caps[cap];
        let mut errors = access_errors(rights);
        if !cap.rights.contains(rights) {
            errors.push(Error::MissingRight);
        }
        if !offset.is_multiple_of(PAGE_BYTES) {
            errors.push(Error::Misaligned);
        }
        let (first, count) = match self.maps[target].range(address, length) {
            Ok(range) => range,
            Err(more) => return [errors, more].concat(),
        };
        let offset = offset / PAGE_BYTES;
        if offset + count > self.segments[cap.segment].pages {
            errors.push(Error::BadArgument);
        }
        if self.maps[target].meets(first, count) || self.is_attached(target, first, count) {
            errors.push(Error::Overlap);
        }
        if errors.is_empty() {
            let extent = Extent { first, pages: count, segment: cap.segment, offset, rights, maximum: cap.rights };
            self.hide_missing(target, &extent);
            self.maps[target].map(extent);
        }
        errors
    }

    fn hide_missing(&mut self, target: usize, extent: &Extent) {
        let Frames::List(list) = &self.segments[extent.segment].frames else { return };
        let missing = |page: &u64| list[(extent.offset + page - extent.first) as usize].is_none();
        self.maps[target].hidden.extend((extent.first..extent.end()).filter(missing));
    }

    /// What stands against unmapping; nothing, and it is done.
    pub fn unmap(&mut self, target: usize, address: u64, length: u64) -> Vec<Error> {
        match self.mapped_range(target, address, length) {
            Ok((first, count)) => self.maps[target].unmap(first, count),
            Err(errors) => return errors,
        }
        Vec::new()
    }

    /// What stands against changing rights; nothing, and it is done.
    pub fn protect(&mut self, target: usize, address: u64, length: u64, rights: Rights) -> Vec<Error> {
        let mut errors = access_errors(rights);
        match self.mapped_range(target, address, length) {
            Err(more) => errors.extend(more),
            Ok((first, count)) => {
                if self.maps[target].within(first, count).any(|extent| !extent.maximum.contains(rights)) {
                    errors.push(Error::MissingRight);
                }
                if errors.is_empty() {
                    self.maps[target].protect(first, count, rights);
                }
            }
        }
        errors
    }

    fn mapped_range(&self, target: usize, address: u64, length: u64) -> Result<(u64, u64), Vec<Error>> {
        let (first, count) = self.maps[target].range(address, length)?;
        if self.maps[target].covers(first, count) { Ok((first, count)) } else { Err(vec![Error::NotMapped]) }
    }

    /// What stands against attaching a subtree; nothing, and it is done.
    pub fn attach(&mut self, space: usize, subtree: usize, address: u64, bounds: Rights) -> Vec<Error> {
        let mut errors = Vec::new();
        if !bounds.contains(Rights::READ) {
            errors.push(Error::BadArgument);
        }
        match slot_of(address) {
            Err(more) => errors.extend(more),
            Ok(slot) => {
                let first = slot * SLOT_PAGES;
                if self.is_attached(space, first, SLOT_PAGES) || self.maps[space].meets(first, SLOT_PAGES) {
                    errors.push(Error::Overlap);
                }
                if errors.is_empty() {
                    self.attachments.insert((space, slot), (subtree, bounds));
                }
            }
        }
        errors
    }

    /// What stands against detaching; nothing, and it is done.
    pub fn detach(&mut self, space: usize, address: u64) -> Vec<Error> {
        match slot_of(address) {
            Err(errors) => errors,
            Ok(slot) if self.attachments.remove(&(space, slot)).is_some() => Vec::new(),
            Ok(_) => vec![Error::NotMapped],
        }
    }

    fn is_attached(&self, target: usize, first: u64, count: u64) -> bool {
        let slots = first / SLOT_PAGES..=(first + count - 1) / SLOT_PAGES;
        self.attachments.keys().any(|(space, slot)| *space == target && slots.contains(slot))
    }

    /// Whose map covers a page of a space, the page there, and the bounds it is seen through.
    pub fn locate(&self, space: usize, page: u64) -> (usize, u64, Rights) {
        match self.attachments.get(&(space, page / SLOT_PAGES)) {
            Some((subtree, bounds)) => (*subtree, page % SLOT_PAGES, *bounds),
            None => (space, page, Rights::ACCESS),
        }
    }

    /// Segment and page behind a page of a space, if the access is allowed.
    pub fn access(&self, space: usize, page: u64, access: Access) -> Option<(usize, u64)> {
        let (owner, page, bounds) = self.locate(space, page);
        let extent = self.maps[owner].at(page)?;
        let needed = match access {
            Access::Read => Rights::READ,
            Access::Write => Rights::WRITE,
            Access::Execute => Rights::EXECUTE,
        };
        (extent.rights & bounds).contains(needed).then_some((extent.segment, extent.offset + page - extent.first))
    }

    /// What a map's tables must say, as runs as long as possible.
    pub fn runs(&self, map: usize) -> Vec<Run> {
        let mut runs = Vec::new();
        for extent in &self.maps[map].extents {
            match &self.segments[extent.segment].frames {
                Frames::From(base) => runs.push(Run {
                    page: extent.first,
                    pages: extent.pages,
                    frame: base + extent.offset,
                    rights: extent.rights,
                }),
                Frames::List(list) => {
                    let pages = (extent.first..extent.end()).filter(|page| !self.maps[map].hidden.contains(page));
                    runs.extend(pages.filter_map(|page| {
                        let frame = list[(extent.offset + page - extent.first) as usize]?;
                        Some(Run { page, pages: 1, frame, rights: extent.rights })
                    }));
                }
            }
        }
        merge(&runs)
    }

    /// What a CPU in a space must see, attachments included.
    pub fn view(&self, space: usize) -> Vec<Run> {
        let mut runs = self.runs(space);
        for ((_, slot), (subtree, bounds)) in self.attachments.range((space, 0)..(space + 1, 0)) {
            runs.extend(self.runs(*subtree).into_iter().map(|run| Run {
                page: run.page + slot * SLOT_PAGES,
                rights: run.rights & *bounds,
                ..run
            }));
        }
        runs.sort();
        merge(&runs)
    }
}

fn access_errors(rights: Rights) -> Vec<Error> {
    let mut errors = Vec::new();
    if !rights.contains(Rights::READ) || !Rights::ACCESS.contains(rights) {
        errors.push(Error::BadArgument);
    }
    if rights.is_write_execute() {
        errors.push(Error::WriteExecute);
    }
    errors
}

fn slot_of(address: u64) -> Result<u64, Vec<Error>> {
    let mut errors = Vec::new();
    if !address.is_multiple_of(TOP_SLOT_BYTES) {
        errors.push(Error::Misaligned);
    }
    if address / TOP_SLOT_BYTES >= 255 {
        errors.push(Error::BadAddress);
    }
    if errors.is_empty() { Ok(address / TOP_SLOT_BYTES) } else { Err(errors) }
}
