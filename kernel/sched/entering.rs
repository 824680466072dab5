//! Going into a gate, with the lock: what a call's words must be, what goes along, and who has waited for a stack.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::ThreadState;
use tessera_abi::{Error, Handle, ObjectKind, Rights};

use crate::base::effort::Effort;
use crate::cpu::cap_word::CapWord;
use crate::cpu::slice_pointer::Kept;
use crate::object::derivation;
use crate::object::id::{CapId, GateId, ThreadId};
use crate::object::links::Chain;
use crate::sched::moving::{self, MOVES};
use crate::sched::noting::{self, KNOWN, Place};
use crate::sched::{deletion, interrupting, locks, ready, running, way_in};
use crate::state::kernel::Kernel;

/// The caller waits for a stack if none is free.
pub(super) const WAITS: u64 = 1 << 0;

/// Effort of having a thread go into a gate, with a capability that is moved along, besides waking it.
const SERVE_UNITS: u32 = 150;

/// Pages of the heap that a thread's first call may take: its activations, uses that are promised, a list.
pub(super) const HEAP_PAGES: u64 = 4;

/// A capability that goes along.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) handle: Handle,
    pub(super) rights: Rights,
    pub(super) is_moved: bool,
}

impl Given {
    /// The handle of what is moved.
    pub(super) fn moved(self) -> Option<Handle> {
        self.is_moved.then_some(self.handle)
    }
}

/// What a handle names; what is being moved by the call has its rights still.
pub(super) fn word_in(kernel: &Kernel, table: u32, handle: Handle, is_moved: bool) -> Result<CapWord, Error> {
    let slot = kernel.tables.at(table).cap_slots().get(handle.slot() as usize);
    let word = slot.and_then(|slot| slot.read(handle.generation())).filter(|word| *word != CapWord::FREE);
    if is_moved && word.is_some_and(CapWord::is_closed) {
        return moving::held(kernel, table, handle).ok_or(Error::BadHandle);
    }
    word.ok_or(Error::BadHandle)
}

/// Checks what goes along, to a table with this number.
pub(super) fn plan_given(kernel: &mut Kernel, table: u32, given: [u64; 3], into: u32) -> Result<Option<Given>, Error> {
    let [handle, rights, flags] = given;
    let (handle, is_moved) = (Handle::from_bits(handle), flags & MOVES != 0);
    let rights = u32::try_from(rights).ok().and_then(Rights::from_bits).ok_or(Error::BadArgument)?;
    if handle == Handle::NONE {
        return Ok(None);
    }
    let held = word_in(kernel, table, handle, is_moved)?.rights();
    if !held.contains(Rights::GRANT | rights) {
        return Err(Error::MissingRight);
    }
    kernel.tables.at(into).ensure_slot()?;
    Ok(Some(Given { handle, rights, is_moved }))
}

/// Puts what goes along into another table; gives its handle there. It stands where the other stood, if it is moved.
pub(super) fn give(kernel: &mut Kernel, table: u32, given: Option<Given>, into: u32) -> Handle {
    let Some(given) = given else { return Handle::NONE };
    let from = CapId::at(table, given.handle.slot());
    if given.is_moved && way_in::is_way_in(kernel, from) {
        return give_derived(kernel, from, into, (given.rights, true));
    }
    give_plain(kernel, table, given, into)
}

/// The same of what leads nowhere, or is not moved.
#[inline(always)]
pub(super) fn give_plain(kernel: &mut Kernel, table: u32, given: Given, into: u32) -> Handle {
    let Given { handle, rights, is_moved } = given;
    let from = CapId::at(table, handle.slot());
    if is_moved {
        let Kernel { tables, uses, .. } = &mut *kernel;
        if let Some(there) = derivation::move_childless(tables, uses, from, into, rights) {
            return there;
        }
    }
    give_derived(kernel, from, into, (rights, is_moved))
}

/// The same of any capability, by one that is derived from it.
fn give_derived(kernel: &mut Kernel, from: CapId, into: u32, (rights, is_moved): (Rights, bool)) -> Handle {
    let record = derivation::record(&kernel.tables, from);
    let (word, badge) = (record.object.with(rights), record.badge());
    let Kernel { tables, uses, .. } = &mut *kernel;
    let there = derivation::insert_child(tables, uses, from, into, (word, badge)).expect("a slot was found free");
    kernel.retain_named(word);
    if is_moved {
        deletion::delete_capability(kernel, from);
    }
    there
}

/// Checks a call's words, which come from a table; gives the gate.
pub(super) fn plan(kernel: &mut Kernel, table: u32, words: &[u64; 6]) -> Result<(GateId, Option<Given>), Error> {
    let [gate, flags, handle, rights, ..] = *words;
    let word = word_in(kernel, table, Handle::from_bits(gate), flags & MOVES != 0 && gate == handle)?;
    let number = word.object(ObjectKind::Gate, Rights::CALL).ok_or_else(|| word.refusal(ObjectKind::Gate))?;
    if flags & !(WAITS | MOVES) != 0 {
        return Err(Error::BadArgument);
    }
    let id = kernel.gates.id_at(number).ok_or(Error::BadHandle)?;
    let object = kernel.gates.at(number);
    let (space, inner) = (object.space, object.table);
    let is_open = kernel.shared.gate_words(number).is_open();
    if !is_open || kernel.spaces.find(space).is_none() || kernel.tables.find(inner).is_none() {
        return Err(Error::Gone);
    }
    locks::ensure_none(kernel, space)?;
    plan_given(kernel, table, [handle, rights, flags], inner.index()).map(|given| (id, given))
}

