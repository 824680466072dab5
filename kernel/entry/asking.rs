//! Faults of which a handler is asked on the fast path.

use tessera_arch::{Access, HandlerStart, UserPlace, VirtAddr};

use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::sched::handler_path;
use crate::state::kernel::Kernel;
use crate::vm::fault;

/// Asks a handler of a fault of the calling CPU's thread, if the page is missing or does not allow what the thread tried. Gives where the
/// handler begins; or nothing has changed.
#[inline(always)]
pub fn ask(
    kernel: &mut Kernel,
    shared: &Shared,
    line: &PerCpu,
    (access, address): (Access, VirtAddr),
    start: &mut HandlerStart,
) -> Option<UserPlace> {
    let Kernel { spaces, public, threads, subtree_handlers, .. } = kernel;
    let number = line.presence.space();
    let (_, space) = spaces.look(number)?;
    if *subtree_handlers != 0 || !fault::is_denied((public, line.index), space, address, access) {
        return None;
    }
    let place = handler_path::ask_of_fault((shared, line), threads, (number, space), (access, address), start)?;
    line.counters.faults.add(1);
    Some(place)
}
