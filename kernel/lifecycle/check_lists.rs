//! The derivation lists: what stands in them, and that all that belongs there does.

use tessera_abi::ObjectKind;

use crate::object::charge_chain;
use crate::object::derivation;
use crate::object::id::{CapId, Object, ObjectRef, UseId, with_kinds};
use crate::object::neighbour::{Neighbour, Standing};
use crate::object::reverse_map::Sharer;
use crate::object::use_pool::{Use, UseKind};
use crate::state::kernel::Kernel;
use crate::vm::target;

/// What the lists hold, counted.
#[derive(Default)]
struct Found {
    facts: u64,
    capabilities: u64,
    uses: u64,
}

macro_rules! check_all {
    ([$kernel:ident $found:ident] $($kind:ident $store:ident;)*) => {$(
        for id in $kernel.$store.ids() {
            check_list($kernel, ObjectRef::$kind(id), $kernel.$store.capabilities(id.index()), &mut $found);
        }
    )*};
}

/// Checks them all, each but once; gives how many facts held.
///
/// # Panics
/// If one is not as it should be, or something is in none.
pub(super) fn check_lists(kernel: &Kernel) -> u64 {
    let mut found = Found::default();
    with_kinds!(check_all kernel found);
    check_list(kernel, ObjectRef::Machine, kernel.machine_list, &mut found);
    found.facts += check_chains(kernel);
    let held: u64 = kernel.tables.objects().map(|table| u64::from(table.used())).sum();
    assert_eq!(found.capabilities, held, "every capability is in the list of what it names");
    assert_eq!(found.uses, kernel.uses.len(), "every use is in a list");
    found.facts + 2
}

fn check_list(kernel: &Kernel, object: ObjectRef, list: Neighbour, found: &mut Found) {
    if let Some(list) = list.as_use() {
        let list = kernel.uses.get(list);
        assert_eq!((list.object_kind(), list.number), (Some(object.kind()), object.index()), "a list is its object's");
        found.uses += 1;
    }
    let (mut capabilities, mut uses) = (0, 0);
    found.facts += derivation::check(&kernel.tables, &kernel.uses, list, &mut |standing| match standing {
        Standing::Use(id) => {
            assert!(is_known(kernel, object, id, kernel.uses.get(id)), "what is used knows the use");
            uses += 1;
        }
        Standing::Beginning(cap) => {
            check_capability(kernel, object, cap);
            capabilities += 1;
        }
        Standing::End(_) => {}
    });
    found.capabilities += capabilities;
    found.uses += uses;
}

macro_rules! check_chain {
    ([$kernel:ident $account:ident $found_kind:ident $ends:ident $facts:ident] $($kind:ident $store:ident;)*) => {
        match $found_kind {
            $(ObjectKind::$kind => charge_chain::check(&$kernel.$store, $account.index(), $ends, &mut |index| {
                assert!($kernel.$store.at(index).payer().is_some(), "who pays for an object is known");
                $facts += 1;
            }),)*
            ObjectKind::Machine => unreachable!("nobody pays for the machine"),
        }
    };
}

/// What an account pays for, or an account that it has ended, is in its chains. Gives how many facts held.
fn check_chains(kernel: &Kernel) -> u64 {
    let mut facts = 0;
    for account in kernel.accounts.ids() {
        for (kind, ends) in kernel.accounts[account].charges() {
            with_kinds!(check_chain kernel account kind ends facts);
        }
    }
    facts
}

fn check_capability(kernel: &Kernel, object: ObjectRef, cap: CapId) {
    let record = derivation::record(&kernel.tables, cap);
    assert_eq!(kernel.object_of(record.object), Some(object), "a capability is in the list of what it names");
    if let Some(Standing::Beginning(child)) = derivation::first_below(&kernel.tables, cap) {
        let rights = |cap: CapId| kernel.tables.at(cap.table()).rights(cap.slot());
        assert!(rights(cap).contains(rights(child)), "rights only shrink");
    }
}

/// Whether what a use says of itself is so.
fn is_known(kernel: &Kernel, object: ObjectRef, id: UseId, lent: &Use) -> bool {
    let thread = || kernel.threads.look(lent.number).map(|(_, thread)| thread);
    match (lent.kind, object) {
        (UseKind::Mapping, ObjectRef::Segment(segment)) => target::owner_of(kernel, lent).is_some_and(|owner| {
            let mapping = target::map_of(kernel, owner).find(lent.page());
            mapping.is_some_and(|(first, mapping)| {
                (first, mapping.segment, mapping.lent) == (lent.page(), segment.index(), Some(id))
            })
        }),
        (UseKind::Attachment, ObjectRef::Subtree(subtree)) => target::owner_of(kernel, lent).is_some_and(|owner| {
            kernel.subtrees[subtree].sharers.lent(&Sharer::new(owner, lent.attach_point())) == Some(id)
        }),
        (UseKind::View, ObjectRef::Space(_)) => {
            kernel.spaces.look(lent.number).is_some_and(|(_, view)| view.lent == Some(id) && view.seen.is_some())
        }
        (UseKind::Inside, ObjectRef::Space(space)) => {
            thread().is_some_and(|thread| thread.inside == Some(id) && thread.space == space)
        }
        (UseKind::Fallback, ObjectRef::Space(space)) => {
            let fallback = thread().and_then(|thread| thread.fallback);
            fallback.is_some_and(|fallback| fallback.lent == Some(id) && fallback.space == space)
        }
        (UseKind::Marker, _) => thread().is_some_and(|thread| thread.marker == Some(id)),
        _ => false,
    }
}
