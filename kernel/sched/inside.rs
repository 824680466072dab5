//! Who is in a space by which capability: threads as uses of capabilities to spaces.
//!
//! A thread changes spaces without the lock, and leaves no more than a handle in its CPU's line. So its use is noted when it is
//! taken off its CPU; and of threads that run, when the capability that may have let them in is about to go (`way_in`).

use tessera_abi::{ObjectKind, Rights};

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::slice_pointer::Kept;
use crate::cpu::table_view::TableView;
use crate::object::cap_table::CapTable;
use crate::object::derivation;
use crate::object::id::{CapId, SpaceId, ThreadId, UseId};
use crate::object::neighbour::{Neighbour, Standing};
use crate::object::store::Store;
use crate::object::thread::{Fallback, Thread};
use crate::object::use_pool::{Use, UseKind, UsePool};
use crate::state::kernel::Kernel;

/// Effort of forgetting how far a thread has come.
const MARKER_UNITS: u32 = 15;

const KNOWN: &str = "a thread that ends gives up its uses";

/// Whether it is to be noted who is in a space, or falls back to it, by a capability: it was derived, so that it may be
/// revoked; or the space is a view, which goes when what it shows is taken back. From any other space threads are sent when it
/// goes itself, by its list.
#[inline(always)]
pub fn is_noted(kernel: &Kernel, cap: CapId, space: SpaceId) -> bool {
    kernel.tables.at(cap.table()).is_derived(cap.slot()) || kernel.spaces.at(space.index()).seen.is_some()
}

/// Notes that a new thread, which did not know yet by which capability, is in its space by this one.
pub fn begin(kernel: &mut Kernel, id: ThreadId, (cap, space): (CapId, SpaceId)) {
    if let Some(inside) = first_use(kernel, id, (cap, space)) {
        kernel.uses.unpromise();
        kernel.threads.at_mut(id.index()).inside = Some(inside);
    }
}

/// The use as which a new thread is in its space by a capability, if that is to be noted.
#[inline(always)]
pub(super) fn first_use(kernel: &mut Kernel, id: ThreadId, (cap, space): (CapId, SpaceId)) -> Option<UseId> {
    let value = Use::of_number(UseKind::Inside, id.index());
    kernel.lend_derived_or(cap, value, |kernel| kernel.spaces.at(space.index()).seen.is_some())
}

/// Notes a thread as being where it is by this capability.
#[inline(never)]
fn move_to(kernel: &mut Kernel, id: ThreadId, cap: CapId) {
    kernel.ensure_list(cap);
    let inside = held(kernel, id);
    derivation::lend_anew(&mut kernel.tables, &mut kernel.uses, inside, cap);
}

/// The use as which a thread is noted: a new one, if it is none so far.
fn held(kernel: &mut Kernel, id: ThreadId) -> UseId {
    let Kernel { threads, uses, .. } = kernel;
    let begin = || uses.insert_promised(Use::of_number(UseKind::Inside, id.index()));
    *threads.at_mut(id.index()).inside.get_or_insert_with(begin)
}

/// Notes that a thread is where it cannot be sent from but with all others.
fn forget(kernel: &mut Kernel, id: ThreadId) {
    if let Some(inside) = kernel.threads.at_mut(id.index()).inside.take() {
        derivation::take_back_promised(&mut kernel.tables, &mut kernel.uses, inside);
    }
}

/// Notes by which capability a thread is in the space in whose list it is: the one that its handle names in a table. If that names
/// none any more, it was noted when the capability went.
#[cold]
#[inline(never)]
pub(crate) fn note(kernel: &mut Kernel, id: ThreadId, table: Kept<TableView>) {
    if is_seeded(Mutant::NotedByOldCapability) {
        return;
    }
    let thread = &kernel.threads[id];
    let (table, handle, id_of_space) = (table.get(), thread.entered_by, thread.space);
    let space = id_of_space.index();
    let word = table.slots.get(handle.slot()).and_then(|slot| slot.read(handle.generation()));
    if word.and_then(|word| word.object(ObjectKind::Space, Rights::empty())) == Some(space) {
        let cap = CapId::at(table.number(), handle.slot());
        if is_noted(kernel, cap, id_of_space) { move_to(kernel, id, cap) } else { forget(kernel, id) }
    }
}

/// Notes that a thread lands where it falls back to.
pub(crate) fn note_landing(kernel: &mut Kernel, id: ThreadId, landing: Option<UseId>) {
    if is_seeded(Mutant::LandingNotNoted) {
        return;
    }
    let Some(landing) = landing else { return forget(kernel, id) };
    let inside = held(kernel, id);
    // Who lands where it landed last stands there mostly: what moved is its fallback.
    if !kernel.uses.are_alike(inside, landing) {
        derivation::lend_like(&mut kernel.tables, &mut kernel.uses, inside, landing);
    }
}

