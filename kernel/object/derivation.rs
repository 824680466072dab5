//! The derivation list: which capability was made from which, and what was lent through each, across all tables.
//!
//! All that there is of an object stands in one list, which goes round by way of the object. A capability stands in it
//! twice, where it begins and where it ends; what was derived from it stands between. Its uses (`use_pool`) stand behind its
//! end, beside it: they are to it what its siblings are, so revoking it leaves them alone, and revoking what it was derived
//! from takes them along, once the capability itself is gone and nothing more can be done with it.
//!
//! What can never be taken back by itself is not noted: what is done with a capability that was not derived from another one,
//! if it ends with the object itself (`Kernel::is_noted`). And an object's list is made when it is needed: as long as nothing
//! stands beside its first capability, that stands for it.
//!
//! So a capability is deleted by taking its two places out, whatever stands between: that is its parent's from there on.
//! And revoking is taking out what stands behind the beginning until that is the end.

use tessera_abi::{Error, Handle, Rights};

use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::cpu::cap_word::CapWord;
use crate::object::cap_table::{CapRecord, CapTable};
use crate::object::id::{CapId, UseId};
use crate::object::neighbour::{Neighbour, Neighbours, Standing};
use crate::object::store::Store;
use crate::object::use_pool::{Use, UseKind, UsePool};

const CAPABILITIES_EXIST: &str = "only capabilities that exist are deleted";

/// The record of a capability.
#[inline(always)]
pub fn record(tables: &Store<CapTable>, cap: CapId) -> &CapRecord {
    tables.at(cap.table()).record(cap.slot())
}

#[inline(always)]
fn neighbours(tables: &mut Store<CapTable>, cap: CapId) -> &mut Neighbours {
    &mut tables.at_mut(cap.table()).record_mut(cap.slot()).neighbours
}

/// What stands behind something.
#[inline(always)]
pub fn next(tables: &Store<CapTable>, uses: &UsePool, at: Neighbour) -> Neighbour {
    steps::count();
    match at.standing() {
        Standing::Beginning(cap) => record(tables, cap).neighbours.first,
        Standing::End(cap) => record(tables, cap).neighbours.behind,
        Standing::Use(id) => uses.get(id).next,
    }
}

/// What stands before something.
#[inline(always)]
pub fn previous(tables: &Store<CapTable>, uses: &UsePool, at: Neighbour) -> Neighbour {
    steps::count();
    match at.standing() {
        Standing::Beginning(cap) => record(tables, cap).neighbours.before,
        Standing::End(cap) => record(tables, cap).neighbours.last,
        Standing::Use(id) => uses.get(id).previous,
    }
}

/// Makes two neighbours of each other.
#[inline(always)]
fn join(tables: &mut Store<CapTable>, uses: &mut UsePool, left: Neighbour, right: Neighbour) {
    match left.standing() {
        Standing::Beginning(cap) => neighbours(tables, cap).first = right,
        Standing::End(cap) => neighbours(tables, cap).behind = right,
        Standing::Use(id) => uses.get_mut(id).next = right,
    }
    match right.standing() {
        Standing::Beginning(cap) => neighbours(tables, cap).before = left,
        Standing::End(cap) => neighbours(tables, cap).last = left,
        Standing::Use(id) => uses.get_mut(id).previous = left,
    }
}

/// Lets go of an object's list, in which nothing stands any more; or of the promise of one.
///
/// # Panics
/// If something does.
#[inline(always)]
pub fn remove_list(uses: &mut UsePool, listed: Neighbour) {
    match listed {
        Neighbour::NOBODY => {}
        Neighbour::NONE_LEFT => uses.unpromise(),
        _ => {
            assert!(is_empty_list(uses, listed), "what is lent of an object keeps it, or goes first");
            let Standing::Use(list) = listed.standing() else { unreachable!("an empty list is one") };
            uses.remove(list);
        }
    }
}

/// Whether nothing stands in an object's list.
pub fn is_empty_list(uses: &UsePool, listed: Neighbour) -> bool {
    first_in_list(uses, listed).is_none()
}

