//! The interrupt descriptor table: 256 gates to the entry code, one table for all CPUs.

use core::cell::UnsafeCell;

use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::idt::Entry;
use x86_64::{PrivilegeLevel, VirtAddr as MachineAddress};

/// Exceptions by number (SDM volume 3, table 7-1).
pub(super) mod vector {
    pub(in super::super) const DEBUG: u8 = 1;
    pub(in super::super) const NON_MASKABLE: u8 = 2;
    pub(in super::super) const BREAKPOINT: u8 = 3;
    pub(in super::super) const DOUBLE_FAULT: u8 = 8;
    pub(in super::super) const PAGE_FAULT: u8 = 14;
    pub(in super::super) const MACHINE_CHECK: u8 = 18;
    /// Vectors below this are exceptions.
    pub(in super::super) const EXCEPTIONS: u8 = 32;
    /// Where the old interrupt controllers are moved to, 16 vectors, all masked.
    pub(in super::super) const OLD_CONTROLLERS: u8 = 32;
    /// The local APIC's timer.
    pub(in super::super) const TIMER: u8 = 0x40;
    /// Another CPU made a thread ready.
    pub(in super::super) const RESCHEDULE: u8 = 0x41;
    /// Another CPU wants translations invalidated.
    pub(in super::super) const SHOOTDOWN: u8 = 0x42;
    /// The local APIC found an error.
    pub(in super::super) const APIC_ERROR: u8 = 0xfe;
    /// The local APIC's spurious interrupt.
    pub(in super::super) const SPURIOUS: u8 = 0xff;
}

type Gates = [Entry<()>; 256];

struct Table(UnsafeCell<Gates>);

// SAFETY: written once by the boot CPU before any CPU loads it, then only read, by hardware.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([const { Entry::missing() }; 256]));

/// Fills in the gates, each to lead to the entry code for its vector. Call once, with the kernel's own segments loaded.
///
/// # Safety
/// `stub_address` gives the addresses of entry code for exactly these vectors.
pub(super) unsafe fn fill(stub_address: impl Fn(u8) -> u64) {
    // SAFETY: called once, before any CPU uses the table.
    let gates = unsafe { &mut *TABLE.0.get() };
    for (number, gate) in gates.iter_mut().enumerate() {
        let number = number as u8;
        let stack = match number {
            vector::DOUBLE_FAULT => Some(0),
            vector::NON_MASKABLE => Some(1),
            vector::MACHINE_CHECK => Some(2),
            vector::DEBUG => Some(3),
            _ => None,
        };
        // SAFETY: as the caller says.
        let options = unsafe { gate.set_handler_addr(MachineAddress::new(stub_address(number))) };
        if let Some(stack) = stack {
            // SAFETY: `gdt::load` gave every CPU these stacks, and no two vectors share one.
            unsafe { options.set_stack_index(stack) };
        }
        // Only the breakpoint instruction may be used by programs; `int` with any other number is a fault.
        if number == vector::BREAKPOINT {
            options.set_privilege_level(PrivilegeLevel::Ring3);
        }
    }
}

/// Makes the running CPU use the gates.
pub(super) fn load() {
    let pointer = DescriptorTablePointer {
        limit: (size_of::<Gates>() - 1) as u16,
        base: MachineAddress::from_ptr(TABLE.0.get()),
    };
    // SAFETY: the table is static and filled in.
    unsafe { lidt(&pointer) };
}
