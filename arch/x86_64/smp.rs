//! Several CPUs: interrupting them, stopping them.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use x86_64::instructions::{hlt, interrupts as interrupt_flag};

use super::idt::vector;
use super::interrupts::{self, Message};
use super::percpu::cpu_index;
use super::timer::now_ns;
use crate::{CPUS_MAX, Interrupt};

/// Invalidation reaches the calling CPU only.
#[inline(always)]
pub const fn broadcasts_invalidation() -> bool {
    false
}

/// The number of each CPU's local APIC; filled in before the CPU runs.
static APICS: [AtomicU32; CPUS_MAX] = [const { AtomicU32::new(0) }; CPUS_MAX];
/// How many CPUs run.
static RUNNING: AtomicUsize = AtomicUsize::new(1);
/// The CPU that stopped the others.
static STOPPER: AtomicUsize = AtomicUsize::new(NOBODY);
/// Stands for no CPU.
const NOBODY: usize = usize::MAX;
/// A bit for each CPU that was stopped.
static STOPPED: AtomicUsize = AtomicUsize::new(0);
/// How long stopping the others may take: on an emulator they may not get to run at once.
const STOP_NS_MAX: u64 = 1_000_000_000;

/// Remembers by which local APIC a CPU is reached.
pub(super) fn set_number(cpu: usize, number: u32) {
    APICS[cpu].store(number, Ordering::Relaxed);
}

/// Remembers how many CPUs run.
pub(super) fn set_running(count: usize) {
    RUNNING.store(count, Ordering::Release);
}

/// Interrupts another CPU: [`Interrupt::Reschedule`] or [`Interrupt::Shootdown`].
///
/// Everything that this CPU wrote before is visible to the other one when it takes the interrupt.
///
/// # Panics
/// For the other interrupts, which no CPU can send.
pub fn send_interrupt(cpu: usize, interrupt: Interrupt) {
    let vector = match interrupt {
        Interrupt::Reschedule => vector::RESCHEDULE,
        Interrupt::Shootdown => vector::SHOOTDOWN,
        Interrupt::Timer | Interrupt::Spurious => panic!("{interrupt:?} is no interrupt between CPUs"),
    };
    interrupts::send(APICS[cpu].load(Ordering::Relaxed), Message::Interrupt(vector));
}

/// Interrupts every CPU, this one included, in the way that cannot be masked, for no reason.
pub(super) fn interrupt_all() {
    let count = RUNNING.load(Ordering::Acquire);
    APICS[..count].iter().for_each(|number| interrupts::send(number.load(Ordering::Relaxed), Message::NonMaskable));
}

/// Makes the calling CPU the only one that runs, for good, so that what it reports last stands alone.
///
/// A second call by the same CPU does nothing. Of several CPUs that call at once one goes on; for the others the
/// call does not return.
pub fn stop_other_cpus() {
    interrupt_flag::disable();
    let own = cpu_index();
    match STOPPER.compare_exchange(NOBODY, own, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            let count = RUNNING.load(Ordering::Acquire);
            let others = (0..count).filter(|cpu| *cpu != own);
            others.for_each(|cpu| interrupts::send(APICS[cpu].load(Ordering::Relaxed), Message::NonMaskable));
            let are_stopped = || STOPPED.load(Ordering::Acquire).count_ones() as usize >= count - 1;
            // Alone, nothing is asked of the clock, which may not run yet.
            if !are_stopped() {
                wait_ns(STOP_NS_MAX, are_stopped);
            }
        }
        Err(stopper) if stopper == own => {}
        Err(_) => stop(),
    }
}

/// Whether another CPU has stopped this one.
pub(super) fn is_to_stop() -> bool {
    let stopper = STOPPER.load(Ordering::Acquire);
    stopper != NOBODY && stopper != cpu_index()
}

/// Stops the running CPU for good.
pub(super) fn stop() -> ! {
    interrupt_flag::disable();
    STOPPED.fetch_or(1 << cpu_index(), Ordering::Release);
    loop {
        hlt();
    }
}

/// Waits for a condition, and says whether it came true in time.
pub(super) fn wait_ns(at_most_ns: u64, is_true: impl Fn() -> bool) -> bool {
    let end_ns = now_ns() + at_most_ns;
    while !is_true() {
        if now_ns() >= end_ns {
            return false;
        }
        spin_loop();
    }
    true
}
