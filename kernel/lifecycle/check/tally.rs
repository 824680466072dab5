//! Tallies: what the checks count anew, one at each object, by going over all that exists.
//!
//! Counting per object what refers to it would look at everything once for each object.

use tessera_abi::ObjectKind;

use crate::base::effort::Effort;
use crate::cpu::cap_word::CapWord;
use crate::object::account::object_bytes;
use crate::object::address_map::AddressMap;
use crate::object::cap_table::CapTable;
use crate::object::id::{Id, Object, ObjectRef, with_kinds};
use crate::object::links::Chain;
use crate::object::segment::Segment;
use crate::object::store::Store;
use crate::object::thread::Thread;
use crate::state::kernel::Kernel;
use crate::state::self_check::{TallyPlace, Walk};

/// Slots that are looked at between two looks at the effort.
const PORTION: u32 = 16;

/// Effort of a portion, of a capability in it, of a mapping, of an object, of whoever else pays for a segment.
const PORTION_UNITS: u32 = 15;
const CAPABILITY_UNITS: u32 = 7;
const MAPPING_UNITS: u32 = 12;
const LEAF_UNITS: u32 = 30;
const OBJECT_UNITS: u32 = 8;
const PAYER_UNITS: u32 = 12;

/// A part of the counting, or of the comparing.
type Phase = fn(&Kernel, &mut TallyPlace, &mut Effort, &mut u64) -> bool;

macro_rules! clear_and_compare {
    ([] $($kind:ident $store:ident;)*) => {
        /// Tallies are cleared.
        const CLEARING: &[Phase] = &[$(|kernel, at, effort, _| {
            over(&kernel.$store, (at, effort), |id, _, _, _| {
                kernel.$store.tally(id).clear();
                true
            })
        },)*];

        /// What was counted is compared with what the stores say.
        const COMPARING: &[Phase] = &[$(|kernel, at, effort, facts| {
            over(&kernel.$store, (at, effort), |id, _, _, _| {
                check_references(&kernel.$store, id);
                *facts += 1;
                true
            })
        },)*];
    };
}

with_kinds!(clear_and_compare);

/// What there is of each object is counted: references, charges, threads, mappings and views.
const COUNTING: &[Phase] = &[
    |kernel, at, effort, _| {
        over(&kernel.tables, (at, effort), |_, table, at, effort| {
            count_slots(kernel, table, at, effort) && count_charge(kernel, table)
        })
    },
    |kernel, at, effort, _| {
        over(&kernel.threads, (at, effort), |id, thread, _, _| {
            thread.table.iter().for_each(|table| kernel.tables.tally(*table).refer_with(1));
            count_making(kernel, thread);
            if thread.is_stopping {
                kernel.threads.tally(id).refer();
            }
            count_charge(kernel, thread)
        })
    },
    |kernel, at, effort, _| {
        over(&kernel.spaces, (at, effort), |_, space, at, effort| {
            if at.inner == 0 {
                space.seen.iter().for_each(|seen| kernel.spaces.tally(seen.base).refer_with(1));
            }
            count_mappings(kernel, &space.map, at, effort) && count_charge(kernel, space)
        })
    },
    |kernel, at, effort, _| {
        over(&kernel.subtrees, (at, effort), |id, subtree, at, effort| {
            if at.inner == 0 {
                kernel.subtrees.tally(id).refer_times(subtree.sharers.len() as u32);
            }
            count_mappings(kernel, &subtree.map, at, effort) && count_charge(kernel, subtree)
        })
    },
    |kernel, at, effort, _| {
        over(&kernel.segments, (at, effort), |_, segment, at, effort| {
            count_payers(kernel, segment, at, effort) && count_charge(kernel, segment)
        })
    },
    |kernel, at, effort, _| over(&kernel.gates, (at, effort), |_, gate, _, _| count_charge(kernel, gate)),
    |kernel, at, effort, _| {
        over(&kernel.guests, (at, effort), |_, guest, _, _| {
            guest.state.iter().for_each(|state| kernel.segments.tally(state.segment).refer());
            count_charge(kernel, guest)
        })
    },
    |kernel, at, effort, _| over(&kernel.accounts, (at, effort), |_, account, _, _| count_charge(kernel, account)),
];

