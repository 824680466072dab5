//! What a synchronous exception means (DDI 0487, D24.2.40 "ESR_EL1").

use core::arch::asm;
use core::fmt;

use crate::{Access, Fault, FaultKind, Trap, VirtAddr};

use super::context::Registers;
use super::percpu;

/// The exception classes, ESR_EL1.EC, that are told apart.
mod class {
    pub(super) const UNKNOWN: u64 = 0x00;
    pub(super) const WAIT_INSTRUCTION: u64 = 0x01;
    pub(super) const VECTORS_TRAPPED: u64 = 0x07;
    pub(super) const BRANCH_TARGET: u64 = 0x0d;
    pub(super) const SYSTEM_REGISTER: u64 = 0x18;
    pub(super) const SCALABLE_VECTORS: u64 = 0x19;
    pub(super) const MATRICES: u64 = 0x1d;
    pub(super) const FETCH_FROM_USER: u64 = 0x20;
    pub(super) const FETCH_FROM_KERNEL: u64 = 0x21;
    pub(super) const MISALIGNED_INSTRUCTION: u64 = 0x22;
    pub(super) const DATA_FROM_USER: u64 = 0x24;
    pub(super) const DATA_FROM_KERNEL: u64 = 0x25;
    pub(super) const MISALIGNED_STACK: u64 = 0x26;
    pub(super) const MEMORY_COPY: u64 = 0x27;
    pub(super) const FLOATING_POINT: u64 = 0x2c;
    pub(super) const BREAKPOINT: u64 = 0x30;
    pub(super) const SINGLE_STEP: u64 = 0x32;
    pub(super) const WATCHPOINT: u64 = 0x34;
    pub(super) const BREAK_INSTRUCTION: u64 = 0x3c;
}

/// ESR_EL1 and FAR_EL1 of the last exception.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syndrome {
    bits: u64,
    fault_address: u64,
}

impl Syndrome {
    /// Reads the registers; to be called before another exception can happen.
    pub(super) fn read() -> Syndrome {
        let (bits, fault_address);
        // SAFETY: reading the two registers has no side effect.
        unsafe {
            asm!(
                "mrs {}, esr_el1", "mrs {}, far_el1",
                out(reg) bits, out(reg) fault_address, options(nomem, nostack, preserves_flags)
            );
        }
        Syndrome { bits, fault_address }
    }

    /// ESR_EL1 as it is.
    pub(super) fn bits(self) -> u64 {
        self.bits
    }

    /// Whether the instruction did not exist at this exception level.
    pub(super) fn is_unknown_instruction(self) -> bool {
        self.class() == class::UNKNOWN
    }

    fn class(self) -> u64 {
        self.bits >> 26
    }

    /// What an abort tried to do: bit 6, WnR, is also set for cache maintenance (bit 8, CM), which needs no more
    /// than leave to read.
    fn access(self) -> Access {
        match self.class() {
            class::FETCH_FROM_USER | class::FETCH_FROM_KERNEL => Access::Execute,
            _ if self.bits & (1 << 6) != 0 && self.bits & (1 << 8) == 0 => Access::Write,
            _ => Access::Read,
        }
    }

    /// The address of an abort; bit 10, FnV, says that the hardware does not know it.
    fn address(self) -> u64 {
        if self.bits & (1 << 10) == 0 { self.fault_address } else { 0 }
    }

    /// What an abort's status code, the lowest six bits, means.
    fn abort_kind(self) -> FaultKind {
        match self.bits & 0x3f {
            // A translation fault, on an address that neither half of the address space contains.
            0b000100 if !is_canonical(self.address()) => FaultKind::Address,
            // Translation, access flag and permission faults at levels 0 to 3; translation faults at level -1.
            0b000100..=0b001111 | 0b101011 => FaultKind::Page,
            // Alignment; an exclusive or atomic access that this memory does not support.
            0b100001 | 0b110101 => FaultKind::Address,
            _ => FaultKind::Other(self.bits),
        }
    }
}

/// Whether the upper 16 bits are all the same.
fn is_canonical(address: u64) -> bool {
    matches!(address >> 48, 0 | 0xffff)
}

/// What a synchronous exception from user mode other than a system call means. The registers are saved in the current
/// context.
pub(super) fn trap_of(syndrome: Syndrome) -> Trap {
    let context = percpu::current().context.load(core::sync::atomic::Ordering::Relaxed);
    // SAFETY: the exception came from user mode, so there is a current context, which nobody else refers to now.
    let registers = unsafe { &(*context).registers };
    let here = registers.instruction_pointer();
    let fault = |kind, address, access| Trap::Fault(Fault { kind, address: VirtAddr::new(address), access });
    match syndrome.class() {
        class::FETCH_FROM_USER | class::DATA_FROM_USER => {
            fault(syndrome.abort_kind(), syndrome.address(), syndrome.access())
        }
        class::MISALIGNED_INSTRUCTION => fault(FaultKind::Address, here, Access::Execute),
        class::MISALIGNED_STACK => fault(FaultKind::Address, registers.stack_pointer(), Access::Read),
        class::UNKNOWN
        | class::WAIT_INSTRUCTION
        | class::VECTORS_TRAPPED
        | class::BRANCH_TARGET
        | class::SYSTEM_REGISTER
        | class::SCALABLE_VECTORS
        | class::MATRICES
        | class::MEMORY_COPY => fault(FaultKind::Instruction, here, Access::Execute),
        class::FLOATING_POINT => fault(FaultKind::Arithmetic, here, Access::Execute),
        class::BREAKPOINT | class::SINGLE_STEP | class::WATCHPOINT | class::BREAK_INSTRUCTION => {
            fault(FaultKind::Breakpoint, here, Access::Execute)
        }
        other => fault(FaultKind::Other(other), here, Access::Execute),
    }
}

/// A synchronous exception of the kernel, in words.
pub(super) struct KernelException<'a> {
    /// Why it happened.
    pub(super) syndrome: Syndrome,
    /// Where.
    pub(super) registers: &'a Registers,
}

impl fmt::Display for KernelException<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (syndrome, here) = (self.syndrome, self.registers.instruction_pointer());
        let address = syndrome.address();
        match syndrome.class() {
            class::DATA_FROM_KERNEL | class::FETCH_FROM_KERNEL => {
                let access = match syndrome.access() {
                    Access::Read => "read",
                    Access::Write => "write",
                    Access::Execute => "execute",
                };
                let what = if percpu::guard_ranges().any(|guard| guard.contains(&address)) {
                    "kernel stack overflow"
                } else {
                    "kernel page fault"
                };
                write!(formatter, "{what}: {access} of address {address:#x}, ip {here:#x}")?;
            }
            class::UNKNOWN => write!(formatter, "undefined instruction in the kernel at address {here:#x}")?,
            class::BREAK_INSTRUCTION => write!(formatter, "breakpoint in the kernel at address {here:#x}")?,
            _ => write!(formatter, "unexpected exception in the kernel at address {here:#x}")?,
        }
        write!(formatter, ", syndrome {:#x}", syndrome.bits())
    }
}
