//! Mappings: as they are asked for, and as an address map keeps them.

use core::num::NonZeroU32;

use tessera_abi::{PAGE_BYTES, Rights};

use crate::base::mutants::{Mutant, is_seeded};
use crate::object::cap_table::CapTable;
use crate::object::derivation;
use crate::object::id::UseId;
use crate::object::page_node::Copies;
use crate::object::segment::{self, LENGTH_MAX_BYTES, Segment};
use crate::object::store::Store;
use crate::object::use_pool::UsePool;

/// One mapping: pages of a segment at pages of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// How many pages.
    pub pages: u64,
    /// Whose memory, by the segment's number: the mapping keeps it.
    pub segment: u32,
    /// The segment's page that the first one shows.
    pub offset: u64,
    /// What it allows.
    pub rights: Rights,
    /// What `protect` may make it allow: the rights of the segment capability it was made with.
    pub maximum: Rights,
    /// The use of that capability that it is; none for what the kernel mapped at boot.
    pub lent: Option<UseId>,
    /// How often the map had been cloned when it was made, from [`FIRST_EPOCH`] on, which who makes it need not know ([`CURRENT`]);
    /// [`PINNED`] if it stays the same memory in clones, [`PRIVATE`] if it is copied in any case.
    pub epoch: u32,
}

/// In the place of an epoch: what is mapped is not copied, but stays the same memory in clones.
pub const PINNED: u32 = u32::MAX;

/// The same: as often as the map has been cloned when the mapping is made.
pub const CURRENT: u32 = u32::MAX - 1;

/// The same: what is mapped is copied when it is written to, though the map was never cloned. It is as if the mapping had been made
/// before all others.
pub const PRIVATE: u32 = 0;

/// How often a map has been cloned that never was.
pub const FIRST_EPOCH: u32 = 1;

impl Mapping {
    pub(super) fn part(&self, skip: u64, pages: u64) -> Mapping {
        // Of one that lets nobody do anything, `offset` is how many pages are out of the tables (`Record::forbid`).
        let offset = if self.maximum.is_empty() { self.offset.saturating_sub(skip) } else { self.offset + skip };
        Mapping { pages, offset, ..*self }
    }
}

/// A mapping as the map keeps it: in three words, and none more for an `Option`.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
pub(super) struct Record {
    pages: NonZeroU32,
    offset: u32,
    segment: u32,
    lent: Option<UseId>,
    epoch: u32,
    rights: u8,
    maximum: u8,
}

const _: () = assert!(size_of::<Option<Record>>() == 24, "records are moved word by word");
const _: () = assert!(LENGTH_MAX_BYTES / PAGE_BYTES <= u32::MAX as u64, "pages of a segment have numbers of 32 bits");
const _: () = assert!(Rights::ACCESS.bits() <= u8::MAX as u32, "the rights of a mapping have eight bits");

impl Record {
    #[inline(always)]
    pub(super) fn of(mapping: &Mapping) -> Record {
        let Mapping { pages, segment, offset, rights, maximum, lent, epoch } = *mapping;
        let pages = NonZeroU32::new(pages as u32).expect("a mapping has pages");
        let (rights, maximum) = (rights.bits() as u8, maximum.bits() as u8);
        Record { pages, offset: offset as u32, segment, lent, epoch, rights, maximum }
    }

    #[inline(always)]
    pub(super) fn pages(&self) -> u64 {
        u64::from(self.pages.get())
    }

    /// The segment's number.
    pub(super) fn segment(&self) -> u32 {
        self.segment
    }

    #[inline(always)]
    pub(super) fn maximum(&self) -> Rights {
        Rights::from_bits_retain(u32::from(self.maximum))
    }

    #[inline(always)]
    pub(super) fn mapping(&self) -> Mapping {
        Mapping {
            pages: self.pages(),
            segment: self.segment,
            offset: u64::from(self.offset),
            rights: Rights::from_bits_retain(u32::from(self.rights)),
            maximum: self.maximum(),
            lent: self.lent,
            epoch: self.epoch,
        }
    }

    /// How often the map had been cloned when it was made.
    #[inline(always)]
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// It has these rights from here on.
    #[inline(always)]
    pub(super) fn set_rights(&mut self, rights: Rights) {
        self.rights = rights.bits() as u8;
    }

    /// The mapping stays the same memory in clones.
    pub(super) fn pin(&mut self) {
        self.epoch = PINNED;
    }

    /// Nobody can do anything by the mapping from here on. Whose page its first one was, nobody asks any more: in that place stands
    /// how many of its pages are out of the tables.
    pub(super) fn forbid(&mut self, hidden_pages: u64) {
        (self.rights, self.maximum, self.offset) = (0, 0, hidden_pages as u32);
    }

    /// It is not noted as a use any more; gives as which one it was.
    pub(super) fn take_lent(&mut self) -> Option<UseId> {
        self.lent.take()
    }

    /// Notes that the mapping is gone, at its segment and at whoever lent it.
    #[inline(always)]
    pub(super) fn give_up(&self, lenders: &mut Lenders<'_>, noted: &mut u32) {
        segment::drop_mapping(lenders.segments, self.segment);
        if let Some(lent) = self.lent {
            *noted -= 1;
            lenders.take_back(lent);
        }
    }
}

/// What knows of mappings elsewhere: the segments, and the capabilities to them.
pub struct Lenders<'a> {
    /// The segments.
    pub segments: &'a mut Store<Segment>,
    /// The tables with the capabilities.
    pub tables: &'a mut Store<CapTable>,
    /// Their uses.
    pub uses: &'a mut UsePool,
}

impl Lenders<'_> {
    /// Notes that a mapping is over. Out of the way of those that were not noted, so that they have all registers.
    #[inline(never)]
    fn take_back(&mut self, lent: UseId) {
        derivation::take_back(self.tables, self.uses, lent);
    }

    /// Notes that a mapping begins at another page now.
    pub(super) fn moved(&mut self, mapping: &Mapping, page: u64) {
        if let Some(lent) = mapping.lent {
            self.uses.set_page(lent, page);
        }
    }

    /// Notes that a mapping is two now, the second of which begins at a page; gives the use that this is.
    pub(super) fn split(&mut self, mapping: &Mapping, page: u64) -> Option<UseId> {
        let lent = mapping.lent.filter(|_| !is_seeded(Mutant::PartNotLent));
        lent.map(|lent| derivation::lend_beside(self.tables, self.uses, lent, page))
    }
}

impl Copies<Record> for Lenders<'_> {
    /// Clones have nothing in common that is noted as a use: it could be taken back from one, and the others not be found.
    fn copy(&mut self, _: u64, record: &Record) -> Record {
        assert!(record.lent.is_none(), "what is noted as a use is in one map only");
        segment::add_mapping(self.segments, record.segment);
        *record
    }
}
