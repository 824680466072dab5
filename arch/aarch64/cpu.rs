//! The CPU itself: its number, its sleep and its end, its frame chain, its defences.

use core::arch::asm;
use core::fmt;
use core::ops::Range;

use crate::Interrupt;

use super::{console, features, percpu, power, smp, stacks};

/// The exit code for a panic.
const PANIC_CODE: u8 = 101;
/// What a mark adds to its code: "S", and room for it.
const MARK: u16 = 0x5300;
/// More return addresses than this are not reported.
const BACKTRACE_MAX: usize = 32;

/// The number of the CPU that runs this.
#[inline(always)]
pub fn cpu_index() -> usize {
    percpu::index()
}

/// Where the kernel keeps what it knows of the CPU that runs this.
#[inline(always)]
pub fn cpu_line() -> usize {
    percpu::line()
}

/// Lets others go first while this CPU waits for one of them.
///
/// `spin_loop` of Rust's library is an ISB here, which an emulator that runs its CPUs by turns does not take for a hint:
/// it lets this CPU wait through the whole of its turn, for one that cannot run meanwhile.
#[inline(always)]
pub fn relax() {
    // SAFETY: a hint changes nothing.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Tells whoever watches the machine where it is: MOVZ with the mark as operand, to the register that takes nothing.
#[inline(always)]
pub fn mark<const CODE: u8>() {
    // SAFETY: the instruction does nothing.
    unsafe { asm!("movz xzr, #{}", const MARK + CODE as u16, options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt comes, takes it and says which it was.
///
/// Interrupts stay masked: WFI also wakes for a masked interrupt (DDI 0487, D1.6.1), which is then taken from
/// the interrupt controller by hand. So one that comes just before the WFI is not lost, and no exception is
/// taken in the kernel at all.
pub fn wait_for_interrupt() -> Interrupt {
    loop {
        // SAFETY: waiting changes nothing; the barrier completes what this CPU wrote before it sleeps.
        unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
        match smp::take_interrupt() {
            // WFI may wake for no reason.
            Interrupt::Spurious => {}
            interrupt => return interrupt,
        }
    }
}

/// Takes an interrupt that is pending, if one is, and says which it was.
///
/// By hand, as [`wait_for_interrupt`] does: nothing is taken that has to be unmasked.
pub fn take_pending_interrupt() -> Option<Interrupt> {
    Some(smp::take_interrupt()).filter(|interrupt| *interrupt != Interrupt::Spurious)
}

/// Lets user programs read the CPU's cycle counter, PMCCNTR_EL0, on every CPU that is on or starts later. The boot CPU calls
/// this before others start. Returns whether there is one.
pub fn open_cycle_counter() -> bool {
    features::open_cycle_counter()
}

/// Ends the machine with an exit code. Of several CPUs that do so the first wins.
pub fn power_off(code: u8) -> ! {
    smp::stop_other_cpus();
    console::drain();
    power::off(code)
}

/// Ends the machine as failure.
pub fn halt_after_panic() -> ! {
    power_off(PANIC_CODE)
}

/// Calls `each` with the return addresses of the functions that are running, innermost first.
///
/// Follows the frame records that x29 points to, as long as they lie on this CPU's kernel stacks.
pub fn backtrace(each: &mut dyn FnMut(u64)) {
    let mut frame: u64;
    // SAFETY: reading x29 has no side effect.
    unsafe { asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    let stacks = [stacks::kernel_stack(cpu_index()), stacks::emergency_stack(cpu_index())];
    let holds_record = |stack: &Range<u64>, frame: u64| stack.contains(&frame) && frame + 16 <= stack.end;
    for _ in 0..BACKTRACE_MAX {
        if !frame.is_multiple_of(8) || !stacks.iter().any(|stack| holds_record(stack, frame)) {
            return;
        }
        // SAFETY: the record lies on one of this CPU's stacks, which are mapped and readable as a whole.
        let [next, return_address] = unsafe { (frame as *const [u64; 2]).read() };
        if return_address == 0 {
            return;
        }
        each(return_address);
        frame = next;
    }
}

/// How many interrupts came that cannot be masked and have no known cause: there are none here.
pub fn take_unexplained_interrupts() -> u64 {
    0
}

/// Writes the names of the defences that this CPU has and the kernel switched on.
///
/// # Errors
/// Only if `out` fails.
pub fn describe_features(out: &mut dyn fmt::Write) -> fmt::Result {
    let features = features::features();
    write!(out, "pxn wxn")?;
    if features.privileged_access_never {
        write!(out, " pan")?;
    }
    if features.kernel_half_hidden {
        write!(out, " e0pd")?;
    }
    write!(out, " asid{}", features.tag_bits)
}

/// Writes the registers that tell where a panicking kernel is: stack, the last exception's, and the user root.
///
/// # Errors
/// Those of the writer.
pub fn describe_registers(out: &mut dyn fmt::Write) -> fmt::Result {
    let (sp, fp, elr, spsr, esr, far, root): (u64, u64, u64, u64, u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        asm!("mov {}, sp", "mov {}, x29", out(reg) sp, out(reg) fp, options(nomem, nostack, preserves_flags));
        asm!("mrs {}, elr_el1", "mrs {}, spsr_el1", "mrs {}, esr_el1", "mrs {}, far_el1", "mrs {}, ttbr0_el1",
             out(reg) elr, out(reg) spsr, out(reg) esr, out(reg) far, out(reg) root,
             options(nomem, nostack, preserves_flags));
    }
    write!(out, "sp={sp:#x} x29={fp:#x} elr={elr:#x} spsr={spsr:#x} esr={esr:#x} far={far:#x} ttbr0={root:#x}")
}
