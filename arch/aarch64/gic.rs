//! The interrupt controller: GICv3 by the `arm-gic` crate.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicV3};
use arm_gic::{IntId, InterruptGroup, UniqueMmioPointer};

use crate::Interrupt;

use super::timer;

/// The software-generated interrupt that asks a CPU to look at its run queue.
const RESCHEDULE: IntId = IntId::sgi(0);
/// The software-generated interrupt that asks a CPU to invalidate translations.
const SHOOTDOWN: IntId = IntId::sgi(1);
/// Lets interrupts of every priority through.
const LOWEST_PRIORITY: u8 = 0xff;
/// Priority of all interrupts: there is no nesting.
const PRIORITY: u8 = 0x80;

/// The timer's interrupt number.
static TIMER: AtomicU32 = AtomicU32::new(u32::MAX);

/// Sets up the distributor and the boot CPU's interface, with the timer and the two software-generated
/// interrupts enabled. `timer` is the number of the timer's private peripheral interrupt (27 by number means 11 here).
///
/// # Panics
/// If the controller is not a GICv3.
///
/// # Safety
/// 1. Both addresses are those of the controller's registers, mapped as device memory.
/// 2. Called once, on the boot CPU.
pub(super) unsafe fn start(distributor: NonNull<Gicd>, redistributors: NonNull<GicrSgi>, timer: u32) {
    let timer = IntId::ppi(timer);
    TIMER.store(u32::from(timer), Ordering::Relaxed);
    // SAFETY: the caller promises that the registers are there; this is the only driver.
    let gic = unsafe { GicV3::new(UniqueMmioPointer::new(distributor), redistributors, 1) };
    let mut gic = gic.unwrap_or_else(|error| panic!("the interrupt controller: {error}"));
    gic.enable_all_interrupts(false);
    gic.setup(0);
    for interrupt in [timer, RESCHEDULE, SHOOTDOWN] {
        gic.set_interrupt_priority(interrupt, Some(0), PRIORITY)
            .and_then(|()| gic.enable_interrupt(interrupt, Some(0), true))
            .unwrap_or_else(|error| panic!("interrupt {interrupt:?}: {error}"));
    }
    GicCpuInterface::set_priority_mask(LOWEST_PRIORITY);
}

/// Takes the pending interrupt, if any, and finishes it as far as the hardware is concerned.
pub(super) fn take_interrupt() -> Interrupt {
    let group = InterruptGroup::Group1;
    let Some(number) = GicCpuInterface::get_and_acknowledge_interrupt(group) else {
        return Interrupt::Spurious;
    };
    let interrupt = match number {
        RESCHEDULE => Interrupt::Reschedule,
        SHOOTDOWN => Interrupt::Shootdown,
        _ if u32::from(number) == TIMER.load(Ordering::Relaxed) => {
            // The line stays high until the timer is off.
            timer::set_timer(None);
            Interrupt::Timer
        }
        _ => Interrupt::Spurious,
    };
    GicCpuInterface::end_interrupt(number, group);
    interrupt
}
