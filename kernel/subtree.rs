//! Subtrees: page tables built once and attached to many spaces.

use alloc::collections::BTreeSet;

use tessera_abi::layout::Name;
use tessera_abi::{Error, TOP_SLOT_BYTES, USER_START};
use tessera_arch::{Frame, TOP_LEVEL};

use crate::account::Account;
use crate::address_map::{AddressMap, PageRange};
use crate::page_table::Tree;
use crate::space::Space;
use crate::store::Id;

/// The tables below one top-level entry, and the mappings in them.
#[derive(Debug)]
pub struct Subtree {
    /// For people.
    pub name: Name,
    /// Who pays for record, tables and mappings, however many spaces share them.
    pub account: Id<Account>,
    /// The mappings.
    pub map: AddressMap,
    /// Every place it is attached at.
    pub sharers: BTreeSet<Sharer>,
}

/// A place where a subtree is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sharer {
    /// The space.
    pub space: Id<Space>,
    /// The top-level slot.
    pub slot: usize,
    /// The one CPU that sees it there, for a core window.
    pub cpu: Option<usize>,
}

impl Subtree {
    /// An empty subtree on a cleared table.
    pub fn new(account: Id<Account>, root: Frame) -> Subtree {
        let tree = Tree { root, level: TOP_LEVEL - 1, tables: 1 };
        Subtree { name: Name::EMPTY, account, map: AddressMap::new(tree), sharers: BTreeSet::new() }
    }

    /// Reads an address range of the subtree, counted from its start.
    ///
    /// The first page stays free, so that null pointers fault wherever it is attached.
    ///
    /// # Errors
    /// As [`PageRange::new`].
    pub fn range(address: u64, length_bytes: u64) -> Result<PageRange, Error> {
        PageRange::new(address, length_bytes, USER_START, TOP_SLOT_BYTES)
    }
}