/// What stands first in an object's list, if anything does.
#[inline(always)]
pub fn first_in_list(uses: &UsePool, listed: Neighbour) -> Option<Standing> {
    if !listed.exists() {
        return None;
    }
    let Standing::Use(list) = listed.standing() else { return Some(listed.standing()) };
    let first = uses.get(list).next;
    (first != listed).then(|| first.standing())
}

/// What stands in an object's list, in order.
pub fn listed(tables: &Store<CapTable>, uses: &UsePool, listed: Neighbour) -> impl Iterator<Item = Standing> {
    let first = first_in_list(uses, listed).map(Standing::neighbour);
    let following = move |at: &Neighbour| Some(next(tables, uses, *at)).filter(|at| at.exists() && *at != listed);
    core::iter::successors(first, following).map(Neighbour::standing)
}

/// Puts the first capability to a new object into a table, which has a free slot; gives its handle, and what stands for the
/// object's list: the capability, as long as it is alone. For a list there is a promise. The heap has a page.
#[inline(always)]
pub fn insert_first(
    tables: &mut Store<CapTable>,
    uses: &mut UsePool,
    table: u32,
    word: CapWord,
) -> (Handle, Neighbour) {
    let place = tables.at_mut(table);
    let cap = CapId::at(table, place.free_slot().expect("a slot was found free"));
    uses.promise();
    let alone = Neighbours::alone(cap, Neighbour::NOBODY, Neighbour::NOBODY);
    (place.insert(word, 0, alone), Neighbour::beginning(cap))
}

/// Whether nothing stands beside a capability: it is an object's first, and the object has no list yet.
#[inline(always)]
pub fn is_alone(tables: &Store<CapTable>, cap: CapId) -> bool {
    record(tables, cap).neighbours.before == Neighbour::NOBODY
}

/// Makes a list of what was below an object's only capability, which is gone.
#[cold]
#[inline(never)]
fn hand_to_object(
    tables: &mut Store<CapTable>,
    uses: &mut UsePool,
    object: CapWord,
    [first, last]: [Neighbour; 2],
) -> Neighbour {
    let list = Neighbour::of_use(uses.insert_promised(Use::object(object, last, first)));
    set_previous(tables, uses, first, list);
    join(tables, uses, last, list);
    list
}

/// What an object's list is when a capability was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the object has another list now"]
pub enum ListChange {
    /// What it was.
    None,
    /// Nothing any more: this was its only capability.
    Emptied,
    /// Another one.
    To(Neighbour),
}

/// Makes the list of the object whose capability this is, which is alone; gives what stands for it.
#[cold]
#[inline(never)]
pub fn make_list(tables: &mut Store<CapTable>, uses: &mut UsePool, cap: CapId) -> Neighbour {
    let word = record(tables, cap).object;
    let list = uses.insert_promised(Use::object(word, Neighbour::end(cap), Neighbour::beginning(cap)));
    let around = neighbours(tables, cap);
    (around.before, around.behind) = (Neighbour::of_use(list), Neighbour::of_use(list));
    Neighbour::of_use(list)
}

/// Puts a capability derived from `parent` into `table`; `word` says what it names, and with which rights. Gives the
/// handle.
///
/// # Errors
/// `TableFull`.
#[inline(always)]
pub fn insert_child(
    tables: &mut Store<CapTable>,
    uses: &mut UsePool,
    parent: CapId,
    table: u32,
    (word, badge): (CapWord, u64),
) -> Result<Handle, Error> {
    let child = CapId::at(table, tables.at(table).free_slot()?);
    let first = core::mem::replace(&mut neighbours(tables, parent).first, Neighbour::beginning(child));
    if first == Neighbour::end(parent) {
        neighbours(tables, parent).last = Neighbour::end(child);
    } else {
        set_previous(tables, uses, first, Neighbour::end(child));
    }
    let between = Neighbours::alone(child, Neighbour::beginning(parent), first);
    Ok(tables.at_mut(table).insert(word.derived(), badge, between))
}

