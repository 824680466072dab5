//! What the entry code calls: the Rust side of every trap.

use x86_64::instructions::port::Port;
use x86_64::registers::control::Cr2;
use x86_64::registers::rflags::RFlags;

use super::fault::{KernelException, fault_of};
use super::idt::vector;
use super::interrupts;
use super::registers::{CALL_MARK, Frame, GUEST_CALL_MARK};
use super::{console, cpu, guest_entry, percpu::this, smp, timer};
use crate::{Interrupt, Trap, upcall};

/// System control port B, and its bits that tell of errors: of memory or the bus (SERR#), of a device (IOCHK#) (Intel I/O
/// Controller Hub 9 data sheet, 13.7.1, "NMI_SC").
const STATUS_PORT: u16 = 0x61;
const STATUS_ERRORS: u8 = 0xc0;

/// A trap from user mode; everything is saved in the current context.
pub(super) extern "C" fn from_user() {
    let cpu = this();
    // SAFETY: the entry code has just saved into the current context, and no reference to it exists yet.
    let frame = unsafe { &(*cpu.current.get()).registers.frame };
    let trap = match frame.vector {
        CALL_MARK => Trap::Call,
        GUEST_CALL_MARK => Trap::GuestCall,
        number if number < u64::from(vector::EXCEPTIONS) => Trap::Fault(fault_of(frame)),
        number => Trap::Interrupt(take_interrupt(number as u8)),
    };
    upcall::kernel_trap(trap);
    assert!(!cpu.current.get().is_null(), "the kernel left a trap without a thread to go on with");
}

/// A call is done, and its result saved in the current context; the kernel has something left to do.
pub(super) extern "C" fn finish() {
    upcall::kernel_finish();
    assert!(!this().current.get().is_null(), "the kernel left a call without a thread to go on with");
}

/// Which interrupt came, by its vector.
fn take_interrupt(number: u8) -> Interrupt {
    match interrupts::acknowledge(number) {
        Interrupt::Timer if !timer::has_expired() => Interrupt::Spurious,
        interrupt => interrupt,
    }
}

/// A trap in the kernel: the interrupt that an idle CPU waits for, or a bug.
pub(super) extern "C" fn from_kernel(frame: &mut Frame) {
    let cpu = this();
    if frame.vector < u64::from(vector::EXCEPTIONS) || !cpu.is_waiting.get() {
        if guest_entry::mend(frame) {
            return;
        }
        fatal(frame);
    }
    cpu.arrived.set(Some(take_interrupt(frame.vector as u8)));
    // One interrupt per wait: the next stays pending until the kernel has seen this one.
    frame.rflags &= !RFlags::INTERRUPT_FLAG.bits();
}

/// An interrupt that cannot be masked, at any instruction of user or kernel, so that nothing but this CPU's own count may be
/// touched: another CPU's wish that this one stop; or the chipset's word that memory or a device has lost data, which ends
/// the machine; or nothing that anybody knows of, which is told with the next interrupt.
pub(super) extern "C" fn non_maskable(frame: &Frame) {
    if smp::is_to_stop() {
        smp::stop();
    }
    // SAFETY: every PC has the port, and reading it has no effect.
    if unsafe { Port::<u8>::new(STATUS_PORT).read() } & STATUS_ERRORS != 0 {
        fatal(frame);
    }
    let unexplained = &this().unexplained_interrupts;
    unexplained.set(unexplained.get() + 1);
}

/// Reports a trap that the kernel cannot go on after.
pub(super) extern "C" fn fatal(frame: &Frame) -> ! {
    // A trap while reporting a trap: stop before it becomes endless.
    if this().is_reporting.replace(true) {
        smp::stop_other_cpus();
        console::write_last(b"\n[kernel] a second trap while reporting the first\n");
        cpu::halt_after_panic();
    }
    upcall::kernel_report(format_args!("{frame}\ncr2={:016x}", Cr2::read_raw()));
    panic!("{}", KernelException(frame));
}
