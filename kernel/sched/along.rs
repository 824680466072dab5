//! `gate_call` and `gate_return` with a capability that goes along, as the entry code makes them: the fast path (`cpu::gate_path`) behind
//! the kernel's lock, and the capability given when the thread is on its way. The thread's registers stay where they are.
//!
//! What stands in the way sends the call to the common path (`sched::calling`), which does the same, and tells what is wrong.

use tessera_abi::{Handle, ObjectKind, Rights};
use tessera_arch::UserPlace;

use crate::cpu::gate_path;
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::table_view::TableView;
use crate::sched::entering::{self, Given, WAITS};
use crate::sched::moving::MOVES;
use crate::sched::way_in;
use crate::state::kernel::Kernel;

/// Calls a gate from this place with the words of the call: gate, flags, capability, rights. Gives where the call begins; the first
/// words are its arguments then, badge and capability.
#[inline(always)]
pub fn call(kernel: &mut Kernel, line: &PerCpu, words: &mut [u64; 4], place: UserPlace) -> UserPlace {
    let [gate, flags, capability, rights] = *words;
    let (table, gate) = (line.table.get(), Handle::from_bits(gate));
    let word = table.word_of(gate);
    let Some(number) = word.and_then(|word| word.object(ObjectKind::Gate, Rights::CALL)) else {
        return UserPlace::COMMON;
    };
    let inner = kernel.shared.gate_words(number);
    // As long as it is open its table is there.
    if flags & !(WAITS | MOVES) != 0 || !inner.is_open() {
        return UserPlace::COMMON;
    }
    let into = inner.table.get().number();
    let Some(given) = plan(kernel, table, [capability, rights, flags], into) else { return UserPlace::COMMON };
    let mut badge = 0;
    let goal = gate_path::call(kernel.shared, line, gate, &mut badge, place);
    if goal != UserPlace::COMMON {
        [words[0], words[1]] = [badge, entering::give_plain(kernel, table.number(), given, into).bits()];
    }
    goal
}

/// Returns from the call that the thread is in with the words of the return: capability, rights, flags. Gives where that is; the first
/// word is the call's value then.
#[inline(always)]
pub fn go_back(kernel: &mut Kernel, line: &PerCpu, words: &mut [u64; 3]) -> UserPlace {
    // With the lock nobody begins to wait for the stack. Whoever is below is sound, as it is fresh.
    let Some(into) = gate_path::table_below(line).filter(|_| words[2] & !MOVES == 0) else { return UserPlace::COMMON };
    let table = line.table.get();
    let Some(given) = plan(kernel, table, *words, into) else { return UserPlace::COMMON };
    let goal = gate_path::go_back(line, |_| UserPlace::COMMON);
    if goal != UserPlace::COMMON {
        words[0] = entering::give_plain(kernel, table.number(), given, into).bits();
    }
    goal
}

/// What goes along, if something does and can. What leads somewhere is not moved here, as those inside have to be looked for.
#[inline(always)]
fn plan(kernel: &Kernel, table: &TableView, [handle, rights, flags]: [u64; 3], into: u32) -> Option<Given> {
    let (handle, is_moved) = (Handle::from_bits(handle), flags & MOVES != 0);
    let rights = u32::try_from(rights).ok().and_then(Rights::from_bits)?;
    // A slot that is free carries no right.
    let word = table.word_of(handle).filter(|word| word.rights().contains(Rights::GRANT | rights))?;
    if is_moved && way_in::leads_in(word) {
        return None;
    }
    kernel.tables.undoomed(into)?.ensure_slot().ok().map(|()| Given { handle, rights, is_moved })
}