/// Moves a capability into another table, which has a free slot, with these rights; gives the handle. The new one stands where the other
/// stood. Not if anything was derived from it, or it is the object's only one: what is below would be its parent's, or the
/// object's.
#[inline(always)]
pub fn move_childless(
    tables: &mut Store<CapTable>,
    uses: &mut UsePool,
    cap: CapId,
    into: u32,
    rights: Rights,
) -> Option<Handle> {
    let record = record(tables, cap);
    let Neighbours { before, first, behind, .. } = record.neighbours;
    if first != Neighbour::end(cap) || before == Neighbour::NOBODY {
        return None;
    }
    let (word, badge) = (record.object.with(rights).derived(), record.badge());
    let table = tables.at_mut(into);
    let there = CapId::at(into, table.free_slot().expect("a slot was found free"));
    let handle = table.insert(word, badge, Neighbours::alone(there, before, behind));
    join(tables, uses, before, Neighbour::beginning(there));
    join(tables, uses, Neighbour::end(there), behind);
    tables.at_mut(cap.table()).remove(cap.slot());
    Some(handle)
}

#[inline(always)]
fn set_previous(tables: &mut Store<CapTable>, uses: &mut UsePool, of: Neighbour, previous: Neighbour) {
    match of.standing() {
        Standing::Beginning(cap) => neighbours(tables, cap).before = previous,
        Standing::End(cap) => neighbours(tables, cap).last = previous,
        Standing::Use(id) => uses.get_mut(id).previous = previous,
    }
}

/// Takes a capability out of its table and the list; what was derived from it becomes its parent's. Gives what it named,
/// as a word without rights, and what that means for the object's list, which the caller notes.
#[inline(always)]
pub fn remove(tables: &mut Store<CapTable>, uses: &mut UsePool, cap: CapId) -> (CapWord, ListChange) {
    let (object, neighbours) = tables.at_mut(cap.table()).remove(cap.slot());
    assert!(object != CapWord::FREE, "{CAPABILITIES_EXIST}");
    let Neighbours { before, first, last, behind } = neighbours;
    let is_alone = before == Neighbour::NOBODY;
    let has_below = first != Neighbour::end(cap);
    if is_alone && has_below {
        return (object, ListChange::To(hand_to_object(tables, uses, object, [first, last])));
    } else if is_alone {
        return (object, ListChange::Emptied);
    } else if !has_below {
        join(tables, uses, before, behind);
    } else {
        join_around(tables, uses, [before, first, last, behind]);
    }
    (object, ListChange::None)
}

#[inline(never)]
fn join_around(tables: &mut Store<CapTable>, uses: &mut UsePool, [before, first, last, behind]: [Neighbour; 4]) {
    join(tables, uses, before, first);
    join(tables, uses, last, behind);
}

/// Notes a use of a capability; gives its name. The heap has a page.
#[inline(always)]
pub fn lend(tables: &mut Store<CapTable>, uses: &mut UsePool, cap: CapId, value: Use) -> UseId {
    if is_seeded(Mutant::UseBelowItself) {
        return insert_marker(tables, uses, cap, value);
    }
    let record = tables.at_mut(cap.table()).record_mut(cap.slot());
    let (end, behind) = (Neighbour::end(cap), record.neighbours.behind);
    let id = uses.insert(value.standing(end, behind, record.badge()));
    record.neighbours.behind = Neighbour::of_use(id);
    set_previous(tables, uses, behind, Neighbour::of_use(id));
    id
}

/// Notes that a mapping was split at a page: what is behind it is a use by itself, of whatever the mapping was one of.
#[inline(never)]
pub fn lend_beside(tables: &mut Store<CapTable>, uses: &mut UsePool, mapping: UseId, page: u64) -> UseId {
    let (before, part) = (uses.get(mapping).previous, uses.get(mapping).at(page));
    let id = uses.insert(part);
    stand_between(tables, uses, id, before, Neighbour::of_use(mapping));
    id
}

/// Notes a use of whatever another one is of.
pub fn lend_alike(tables: &mut Store<CapTable>, uses: &mut UsePool, other: UseId, value: Use) -> UseId {
    let &Use { previous, badge, .. } = uses.get(other);
    let id = uses.insert(value.standing(previous, Neighbour::of_use(other), badge));
    stand_between(tables, uses, id, previous, Neighbour::of_use(other));
    id
}

