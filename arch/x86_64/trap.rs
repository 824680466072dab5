//! What the entry code calls: from a vector and an error code to a meaning.

use core::fmt;

use x86_64::instructions::port::Port;
use x86_64::registers::control::Cr2;
use x86_64::registers::rflags::RFlags;

use super::idt::vector;
use super::interrupts;
use super::registers::{CALL_MARK, Frame};
use super::{console, cpu, instruction, percpu::this, smp, stacks, timer};
use crate::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr, upcall};

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
        number if number < u64::from(vector::EXCEPTIONS) => Trap::Fault(fault(frame)),
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

/// What an exception in user mode means.
fn fault(frame: &Frame) -> Fault {
    let at_instruction = |kind| Fault { kind, address: VirtAddr::new(frame.rip), access: Access::Execute };
    match frame.vector {
        0 | 16 | 19 => at_instruction(FaultKind::Arithmetic),
        1 | 3 => at_instruction(FaultKind::Breakpoint),
        6 => at_instruction(FaultKind::Instruction),
        12 | 17 => at_instruction(FaultKind::Address),
        // A general protection fault has many causes. With an error code it is a selector or a gate; without, an
        // instruction that is not for programs, or else an address that is not canonical.
        13 if frame.error != 0 || instruction::is_privileged_at(frame.rip) => at_instruction(FaultKind::Instruction),
        13 => at_instruction(FaultKind::Address),
        14 => page_fault(frame.error),
        other => at_instruction(FaultKind::Other(other as u32)),
    }
}

/// What a page fault's error code means (SDM volume 3, 5.7).
fn page_fault(error: u64) -> Fault {
    assert!(error & 8 == 0, "a page-table entry has a reserved bit set, address {:#x}", Cr2::read_raw());
    let access = match (error & 2 != 0, error & 16 != 0) {
        (_, true) => Access::Execute,
        (true, false) => Access::Write,
        (false, false) => Access::Read,
    };
    Fault { kind: FaultKind::Page, address: VirtAddr::new(Cr2::read_raw()), access }
}

/// A trap in the kernel: the interrupt that an idle CPU waits for, or a bug.
pub(super) extern "C" fn from_kernel(frame: &mut Frame) {
    let cpu = this();
    if frame.vector < u64::from(vector::EXCEPTIONS) || !cpu.is_waiting.get() {
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
    panic!("{}", Description(frame));
}

/// Says in words what happened.
struct Description<'a>(&'a Frame);

impl fmt::Display for Description<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description(frame) = self;
        let address = Cr2::read_raw();
        let number = frame.vector as u8;
        if matches!(number, vector::DOUBLE_FAULT | vector::PAGE_FAULT) && stacks::is_guard(address) {
            return write!(out, "kernel stack overflow at 0x{:x}, stack pointer 0x{:x}", frame.rip, frame.rsp);
        }
        if number == vector::PAGE_FAULT {
            let access = match (frame.error & 2 != 0, frame.error & 16 != 0) {
                (_, true) => "execute",
                (true, false) => "write",
                (false, false) => "read",
            };
            let why = if frame.error & 1 == 0 { "nothing is mapped there" } else { "the mapping forbids it" };
            return write!(out, "kernel fault at 0x{:x}: {access} of address 0x{address:x}, {why}", frame.rip);
        }
        let mode = if frame.cs & 3 == 0 { "kernel" } else { "user" };
        write!(out, "{} (vector {number}, error {:#x}) in {mode} mode at 0x{:x}", name(number), frame.error, frame.rip)
    }
}

/// An exception's name (SDM volume 3, table 7-1).
fn name(number: u8) -> &'static str {
    const NAMES: [&str; 22] = [
        "divide error",
        "debug trap",
        "non-maskable interrupt",
        "breakpoint",
        "overflow",
        "bound exceeded",
        "invalid instruction",
        "no floating-point unit",
        "double fault",
        "coprocessor overrun",
        "invalid task state",
        "segment not present",
        "stack-segment fault",
        "general protection fault",
        "page fault",
        "reserved exception",
        "floating-point error",
        "misaligned access",
        "machine check",
        "SIMD error",
        "virtualization fault",
        "control protection fault",
    ];
    NAMES.get(usize::from(number)).copied().unwrap_or("unexpected interrupt")
}
