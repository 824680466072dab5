//! The derivation tree: which capability was made from which, across all tables.

use tessera_abi::Rights;

use crate::object::cap_table::{CapRecord, CapTable};
use crate::object::id::{CapId, ObjectRef, TableId};
use crate::object::store::Store;

/// The record of a capability.
pub fn record(tables: &Store<CapTable>, cap: CapId) -> &CapRecord {
    tables[cap.table].record(cap.slot)
}

/// Puts a capability derived from `parent` into `table`, which has a free slot.
pub fn insert_child(
    tables: &mut Store<CapTable>,
    parent: CapId,
    table: TableId,
    object: ObjectRef,
    rights: Rights,
    badge: u64,
) -> CapId {
    let slot = tables[table].insert(object, rights, badge);
    let child = CapId { table, slot };
    link(tables, parent, child);
    child
}

/// Takes a capability out of its table. Its children become its parent's, so that revoking the grandparent
/// still finds them.
pub fn remove(tables: &mut Store<CapTable>, cap: CapId) {
    let parent = record(tables, cap).parent;
    while let Some(child) = record(tables, cap).first_child {
        unlink(tables, child);
        if let Some(parent) = parent {
            link(tables, parent, child);
        }
    }
    unlink(tables, cap);
    tables[cap.table].remove(cap.slot);
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

fn link(tables: &mut Store<CapTable>, parent: CapId, child: CapId) {
    let first = record(tables, parent).first_child;
    let record = tables[child.table].record_mut(child.slot);
    (record.parent, record.next_sibling, record.previous_sibling) = (Some(parent), first, None);
    if let Some(first) = first {
        tables[first.table].record_mut(first.slot).previous_sibling = Some(child);
    }
    tables[parent.table].record_mut(parent.slot).first_child = Some(child);
}

fn unlink(tables: &mut Store<CapTable>, cap: CapId) {
    let CapRecord { parent, next_sibling, previous_sibling, .. } = *record(tables, cap);
    if let Some(next) = next_sibling {
        tables[next.table].record_mut(next.slot).previous_sibling = previous_sibling;
    }
    if let Some(previous) = previous_sibling {
        tables[previous.table].record_mut(previous.slot).next_sibling = next_sibling;
    } else if let Some(parent) = parent {
        tables[parent.table].record_mut(parent.slot).first_child = next_sibling;
    }
    let record = tables[cap.table].record_mut(cap.slot);
    (record.parent, record.next_sibling, record.previous_sibling) = (None, None, None);
}