/// Puts a use that stands in no list between two neighbours.
#[inline(always)]
fn stand_between(tables: &mut Store<CapTable>, uses: &mut UsePool, id: UseId, left: Neighbour, right: Neighbour) {
    join(tables, uses, left, Neighbour::of_use(id));
    join(tables, uses, Neighbour::of_use(id), right);
}

/// Whether a use stands as the last that was noted of a capability.
#[inline(always)]
pub fn is_right_behind(tables: &Store<CapTable>, uses: &UsePool, id: UseId, cap: CapId) -> bool {
    let &Use { previous, badge, .. } = uses.get(id);
    // It may be one that was handed on, and the capability new.
    previous == Neighbour::end(cap) && badge == record(tables, cap).badge()
}

/// Makes a use one of another capability.
pub fn lend_anew(tables: &mut Store<CapTable>, uses: &mut UsePool, id: UseId, cap: CapId) {
    leave(tables, uses, id);
    let (badge, behind) = (record(tables, cap).badge(), record(tables, cap).neighbours.behind);
    uses.get_mut(id).badge = badge;
    stand_between(tables, uses, id, Neighbour::end(cap), behind);
}

/// Makes a use one of whatever another one is of.
pub fn lend_like(tables: &mut Store<CapTable>, uses: &mut UsePool, id: UseId, other: UseId) {
    leave(tables, uses, id);
    let &Use { previous, badge, .. } = uses.get(other);
    uses.get_mut(id).badge = badge;
    stand_between(tables, uses, id, previous, Neighbour::of_use(other));
}

/// Takes a use out of the list that it is in, if it is in one.
fn leave(tables: &mut Store<CapTable>, uses: &mut UsePool, id: UseId) {
    let &Use { previous, next, .. } = uses.get(id);
    if previous.exists() {
        join(tables, uses, previous, next);
    }
}

/// Forgets a use, for which there is a promise again.
pub fn take_back_promised(tables: &mut Store<CapTable>, uses: &mut UsePool, id: UseId) {
    leave(tables, uses, id);
    uses.remove_promised(id);
}

/// Forgets a use, which is over.
#[inline(always)]
pub fn take_back(tables: &mut Store<CapTable>, uses: &mut UsePool, id: UseId) {
    let Use { previous, next, .. } = uses.remove(id);
    join(tables, uses, previous, next);
}

/// What a capability's deletion would hand on, or revoking it take back, that stands first; nothing if there is none.
#[inline(always)]
pub fn first_below(tables: &Store<CapTable>, cap: CapId) -> Option<Standing> {
    let first = record(tables, cap).neighbours.first;
    (first != Neighbour::end(cap)).then(|| first.standing())
}

/// Another capability that stands below this one, or else behind it.
pub fn beside(tables: &Store<CapTable>, uses: &UsePool, cap: CapId) -> Option<CapId> {
    let below = record(tables, cap).neighbours.first.standing();
    let behind = Some(next(tables, uses, Neighbour::end(cap))).filter(|behind| behind.exists());
    [Some(below), behind.map(Neighbour::standing)].into_iter().flatten().find_map(|standing| match standing {
        Standing::Beginning(other) => Some(other),
        _ => None,
    })
}

/// Whether a use stands directly below a capability, and nothing behind it.
pub fn is_last_below(tables: &Store<CapTable>, cap: CapId, id: UseId) -> bool {
    record(tables, cap).neighbours.last == Neighbour::of_use(id)
}

/// Whether a capability, and nothing else, stands below another one.
pub fn is_only_below(tables: &Store<CapTable>, from: CapId, cap: CapId) -> bool {
    let (outer, inner) = (record(tables, from).neighbours, record(tables, cap).neighbours.first);
    (outer.first, outer.last, inner) == (Neighbour::beginning(cap), Neighbour::end(cap), Neighbour::end(cap))
}

/// Puts a use that stands below a capability behind all else there, directly below it, with another badge if one is given.
pub fn stand_last(tables: &mut Store<CapTable>, uses: &mut UsePool, cap: CapId, id: UseId, badge: Option<u64>) {
    leave(tables, uses, id);
    if let Some(badge) = badge {
        uses.get_mut(id).badge = badge;
    }
    let last = record(tables, cap).neighbours.last;
    stand_between(tables, uses, id, last, Neighbour::end(cap));
}

