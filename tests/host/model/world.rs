//! All maps with segments and contents of memory.

use std::collections::{BTreeMap, BTreeSet};

use tessera_abi::{Error, Handle, PAGE_BYTES, Rights, USER_END, USER_START};
use tessera_arch::TOP_LEVEL;
use tessera_kernel::object::id::SegmentId;

use super::map::{Extent, Map};
use super::sharing::{Attached, Spot};
use crate::walker::{Run, entry_pages, merge};

/// The level of a space: its root's entries have the one below.
pub const SPACE_LEVEL: u8 = TOP_LEVEL + 1;

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
    pub id: SegmentId,
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

/// Everything: spaces and subtrees by number. Numbers are not used again.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The address maps of spaces and subtrees.
    pub maps: Vec<Map>,
    /// The level of the entry that each hangs from; [`SPACE_LEVEL`] for spaces.
    pub levels: Vec<u8>,
    /// What is attached where.
    pub attachments: BTreeMap<Spot, Attached>,
    /// Subtrees that are sealed.
    pub sealed: BTreeSet<usize>,
    /// Subtrees that are public: slot and bounds.
    pub public: BTreeMap<usize, (u64, Rights)>,
    /// Segments.
    pub segments: Vec<Segment>,
    /// Capabilities to them.
    pub caps: Vec<SegmentCap>,
    /// Words that are not zero.
    pub memory: Memory,
}

impl World {
    /// Adds a space; gives its number.
    pub fn add_space(&mut self) -> usize {
        self.add(Map::new(USER_START, USER_END), SPACE_LEVEL)
    }

    /// Adds a subtree that hangs from an entry of this level; gives its number.
    pub fn add_subtree(&mut self, level: u8) -> usize {
        let start = if level == TOP_LEVEL { USER_START } else { 0 };
        self.add(Map::new(start, entry_pages(level) * PAGE_BYTES), level)
    }

    fn add(&mut self, map: Map, level: u8) -> usize {
        self.maps.push(map);
        self.levels.push(level);
        self.maps.len() - 1
    }

    /// Whether a map is a space's.
    pub fn is_space(&self, map: usize) -> bool {
        self.levels[map] == SPACE_LEVEL
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
        let mut errors = [access_errors(rights), self.sealed_errors(target)].concat();
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
        if self.maps[target].meets(first, count) || self.is_taken(target, first, count) {
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
        let mut errors = self.sealed_errors(target);
        match self.mapped_range(target, address, length) {
            Ok((first, count)) if errors.is_empty() => self.maps[target].unmap(first, count),
            Ok(_) => {}
            Err(more) => errors.extend(more),
        }
        errors
    }

    /// What stands against changing rights; nothing, and it is done.
    pub fn protect(&mut self, target: usize, address: u64, length: u64, rights: Rights) -> Vec<Error> {
        let mut errors = [access_errors(rights), self.sealed_errors(target)].concat();
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

    /// What stands against changing what is in a map.
    pub(super) fn sealed_errors(&self, map: usize) -> Vec<Error> {
        if self.sealed.contains(&map) { vec![Error::Sealed] } else { Vec::new() }
    }

    /// What a map's own tables must say, as runs as long as possible.
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
