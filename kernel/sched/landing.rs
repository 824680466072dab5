//! Where threads land that have to leave their space.

use tessera_abi::Handle;
use tessera_abi::layout::FallbackReason;

use crate::cpu::switch;
use crate::object::id::ThreadId;
use crate::object::thread::Fallback;
use crate::sched::{enter, inside, interrupting, locks, noting, running};
use crate::state::kernel::Kernel;

/// Where a thread lands that has to leave the space in whose list it is.
pub fn landing(kernel: &Kernel, id: ThreadId) -> Option<Fallback> {
    landing_from(kernel, id, kernel.threads[id].space.index())
}

/// The same from the space with this number, in which it is.
pub fn landing_from(kernel: &Kernel, id: ThreadId, space: u32) -> Option<Fallback> {
    let thread = kernel.threads.at(id.index());
    let usable = |fallback: &Fallback| {
        let enterable = |only: usize| thread.affinity & (1 << only) != 0;
        fallback.space.index() != space
            && kernel.spaces.find(fallback.space).is_some()
            && kernel.shared.space_words(fallback.space.index()).only_cpu().is_none_or(enterable)
            && locks::ensure_none(kernel, fallback.space).is_ok()
    };
    thread.fallback.filter(usable)
}

/// Has a thread land, which is in no queue, and whose registers no CPU has.
pub(super) fn land(kernel: &mut Kernel, id: ThreadId, fallback: Fallback, reason: FallbackReason) {
    forget_call(kernel, id);
    locks::leave(kernel, id, 0);
    noting::note_space(kernel, id, fallback.space);
    inside::note_landing(kernel, id, fallback.lent);
    let thread = kernel.threads.at_mut(id.index());
    thread.entered_by = Handle::NONE;
    let registers = thread.context.registers_mut();
    registers.set_entry(fallback.instruction_pointer, fallback.stack_pointer, [reason as u64, 0]);
    // It lands in the middle of anything: what it had set for its own arithmetic is not what a function expects.
    thread.context.reset_floating_point();
}

/// Forgets what a thread is in the middle of that has to leave where it is. What it owes, it owes; a fault that was pending happened
/// there.
#[inline(always)]
pub(super) fn forget_call(kernel: &mut Kernel, id: ThreadId) {
    let mut thread = kernel.threads.at_mut(id.index());
    if thread.progress.is_any() || thread.marker.is_some() {
        forget_progress(kernel, id);
        thread = kernel.threads.at_mut(id.index());
    }
    if thread.pending.is_some() {
        interrupting::forget_pending(kernel, id);
    }
}

#[cold]
#[inline(never)]
fn forget_progress(kernel: &mut Kernel, id: ThreadId) {
    if kernel.threads.at(id.index()).progress.is_any() {
        kernel.abandon_call(id);
    }
    inside::forget_marker(kernel, id);
}

/// Has the calling CPU's thread land, which goes on there at once: nobody else's turn has come. Gives whether it did; it
/// does not if it lands where another CPU only can be.
pub fn land_here(
    kernel: &mut Kernel,
    (cpu, id): (usize, ThreadId),
    fallback: Fallback,
    reason: FallbackReason,
) -> bool {
    let space = fallback.space;
    if running::current(kernel, cpu) != Some(id) || enter::ensure_enterable(kernel, cpu, space).is_err() {
        return false;
    }
    tessera_arch::leave_context();
    land(kernel, id, fallback, reason);
    tessera_arch::resume_context(&kernel.threads.at(id.index()).context);
    if !switch::enter_by_pass(&kernel.shared.cpus[cpu], space.index(), Handle::NONE) {
        enter::enter_space(kernel, cpu, space.index(), Handle::NONE);
    }
    true
}
