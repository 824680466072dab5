//! Noting where a thread is, and what it has suspended, that it did without the lock.
//!
//! A thread changes spaces and makes gate calls without the lock, and leaves no more than words in its CPU's line and its own memory.
//! When it is taken off its CPU, or the kernel has another reason to know, that is noted: in which space's list it is, by which
//! capabilities it is there and comes back, on which stacks of gates it is.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;

use crate::cpu::per_cpu::PerCpu;
use crate::cpu::slice_pointer::Kept;
use crate::cpu::table_view::TableView;
use crate::object::activation_stack::{ActivationStack, Noted};
use crate::object::derivation;
use crate::object::id::{CapId, SpaceId, ThreadId, UseId};
use crate::object::use_pool::{Use, UseKind};
use crate::sched::{exchange, inside};
use crate::state::kernel::Kernel;

pub(super) const KNOWN: &str = "a thread in a call has activations";

/// Where a thread is, or was before a call.
#[derive(Clone, Copy)]
pub struct Place {
    /// The space's number.
    pub(super) space: u32,
    /// The handle by which it was entered.
    pub(super) entered_by: Handle,
    /// The table that it uses there.
    pub(super) table: Kept<TableView>,
}

impl Place {
    /// Where a CPU's thread is.
    pub fn of_line(line: &PerCpu) -> Place {
        let entered_by = Handle::from_bits(line.entered_by.load(Relaxed));
        Place { space: line.presence.space(), entered_by, table: line.table.kept() }
    }

    /// Where a CPU's thread was that has been parked.
    pub fn of_parked(line: &PerCpu) -> Place {
        Place { space: line.parked_space.load(Relaxed), table: line.parked_table.kept(), ..Place::of_line(line) }
    }
}

/// Puts a thread into the list of the space that it is in, if it is in another's. A thread that runs may be in
/// another space than the one whose list it is in: threads change spaces far more often than a space goes.
pub(crate) fn note_space(kernel: &mut Kernel, id: ThreadId, space: SpaceId) {
    let noted = core::mem::replace(&mut kernel.threads[id].space, space);
    if noted != space {
        kernel.spaces[noted].remove_thread(&mut kernel.threads, id);
        kernel.spaces[space].add_thread(&mut kernel.threads, id);
    }
}

/// Notes where a thread is, and what it has suspended that is fresh. It is on no CPU, or on the calling one.
pub fn note(kernel: &mut Kernel, id: ThreadId, place: Place) {
    while let Some(level) = first_fresh(kernel, id) {
        suspend_noted(kernel, id, level);
    }
    // Who runs a guest entered its space by a handle of the table that is suspended below.
    let thread = kernel.threads.at(id.index());
    let below = thread.is_in_guest().then(|| thread.activations.as_ref().expect(KNOWN).fast.last().table.kept());
    settle(kernel, id, place, below.unwrap_or(place.table));
}

fn first_fresh(kernel: &Kernel, id: ThreadId) -> Option<usize> {
    let stack = kernel.threads.at(id.index()).activations.as_ref()?;
    stack.fast.is_any_fresh().then(|| stack.fast.noted())
}

/// Notes where a thread is, above all that it has suspended, and by what: its handle there is one of this table.
fn settle(kernel: &mut Kernel, id: ThreadId, place: Place, by: Kept<TableView>) {
    let thread = kernel.threads.at_mut(id.index());
    (thread.entered_by, thread.table_view) = (place.entered_by, place.table);
    if let Some(space) = kernel.spaces.id_at(place.space) {
        note_space(kernel, id, space);
        inside::note(kernel, id, by);
    }
}

/// Notes the lowest activation that is fresh: where it is, as if the thread were there, and what it called. It is sound, as it
/// is fresh.
fn suspend_noted(kernel: &mut Kernel, id: ThreadId, level: usize) {
    let last = stack_of(kernel, id).fast.at(level);
    let (gate, stack) = (last.gate.get().number(), last.stack.load(Relaxed));
    let interrupted = stack_of(kernel, id).interrupted[level].as_ref();
    let space = interrupted.map_or(last.space.load(Relaxed), |interrupted| interrupted.space);
    // Handlers are called by nobody's capability.
    let called = if interrupted.is_some() { Handle::NONE } else { Handle::from_bits(last.called.load(Relaxed)) };
    let entered_by = Handle::from_bits(last.entered_by.load(Relaxed));
    let table = last.table.kept();
    let is_guest = last.is_guest();
    // A guest that a handler is asked of entered by a handle of whoever runs it, as in `note`.
    let own = &stack_of(kernel, id).fast;
    let is_of_guest = level != 0 && own.is_guest_at(level - 1);
    let entered_from = if is_of_guest { own.at(level - 1).table.kept() } else { table };
    settle(kernel, id, Place { space, entered_by, table }, entered_from);
    if is_guest {
        exchange::note(kernel, id, stack);
    }
    let by = CapId::at(table.get().number(), called.slot());
    let is_lent = called != Handle::NONE && kernel.tables.at(by.table()).is_derived(by.slot());
    let called = is_lent.then(|| lend_promised(kernel, by, Use::of_level(UseKind::Called, id.index(), level)));
    let gate = kernel.gates.id_at(gate);
    if let Some(gate) = gate {
        kernel.gates.at_mut(gate.index()).holders[stack as usize] = Some(id);
    }
    let thread = kernel.threads.at_mut(id.index());
    let (space, inside) = (thread.space, thread.inside.take());
    let stack = thread.activations.as_mut().expect(KNOWN);
    stack.noted[level] = Noted { space, inside, gate, called, is_gone: false };
    stack.fast.noted.store(level as u32 + 1, Relaxed);
    if let Some(inside) = inside {
        kernel.uses.set_kind(inside, UseKind::Suspended, level);
    }
}

fn lend_promised(kernel: &mut Kernel, cap: CapId, value: Use) -> UseId {
    let id = kernel.uses.insert_promised(value);
    derivation::lend_anew(&mut kernel.tables, &mut kernel.uses, id, cap);
    id
}

pub(super) fn stack_of(kernel: &Kernel, id: ThreadId) -> &ActivationStack {
    kernel.threads.at(id.index()).activations.as_ref().expect(KNOWN)
}