/// Puts a marker in front of all that stands below a capability.
pub fn insert_marker(tables: &mut Store<CapTable>, uses: &mut UsePool, cap: CapId, marker: Use) -> UseId {
    let (first, id) = (record(tables, cap).neighbours.first, uses.insert(marker));
    stand_between(tables, uses, id, Neighbour::beginning(cap), first);
    id
}

/// The same of a marker that is somewhere else, or was of another capability.
pub fn renew_marker(tables: &mut Store<CapTable>, uses: &mut UsePool, cap: CapId, id: UseId, marker: Use) {
    leave(tables, uses, id);
    *uses.get_mut(id) = marker;
    let first = record(tables, cap).neighbours.first;
    stand_between(tables, uses, id, Neighbour::beginning(cap), first);
}

/// What stands behind a marker.
pub fn behind(tables: &Store<CapTable>, uses: &UsePool, marker: UseId) -> Standing {
    next(tables, uses, Neighbour::of_use(marker)).standing()
}

/// What stands before something, if anything does.
pub fn before(tables: &Store<CapTable>, uses: &UsePool, at: Standing) -> Option<Standing> {
    Some(previous(tables, uses, at.neighbour())).filter(|before| before.exists()).map(Neighbour::standing)
}

/// Moves a marker before something.
pub fn move_before(tables: &mut Store<CapTable>, uses: &mut UsePool, marker: UseId, standing: Standing) {
    leave(tables, uses, marker);
    let before = previous(tables, uses, standing.neighbour());
    stand_between(tables, uses, marker, before, standing.neighbour());
}

/// Moves a marker behind what stands behind it, and all that is below that.
pub fn move_behind(tables: &mut Store<CapTable>, uses: &mut UsePool, marker: UseId, standing: Standing) {
    let last = match standing {
        Standing::Beginning(cap) | Standing::End(cap) => Neighbour::end(cap),
        Standing::Use(id) => Neighbour::of_use(id),
    };
    move_marker(tables, uses, marker, last);
}

/// Moves a marker behind what stands behind it, in front of all that is below that.
pub fn pass(tables: &mut Store<CapTable>, uses: &mut UsePool, marker: UseId, standing: Standing) {
    move_marker(tables, uses, marker, standing.neighbour());
}

/// Moves a marker behind something.
fn move_marker(tables: &mut Store<CapTable>, uses: &mut UsePool, marker: UseId, place: Neighbour) {
    leave(tables, uses, marker);
    let behind = next(tables, uses, place);
    stand_between(tables, uses, marker, place, behind);
}

/// What stands below a capability, itself not below anything else there: what was derived from it or handed on to it.
pub fn directly_below<'a>(
    tables: &'a Store<CapTable>,
    uses: &'a UsePool,
    cap: CapId,
) -> impl Iterator<Item = Standing> + 'a {
    let mut at = record(tables, cap).neighbours.first;
    core::iter::from_fn(move || {
        let found = at.standing();
        at = match found {
            Standing::End(_) => return None,
            Standing::Beginning(child) => next(tables, uses, Neighbour::end(child)),
            Standing::Use(_) => next(tables, uses, at),
        };
        Some(found)
    })
}

/// How many capabilities were derived from this one directly and exist still.
pub fn children(tables: &Store<CapTable>, uses: &UsePool, cap: CapId) -> u64 {
    let is_capability = |standing: &Standing| matches!(standing, Standing::Beginning(_));
    directly_below(tables, uses, cap).filter(is_capability).count() as u64
}

/// What a capability was derived from, or who it was handed on to.
pub fn parent(tables: &Store<CapTable>, uses: &UsePool, cap: CapId) -> Option<CapId> {
    let mut at = record(tables, cap).neighbours.before;
    loop {
        if !at.exists() {
            return None;
        }
        at = match at.standing() {
            Standing::Beginning(parent) => return Some(parent),
            Standing::End(sibling) => previous(tables, uses, Neighbour::beginning(sibling)),
            Standing::Use(id) if uses.get(id).kind == UseKind::Object => return None,
            Standing::Use(_) => previous(tables, uses, at),
        };
    }
}
