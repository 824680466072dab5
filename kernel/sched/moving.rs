//! Moving a way into a space, a gate or a guest along with a gate call or its return, on a machine whose CPUs are too many to be asked in
//! one entry who is inside by it. The call is made again until all were asked; meanwhile nobody comes in by the capability, which keeps
//! the rights that it had for the move. Whoever gives the move up has it back.

use tessera_abi::Handle;

use crate::base::effort::Effort;
use crate::cpu::cap_word::CapWord;
use crate::object::id::{CapId, ThreadId};
use crate::sched::way_in::{self, Closing};
use crate::state::kernel::Kernel;

/// Of a call's flags: the capability is moved.
pub(super) const MOVES: u64 = 1 << 1;

/// Closes what is moved along, if it leads somewhere, as far as the effort goes; gives whether that was all. It was planned.
#[inline(always)]
pub(super) fn close(kernel: &mut Kernel, table: u32, moved: Option<Handle>, effort: &mut Effort) -> bool {
    match moved {
        Some(handle) if !way_in::is_closed_at_once(kernel) => close_further(kernel, table, handle, effort),
        _ => true,
    }
}

#[cold]
#[inline(never)]
fn close_further(kernel: &mut Kernel, table: u32, handle: Handle, effort: &mut Effort) -> bool {
    let cap = CapId::at(table, handle.slot());
    if !way_in::is_way_in(kernel, cap) {
        return true;
    }
    let rights = held(kernel, table, handle).map_or(CapWord::FREE, |word| word).rights();
    let closing = way_in::close_to_others(kernel, cap, effort);
    kernel.tables.at_mut(table).keep_rights(handle.slot(), rights);
    closing != Closing::Begun
}

/// What a handle names, with the rights that it had before somebody began to move it.
pub(super) fn held(kernel: &Kernel, table: u32, handle: Handle) -> Option<CapWord> {
    let table = kernel.tables.at(table);
    let word = table.cap_slots().get(handle.slot() as usize)?.read(handle.generation())?;
    let rights = if word.is_closed() { table.kept_rights(handle.slot()) } else { word.rights() };
    (word != CapWord::FREE).then(|| word.with(rights))
}

/// What a call was to move stays where it is, with its rights.
pub fn give_up(kernel: &mut Kernel, table: u32, handle: Handle) {
    let table = kernel.tables.at_mut(table);
    if let Ok(slot) = table.slot_of(handle) {
        table.reopen(slot);
    }
}

/// The same of what a thread was to move with the call in which it waits for a stack.
pub(super) fn give_up_waiting(kernel: &mut Kernel, id: ThreadId) {
    let thread = kernel.threads.at(id.index());
    let (words, table) = (thread.context.registers().call_arguments(), thread.table_view.get().number());
    // Who waits for a handler has made no call.
    if thread.pending.is_none() && words[1] & MOVES != 0 {
        give_up(kernel, table, Handle::from_bits(words[2]));
    }
}
