//! The CPU itself: which one, idling, ending the machine, looking at the stack.

use core::arch::asm;

use x86_64::instructions::port::Port;

use super::features::features;
use super::percpu::this;
use super::{console, paging, smp, stacks, timer};
use crate::Interrupt;

pub use super::percpu::{cpu_index, cpu_line};

/// What a mark adds to its code: "TES", and room for it.
const MARK: i32 = 0x5445_5300;

/// I/O port of QEMU's `isa-debug-exit` device: a byte written there ends QEMU.
const DEBUG_EXIT_PORT: u16 = 0xf4;
/// Written for exit code 0, for any other, and after a panic.
const DEBUG_EXIT_VALUES: [u8; 3] = [0x10, 0x11, 0x12];
/// I/O port of Bochs: the text "Shutdown" written there ends it.
const BOCHS_PORT: u16 = 0x8900;

/// The most return addresses of a backtrace.
const BACKTRACE_MAX: usize = 48;

/// Lets others go first while this CPU waits for one of them.
#[inline(always)]
pub fn relax() {
    core::hint::spin_loop();
}

/// Tells whoever watches the machine where it is: NOPL with the mark as displacement (SDM volume 2, "NOP"), which
/// accesses no memory.
#[inline(always)]
pub fn mark<const CODE: u8>() {
    // SAFETY: the instruction does nothing.
    unsafe { asm!("nop dword ptr [rax + {}]", const MARK + CODE as i32, options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt, takes it, and says which it was. Interrupts are off before and after.
pub fn wait_for_interrupt() -> Interrupt {
    let cpu = this();
    cpu.is_waiting.set(true);
    let arrived = loop {
        // `sti` takes effect after the next instruction, so an interrupt that is pending already ends the `hlt`.
        // SAFETY: the kernel holds nothing here that the trap code touches, but the two cells around this.
        unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
        // The trap code took one interrupt and returned with interrupts off again, so no second one can have come.
        // None: a wake-up of another kind.
        if let Some(interrupt) = cpu.arrived.take() {
            break interrupt;
        }
    };
    cpu.is_waiting.set(false);
    arrived
}

/// Takes an interrupt that is pending, if one is, and says which it was. Interrupts are off before and after.
pub fn take_pending_interrupt() -> Option<Interrupt> {
    let cpu = this();
    cpu.is_waiting.set(true);
    // `sti` takes effect after the next instruction, behind which what is pending comes.
    // SAFETY: as in `wait_for_interrupt`.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) };
    cpu.is_waiting.set(false);
    cpu.arrived.take()
}

/// How many interrupts that cannot be masked and have no known cause this CPU has had since it was last asked.
pub fn take_unexplained_interrupts() -> u64 {
    // One that comes in between is counted here or is lost; it is only told of.
    this().unexplained_interrupts.take()
}

/// Lets user programs read the CPU's counter: they can always (CR4.TSD is clear), and the time-stamp counter is the only one.
/// Returns whether there is one.
pub fn open_cycle_counter() -> bool {
    true
}

/// Ends the machine: success for code 0, failure for any other.
pub fn power_off(code: u8) -> ! {
    end_machine(DEBUG_EXIT_VALUES[usize::from(code != 0)])
}

/// Ends the machine as failed, after a panic.
pub fn halt_after_panic() -> ! {
    end_machine(DEBUG_EXIT_VALUES[2])
}

/// Tells the emulators that know how to end; on other machines, stops the CPU.
fn end_machine(value: u8) -> ! {
    smp::stop_other_cpus();
    console::drain();
    let (mut debug_exit, mut bochs) = (Port::new(DEBUG_EXIT_PORT), Port::new(BOCHS_PORT));
    // SAFETY: both ports do nothing, or end the machine, which is what is wanted.
    unsafe {
        debug_exit.write(value);
        b"Shutdown".iter().for_each(|byte| bochs.write(*byte));
    }
    smp::stop()
}

/// Calls `each` with the return addresses of the running functions, innermost first.
///
/// Follows frame pointers as long as they lie in this CPU's stacks and lead upwards; a trap's own stack may lead
/// over to another stack once.
pub fn backtrace(each: &mut dyn FnMut(u64)) {
    let mut frame: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    let mut changes_of_stack = 0;
    for _ in 0..BACKTRACE_MAX {
        if !frame.is_multiple_of(8) || !stacks::holds(cpu_index(), frame) {
            return;
        }
        // SAFETY: 16 aligned bytes within a mapped stack of this CPU.
        let [next, return_address] = unsafe { *(frame as *const [u64; 2]) };
        // A jump to where no code is leaves such an address; the caller before it is still of interest.
        if paging::is_kernel_code(return_address) {
            each(return_address);
        }
        if next <= frame {
            changes_of_stack += 1;
        }
        if changes_of_stack > 1 {
            return;
        }
        frame = next;
    }
}

/// Writes the names of the protections switched on, separated by spaces.
///
/// # Errors
/// Those of the writer.
pub fn describe_features(out: &mut dyn core::fmt::Write) -> core::fmt::Result {
    let have = features();
    let mut separator = "";
    for (exists, name) in [
        (have.no_execute, "nx"),
        (have.smep, "smep"),
        (have.smap, "smap"),
        (have.umip, "umip"),
        (have.fsgsbase, "fsgsbase"),
        (have.global_pages, "pge"),
        (have.pcid, "pcid"),
        (have.pcid && have.invpcid, "invpcid"),
        (have.gigabyte_pages, "1gib-pages"),
        (!have.steady_clock, "no-invariant-tsc"),
        (!have.steady_timer, "no-arat"),
        (timer::is_guess(), "guessed-clock"),
    ] {
        if exists {
            write!(out, "{separator}{name}")?;
            separator = " ";
        }
    }
    Ok(())
}

/// Writes the registers that tell where a panicking kernel is: stack, flags and the control registers.
///
/// # Errors
/// Those of the writer.
pub fn describe_registers(out: &mut dyn core::fmt::Write) -> core::fmt::Result {
    let (rsp, rbp, flags, cr0, cr2, cr3, cr4): (u64, u64, u64, u64, u64, u64, u64);
    // SAFETY: reads registers; the flags go over the stack, which has room.
    unsafe {
        asm!("mov {}, rsp", "mov {}, rbp", "pushfq", "pop {}", out(reg) rsp, out(reg) rbp, out(reg) flags);
        asm!("mov {}, cr0", "mov {}, cr2", "mov {}, cr3", "mov {}, cr4",
             out(reg) cr0, out(reg) cr2, out(reg) cr3, out(reg) cr4, options(nomem, nostack, preserves_flags));
    }
    write!(out, "rsp={rsp:#x} rbp={rbp:#x} rflags={flags:#x} cr0={cr0:#x} cr2={cr2:#x} cr3={cr3:#x} cr4={cr4:#x}")
}