/// Gives a thread another fallback, or none.
pub fn set_fallback(kernel: &mut Kernel, id: ThreadId, fallback: Option<Fallback>) {
    let Kernel { threads, tables, uses, .. } = kernel;
    let before = core::mem::replace(&mut threads.at_mut(id.index()).fallback, fallback);
    if let Some(lent) = before.and_then(|before| before.lent) {
        derivation::take_back(tables, uses, lent);
    }
}

/// The marker of a thread that begins to go through what stands below a capability, in front of all that.
#[inline(always)]
pub fn new_marker_below(kernel: &mut Kernel, id: ThreadId, cap: CapId) -> UseId {
    let handle = kernel.tables.at(cap.table()).handle_of(cap.slot());
    let Kernel { threads, tables, uses, .. } = kernel;
    let (place, marker) = (&mut threads.at_mut(id.index()).marker, Use::marker(id.index(), handle, uses.count_move()));
    match *place {
        Some(left) => {
            derivation::renew_marker(tables, uses, cap, left, marker);
            left
        }
        None => *place.insert(derivation::insert_marker(tables, uses, cap, marker)),
    }
}

/// The marker of a thread that goes through what stands below a capability; in front of all that, if it begins. One that
/// was left below another capability is none: that may be gone, and the marker anywhere.
pub fn marker_below(kernel: &mut Kernel, id: ThreadId, cap: CapId) -> UseId {
    let handle = kernel.tables.at(cap.table()).handle_of(cap.slot());
    let is_elsewhere = |marker| !kernel.uses.get(marker).is_left_below(handle) && !is_seeded(Mutant::MarkerMistaken);
    if kernel.threads[id].marker.is_some_and(is_elsewhere) {
        forget_marker(kernel, id);
    }
    let Kernel { threads, tables, uses, .. } = kernel;
    let begin = || {
        let marker = Use::marker(id.index(), handle, uses.count_move());
        derivation::insert_marker(tables, uses, cap, marker)
    };
    *threads.at_mut(id.index()).marker.get_or_insert_with(begin)
}

/// The marker of a thread below a capability, if it has one there, or right before it.
pub fn marker_of(kernel: &Kernel, id: ThreadId, cap: CapId) -> Option<UseId> {
    let handle = kernel.tables.at(cap.table()).handle_of(cap.slot());
    kernel.threads[id].marker.filter(|marker| kernel.uses.get(*marker).is_left_below(handle))
}

/// Forgets how far a thread has come in a list.
#[inline(always)]
pub fn forget_marker(kernel: &mut Kernel, id: ThreadId) {
    let Kernel { threads, tables, uses, .. } = kernel;
    if let Some(marker) = threads.at_mut(id.index()).marker.take() {
        derivation::take_back(tables, uses, marker);
    }
}

/// Whoever is in the middle of a list of which no capability is left has nothing to go on with: forgets how far they have
/// come, of those who stand first. Gives whether there are no more of them.
#[inline(always)]
pub fn forget_markers(kernel: &mut Kernel, list: Neighbour, effort: &mut Effort) -> bool {
    while let Some(Standing::Use(id)) = derivation::first_in_list(&kernel.uses, list)
        && kernel.uses.get(id).kind == UseKind::Marker
    {
        if !effort.is_left() {
            return false;
        }
        effort.spend(MARKER_UNITS);
        let number = kernel.uses.get(id).number;
        forget_marker(kernel, kernel.threads.id_at(number).expect(KNOWN));
    }
    true
}

/// A thread's uses, which has ended.
#[must_use = "they are to be forgotten"]
pub(super) struct Uses {
    inside: Option<UseId>,
    others: [Option<UseId>; 2],
}

/// Takes a thread's uses.
#[inline(always)]
pub(super) fn take_uses(thread: &mut Thread) -> Uses {
    let fallback = thread.fallback.take().and_then(|fallback| fallback.lent);
    Uses { inside: thread.inside.take(), others: [fallback, thread.marker.take()] }
}

/// Forgets them.
#[inline(always)]
pub(super) fn end(kernel: &mut Kernel, ended: Uses) {
    let Kernel { tables, uses, .. } = kernel;
    if ended.others != [None; 2] {
        ended.others.into_iter().flatten().for_each(|lent| forget_other(tables, uses, lent));
    }
    match ended.inside {
        Some(inside) => derivation::take_back(tables, uses, inside),
        None => uses.unpromise(),
    }
}

#[inline(never)]
fn forget_other(tables: &mut Store<CapTable>, uses: &mut UsePool, lent: UseId) {
    derivation::take_back(tables, uses, lent);
}
