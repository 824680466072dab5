//! Where the other CPUs are while benchmarks run: asleep, and interrupts wake them.
//!
//! A CPU that has just started waits here, in no space, before it first wants the kernel's lock. So the boot CPU has the
//! kernel for itself, and a shootdown goes all the way: an interrupt, a CPU that wakes, an acknowledgement.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, Release};

use tessera_arch::Interrupt;

use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::tlb::flush;

/// Whether CPUs that start are to stand by.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// On the boot CPU, before it starts others: they stand by from then on.
pub fn ask() {
    IS_ASKED.store(true, Release);
}

/// On the boot CPU: lets the CPUs that run go on.
pub fn release(cpus: usize) {
    IS_ASKED.store(false, Release);
    let own = tessera_arch::cpu_index();
    (0..cpus).filter(|cpu| *cpu != own).for_each(|cpu| tessera_arch::send_interrupt(cpu, Interrupt::Reschedule));
}

/// On a CPU that starts: does what is asked of it, until it may go on.
pub fn stand_by(shared: &Shared, line: &PerCpu) {
    while IS_ASKED.load(Acquire) {
        if tessera_arch::wait_for_interrupt() == Interrupt::Shootdown {
            line.counters.shootdowns_received.add(1);
            flush::handle_ipi(shared, line, None);
        }
    }
}
