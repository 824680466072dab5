//! What decides when and where a thread runs: its priority, its set of CPUs.

use crate::base::cpu_set::CpuSet;
use crate::object::id::ThreadId;
use crate::sched::{ready, remote, running};
use crate::state::kernel::Kernel;
use crate::state::scheduler;

/// Gives a thread another priority; gives the one it had. The CPU that runs it, or sees to it while it waits, looks again
/// who goes on.
pub fn set_priority(kernel: &mut Kernel, id: ThreadId, priority: u8) -> u8 {
    let is_queued = kernel.threads[id].waits.is_some();
    if is_queued {
        kernel.scheduler.remove(&mut kernel.threads, id);
    }
    let (old, due) = scheduler::set_priority(&mut kernel.threads[id], priority);
    if is_queued {
        ready::make_ready(kernel, id);
    }
    ready::reschedule(kernel, due);
    old
}

/// Gives a thread another set of CPUs; one that waits for a CPU or runs on another one than the caller's goes where
/// it may be. The calling thread moves when the kernel is left.
pub fn set_affinity(kernel: &mut Kernel, id: ThreadId, affinity: CpuSet) {
    if kernel.threads[id].affinity == affinity {
        return;
    }
    let due = scheduler::set_affinity(&mut kernel.threads[id], affinity);
    let cpu = kernel.threads[id].cpu();
    if kernel.threads[id].waits.is_some() {
        kernel.scheduler.remove(&mut kernel.threads, id);
        ready::make_ready(kernel, id);
    } else if running::current(kernel, cpu) == Some(id)
        && affinity & (1 << cpu) == 0
        && cpu != tessera_arch::cpu_index()
    {
        remote::preempt_remote(kernel, cpu);
    }
    ready::reschedule(kernel, due);
}
