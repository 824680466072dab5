//! Tallies: what the checks count anew, one at each object, in one pass over all that exists.
//!
//! Counting per object what refers to it would look at everything once for each object.

use tessera_abi::ObjectKind;

use crate::cpu::cap_word::CapWord;
use crate::object::account::object_bytes;
use crate::object::address_map::AddressMap;
use crate::object::id::{Object, ObjectRef, with_kinds};
use crate::object::store::Store;
use crate::object::thread::Thread;
use crate::state::kernel::Kernel;

macro_rules! clear_all {
    ([$kernel:ident] $($kind:ident $store:ident;)*) => { $(clear(&$kernel.$store);)* };
}

/// Counts all references, charges, threads, mappings and views.
pub(crate) fn count_all(kernel: &Kernel) {
    with_kinds!(clear_all kernel);
    for table in kernel.tables.ids().map(|id| &kernel.tables[id]) {
        table.objects().for_each(|word| count_capability(kernel, word));
        count_charge(kernel, table);
    }
    for thread in kernel.threads.ids().map(|id| &kernel.threads[id]) {
        thread.table.iter().for_each(|table| kernel.tables.tally(*table).refer_with(1));
        count_making(kernel, thread);
        count_charge(kernel, thread);
    }
    for space in kernel.spaces.objects() {
        space.seen.iter().for_each(|seen| kernel.spaces.tally(seen.base).refer_with(1));
        count_mappings(kernel, &space.map);
        count_charge(kernel, space);
    }
    for (id, subtree) in kernel.subtrees.ids().map(|id| (id, &kernel.subtrees[id])) {
        subtree.sharers.iter().for_each(|_| kernel.subtrees.tally(id).refer_with(1));
        count_mappings(kernel, &subtree.map);
        count_charge(kernel, subtree);
    }
    for segment in kernel.segments.ids().map(|id| &kernel.segments[id]) {
        count_charge(kernel, segment);
        segment.charged_to_others().for_each(|(account, bytes)| kernel.accounts.tally(account).refer_with(bytes));
    }
    for account in kernel.accounts.ids().map(|id| &kernel.accounts[id]) {
        count_charge(kernel, account);
    }
}

macro_rules! refer {
    ([$kernel:ident $object:ident] $($kind:ident $store:ident;)*) => {
        match $object {
            $(ObjectRef::$kind(id) => $kernel.$store.tally(id).refer(),)*
            ObjectRef::Machine => {}
        }
    };
}

fn count_capability(kernel: &Kernel, word: CapWord) {
    let object = kernel.object_of(word).expect("what is referred to exists");
    with_kinds!(refer kernel object);
}

fn count_mappings(kernel: &Kernel, map: &AddressMap) {
    for (_, mapping) in map.from(0) {
        let segment = kernel.segments.id_at(mapping.segment).expect("what is mapped exists");
        kernel.segments.tally(segment).refer_with(1);
    }
}

/// A thread keeps what it is making.
fn count_making(kernel: &Kernel, thread: &Thread) {
    const EXISTS: &str = "what is being made exists";
    match thread.progress.making() {
        Some((ObjectKind::Segment, index)) => {
            kernel.segments.tally(kernel.segments.id_at(index).expect(EXISTS)).refer();
        }
        Some((ObjectKind::CapTable, index)) => {
            kernel.tables.tally(kernel.tables.id_at(index).expect(EXISTS)).refer();
        }
        _ => {}
    }
}

/// Whoever has something charged to an account refers to it.
fn count_charge<T: Object>(kernel: &Kernel, object: &T) {
    if let Some(payer) = object.payer() {
        kernel.accounts.tally(payer).refer_with(object_bytes::<T>() + object.extra_bytes());
    }
}

fn clear<T: Object>(store: &Store<T>) {
    store.ids().for_each(|id| store.tally(id).clear());
}

/// Compares what was counted with what the store says; gives how many facts held.
///
/// # Panics
/// If an object has more or fewer references than were found.
pub(crate) fn check_references<T: Object>(store: &Store<T>) -> u64 {
    let mut facts = 0;
    for id in store.ids() {
        assert_eq!(
            store.references(id),
            store.tally(id).references(),
            "{} {id:?} has the references that were found",
            T::WHAT
        );
        facts += 1;
    }
    facts
}
