//! `yield_now`: the one common call whose purpose is that another thread runs.
//!
//! The entry code saves the caller's registers at once, with the result that the call always has, and comes here: what
//! [`quick`](crate::entry::quick) calls spare would have to be done afterwards. The call itself takes no memory and gives
//! up nothing, so there is nothing of that to be seen to either.

use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::entry::{quick, trap};
use crate::sched::running::{self, Next};
use crate::state::kernel::Kernel;

/// Gives way to the next thread of the caller's priority on its CPU, if there is one. Gives whether that was all; if not, the
/// kernel is left as after any trap, by finding out who goes on. `shared` is the kernel's own, at a place that the caller knows.
#[inline(always)]
pub fn yield_now(kernel: &mut Kernel, shared: &Shared, line: &PerCpu) -> bool {
    let cpu = line.number();
    line.counters.system_calls.add(1);
    match if quick::is_due(shared, line) { None } else { running::rotate(kernel, line) } {
        Some(Next::Runs) => return true,
        Some(Next::Asks(pending)) => trap::handle_pending(kernel, cpu, pending),
        Some(Next::Owes(debt)) => trap::owe_still(kernel, cpu, debt),
        Some(Next::Nothing) | None => running::end_turn(kernel, cpu),
    }
    false
}
