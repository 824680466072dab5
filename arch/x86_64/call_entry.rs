//! Where system calls lead: to the kernel's calls, or out of a guest.

use x86_64::registers::model_specific::{Msr, SFMask, Star};
use x86_64::registers::rflags::RFlags;

use super::gdt;

/// The entry of `syscall` (SDM volume 3, 6.8.8).
const CALL_ENTRY: Msr = Msr::new(0xc000_0082);

unsafe extern "C" {
    /// In `entry` and `guest_entry`.
    static tessera_system_call: u8;
    static tessera_guest_call: u8;
}

/// Has `syscall` on the running CPU mean a guest's call, or a thread's. Out of line: it would take registers of whoever resumes a thread.
#[inline(never)]
pub(super) fn choose(is_guest: bool) {
    let entry = if is_guest { &raw const tessera_guest_call } else { &raw const tessera_system_call };
    let mut register = CALL_ENTRY;
    // SAFETY: every x86_64 CPU has the register, and both are entries of system calls, at addresses of the kernel's: canonical.
    unsafe { register.write(entry.addr() as u64) }
}

/// SYSENTER's code segment; 0 makes the instruction fault.
const SYSENTER_CODE: Msr = Msr::new(0x174);

/// Makes `syscall` lead to the entry code on the running CPU (SDM volume 3, 6.8.8).
pub(super) fn enable_system_calls() {
    // SAFETY: the selectors are those of `gdt`: `syscall` takes the first for code and the next for the stack,
    // `sysret` the second plus 8 for the stack and plus 16 for code. SYSENTER is not used.
    unsafe {
        Star::write_raw(gdt::KERNEL_DATA | 3, gdt::KERNEL_CODE);
        let mut sysenter = SYSENTER_CODE;
        sysenter.write(0);
    }
    choose(false);
    // Whatever the user's flags, the kernel runs without interrupts, single steps, reversed string instructions,
    // nested tasks (IRET would fault) and access to user memory.
    SFMask::write(
        RFlags::INTERRUPT_FLAG
            | RFlags::TRAP_FLAG
            | RFlags::DIRECTION_FLAG
            | RFlags::NESTED_TASK
            | RFlags::ALIGNMENT_CHECK
            | RFlags::IOPL_LOW
            | RFlags::IOPL_HIGH
            | RFlags::ID,
    );
}
