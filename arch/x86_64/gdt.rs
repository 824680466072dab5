//! Segments and the task state (SDM volume 3, sections 3.4 and 9.7).
//!
//! The order is the one `sysret` wants: user data right before user code (SDM volume 2, SYSRET).

use core::arch::asm;

use x86_64::VirtAddr as MachineAddress;
use x86_64::instructions::tables::load_tss;
use x86_64::registers::segmentation::{CS, DS, ES, FS, GS, SS, Segment, SegmentSelector};
use x86_64::structures::gdt::Descriptor;

use super::{percpu, stacks};

/// Selector of the kernel's code.
pub(super) const KERNEL_CODE: u16 = 0x08;
/// Selector of the kernel's stack.
pub(super) const KERNEL_DATA: u16 = 0x10;
/// Selector of the user's stack, privilege 3.
pub(super) const USER_DATA: u16 = 0x18 | 3;
/// Selector of the user's code, privilege 3. There is no 32-bit code segment.
pub(super) const USER_CODE: u16 = 0x20 | 3;
/// Selector of the task state.
const TASK: u16 = 0x28;

/// Fills in and loads the segments and task state of CPU `cpu`, which is the running one.
///
/// Data segment registers become null: a non-null one of privilege 0 would be cleared by returns to user mode
/// anyway (SDM volume 2, IRET), with its base on some CPUs.
pub(super) fn load(cpu: usize) {
    let block = percpu::block(cpu);
    let (task, segments) = (block.task.get(), block.segments.get());
    // SAFETY: the block belongs to the running CPU, which has not loaded these tables yet.
    let (task, segments) = unsafe { (&mut *task, &mut *segments) };
    for (slot, top) in stacks::tops(cpu).traps.into_iter().enumerate() {
        // The word above the frame tells the entry code whose block to use, whatever the GS base is then.
        task.interrupt_stack_table[slot] = MachineAddress::new(top - 16);
        // SAFETY: the top 16 bytes of each trap stack are kept for this, and the stack is not in use.
        unsafe { ((top - 16) as *mut u64).write((&raw const *block).addr() as u64) };
    }
    for descriptor in [
        Descriptor::kernel_code_segment(),
        Descriptor::kernel_data_segment(),
        Descriptor::user_data_segment(),
        Descriptor::user_code_segment(),
    ] {
        segments.append(descriptor);
    }
    // SAFETY: blocks are static, so the task state stays where it is.
    segments.append(unsafe { Descriptor::tss_segment_unchecked(task) });
    // SAFETY: the table is static; it has what the selectors below name.
    unsafe {
        segments.load_unsafe();
        CS::set_reg(SegmentSelector(KERNEL_CODE));
        SS::set_reg(SegmentSelector(KERNEL_DATA));
        DS::set_reg(SegmentSelector(0));
        ES::set_reg(SegmentSelector(0));
        FS::set_reg(SegmentSelector(0));
        GS::set_reg(SegmentSelector(0));
        // No table of segments besides: what a loader left there a program could load.
        asm!("lldt {0:x}", in(reg) 0_u16, options(nostack, preserves_flags));
        load_tss(SegmentSelector(TASK));
    }
}

/// Makes the data segment registers null, so that none passes from one thread to the next.
///
/// The FS base and the user's GS base may be zero afterwards or as before: what follows sets them.
pub(super) fn clear_data_segments() {
    // SAFETY: the kernel uses no data segment but GS, whose base is out of the way while the selector is loaded.
    // Interrupts are off, and what can come all the same (NMI, machine check) does not trust the base.
    unsafe {
        asm!(
            "mov ds, {null:e}",
            "mov es, {null:e}",
            "mov fs, {null:e}",
            "swapgs",
            "mov gs, {null:e}",
            "swapgs",
            null = in(reg) 0,
            options(nostack, preserves_flags),
        );
    }
}
