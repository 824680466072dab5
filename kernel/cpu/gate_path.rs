//! The fast path of `gate_call` and `gate_return`: no lock, no scheduler, no copy.
//!
//! The words that a call and its return hand over stay in registers that the kernel does not touch. What stands in the way sends
//! the call to the common path (`sched::activations`), which does the same with the lock.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Handle, ObjectKind, Rights};
use tessera_arch::{CallResult, UserPlace};

use crate::cpu::activations::{Activations, IN_HANDLER, Last, SUSPENDED_MAX};
use crate::cpu::gate_words::GateWords;
use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::cpu::slice_pointer::Kept;
use crate::cpu::table_view::TableView;

/// Calls the gate that a handle names, from this place; gives where the call begins, and the badge of the capability.
///
/// All that is needed for that is written before it is certain that the call goes this way, so that little is kept in registers.
#[inline(always)]
pub fn call(shared: &Shared, line: &PerCpu, handle: Handle, badge: &mut u64, place: UserPlace) -> UserPlace {
    let table = line.table.get();
    let Some(slot) = table.slots.get(handle.slot()) else { return common() };
    let word = slot.word();
    if !slot.is_for(word, handle.generation(), (ObjectKind::Gate, Rights::CALL)) {
        return common();
    }
    let gate = shared.gate_words(word.index());
    let door = gate.door();
    let way = line.numbered_pass(door);
    let pass = way.read();
    // A gate that is closed leads by the pass to no space, which is never good.
    if !pass.is_good() {
        return common();
    }
    let activations = line.activations.get();
    let depth = activations.depth();
    if depth >= SUSPENDED_MAX {
        return common();
    }
    let next = activations.at(depth);
    *badge = table.badges.get(handle.slot());
    next.table.set(Kept::of(table));
    next.called.store(handle.bits(), Relaxed);
    next.instruction_pointer.store(place.instruction_pointer, Relaxed);
    next.stack_pointer.store(place.stack_pointer, Relaxed);
    next.entered_by.store(line.entered_by.load(Relaxed), Relaxed);
    next.space.store(line.presence.space(), Relaxed);
    next.gate.set(Kept::of(gate));
    let Some(stack) = gate.take_stack() else { return common() };
    next.stack.store(stack, Relaxed);
    // Fresh before the CPU is said to come, which is published with all that was before: who takes anything away sees one of both
    // (`sched::activations`).
    activations.depth.store(activations.depth.load(Relaxed) + 1, Relaxed);
    if !line.presence.enter(door.wrapping_sub(1), way, pass) {
        return undo(activations);
    }
    // Whoever closes the gate from here on, or takes the capability away, waits until this CPU has left the kernel.
    arrive(line, (pass.root(), pass.word()), Handle::NONE.bits(), gate.table.kept());
    UserPlace { instruction_pointer: gate.entry(), stack_pointer: gate.stack_end(stack) }
}

/// A way out of line, so that the usual one keeps no register for it: not even for what it gives, of which the compiler is to know
/// nothing.
#[cold]
#[inline(never)]
pub fn common() -> UserPlace {
    core::hint::black_box(UserPlace::COMMON)
}

/// The CPU's pass was made stale at this moment, so the call goes by the common path. If somebody began to wait for the stack
/// meanwhile, that sees to it.
#[cold]
#[inline(never)]
fn undo(activations: &Activations) -> UserPlace {
    let depth = activations.depth() - 1;
    activations.depth.store(depth as u32, Relaxed);
    let next = activations.at(depth);
    next.gate.get().give_back(next.stack.load(Relaxed));
    common()
}

/// Returns from the call that the thread is in to who made it; gives where that is. [`CallResult::UNFINISHED`] is added if somebody
/// waits for the stack that it was on. A handler's return is an answer, to which `answer` sees if what it goes back to is fresh.
#[inline(always)]
pub fn go_back(line: &PerCpu, answer: impl FnOnce(Last<'_>) -> UserPlace) -> UserPlace {
    let activations = line.activations.get();
    let depth = activations.depth();
    if depth == activations.noted() {
        return common();
    }
    let level = depth.wrapping_sub(1);
    let last = activations.at(level);
    let space = last.space.load(Relaxed);
    let way = line.pass_to(space);
    let pass = way.read();
    if !pass.is_good() {
        // None leads to whoever was interrupted to ask a handler.
        return if space == IN_HANDLER { answer(Last { activations, last, level }) } else { common() };
    }
    if !line.presence.enter(space, way, pass) {
        return common();
    }
    arrive(line, (pass.root(), pass.word()), last.entered_by.load(Relaxed), last.table.kept());
    activations.depth.store(level as u32, Relaxed);
    let instruction_pointer = last.instruction_pointer.load(Relaxed);
    let goal = UserPlace { instruction_pointer, stack_pointer: last.stack_pointer.load(Relaxed) };
    let gate = last.gate.get();
    if gate.give_back(last.stack.load(Relaxed)) {
        return unfinished(goal.instruction_pointer, goal.stack_pointer, line, gate);
    }
    goal
}

/// Under the lock: the number of the table to which the call that the thread is in returns, if it can without more ado: nothing has
/// noted it, and nobody waits for the stack.
#[inline(always)]
pub fn table_below(line: &PerCpu) -> Option<u32> {
    let activations = line.activations.get();
    let last = activations.at(activations.depth().wrapping_sub(1));
    let is_plain = activations.is_any_fresh() && !last.gate.get().is_waited_for();
    is_plain.then(|| last.table.get().number())
}

/// Somebody waits for the stack that was given back: the kernel is entered once more. What is given back otherwise comes first, so
/// that it is in its registers already.
#[cold]
#[inline(never)]
fn unfinished(instruction_pointer: u64, stack_pointer: u64, line: &PerCpu, gate: &GateWords) -> UserPlace {
    line.due_gate.store(gate.number(), Relaxed);
    UserPlace { instruction_pointer: instruction_pointer | CallResult::UNFINISHED, stack_pointer }
}

/// The CPU has said that it comes to a space: it uses its root, and a table.
#[inline(always)]
fn arrive(line: &PerCpu, (root, root_word): (u64, u64), entered_by: u64, table: Kept<TableView>) {
    line.root.store(root, Relaxed);
    line.entered_by.store(entered_by, Relaxed);
    line.table.set(table);
    line.counters.count_switch(tessera_arch::load_root(root_word));
}
