//! Exceptions: what a vector and an error code mean for a thread, or for the kernel.

use core::fmt;

use x86_64::registers::control::Cr2;

use super::idt::vector;
use super::registers::Frame;
use super::{instruction, stacks};
use crate::{Access, Fault, FaultKind, VirtAddr};

/// What an exception in user mode means.
pub(super) fn fault_of(frame: &Frame) -> Fault {
    let at_instruction = |kind| Fault { kind, address: VirtAddr::new(frame.rip), access: Access::Execute };
    match frame.vector {
        0 | 16 | 19 => at_instruction(FaultKind::Arithmetic),
        1 => at_instruction(FaultKind::Step),
        3 => at_instruction(FaultKind::Breakpoint),
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
    let access = page_access(error);
    let access =
        access.unwrap_or_else(|| panic!("a page-table entry has a reserved bit set, address {:#x}", Cr2::read_raw()));
    Fault { kind: FaultKind::Page, address: VirtAddr::new(Cr2::read_raw()), access }
}

/// What a page fault tried to do, by its error code, which is the syndrome here; nothing if a reserved bit of an entry is set.
#[inline(always)]
pub fn page_access(error: u64) -> Option<Access> {
    /// By the bits for a write and for a fetch, shifted to the end.
    static ACCESSES: [Access; 16] = {
        let mut accesses = [Access::Execute; 16];
        (accesses[0], accesses[1]) = (Access::Read, Access::Write);
        accesses
    };
    (error & 8 == 0).then(|| ACCESSES[(error >> 1) as usize & 0b1001])
}

/// An exception that the kernel cannot go on after, in words.
pub(super) struct KernelException<'a>(pub(super) &'a Frame);

impl fmt::Display for KernelException<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KernelException(frame) = self;
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
