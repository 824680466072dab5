//! Deleting capabilities: one, or all of a table. What was derived from one, and what was lent through it, becomes its
//! parent's.

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::object::derivation::{self, ListChange};
use crate::object::id::{CapId, TableId};
use crate::sched::way_in;
use crate::state::kernel::Kernel;

/// Effort of giving a capability up; if it leads into a space, of looking at a CPU besides.
const CAPABILITY_UNITS: u32 = 25;
const CPU_UNITS: u32 = 2;

/// So many slots are looked at in one go, and the effort of that.
const LOOKED_AT_ONCE: u32 = 64;
const LOOK_UNITS: u32 = 20;

/// Gives a capability up, in one go. It costs the same whatever was derived from it, but for those who are inside by it.
#[inline(always)]
pub fn delete_capability(kernel: &mut Kernel, cap: CapId) {
    if way_in::is_way_in(kernel, cap) {
        close_in_one_go(kernel, cap);
    }
    delete_closed(kernel, cap);
}

#[inline(never)]
fn close_in_one_go(kernel: &mut Kernel, cap: CapId) {
    let is_closed = way_in::close_way_in(kernel, cap, &mut Effort::unlimited());
    debug_assert!(is_closed, "there is effort for every CPU");
}

/// The same as a part of a longer call, for at least so many units of effort. Gives whether it is gone: one that leads into a space
/// stays as long as some CPUs are to be asked.
#[inline(always)]
pub fn delete_within(kernel: &mut Kernel, cap: CapId, units: u32, effort: &mut Effort) -> bool {
    effort.spend(units);
    if way_in::is_way_in(kernel, cap) {
        delete_way_in(kernel, cap, effort)
    } else {
        delete_closed(kernel, cap);
        true
    }
}

#[inline(never)]
fn delete_way_in(kernel: &mut Kernel, cap: CapId, effort: &mut Effort) -> bool {
    spend_on_way_in(kernel, effort);
    let is_closed = way_in::close_way_in(kernel, cap, effort);
    if is_closed {
        delete_closed(kernel, cap);
    }
    is_closed
}

/// Spends the effort of closing a way into a space.
#[inline(always)]
pub fn spend_on_way_in(kernel: &Kernel, effort: &mut Effort) {
    effort.spend(CPU_UNITS * kernel.cpus() as u32);
}

/// The same of one by which nobody enters a space, because it leads into none, or was closed.
#[inline(always)]
pub fn delete_closed(kernel: &mut Kernel, cap: CapId) {
    let (object, change) = derivation::remove(&mut kernel.tables, &mut kernel.uses, cap);
    match change {
        ListChange::None => kernel.release_named(object),
        ListChange::Emptied => kernel.release_last_named(object),
        ListChange::To(list) => kernel.release_listed(object, list),
    }
}

/// Gives the capabilities of a table up, from the slot on at which that stopped last; gives whether it is through.
pub fn empty_table(kernel: &mut Kernel, table: TableId, effort: &mut Effort) -> bool {
    let index = table.index();
    let mut next = core::mem::take(&mut kernel.tables.at_mut(index).emptied).saturating_sub(1);
    while kernel.tables.at(index).used() != 0 && (next as usize) < kernel.tables.at(index).cap_slots().len() {
        if !effort.is_left() {
            kernel.tables.at_mut(index).emptied = next + 1 + u32::from(is_seeded(Mutant::EmptyingForgetsSlot));
            return false;
        }
        let end = next + LOOKED_AT_ONCE;
        let Some(slot) = kernel.tables.at(index).next_used_before(next, end) else {
            effort.spend(LOOK_UNITS);
            next = end;
            continue;
        };
        if !delete_within(kernel, CapId::new(table, slot), CAPABILITY_UNITS, effort) {
            kernel.tables.at_mut(index).emptied = slot + 1;
            return false;
        }
        next = slot + 1;
    }
    true
}
