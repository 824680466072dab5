//! Making threads ready: on which CPU, and that this one learns of it.

use tessera_abi::Error;
use tessera_arch::Interrupt;

use crate::base::cpu_set::{self, CpuSet};
use crate::object::id::ThreadId;
use crate::object::thread::Thread;
use crate::state::kernel::Kernel;
use crate::state::scheduler::Reschedule;

/// The CPUs on which a thread may go on: its affinity, or the CPU its space is local to.
pub fn allowed_cpus(kernel: &Kernel, thread: &Thread) -> CpuSet {
    let only_cpu = kernel.shared.space_words(thread.space.index()).only_cpu();
    only_cpu.map_or(thread.affinity, |cpu| 1 << cpu) & running_cpus(kernel)
}

fn running_cpus(kernel: &Kernel) -> CpuSet {
    cpu_set::first(kernel.cpus())
}

/// Makes a thread ready on the CPU that suits it best.
pub fn make_ready(kernel: &mut Kernel, id: ThreadId) {
    let thread = kernel.threads.at(id.index());
    let (allowed, running) = (allowed_cpus(kernel, thread), running_cpus(kernel));
    let cpu = kernel.scheduler.place(&kernel.threads, thread, kernel.cpus(), allowed);
    let due = kernel.scheduler.make_ready(&mut kernel.threads, id, cpu, [allowed, running]);
    reschedule(kernel, due);
}

/// Makes a thread ready that was taken off its CPU for a moment: it goes on there, if it may. No other CPU is looked at: one may
/// take many off theirs at once.
pub fn make_ready_again(kernel: &mut Kernel, id: ThreadId) {
    let thread = kernel.threads.at(id.index());
    let (allowed, running, cpu) = (allowed_cpus(kernel, thread), running_cpus(kernel), thread.cpu());
    if allowed & (1 << cpu) == 0 {
        return make_ready(kernel, id);
    }
    let due = kernel.scheduler.make_ready(&mut kernel.threads, id, cpu, [allowed, running]);
    reschedule(kernel, due);
}

/// Has a CPU look again who goes on there: when the kernel is left, if it is the calling one, else at once.
pub fn reschedule(kernel: &mut Kernel, due: Reschedule) {
    let cpu = due.cpu();
    kernel.scheduler.cpus[cpu].need_resched.set(true);
    if cpu != tessera_arch::cpu_index() {
        tessera_arch::send_interrupt(cpu, Interrupt::Reschedule);
    }
}

/// Sets the result of the call that a thread is in.
pub fn finish_call(kernel: &mut Kernel, id: ThreadId, result: Result<u64, Error>) {
    let (status, value) = match result {
        Ok(value) => (0, value),
        Err(error) => (error.status(), 0),
    };
    kernel.threads[id].context.registers_mut().set_result(status, value);
}
