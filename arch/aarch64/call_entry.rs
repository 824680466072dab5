//! Where system calls lead: to the kernel's calls, or out of a guest.

use core::arch::asm;

use super::features;

unsafe extern "C" {
    /// Both are in `entry`; what comes from a guest leads on to `guest_entry`.
    static exception_vectors: [u8; 2048];
    static guest_vectors: [u8; 2048];
}

/// Has system calls on this CPU mean a guest's, or a thread's; and has each instruction of the guest be the
/// last, if it `steps`.
#[inline(always)]
pub(super) fn choose(is_guest: bool, steps: bool) {
    let table = if is_guest { &raw const guest_vectors } else { &raw const exception_vectors };
    // SAFETY: both tables are complete and aligned to 2048 bytes. They differ in what comes from user mode only, and the return
    // there lets the change take effect.
    unsafe { asm!("msr vbar_el1, {}", in(reg) table.addr(), options(nostack, preserves_flags)) };
    features::set_stepping(is_guest && steps);
}
