//! Where system calls lead: to the kernel's calls, or out of a guest.

use x86_64::VirtAddr as MachineAddress;
use x86_64::registers::model_specific::LStar;

unsafe extern "C" {
    /// In `entry` and `guest_entry`.
    static tessera_system_call: u8;
    static tessera_guest_call: u8;
}

/// Has `syscall` on the running CPU mean a guest's call, or a thread's.
#[cold]
#[inline(never)]
pub(super) fn choose(is_guest: bool) {
    let entry = if is_guest { &raw const tessera_guest_call } else { &raw const tessera_system_call };
    LStar::write(MachineAddress::from_ptr(entry));
}