/// Has a thread go into a gate by a capability, on a stack that is taken for it. What it has suspended is noted, and where it is;
/// its registers are in memory. They are the caller's to change, and so is what a CPU has of it.
fn push(kernel: &mut Kernel, id: ThreadId, (gate, stack): (GateId, u32), called: Handle) {
    let (shared, thread) = (kernel.shared, kernel.threads.at_mut(id.index()));
    let (space, registers) = (thread.space.index(), thread.context.registers());
    let fast = &thread.activations.as_ref().expect(KNOWN).fast;
    let depth = fast.depth();
    let next = fast.at(depth);
    next.instruction_pointer.store(registers.instruction_pointer(), Relaxed);
    next.stack_pointer.store(registers.stack_pointer(), Relaxed);
    next.entered_by.store(thread.entered_by.bits(), Relaxed);
    next.called.store(called.bits(), Relaxed);
    next.table.set(thread.table_view);
    next.space.store(space, Relaxed);
    next.gate.set(Kept::of(shared.gate_words(gate.index())));
    next.stack.store(stack, Relaxed);
    fast.depth.store(depth as u32 + 1, Relaxed);
    let words = shared.gate_words(gate.index());
    let space = kernel.gates.at(gate.index()).space.index();
    noting::note(kernel, id, Place { space, entered_by: Handle::NONE, table: words.table.kept() });
}

/// Has a thread, of which all is noted, go into a gate with the words of its call, which were checked.
pub(super) fn enter_gate(kernel: &mut Kernel, id: ThreadId, (gate, stack): (GateId, u32), words: &[u64; 6]) {
    let [called, flags, handle, rights, ..] = *words;
    let table = kernel.threads.at(id.index()).table_view.get().number();
    let into = kernel.gates.at(gate.index()).table.index();
    let given = plan_given(kernel, table, [handle, rights, flags], into).expect("what goes along was checked");
    let called = Handle::from_bits(called);
    let badge = derivation::record(&kernel.tables, CapId::at(table, called.slot())).badge();
    push(kernel, id, (gate, stack), called);
    let given = give(kernel, table, given, into);
    let words = kernel.shared.gate_words(gate.index());
    let place = (words.entry(), words.stack_end(stack));
    kernel.threads.at_mut(id.index()).context.registers_mut().enter_call(place, [badge, given.bits()]);
}

/// Takes a thread out of those that wait for a stack of a gate.
pub fn stop_calling(kernel: &mut Kernel, id: ThreadId, gate: u32) {
    let mut waiting = kernel.gates.at(gate).waiting;
    waiting.remove(&mut kernel.threads, Chain::Queue, id);
    let object = kernel.gates.at_mut(gate);
    (object.waiting, object.waiting_count) = (waiting, object.waiting_count - 1);
    if waiting.is_empty() {
        kernel.shared.gate_words(gate).set_waited_for(false);
    }
    kernel.threads.at_mut(id.index()).state = ThreadState::Ready;
}

/// Has who has waited longest for a stack of a gate go in, if one is free. Where others could then, the gate is due: most often that
/// is so because what the first was to give along is gone, and many may have waited with the same.
pub fn serve(kernel: &mut Kernel, gate: u32) {
    serve_first(kernel, gate);
    if can_serve(kernel, gate) {
        kernel.gates.list_due(gate);
    }
}

/// The same of all who can go in or are to be told that they cannot, as far as the effort goes; gives whether that was all.
pub fn serve_more(kernel: &mut Kernel, gate: u32, effort: &mut Effort) -> bool {
    while can_serve(kernel, gate) {
        serve_first(kernel, gate);
        if !effort.spend(SERVE_UNITS + running::wake_units(kernel)) {
            return !can_serve(kernel, gate);
        }
    }
    true
}

fn can_serve(kernel: &Kernel, gate: u32) -> bool {
    !kernel.gates.at(gate).waiting.is_empty() && kernel.shared.gate_words(gate).free_stacks() != 0
}

fn serve_first(kernel: &mut Kernel, gate: u32) {
    let Some(id) = kernel.gates.at(gate).waiting.first(&kernel.threads) else { return };
    let Some(stack) = kernel.shared.gate_words(gate).take_stack_first() else { return };
    stop_calling(kernel, id, gate);
    let thread = kernel.threads.at(id.index());
    if thread.pending.is_some() {
        interrupting::reserve(kernel, id, (gate, stack));
        return ready::make_ready(kernel, id);
    }
    let (words, table) = (thread.context.registers().call_arguments(), thread.table_view.get().number());
    let planned = kernel.reserve_heap(HEAP_PAGES).and_then(|()| plan(kernel, table, &words));
    match planned {
        Ok((gate, _)) => enter_gate(kernel, id, (gate, stack), &words),
        Err(error) => {
            moving::give_up_waiting(kernel, id);
            kernel.shared.gate_words(gate).give_back(stack);
            ready::finish_call(kernel, id, Err(error));
        }
    }
    ready::make_ready(kernel, id);
}
