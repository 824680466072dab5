//! Several CPUs: interrupting them, stopping them.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::{CPUS_MAX, Interrupt};

use super::interrupts;
use super::percpu::index as cpu_index;

/// The plain forms of invalidation reach every CPU.
#[inline(always)]
pub const fn broadcasts_invalidation() -> bool {
    true
}

/// Each running CPU's affinity, by its number; filled in before the CPU runs.
static AFFINITIES: [AtomicU64; CPUS_MAX] = [const { AtomicU64::new(0) }; CPUS_MAX];
/// The CPU that stopped the others.
static STOPPER: AtomicUsize = AtomicUsize::new(NOBODY);
/// Stands for no CPU.
const NOBODY: usize = usize::MAX;

/// Remembers by which affinity a CPU is reached.
pub(super) fn set_affinity(cpu: usize, affinity: u64) {
    AFFINITIES[cpu].store(affinity, Ordering::Relaxed);
}

/// Takes the pending interrupt, if any, and says what it means. If it is another CPU's wish that this one stop, it does.
pub(super) fn take_interrupt() -> Interrupt {
    interrupts::take_interrupt().unwrap_or_else(|| stop())
}

/// Interrupts another CPU: [`Interrupt::Reschedule`] or [`Interrupt::Shootdown`].
///
/// Everything that this CPU wrote before is visible to the other one when it takes the interrupt. Several of one
/// kind that the other CPU has not taken yet become one.
///
/// # Panics
/// For the other interrupts, which no CPU can send.
pub fn send_interrupt(cpu: usize, interrupt: Interrupt) {
    let number = match interrupt {
        Interrupt::Reschedule => interrupts::RESCHEDULE,
        Interrupt::Shootdown => interrupts::SHOOTDOWN,
        Interrupt::Timer | Interrupt::Spurious => panic!("{interrupt:?} is no interrupt between CPUs"),
    };
    interrupts::send(AFFINITIES[cpu].load(Ordering::Relaxed), number);
}

/// Makes the calling CPU the only one that runs, for good, so that what it reports last stands alone.
///
/// The others stop where they next take an interrupt or want to end the machine: kernel code is not interrupted. A second
/// call by the same CPU does nothing. Of several CPUs that call at once one goes on; for the others the call does not
/// return.
pub fn stop_other_cpus() {
    let own = cpu_index();
    match STOPPER.compare_exchange(NOBODY, own, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => interrupts::send_to_others(interrupts::STOP),
        Err(stopper) if stopper == own => {}
        Err(_) => stop(),
    }
}

/// Stops the CPU that runs this for good.
fn stop() -> ! {
    interrupts::close();
    loop {
        // SAFETY: exceptions are masked and no interrupt gets through any more; nothing is left to do.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}