/// What is not a reference is compared with what the objects say.
const AMOUNTS: &[Phase] = &[
    |kernel, at, effort, facts| {
        over(&kernel.tables, (at, effort), |id, table, at, effort| {
            let place = (&mut at.threads, effort);
            let users = table.threads.check_further(&kernel.threads, Chain::Table, place, |_, _| {});
            let Some(users) = users else { return false };
            assert_eq!(users, kernel.tables.tally(id).amount(), "a table lists its threads");
            *facts += 1;
            true
        })
    },
    |kernel, at, effort, facts| {
        over(&kernel.segments, (at, effort), |id, segment, _, _| {
            let mapped = kernel.segments.tally(id).amount();
            assert_eq!(mapped, u64::from(segment.mappings), "a segment counts its mappings");
            *facts += 1;
            true
        })
    },
    |kernel, at, effort, facts| {
        over(&kernel.accounts, (at, effort), |id, account, _, _| {
            let charged = kernel.accounts.tally(id).amount();
            assert_eq!(charged, account.used_bytes(), "an account is charged what its objects cost");
            *facts += 1;
            true
        })
    },
];

/// Counts all that there is, and compares it, as much further as the effort goes for.
///
/// # Panics
/// If an object has more or fewer references than were found, or another amount of anything.
pub(super) fn check_tallies(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let at = walk.place.tallies();
    if (at.phase, at.index) == (0, 0) {
        kernel.self_check.tallies.set(kernel.self_check.tallies.get().wrapping_add(1));
    }
    let phases = || [CLEARING, COUNTING, AMOUNTS, COMPARING].into_iter().flatten();
    while let Some(phase) = phases().nth(at.phase) {
        if !effort.is_left() || !phase(kernel, at, effort, &mut walk.facts) {
            return false;
        }
        *at = TallyPlace { phase: at.phase + 1, ..TallyPlace::default() };
    }
    true
}

/// Goes over objects, as far as the effort goes; gives whether that was to the end. `each` says whether it is done with one.
fn over<T: Object>(
    store: &Store<T>,
    (at, effort): (&mut TallyPlace, &mut Effort),
    mut each: impl FnMut(Id<T::Kind>, &T, &mut TallyPlace, &mut Effort) -> bool,
) -> bool {
    loop {
        let id = match store.first_from(at.index, effort) {
            Ok(Some(id)) => id,
            Ok(None) => return true,
            Err(index) => {
                at.index = index;
                return false;
            }
        };
        at.index = id.index();
        if !each(id, &store[id], at, effort) {
            return false;
        }
        *at = TallyPlace { phase: at.phase, index: id.index() + 1, ..TallyPlace::default() };
        effort.spend(OBJECT_UNITS);
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

fn count_slots(kernel: &Kernel, table: &CapTable, at: &mut TallyPlace, effort: &mut Effort) -> bool {
    while at.inner < u64::from(table.known_slots()) {
        if !effort.is_left() {
            return false;
        }
        let mut units = PORTION_UNITS;
        for word in table.objects_from(at.inner as u32, PORTION).filter(|word| *word != CapWord::FREE) {
            count_capability(kernel, word);
            units += CAPABILITY_UNITS;
        }
        effort.spend(units);
        at.inner += u64::from(PORTION);
    }
    true
}

fn count_capability(kernel: &Kernel, word: CapWord) {
    let object = kernel.object_of(word).expect("what is referred to exists");
    with_kinds!(refer kernel object);
}

fn count_mappings(kernel: &Kernel, map: &AddressMap, at: &mut TallyPlace, effort: &mut Effort) -> bool {
    let number = kernel.self_check.tallies.get();
    while effort.is_left() {
        // What clones have in common counts once.
        let behind = map.visit_once(at.inner, number, |segment| {
            let segment = kernel.segments.id_at(segment).expect("what is mapped exists");
            kernel.segments.tally(segment).refer_with(1);
            effort.spend(MAPPING_UNITS);
        });
        let Some(behind) = behind else { return true };
        at.inner = behind;
        effort.spend(LEAF_UNITS);
    }
    false
}

fn count_payers(kernel: &Kernel, segment: &Segment, at: &mut TallyPlace, effort: &mut Effort) -> bool {
    for (account, bytes) in segment.charged_to_others(at.account) {
        if !effort.is_left() {
            return false;
        }
        kernel.accounts.tally(account).refer_with(bytes);
        effort.spend(PAYER_UNITS);
        at.account = Some(account);
    }
    true
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
fn count_charge<T: Object>(kernel: &Kernel, object: &T) -> bool {
    if let Some(payer) = object.payer() {
        kernel.accounts.tally(payer).refer_with(object_bytes::<T>() + object.extra_bytes());
    }
    true
}

fn check_references<T: Object>(store: &Store<T>, id: Id<T::Kind>) {
    assert_eq!(
        store.references(id),
        store.tally(id).references(),
        "{} {id:?} has the references that were found",
        T::WHAT
    );
}
