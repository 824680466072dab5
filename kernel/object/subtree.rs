//! Subtrees: page tables built once and attached to many spaces.

use alloc::boxed::Box;

use tessera_abi::layout::Name;
use tessera_abi::{Error, ObjectKind, PAGE_BYTES, Rights, USER_START};
use tessera_arch::{Frame, TOP_LEVEL};

use crate::object::address_map::{AddressMap, MAP_BYTES};
use crate::object::handler::{Handler, handler_bytes};
use crate::object::id::{AccountId, Object, SubtreeId, kind};
use crate::object::reverse_map::{LIST_BYTES, ReverseMap, Sharer};
use crate::object::space::SLOT_PAGES;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::Tree;
use crate::paging::range::PageRange;

/// How far a subtree is on its way to be public, or back: to which space, by its number, or to which of its own pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Spaces are looked at whether they have the slot free. Whatever they are asked from here on, they keep it so.
    Reserving(u32),
    /// Its leaves become global.
    Marking(u64),
    /// Spaces show it, one after the other; new ones do from their start.
    Showing(u32),
    /// All spaces show it.
    Shown,
    /// It is taken out of spaces, one after the other.
    Hiding(u32),
    /// No CPU can reach it any more, and its leaves become ordinary.
    Unmarking(u64),
}

/// A subtree that every space shows, or is about to, or still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public {
    /// Where.
    pub slot: usize,
    /// Which.
    pub subtree: SubtreeId,
    /// What its mappings may allow: no writing.
    pub bounds: Rights,
    /// How far that is.
    pub stage: Stage,
}

impl Public {
    /// Whether all spaces show it.
    #[inline(always)]
    pub fn is_shown(&self) -> bool {
        self.stage == Stage::Shown
    }

    /// The first page.
    pub fn page(&self) -> u64 {
        self.slot as u64 * SLOT_PAGES
    }
}

/// The tables below one entry, and the mappings in them. Laid out as written, as a space is.
#[derive(Debug)]
#[repr(C)]
pub struct Subtree {
    /// The mappings, and the subtrees within.
    pub map: AddressMap,
    /// Who pays for record, tables and mappings, however many spaces share them.
    pub account: AccountId,
    /// Whether what is mapped stays as it is, for good.
    pub is_sealed: bool,
    /// Every place it is attached at.
    pub sharers: ReverseMap,
    /// How far the places have been withdrawn, if that goes on step by step: behind this one.
    pub withdrawn: Option<Sharer>,
    /// The top-level slot at which it is public, is about to be, or was until just now.
    pub public: Option<usize>,
    /// For people.
    pub name: Name,
    /// Who is asked of faults in it.
    pub handler: Option<Box<Handler>>,
}

impl Object for Subtree {
    type Kind = kind::Subtree;
    const KIND: ObjectKind = ObjectKind::Subtree;
    const WHAT: &'static str = "subtree";

    #[inline(always)]
    fn payer(&self) -> Option<AccountId> {
        Some(self.account)
    }

    /// What its tables, mappings, attachments and lists cost now, bytes.
    fn extra_bytes(&self) -> u64 {
        self.map.charged_bytes() + LIST_BYTES + handler_bytes(self.handler.as_deref())
    }
}

impl Subtree {
    /// An empty subtree on a cleared table, to hang from an entry of this level.
    pub fn new(account: AccountId, root: Frame, level: u8) -> Subtree {
        Subtree {
            name: Name::EMPTY,
            account,
            map: AddressMap::new(Tree::new(root, level - 1)),
            sharers: ReverseMap::default(),
            withdrawn: None,
            handler: None,
            public: None,
            is_sealed: false,
        }
    }

    /// What a new one costs besides its record, bytes.
    pub const NEW_BYTES: u64 = PAGE_BYTES + MAP_BYTES + LIST_BYTES;

    /// The level of the entry that it hangs from: [`TOP_LEVEL`] or less.
    pub fn level(&self) -> u8 {
        self.map.tree.level + 1
    }

    /// The pages that it fills.
    pub fn pages(&self) -> u64 {
        entry_pages(self.level())
    }

    /// Whether it lies in another subtree.
    pub fn is_nested(&self) -> bool {
        self.sharers.is_nested()
    }

    /// The addresses that mappings may have, counted from the subtree's start: the first one, and the one behind the last.
    ///
    /// The first page of a top-level one stays free, so that null pointers fault wherever it is attached; smaller ones
    /// cannot be attached at address 0.
    #[inline(always)]
    pub fn bounds(&self) -> (u64, u64) {
        let start = if self.level() == TOP_LEVEL { USER_START } else { 0 };
        (start, self.pages() * PAGE_BYTES)
    }

    /// Reads an address range of the subtree, counted from its start.
    ///
    /// # Errors
    /// As [`PageRange::new`].
    pub fn range(&self, address: u64, length_bytes: u64) -> Result<PageRange, Error> {
        let (start, end) = self.bounds();
        PageRange::new(address, length_bytes, start, end)
    }
}
