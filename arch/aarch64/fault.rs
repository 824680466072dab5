//! Synchronous exceptions: reading what the hardware says of one, and what follows for a thread or for the kernel.

use core::arch::asm;
use core::fmt;
use core::sync::atomic::Ordering;

use crate::{Access, Fault, FaultKind, Trap, VirtAddr};

use super::registers::Registers;
use super::syndrome::{KernelMeaning, Meaning, Syndrome};
use super::{percpu, stacks};

/// Bytes of every instruction.
const INSTRUCTION_BYTES: u64 = 4;

/// Reads ESR_EL1 and FAR_EL1; to be called before another exception can happen.
pub(super) fn read_syndrome() -> Syndrome {
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

/// What a synchronous exception of user mode tried to do, by its ESR_EL1, if it is one for a page that is missing, or that does not allow
/// it. The address may be none of user memory.
#[inline(always)]
pub fn page_access(syndrome: u64) -> Option<Access> {
    Syndrome { bits: syndrome, fault_address: 0 }.page_access()
}

/// What a synchronous exception from user mode other than a system call means. The registers are saved in the current
/// context.
pub(super) fn trap_of(syndrome: Syndrome) -> Trap {
    let context = percpu::current().context.load(Ordering::Relaxed);
    // SAFETY: the exception came from user mode, so there is a current context, which nobody else refers to now.
    let registers = unsafe { &mut (*context).registers };
    let here = registers.instruction_pointer();
    let (kind, address, access) = match syndrome.meaning() {
        Meaning::Wait => {
            registers.instruction_pointer = here.wrapping_add(INSTRUCTION_BYTES);
            return Trap::Wait;
        }
        Meaning::At(kind, address, access) => (kind, address, access),
        Meaning::Instruction(kind) => (kind, here, Access::Execute),
        Meaning::StackPointer => (FaultKind::Address, registers.stack_pointer(), Access::Read),
    };
    Trap::Fault(Fault { kind, address: VirtAddr::new(address), access })
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
        match syndrome.kernel_meaning() {
            KernelMeaning::Abort(access) => {
                let access = match access {
                    Access::Read => "read",
                    Access::Write => "write",
                    Access::Execute => "execute",
                };
                let what = if stacks::is_guard(address) { "kernel stack overflow" } else { "kernel page fault" };
                write!(formatter, "{what}: {access} of address {address:#x}, ip {here:#x}")?;
            }
            KernelMeaning::Unknown => write!(formatter, "undefined instruction in the kernel at address {here:#x}")?,
            KernelMeaning::Breakpoint => write!(formatter, "breakpoint in the kernel at address {here:#x}")?,
            KernelMeaning::Other => write!(formatter, "unexpected exception in the kernel at address {here:#x}")?,
        }
        write!(formatter, ", syndrome {:#x}", syndrome.bits)
    }
}
