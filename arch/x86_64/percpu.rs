//! What belongs to one CPU. In the kernel, the GS base points at the running CPU's block.

use core::arch::asm;
use core::cell::{Cell, UnsafeCell};
use core::mem::offset_of;
use core::ptr::null_mut;

use x86_64::structures::gdt::GlobalDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;
use x86_64::{VirtAddr as MachineAddress, registers::model_specific};

use super::registers::State;
use super::stacks;
use crate::{CPUS_MAX, Interrupt, upcall};

/// One CPU's block. Only its own CPU touches it, with interrupts off.
#[repr(C, align(64))]
pub(super) struct PerCpu {
    /// Where the block lies, for [`this`].
    address: Cell<u64>,
    /// Where the entry code puts the stack pointer: 8 below a multiple of 16.
    pub(super) kernel_stack: Cell<u64>,
    /// Where the entry code keeps the user's stack pointer, or one other register, for a moment.
    pub(super) scratch: Cell<u64>,
    /// The CPU's number, from 0.
    index: Cell<usize>,
    /// Where the kernel keeps what it knows of the CPU.
    line: Cell<usize>,
    /// Whether the entry code must clear AC, which SMAP gives a meaning in the kernel.
    pub(super) clears_access_flag: Cell<bool>,
    /// Whether it has the instructions that read and write the bases of FS and GS.
    pub(super) has_base_instructions: Cell<bool>,
    /// Whether the CPU is inside `wait_for_interrupt`.
    pub(super) is_waiting: Cell<bool>,
    /// Whether a fatal trap is being reported.
    pub(super) is_reporting: Cell<bool>,
    /// Interrupts that could not be masked and that nobody sent, not told of yet.
    pub(super) unexplained_interrupts: Cell<u64>,
    /// The interrupt that ended the wait.
    pub(super) arrived: Cell<Option<Interrupt>>,
    /// The context that traps from user mode save into; null for none.
    pub(super) current: Cell<*mut State>,
    /// When the timer is to fire, nanoseconds since boot; `u64::MAX` for never.
    pub(super) deadline_ns: Cell<u64>,
    /// The task state: where the CPU finds its stacks.
    pub(super) task: UnsafeCell<TaskStateSegment>,
    /// The segments.
    pub(super) segments: UnsafeCell<GlobalDescriptorTable>,
}

// SAFETY: each block is used by the one CPU whose GS base points at it, and interrupts are off in the
// kernel, so no two uses overlap.
unsafe impl Sync for PerCpu {}

/// Offsets that the entry code uses.
pub(super) mod offsets {
    use super::{PerCpu, offset_of};

    pub(in super::super) const KERNEL_STACK: usize = offset_of!(PerCpu, kernel_stack);
    pub(in super::super) const SCRATCH: usize = offset_of!(PerCpu, scratch);
    pub(in super::super) const CURRENT: usize = offset_of!(PerCpu, current);
    pub(in super::super) const CLEARS_ACCESS_FLAG: usize = offset_of!(PerCpu, clears_access_flag);
    /// The stack for traps from user mode in the task state (SDM volume 3, figure 9-11): the end of the
    /// current context's registers, so that the CPU itself pushes the trap frame into the context.
    pub(in super::super) const FRAME_END: usize = offset_of!(PerCpu, task) + 4;
}

static BLOCKS: [PerCpu; CPUS_MAX] = [const { PerCpu::new() }; CPUS_MAX];

/// The running CPU's block. Must not be called before [`install`].
#[inline(always)]
pub(super) fn this() -> &'static PerCpu {
    let address: u64;
    // SAFETY: `install` pointed the GS base at a block whose first word is its address, and the kernel's GS
    // base stays that way: entries from user mode exchange it for the user's and back.
    unsafe {
        asm!(
            "mov {}, gs:[{offset}]",
            out(reg) address,
            offset = const offset_of!(PerCpu, address),
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    // SAFETY: the address is that of an element of `BLOCKS`, which is never mutably borrowed.
    unsafe { &*(address as *const PerCpu) }
}

/// Number of the running CPU, from 0.
#[inline(always)]
pub fn cpu_index() -> usize {
    let index: usize;
    // SAFETY: as for `this`.
    unsafe {
        asm!(
            "mov {}, gs:[{offset}]",
            out(reg) index,
            offset = const offset_of!(PerCpu, index),
            options(pure, readonly, nostack, preserves_flags),
        );
        // Tells the compiler that indexing a per-CPU array needs no check: blocks have no larger index.
        core::hint::assert_unchecked(index < crate::CPUS_MAX);
    }
    index
}

/// Where the kernel keeps what it knows of the running CPU.
#[inline(always)]
pub fn cpu_line() -> usize {
    let line: usize;
    // SAFETY: as for `this`.
    unsafe {
        asm!(
            "mov {}, gs:[{offset}]",
            out(reg) line,
            offset = const offset_of!(PerCpu, line),
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    line
}

/// Makes block `index` that of the running CPU, and fills it in. The segment registers are loaded already:
/// loading GS would change its base.
pub(super) fn install(index: usize) {
    let block = &BLOCKS[index];
    let address = (&raw const *block).addr() as u64;
    block.address.set(address);
    block.index.set(index);
    block.line.set(upcall::kernel_line(index));
    // The entry code pushes three words before a call, which wants a multiple of 16 (System V ABI, 3.2.2).
    block.kernel_stack.set(stacks::tops(index).kernel - 8);
    model_specific::GsBase::write(MachineAddress::new(address));
    model_specific::KernelGsBase::write(MachineAddress::zero());
}

/// Block `index`, for setting up a CPU.
pub(super) fn block(index: usize) -> &'static PerCpu {
    &BLOCKS[index]
}

impl PerCpu {
    const fn new() -> PerCpu {
        PerCpu {
            address: Cell::new(0),
            kernel_stack: Cell::new(0),
            scratch: Cell::new(0),
            index: Cell::new(0),
            line: Cell::new(0),
            clears_access_flag: Cell::new(false),
            has_base_instructions: Cell::new(false),
            is_waiting: Cell::new(false),
            is_reporting: Cell::new(false),
            unexplained_interrupts: Cell::new(0),
            arrived: Cell::new(None),
            current: Cell::new(null_mut()),
            deadline_ns: Cell::new(u64::MAX),
            task: UnsafeCell::new(TaskStateSegment::new()),
            segments: UnsafeCell::new(GlobalDescriptorTable::new()),
        }
    }

    /// Makes `end` the place below which the CPU pushes its frame at a trap from user mode.
    #[inline(always)]
    pub(super) fn set_frame_end(&self, end: u64) {
        // SAFETY: the task state belongs to this CPU, which reads it only at a trap from user mode, hence not
        // now. The field is misaligned by design of the hardware. The address is one of the kernel's, or zero: canonical.
        unsafe {
            (&raw mut (*self.task.get()).privilege_stack_table[0]).write_unaligned(MachineAddress::new_unsafe(end))
        }
    }
}
