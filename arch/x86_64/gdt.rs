//! Segments and the task state (SDM volume 3, sections 3.4 and 9.7).
//!
//! The order is the one `sysret` wants: user data right before user code (SDM volume 2, SYSRET).

use core::arch::asm;

use x86_64::VirtAddr as MachineAddress;
use x86_64::instructions::tables::load_tss;
use x86_64::registers::model_specific::Msr;
use x86_64::registers::segmentation::{CS, DS, ES, FS, GS, SS, Segment, SegmentSelector};
use x86_64::structures::gdt::Descriptor;

use super::percpu::PerCpu;
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

/// The user's FS base.
const FS_BASE: Msr = Msr::new(0xc000_0100);
/// In the kernel, the user's GS base.
const USER_GS_BASE: Msr = Msr::new(0xc000_0102);

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

/// The bases that user mode has in FS and GS.
pub(super) fn user_bases() -> [u64; 2] {
    // SAFETY: every x86_64 CPU has both registers; reading them has no effect.
    unsafe { [FS_BASE.read(), USER_GS_BASE.read()] }.map(canonical)
}

/// A base that a program may have set itself. `WRFSBASE` and `WRGSBASE` refuse what is not canonical (SDM volume 2), but
/// not on every machine that is not made of silicon: what comes so is cut to what the register could hold.
#[inline(always)]
fn canonical(base: u64) -> u64 {
    MachineAddress::new_truncate(base).as_u64()
}

/// Makes the data segment registers of the running `cpu` null, so that none passes from one thread to the next, and sets the
/// bases that user mode has in FS and GS, which are canonical; those it had go to `old`.
#[inline(always)]
pub(super) fn exchange_user_segments(cpu: &PerCpu, next: [u64; 2], old: Option<&mut [u64; 2]>) {
    if !cpu.has_base_instructions.get() {
        return exchange_by_registers(next, old);
    }
    let [fs, gs] = next;
    let (old_fs, old_gs);
    // SAFETY: the kernel uses no data segment but GS, whose base is out of the way while the user's is read and written.
    // Interrupts are off, and what can come all the same (NMI, machine check) does not trust the base. A null selector
    // may leave a base zero or as it was: what follows sets it. CR4.FSGSBASE is set.
    unsafe {
        asm!(
            "rdfsbase {old_fs}",
            "mov ds, {null:e}",
            "mov es, {null:e}",
            "mov fs, {null:e}",
            "wrfsbase {fs}",
            "swapgs",
            "rdgsbase {old_gs}",
            "mov gs, {null:e}",
            "wrgsbase {gs}",
            "swapgs",
            old_fs = out(reg) old_fs,
            old_gs = out(reg) old_gs,
            fs = in(reg) fs,
            gs = in(reg) gs,
            null = in(reg) 0,
            options(nostack, preserves_flags),
        );
    }
    if let Some(old) = old {
        *old = [canonical(old_fs), canonical(old_gs)];
    }
}

/// The same where those it had mean nothing any more.
#[inline(always)]
pub(super) fn set_user_segments(cpu: &PerCpu, [fs, gs]: [u64; 2]) {
    if !cpu.has_base_instructions.get() {
        return exchange_by_registers([fs, gs], None);
    }
    // SAFETY: as above.
    unsafe {
        asm!(
            "mov ds, {null:e}",
            "mov es, {null:e}",
            "mov fs, {null:e}",
            "wrfsbase {fs}",
            "swapgs",
            "mov gs, {null:e}",
            "wrgsbase {gs}",
            "swapgs",
            fs = in(reg) fs,
            gs = in(reg) gs,
            null = in(reg) 0,
            options(nostack, preserves_flags),
        );
    }
}

/// The same on a CPU without instructions for bases.
#[cold]
#[inline(never)]
fn exchange_by_registers(next: [u64; 2], old: Option<&mut [u64; 2]>) {
    if let Some(old) = old {
        *old = user_bases();
    }
    // SAFETY: as above; the bases are canonical, as the caller says.
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
        let ([mut fs, mut gs], [fs_base, gs_base]) = ([FS_BASE, USER_GS_BASE], next);
        fs.write(fs_base);
        gs.write(gs_base);
    }
}
