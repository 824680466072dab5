//! The derivation lists, and the chains of what accounts pay for: what stands in them, and that all that belongs there does.

use tessera_abi::ObjectKind;

use crate::base::effort::Effort;
use crate::object::charge_chain::{self, ChainPlace};
use crate::object::derivation;
use crate::object::id::{CapId, Object, ObjectRef, UseId, with_kinds};
use crate::object::list_check;
use crate::object::neighbour::{Neighbour, Standing};
use crate::object::reverse_map::Sharer;
use crate::object::use_pool::{Use, UseKind};
use crate::sched::handlers;
use crate::state::kernel::Kernel;
use crate::state::self_check::Walk;
use crate::vm::target;

/// Effort of looking at a capability, and at a use.
const CAPABILITY_UNITS: u32 = 15;
const USE_UNITS: u32 = 25;

/// Checks the list of an object, as much further as the effort goes for.
///
/// # Panics
/// If it is not as it should be.
pub(super) fn check_list(
    kernel: &Kernel,
    (object, list): (ObjectRef, Neighbour),
    walk: &mut Walk,
    effort: &mut Effort,
) -> bool {
    let Walk { sums, place, facts, .. } = walk;
    let at = (place.derivations(), effort);
    let found =
        list_check::check_further(&kernel.tables, &kernel.uses, list, at, &mut |standing, effort| match standing {
            Standing::Use(id) => {
                assert!(is_known(kernel, object, id, kernel.uses.get(id)), "what is used knows the use");
                sums.uses += 1;
                effort.spend(USE_UNITS);
            }
            Standing::Beginning(cap) => {
                check_capability(kernel, object, cap);
                sums.capabilities += 1;
                effort.spend(CAPABILITY_UNITS);
            }
            Standing::End(_) => {}
        });
    let Some(held) = found else { return false };
    if let Some(list) = list.as_use() {
        let list = kernel.uses.get(list);
        assert_eq!((list.object_kind(), list.number), (Some(object.kind()), object.index()), "a list is its object's");
        sums.uses += 1;
    }
    *facts += held;
    true
}

/// The same of the machine's.
pub(super) fn check_machine(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    check_list(kernel, (ObjectRef::Machine, kernel.machine_list), walk, effort)
}

/// Counts what a table holds.
pub(super) fn count_held(kernel: &Kernel, walk: &mut Walk, _effort: &mut Effort) -> bool {
    walk.sums.held += u64::from(kernel.tables.at(walk.number).used());
    true
}

/// Nothing is in no list.
pub(super) fn compare_listed(kernel: &Kernel, walk: &Walk) -> u64 {
    assert_eq!(walk.sums.capabilities, walk.sums.held, "every capability is in the list of what it names");
    assert_eq!(walk.sums.uses, kernel.uses.len(), "every use is in a list");
    2
}

macro_rules! check_chain {
    ([$kernel:ident $account:ident $charged:ident $at:ident $facts:ident] $($kind:ident $store:ident;)*) => {
        match $charged.0 {
            $(ObjectKind::$kind => {
                charge_chain::check_further(&$kernel.$store, $account, $charged.1, $at, &mut |object| {
                    assert!(object.payer().is_some(), "who pays for an object is known");
                    $facts += 1;
                })
            })*
            ObjectKind::Machine => unreachable!("nobody pays for the machine"),
        }
    };
}

/// What an account pays for, or an account that it has ended, is in its chains.
pub(super) fn check_charges(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let (account, at) = (walk.number, walk.place.charges());
    while let Some(charged) = kernel.accounts.at(account).charges().nth(at.kind) {
        if !effort.is_left() {
            return false;
        }
        let (place, mut facts) = ((&mut at.chain, &mut *effort), 0);
        let is_done = with_kinds!(check_chain kernel account charged place facts);
        walk.facts += facts;
        if !is_done {
            return false;
        }
        (at.kind, at.chain) = (at.kind + 1, ChainPlace::default());
        effort.spend(CHAIN_UNITS);
    }
    true
}

/// Effort of beginning with a chain.
const CHAIN_UNITS: u32 = 2;

fn check_capability(kernel: &Kernel, object: ObjectRef, cap: CapId) {
    let record = derivation::record(&kernel.tables, cap);
    assert_eq!(kernel.object_of(record.object), Some(object), "a capability is in the list of what it names");
    if let Some(Standing::Beginning(child)) = derivation::first_below(&kernel.tables, cap) {
        let rights = |cap: CapId| kernel.tables.at(cap.table()).rights(cap.slot());
        // One that is being deleted has none.
        let is_closed = kernel.tables.at(cap.table()).is_closed(cap.slot());
        assert!(is_closed || rights(cap).contains(rights(child)), "rights only shrink");
    }
}

/// Whether what a use says of itself is so.
fn is_known(kernel: &Kernel, object: ObjectRef, id: UseId, lent: &Use) -> bool {
    let thread = || kernel.threads.look(lent.number).map(|(_, thread)| thread);
    let gate = || kernel.gates.look(lent.number).map(|(_, gate)| gate);
    let noted = || {
        let stack = thread()?.activations.as_ref()?;
        stack.noted[..stack.fast.noted()].get(lent.level())
    };
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
        (UseKind::Suspended, ObjectRef::Space(space)) => {
            noted().is_some_and(|noted| noted.inside == Some(id) && noted.space == space)
        }
        (UseKind::State, ObjectRef::Segment(segment)) => {
            let state = kernel.guests.look(lent.number).and_then(|(_, guest)| guest.state);
            state.is_some_and(|state| (state.lent, state.segment) == (id, segment))
        }
        (UseKind::Called, ObjectRef::Guest(guest)) => {
            kernel.guests[guest].runner.map(|runner| runner.index()) == Some(lent.number)
                && noted().is_some_and(|noted| noted.called == Some(id))
        }
        (UseKind::Called, ObjectRef::Gate(gate)) => {
            noted().is_some_and(|noted| noted.called == Some(id) && noted.gate == Some(gate))
        }
        (UseKind::Gate, ObjectRef::Space(space)) => {
            gate().is_some_and(|gate| (gate.lent[0], gate.space) == (Some(id), space))
        }
        (UseKind::Gate, ObjectRef::CapTable(table)) => {
            gate().is_some_and(|gate| (gate.lent[1], gate.table) == (Some(id), table))
        }
        (UseKind::Fallback, ObjectRef::Space(space)) => {
            let fallback = thread().and_then(|thread| thread.fallback);
            fallback.is_some_and(|fallback| fallback.lent == Some(id) && fallback.space == space)
        }
        (UseKind::Handler, ObjectRef::Gate(gate)) => {
            let handler = handlers::object_of(kernel, lent).and_then(|object| handlers::of(kernel, object));
            handler.is_some_and(|handler| (handler.lent, handler.gate) == (id, gate))
        }
        (UseKind::Marker, _) => thread().is_some_and(|thread| thread.marker == Some(id)),
        _ => false,
    }
}
