//! The derivation tree: which capability was made from which, across all tables.

use tessera_abi::{Error, Handle};

use crate::cpu::cap_word::CapWord;
use crate::object::cap_table::{CapRecord, CapTable};
use crate::object::id::CapId;
use crate::object::store::Store;

const CAPABILITIES_EXIST: &str = "only capabilities that exist are deleted";

/// The record of a capability.
#[inline(always)]
pub fn record(tables: &Store<CapTable>, cap: CapId) -> &CapRecord {
    tables.at(cap.table()).record(cap.slot())
}

#[inline(always)]
fn record_mut(tables: &mut Store<CapTable>, cap: CapId) -> &mut CapRecord {
    tables.at_mut(cap.table()).record_mut(cap.slot())
}

/// Puts a capability derived from `parent` into `table`; `word` says what both name, and with which rights. Gives the
/// handle.
///
/// # Errors
/// `TableFull`.
#[inline(always)]
pub fn insert_child(
    tables: &mut Store<CapTable>,
    parent: CapId,
    table: u32,
    word: CapWord,
    badge: u64,
) -> Result<Handle, Error> {
    let child = CapId::at(table, tables.at(table).free_slot()?);
    let elder = record_mut(tables, parent).first_child.replace(child);
    if let Some(elder) = elder {
        record_mut(tables, elder).previous_sibling = Some(child);
    }
    Ok(tables.at_mut(table).insert_between(word, badge, Some(parent), elder))
}

/// Whether anything was derived from a capability that exists still.
#[inline(always)]
pub fn has_children(tables: &Store<CapTable>, cap: CapId) -> bool {
    record(tables, cap).first_child.is_some()
}

/// Takes a capability without children out of its table; gives what it named, as a word without rights.
#[inline(always)]
pub fn remove(tables: &mut Store<CapTable>, cap: CapId) -> CapWord {
    let table = tables.at_mut(cap.table());
    let CapRecord { object, parent, next_sibling, previous_sibling, .. } = table.remove(cap.slot());
    assert!(object != CapWord::FREE, "{CAPABILITIES_EXIST}");
    // What leads to it, a sibling or its parent, leads to the next one now.
    if let Some(previous) = previous_sibling {
        record_mut(tables, previous).next_sibling = next_sibling;
    } else if let Some(parent) = parent {
        let is_here = parent.table() == cap.table();
        let table = if is_here { table } else { tables.at_mut(parent.table()) };
        table.record_mut(parent.slot()).first_child = next_sibling;
    }
    if let Some(next) = next_sibling {
        record_mut(tables, next).previous_sibling = previous_sibling;
    }
    object
}

/// How many capabilities were derived from this one directly and exist still.
pub fn children(tables: &Store<CapTable>, cap: CapId) -> u64 {
    let mut count = 0;
    let mut next = record(tables, cap).first_child;
    while let Some(child) = next {
        count += 1;
        next = record(tables, child).next_sibling;
    }
    count
}

/// Makes a capability's children its parent's, or nobody's, so that revoking the grandparent still finds them.
pub fn hand_on_children(tables: &mut Store<CapTable>, cap: CapId) {
    let parent = record(tables, cap).parent;
    while let Some(child) = record(tables, cap).first_child {
        let next = record(tables, child).next_sibling;
        record_mut(tables, cap).first_child = next;
        let elder = parent.and_then(|parent| record_mut(tables, parent).first_child.replace(child));
        let record = record_mut(tables, child);
        (record.parent, record.next_sibling, record.previous_sibling) = (parent, elder, None);
        if let Some(elder) = elder {
            record_mut(tables, elder).previous_sibling = Some(child);
        }
    }
}
