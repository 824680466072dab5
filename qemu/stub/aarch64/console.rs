//! Error messages on the serial line.

use core::fmt::{self, Write};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use arm_pl011_uart::{PL011Registers, Uart, UniqueMmioPointer};
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use smccc::{Hvc, Smc, psci};

static REGISTERS: AtomicPtr<PL011Registers> = AtomicPtr::new(ptr::null_mut());
static FIRMWARE_BY_SMC: AtomicBool = AtomicBool::new(false);

/// Finds the serial line, and how to switch off, in the device tree.
pub(crate) fn find(tree: Fdt<'_>) {
    if let Some(address) = serial_line(tree.root()) {
        REGISTERS.store(ptr::with_exposed_provenance_mut(address as usize), Ordering::Relaxed);
    }
    let method = tree.find_node("/psci").and_then(|node| node.property("method"));
    let by_smc = method.is_some_and(|method| method.value_as() == Ok("smc"));
    FIRMWARE_BY_SMC.store(by_smc, Ordering::Relaxed);
}

/// Where the registers of the first PL011 begin, at this node or below.
fn serial_line(node: FdtNode<'_>) -> Option<u64> {
    if node.is_compatible("arm,pl011") {
        return node.reg().ok()??.next()?.address().ok();
    }
    node.children().find_map(serial_line)
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
