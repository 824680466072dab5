//! Where system calls lead: to the kernel's calls, or out of a guest.

use x86_64::registers::model_specific::Msr;

/// The entry of `syscall` (SDM volume 3, 6.8.8).
const CALL_ENTRY: Msr = Msr::new(0xc000_0082);

unsafe extern "C" {
    /// In `entry` and `guest_entry`.
    static tessera_system_call: u8;
    static tessera_guest_call: u8;
}

/// Has `syscall` on the running CPU mean a guest's call, or a thread's.
#[inline(always)]
pub(super) fn choose(is_guest: bool) {
    let entry = if is_guest { &raw const tessera_guest_call } else { &raw const tessera_system_call };
    let mut register = CALL_ENTRY;
    // SAFETY: every x86_64 CPU has the register, and both are entries of system calls, at addresses of the kernel's: canonical.
    unsafe { register.write(entry.addr() as u64) }
}
