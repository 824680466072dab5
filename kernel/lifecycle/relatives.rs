//! A capability's relatives: how many were derived from it, and what it was derived from.
//!
//! Neither is kept anywhere, so that deleting costs the same whatever was derived. Who asks goes along the derivation list, with
//! a marker if that takes more than an entry's effort. What comes and goes meanwhile may be counted or not.

use crate::base::effort::Effort;
use crate::object::derivation;
use crate::object::id::{CapId, ThreadId, UseId};
use crate::object::neighbour::Standing;
use crate::object::use_pool::UseKind;
use crate::sched::inside;
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

const CHILDREN: u64 = 1;
const PARENT: u64 = 2;

/// Goes along a capability's relatives, told what the step before gave, the first 0.
pub fn relatives(kernel: &mut Kernel, thread: ThreadId, cap: CapId, word: u64) -> Relatives {
    let mut effort = Effort::of_entry();
    if word == 0 {
        inside::forget_marker(kernel, thread);
        if let Some(known) = known_at_once(kernel, cap, &mut effort) {
            return known;
        }
        return Relatives::Counted(CHILDREN);
    }
    go_on(kernel, thread, cap, word, effort)
}

#[cold]
#[inline(never)]
fn go_on(kernel: &mut Kernel, thread: ThreadId, cap: CapId, word: u64, mut effort: Effort) -> Relatives {
    let (phase, mut count) = (word & 3, word >> 2);
    if phase == CHILDREN {
        let marker = inside::marker_below(kernel, thread, cap);
        kernel.uses.note_moved(marker);
        if !count_children(kernel, marker, &mut count, &mut effort) {
            return Relatives::Counted(count << 2 | CHILDREN);
        }
        kernel.ensure_list(cap);
        derivation::move_before(&mut kernel.tables, &mut kernel.uses, marker, Standing::Beginning(cap));
    }
    // A marker that somebody took away begins anew at the capability.
    let marker = inside::marker_before(kernel, thread, cap);
    kernel.uses.note_moved(marker);
    match find_parent(kernel, marker, &mut effort) {
        Some(parent) => {
            inside::forget_marker(kernel, thread);
            Relatives::Known(count, parent)
        }
        None => Relatives::Counted(count << 2 | PARENT),
    }
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

/// Moves a marker along what stands below a capability; gives whether it came to the end.
fn count_children(kernel: &mut Kernel, marker: UseId, count: &mut u64, effort: &mut Effort) -> bool {
    while effort.is_left() {
        effort.spend(MARKER_UNITS);
        let standing = derivation::behind(&kernel.tables, &kernel.uses, marker);
        match standing {
            Standing::End(_) => return true,
            Standing::Beginning(_) => *count += 1,
            Standing::Use(_) => {}
        }
        derivation::move_behind(&mut kernel.tables, &mut kernel.uses, marker, standing);
    }
    false
}

/// Moves a marker back along a capability's siblings; gives the parent, if it came to it, or to the object itself.
fn find_parent(kernel: &mut Kernel, marker: UseId, effort: &mut Effort) -> Option<Option<CapId>> {
    while effort.is_left() {
        effort.spend(MARKER_UNITS);
        match parent_before(kernel, Standing::Use(marker)) {
            Ok(parent) => return Some(parent),
            Err(sibling) => derivation::move_before(&mut kernel.tables, &mut kernel.uses, marker, sibling),
        }
    }
    None
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
