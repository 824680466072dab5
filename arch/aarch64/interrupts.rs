//! The interrupt controller: GICv3 by the `arm-gic` crate.

use core::arch::asm;
use core::ops::RangeInclusive;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicError, GicRedistributorIterator, GicV3, SgiTarget, SgiTargetGroup};
use arm_gic::{IntId, InterruptGroup, UniqueMmioPointer};
use spin::{Mutex, Once};

use crate::Interrupt;

use super::timer;

/// The software-generated interrupt that asks a CPU to look at its run queue.
pub(super) const RESCHEDULE: IntId = IntId::sgi(0);
/// The software-generated interrupt that asks a CPU to invalidate translations.
pub(super) const SHOOTDOWN: IntId = IntId::sgi(1);
/// The software-generated interrupt that stops a CPU for good.
pub(super) const STOP: IntId = IntId::sgi(2);
/// Lets interrupts of every priority through.
const LOWEST_PRIORITY: u8 = 0xff;
/// Priority of all interrupts: there is no nesting.
const PRIORITY: u8 = 0x80;

/// Numbers that stand for no interrupt (IHI 0069, 2.2.1 "Special INTIDs").
const SPECIAL: RangeInclusive<u32> = 1020..=1023;

/// The timer's interrupt number.
static TIMER: AtomicU32 = AtomicU32::new(u32::MAX);
/// The controller, but for each CPU's own interface, which is in system registers.
static CONTROLLER: Once<Mutex<GicV3<'static>>> = Once::new();

/// Sets up the distributor and the boot CPU's part. `timer` is the number of the timer's private peripheral
/// interrupt (27 by number means 11 here), `affinity` the boot CPU's.
///
/// # Panics
/// If the controller is not a GICv3.
///
/// # Safety
/// 1. Both addresses are those of the controller's registers, mapped as device memory, the redistributors' up to the
///    last one.
/// 2. Called once, on the boot CPU.
pub(super) unsafe fn start(distributor: NonNull<Gicd>, redistributors: NonNull<GicrSgi>, timer: u32, affinity: u64) {
    TIMER.store(u32::from(IntId::ppi(timer)), Ordering::Relaxed);
    let new = || -> Result<GicV3<'static>, GicError> {
        // SAFETY: the caller promises that the registers are there; nobody else uses them yet.
        let count = unsafe { GicRedistributorIterator::new(redistributors) }?.count();
        // SAFETY: as above; this is the only driver, and the iterator is gone.
        unsafe { GicV3::new(UniqueMmioPointer::new(distributor), redistributors, count) }
    };
    let mut gic = new().unwrap_or_else(|error| panic!("the interrupt controller: {error}"));
    gic.enable_all_interrupts(false);
    gic.distributor().configure_default_settings();
    CONTROLLER.call_once(|| Mutex::new(gic));
    start_cpu(affinity);
}

/// Sets up the part of the CPU that runs this, which has this affinity, with the timer and the software-generated interrupts enabled.
///
/// # Panics
/// If the controller does not know this CPU.
pub(super) fn start_cpu(affinity: u64) {
    let mut gic = CONTROLLER.get().expect("the interrupt controller was started").lock();
    let index = (0..)
        .map_while(|index| gic.gicr_typer(index).ok())
        .position(|description| description.core_mpidr() == affinity)
        .unwrap_or_else(|| panic!("the interrupt controller has no redistributor for CPU {affinity:#x}"));
    let timer = IntId::ppi(TIMER.load(Ordering::Relaxed) - u32::from(IntId::ppi(0)));
    let mut configure = || {
        gic.gicr_power_on(index)?;
        gic.init_cpu(index);
        gic.redistributor(index)?.configure_default_settings();
        for interrupt in [timer, RESCHEDULE, SHOOTDOWN, STOP] {
            gic.set_interrupt_priority(interrupt, Some(index), PRIORITY)?;
            gic.enable_interrupt(interrupt, Some(index), true)?;
        }
        Ok(())
    };
    configure().unwrap_or_else(|error: GicError| panic!("the interrupt controller: {error}"));
    GicCpuInterface::set_priority_mask(LOWEST_PRIORITY);
    GicCpuInterface::enable_group1(true);
}

/// Whether `send` reaches a CPU: its lowest level of affinity must be one of 16.
pub(super) fn can_reach(affinity: u64) -> bool {
    affinity & 0xff < 16
}

/// Sends a software-generated interrupt to one CPU. What was written before is visible to it then.
pub(super) fn send(affinity: u64, interrupt: IntId) {
    let [affinity0, affinity1, affinity2, _, affinity3, ..] = affinity.to_le_bytes();
    generate(interrupt, SgiTarget::List { affinity3, affinity2, affinity1, target_list: 1 << (affinity0 & 15) });
}

/// Sends a software-generated interrupt to all CPUs but this one.
pub(super) fn send_to_others(interrupt: IntId) {
    generate(interrupt, SgiTarget::All);
}

fn generate(interrupt: IntId, target: SgiTarget) {
    // SAFETY: barriers change no value. System registers are not ordered with memory accesses without one (IHI 0069,
    // 12.1.6).
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
    GicCpuInterface::send_sgi(interrupt, target, SgiTargetGroup::CurrentGroup1)
        .unwrap_or_else(|error| panic!("interrupt {interrupt:?}: {error}"));
    // SAFETY: as above; the interrupt leaves without delay.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// Takes the pending interrupt, if any, and finishes it as far as the hardware is concerned. `None`, and not finished:
/// another CPU wants this one to stop.
pub(super) fn take_interrupt() -> Option<Interrupt> {
    let group = InterruptGroup::Group1;
    let number = match GicCpuInterface::get_and_acknowledge_interrupt(group) {
        Some(number) if !SPECIAL.contains(&u32::from(number)) => number,
        // Nothing was acknowledged, so there is nothing to end.
        _ => return Some(Interrupt::Spurious),
    };
    let interrupt = match number {
        RESCHEDULE => Interrupt::Reschedule,
        SHOOTDOWN => Interrupt::Shootdown,
        STOP => return None,
        _ if u32::from(number) == TIMER.load(Ordering::Relaxed) => {
            // The line stays high until the timer is off, and the interrupt must not be ended before.
            timer::set_timer(None);
            // SAFETY: a barrier changes no value. The register is written when it is through.
            unsafe { asm!("isb", options(nostack, preserves_flags)) };
            Interrupt::Timer
        }
        _ => Interrupt::Spurious,
    };
    GicCpuInterface::end_interrupt(number, group);
    // What the sender wrote before is read after this.
    // SAFETY: barriers change no value.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
    Some(interrupt)
}

/// Lets no interrupt through to this CPU any more.
pub(super) fn close() {
    GicCpuInterface::enable_group1(false);
}
