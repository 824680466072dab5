//! The other CPUs: starting them by PSCI.
//!
//! CPU 0 is the one that booted; the others have numbers in the order of the device tree.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use spin::Once;

use crate::{CPUS_MAX, upcall};

use super::machine::{AFFINITY_FIELDS, CpuList};
use super::{entry, features, interrupts, paging, percpu, plugin, power, smp, timer, trampoline};

/// How long a CPU may take to come up; on an emulator whose host has other work to do that can be long.
const START_NS_MAX: u64 = 5_000_000_000;
/// Stands for no CPU.
const NOBODY: usize = usize::MAX;

/// The machine's CPUs, found at boot.
static FOUND: Once<CpuList> = Once::new();
/// The CPU that is being started; it takes its number out when it is there.
static EXPECTED: AtomicUsize = AtomicUsize::new(NOBODY);
/// CPUs that came up may go on.
static ARE_RELEASED: AtomicBool = AtomicBool::new(false);

/// The affinity of the CPU that runs this.
pub(super) fn own_affinity() -> u64 {
    MPIDR_EL1.get() & AFFINITY_FIELDS
}

/// Remembers the machine's CPUs.
pub(super) fn set_cpus(found: &CpuList) {
    smp::set_affinity(0, found.boot);
    FOUND.call_once(|| found.clone());
}

/// Starts CPUs until `count` run, this one included, and says how many do. Called once, by the boot CPU.
///
/// Each goes on in `kernel_cpu_main` once all are there. A CPU that the firmware refuses to start is left out; after
/// one that does not come up in time no more are started.
pub fn start_cpus(count: usize) -> usize {
    let mut next = 1;
    for affinity in FOUND.get().map_or(&[][..], CpuList::others) {
        if next >= count.min(CPUS_MAX) {
            break;
        }
        match start_cpu(next, *affinity) {
            Outcome::Runs => next += 1,
            Outcome::Refused => {}
            Outcome::Missing => break,
        }
    }
    ARE_RELEASED.store(true, Ordering::Release);
    // SAFETY: wakes the CPUs that wait in `enter`; changes no value.
    unsafe { asm!("dsb ishst", "sev", options(nostack, preserves_flags)) };
    next
}

/// What became of a CPU that was to start.
enum Outcome {
    Runs,
    Refused,
    Missing,
}

fn start_cpu(cpu: usize, affinity: u64) -> Outcome {
    smp::set_affinity(cpu, affinity);
    let entry = trampoline::prepare(cpu, enter);
    EXPECTED.store(cpu, Ordering::Relaxed);
    if !interrupts::can_reach(affinity) || power::start_cpu(affinity, entry.code, entry.argument).is_err() {
        return Outcome::Refused;
    }
    let end_ns = timer::now_ns() + START_NS_MAX;
    while EXPECTED.load(Ordering::Acquire) == cpu {
        // Too late only if it does not come at this very moment.
        if timer::now_ns() >= end_ns && take_expected(cpu) {
            return Outcome::Missing;
        }
        core::hint::spin_loop();
    }
    Outcome::Runs
}

/// Takes the number of the CPU that is being started, unless it is taken already.
fn take_expected(cpu: usize) -> bool {
    EXPECTED.compare_exchange(cpu, NOBODY, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// Where the trampoline leads: the CPU has the kernel's tables and its stack, and nothing else of its own.
extern "C" fn enter(cpu: u64) -> ! {
    let cpu = cpu as usize;
    percpu::install(cpu);
    entry::install_vectors();
    paging::leave_user_half_empty();
    features::enable();
    timer::start_cpu();
    interrupts::start_cpu(own_affinity());
    if !take_expected(cpu) {
        // Nobody waits any more.
        power::stop_cpu();
    }
    plugin::begin_cpu();
    while !ARE_RELEASED.load(Ordering::Acquire) {
        // SAFETY: waits for an event such as the one that `start_cpus` sends.
        unsafe { asm!("wfe", options(nostack, preserves_flags)) };
    }
    upcall::kernel_cpu_main()
}
