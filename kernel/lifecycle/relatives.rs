//! A capability's relatives: how many were derived from it, and what it was derived from.
//!
//! Neither is kept anywhere, so that deleting costs the same whatever was derived. Who asks goes along the derivation list, with
//! a marker if that takes more than an entry's effort, which looks past others' (`sched::looking`). What comes and goes meanwhile
//! may be counted or not.

use crate::base::effort::Effort;
use crate::object::derivation;
use crate::object::id::{CapId, ThreadId, UseId};
use crate::object::neighbour::Standing;
use crate::object::use_pool::UseKind;
use crate::sched::inside;
use crate::sched::looking::{self, BEGUN, Way};
use crate::state::kernel::Kernel;

/// Units of effort that going past one relative takes.
const STEP_UNITS: u32 = 8;
/// The same with a marker, which moves along.
const MARKER_UNITS: u32 = 12;

/// What is known of a capability's relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relatives {
    /// All: how many children, and the parent, if it has one.
    Known(u64, Option<CapId>),
    /// Not yet; the next step is told this.
    Counted(u64),
}

/// Told from the step on in which all children have been counted; below it is what is told of others' markers.
const PARENT: u64 = 1 << looking::WORD_BITS;

/// Goes along a capability's relatives, told what the step before gave, the first 0.
pub fn relatives(kernel: &mut Kernel, thread: ThreadId, cap: CapId, word: u64) -> Relatives {
    let mut effort = Effort::of_entry();
    if word == 0 {
        inside::forget_marker(kernel, thread);
        if let Some(known) = known_at_once(kernel, cap, &mut effort) {
            return known;
        }
        return Relatives::Counted(BEGUN);
    }
    match go_on(kernel, thread, cap, word, effort.left()) {
        Ok((children, parent)) => Relatives::Known(children, parent),
        Err(word) => Relatives::Counted(word),
    }
}

/// How many children there are, and the parent; else what the next step is to be told. What was counted is noted with the marker,
/// and begins anew with it.
#[cold]
#[inline(never)]
fn go_on(kernel: &mut Kernel, thread: ThreadId, cap: CapId, word: u64, left: u32) -> Result<(u64, Option<CapId>), u64> {
    // A marker that somebody took away begins anew.
    let (marker, left) = match inside::marker_of(kernel, thread, cap).filter(|_| word >= PARENT) {
        Some(marker) => {
            let resumed = looking::resume(kernel, thread, marker, word % PARENT, left, Way::Back);
            (marker, resumed.map_err(|word| word | PARENT)?)
        }
        None => {
            let (marker, left) = looking::begin(kernel, thread, cap, (word % PARENT).max(BEGUN), left)?;
            let left = count_children(kernel, thread, marker, left)?;
            kernel.ensure_list(cap);
            derivation::move_before(&mut kernel.tables, &mut kernel.uses, marker, Standing::Beginning(cap));
            (marker, left)
        }
    };
    let parent = find_parent(kernel, thread, marker, left).map_err(|word| word | PARENT)?;
    let children = kernel.uses.counted(marker);
    inside::forget_marker(kernel, thread);
    Ok((children, parent))
}

/// What can be found out in one entry, as mostly all can.
fn known_at_once(kernel: &Kernel, cap: CapId, effort: &mut Effort) -> Option<Relatives> {
    let Kernel { tables, uses, .. } = kernel;
    let mut children = 0;
    for standing in derivation::directly_below(tables, uses, cap) {
        children += u64::from(matches!(standing, Standing::Beginning(_)));
        if !effort.spend(STEP_UNITS) {
            return None;
        }
    }
    let mut at = Standing::Beginning(cap);
    while effort.spend(STEP_UNITS) {
        match parent_before(kernel, at) {
            Ok(parent) => return Some(Relatives::Known(children, parent)),
            Err(sibling) => at = sibling,
        }
    }
    None
}

/// Moves a marker along what stands below a capability, to the end; gives what is left of the effort.
///
/// # Errors
/// What is to be remembered, if it did not come to the end.
fn count_children(kernel: &mut Kernel, thread: ThreadId, marker: UseId, left: u32) -> Result<u32, u64> {
    let mut effort = Effort::of(left);
    while effort.is_left() {
        let standing = derivation::behind(&kernel.tables, &kernel.uses, marker);
        if let Some(other) = other_marker(kernel, standing) {
            effort = Effort::of(looking::past(kernel, thread, marker, other, effort.left())?);
            continue;
        }
        effort.spend(MARKER_UNITS);
        match standing {
            Standing::End(_) => return Ok(effort.left()),
            Standing::Beginning(_) => {
                let counted = kernel.uses.counted(marker) + 1;
                kernel.uses.note_counted(marker, counted);
            }
            Standing::Use(_) => {}
        }
        derivation::move_behind(&mut kernel.tables, &mut kernel.uses, marker, standing);
    }
    looking::end(kernel, thread, marker, effort.left());
    Err(BEGUN)
}

/// Moves a marker back along a capability's siblings, to the parent, or to the object itself.
///
/// # Errors
/// What is to be remembered, if it did not come there.
fn find_parent(kernel: &mut Kernel, thread: ThreadId, marker: UseId, left: u32) -> Result<Option<CapId>, u64> {
    let mut effort = Effort::of(left);
    while effort.is_left() {
        let sibling = match parent_before(kernel, Standing::Use(marker)) {
            Ok(parent) => return Ok(parent),
            Err(sibling) => sibling,
        };
        if let Some(other) = other_marker(kernel, sibling) {
            effort = Effort::of(looking::past_on(kernel, thread, marker, other, effort.left(), Way::Back)?);
            continue;
        }
        effort.spend(MARKER_UNITS);
        derivation::move_before(&mut kernel.tables, &mut kernel.uses, marker, sibling);
    }
    looking::end(kernel, thread, marker, effort.left());
    Err(BEGUN)
}

/// What stands somewhere, if it is a marker.
fn other_marker(kernel: &Kernel, standing: Standing) -> Option<UseId> {
    match standing {
        Standing::Use(id) if kernel.uses.get(id).kind == UseKind::Marker => Some(id),
        _ => None,
    }
}

/// The parent, or that there is none, if that is what stands before something; else the beginning of what does.
fn parent_before(kernel: &Kernel, at: Standing) -> Result<Option<CapId>, Standing> {
    match derivation::before(&kernel.tables, &kernel.uses, at) {
        None => Ok(None),
        Some(Standing::Beginning(parent)) => Ok(Some(parent)),
        Some(Standing::End(sibling)) => Err(Standing::Beginning(sibling)),
        Some(Standing::Use(id)) if kernel.uses.get(id).kind == UseKind::Object => Ok(None),
        Some(Standing::Use(id)) => Err(Standing::Use(id)),
    }
}
