//! The derivation tree: which capability was made from which, across all tables.

use tessera_abi::{Error, Handle, Rights};

use crate::object::cap_table::{CapRecord, CapTable};
use crate::object::id::{CapId, ObjectRef, TableId};
use crate::object::store::Store;

const CAPABILITIES_EXIST: &str = "only capabilities that exist are derived from and deleted";

/// The record of a capability.
#[inline(always)]
pub fn record(tables: &Store<CapTable>, cap: CapId) -> &CapRecord {
    tables.at(cap.table()).record(cap.slot())
}

#[inline(always)]
fn record_mut(tables: &mut Store<CapTable>, cap: CapId) -> &mut CapRecord {
    tables.at_mut(cap.table()).record_mut(cap.slot())
}

/// Puts a capability derived from `parent` into `table`; gives what both name, and the handle.
///
/// # Errors
/// `TableFull`.
#[inline(always)]
pub fn insert_child(
    tables: &mut Store<CapTable>,
    parent: CapId,
    table: TableId,
    rights: Rights,
    badge: u64,
) -> Result<(ObjectRef, Handle), Error> {
    let CapRecord { object, first_child, .. } = *record(tables, parent);
    let object = object.expect(CAPABILITIES_EXIST);
    let target = &mut tables[table];
    target.ensure_slot()?;
    let slot = target.insert_between(object, rights, badge, Some(parent), first_child);
    let (child, handle) = (CapId::new(table, slot), target.handle_of(slot));
    record_mut(tables, parent).first_child = Some(child);
    if let Some(sibling) = first_child {
        record_mut(tables, sibling).previous_sibling = Some(child);
    }
    Ok((object, handle))
}

/// Takes a capability out of its table; gives what it named. Its children become its parent's, so that revoking the
/// grandparent still finds them.
#[inline(always)]
pub fn remove(tables: &mut Store<CapTable>, cap: CapId) -> ObjectRef {
    if record(tables, cap).first_child.is_some() {
        hand_on_children(tables, cap);
    }
    let table = tables.at_mut(cap.table());
    let CapRecord { object, parent, next_sibling, previous_sibling, .. } = *table.record(cap.slot());
    table.remove(cap.slot());
    if let Some(next) = next_sibling {
        record_mut(tables, next).previous_sibling = previous_sibling;
    }
    if let Some(previous) = previous_sibling {
        record_mut(tables, previous).next_sibling = next_sibling;
    } else if let Some(parent) = parent {
        record_mut(tables, parent).first_child = next_sibling;
    }
    object.expect(CAPABILITIES_EXIST)
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

/// Makes a capability's children its parent's, or nobody's.
fn hand_on_children(tables: &mut Store<CapTable>, cap: CapId) {
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
