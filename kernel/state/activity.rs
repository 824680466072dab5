//! Whether anybody has done anything in the kernel: what whoever counts over several entries asks.

use crate::cpu::per_cpu::PerCpu;
use crate::state::kernel::Kernel;

impl Kernel {
    /// A number that grows with whatever anybody does in the kernel: with each call, fault, timer interrupt and change of
    /// threads, which are counted anyway, and with what is done besides ([`Kernel::note_activity`]).
    pub fn activity(&self) -> u64 {
        let counted = |line: &PerCpu| {
            let counters = &line.counters;
            let done =
                [&counters.system_calls, &counters.faults, &counters.timer_interrupts, &counters.thread_switches];
            done.iter().map(|counter| counter.get()).sum::<u64>()
        };
        self.shared.lines().iter().map(counted).sum::<u64>() + self.self_check.uncounted.get()
    }

    /// Notes that something is done that no counter of a CPU counts, and that a check may look at.
    pub fn note_activity(&self) {
        self.self_check.uncounted.set(self.self_check.uncounted.get() + 1);
    }
}
