//! Error messages on the serial line.

use core::fmt::{self, Write};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use arm_pl011_uart::{PL011Registers, Uart, UniqueMmioPointer};
use fdt::Fdt;
use smccc::{Hvc, Smc, psci};

static REGISTERS: AtomicPtr<PL011Registers> = AtomicPtr::new(ptr::null_mut());
static FIRMWARE_BY_SMC: AtomicBool = AtomicBool::new(false);

/// Finds the serial line, and how to switch off, in the device tree.
pub(crate) fn find(tree: &Fdt<'_>) {
    let line = tree.find_compatible(&["arm,pl011"]);
    if let Some(region) = line.and_then(|line| line.reg()?.next()) {
        REGISTERS.store(region.starting_address.cast_mut().cast(), Ordering::Relaxed);
    }
    let firmware = tree.find_node("/psci");
    let method = firmware.and_then(|node| node.property("method")).and_then(|method| method.as_str());
    FIRMWARE_BY_SMC.store(method == Some("smc"), Ordering::Relaxed);
}

/// Prints why the kernel cannot be started and switches the machine off.
pub(crate) fn fail(reason: fmt::Arguments<'_>) -> ! {
    if let Some(registers) = NonNull::new(REGISTERS.load(Ordering::Relaxed)) {
        // SAFETY: the device tree says that a PL011 is there, and the first tables map it as device memory.
        let mut line = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
        // Nothing is left to do if the line does not take it.
        let _ = writeln!(line, "[stub] error: {reason}");
    }
    let _ = if FIRMWARE_BY_SMC.load(Ordering::Relaxed) { psci::system_off::<Smc>() } else { psci::system_off::<Hvc>() };
    loop {
        core::hint::spin_loop();
    }
}
