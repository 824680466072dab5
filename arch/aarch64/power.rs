//! The firmware by PSCI: starting a CPU, stopping it, ending the machine; and semihosting, which ends it with a code.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use smccc::{Hvc, Smc, psci};

use super::syndrome::{KernelMeaning, Syndrome};

/// `HLT #0xF000`, the semihosting call of AArch64 ("Semihosting for AArch32 and AArch64", section 3.1).
const SEMIHOSTING_INSTRUCTION: u32 = 0xd45e_0000;
/// The semihosting operation SYS_EXIT_EXTENDED.
const EXIT_EXTENDED: u64 = 0x20;
/// Its reason ADP_Stopped_ApplicationExit.
const APPLICATION_EXIT: u64 = 0x2_0026;

/// Whether the device tree says that PSCI is called by SMC instead of HVC.
static FIRMWARE_BY_SMC: AtomicBool = AtomicBool::new(false);

/// Remembers how PSCI is called.
pub(super) fn set_firmware_call(by_smc: bool) {
    FIRMWARE_BY_SMC.store(by_smc, Ordering::Relaxed);
}

/// Ends the machine with an exit code, or without one if nobody listens to semihosting.
pub(super) fn off(code: u8) -> ! {
    let block = [APPLICATION_EXIT, u64::from(code)];
    // SAFETY: the operation reads the two words and ends the machine. Where semihosting is off, the instruction
    // is undefined; `trap::report_kernel_exception` knows it and goes on to `off_by_firmware`.
    unsafe {
        asm!("hlt #0xf000", inout("x0") EXIT_EXTENDED => _, in("x1") block.as_ptr(), options(nostack));
    }
    off_by_firmware()
}

/// Whether an exception of the kernel is a semihosting call that nobody answers.
pub(super) fn is_refused_semihosting(syndrome: Syndrome, instruction_pointer: u64) -> bool {
    // SAFETY: "unknown instruction" means that the instruction was fetched, so its address is mapped and readable
    // (the kernel maps no code without leave to read).
    syndrome.kernel_meaning() == KernelMeaning::Unknown
        && unsafe { (instruction_pointer as *const u32).read_volatile() } == SEMIHOSTING_INSTRUCTION
}

/// Starts the CPU with this affinity at a physical address, with a word in x0, by PSCI CPU_ON.
///
/// # Errors
/// If the firmware refuses.
pub(super) fn start_cpu(affinity: u64, code: u64, argument: u64) -> Result<(), psci::Error> {
    if FIRMWARE_BY_SMC.load(Ordering::Relaxed) {
        psci::cpu_on::<Smc>(affinity, code, argument)
    } else {
        psci::cpu_on::<Hvc>(affinity, code, argument)
    }
}

/// Stops the CPU that runs this by PSCI CPU_OFF.
pub(super) fn stop_cpu() -> ! {
    // An error leaves nothing to try but to stop here.
    let _ = if FIRMWARE_BY_SMC.load(Ordering::Relaxed) { psci::cpu_off::<Smc>() } else { psci::cpu_off::<Hvc>() };
    wait_for_ever()
}

/// Ends the machine by PSCI SYSTEM_OFF.
pub(super) fn off_by_firmware() -> ! {
    // An error leaves nothing to try but to stop here.
    let _ = if FIRMWARE_BY_SMC.load(Ordering::Relaxed) { psci::system_off::<Smc>() } else { psci::system_off::<Hvc>() };
    wait_for_ever()
}

fn wait_for_ever() -> ! {
    loop {
        // SAFETY: waits with all interrupts masked; nothing else is left to do.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}
