//! What belongs to one CPU. In the kernel, TPIDR_EL1 points at the running CPU's block.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::{CPUS_MAX, upcall};

use super::registers::SavedState;
use super::stacks;

/// One CPU's block. The entry code in `entry.rs` knows the first three fields by their offsets.
#[repr(C, align(64))]
pub(super) struct PerCpu {
    /// Where the next trap from user mode saves the registers; null before the first thread.
    pub(super) context: AtomicPtr<SavedState>,
    /// First address after the emergency stack.
    pub(super) emergency_top: AtomicU64,
    /// The stack pointer of a kernel stack with nothing on it.
    pub(super) stack_top: AtomicU64,
    /// The CPU's number.
    index: AtomicU64,
    /// Where the kernel keeps what it knows of the CPU.
    line: AtomicUsize,
    /// How many exceptions of the kernel are being reported on this CPU.
    pub(super) kernel_exceptions: AtomicU64,
    /// Whether user mode may use the vector registers (`context.rs`).
    pub(super) grants_floating: AtomicBool,
}

static PER_CPU: [PerCpu; CPUS_MAX] = [const {
    PerCpu {
        context: AtomicPtr::new(ptr::null_mut()),
        emergency_top: AtomicU64::new(0),
        stack_top: AtomicU64::new(0),
        index: AtomicU64::new(0),
        line: AtomicUsize::new(0),
        kernel_exceptions: AtomicU64::new(0),
        grants_floating: AtomicBool::new(true),
    }
}; CPUS_MAX];

/// How many CPUs have come so far.
static INSTALLED: AtomicUsize = AtomicUsize::new(0);

/// Fills in the block of the CPU that runs this and makes TPIDR_EL1 point to it.
pub(super) fn install(index: usize) {
    let block = &PER_CPU[index];
    INSTALLED.fetch_max(index + 1, Ordering::Relaxed);
    block.index.store(index as u64, Ordering::Relaxed);
    block.line.store(upcall::kernel_line(index), Ordering::Relaxed);
    block.emergency_top.store(stacks::emergency_stack(index).end, Ordering::Relaxed);
    block.stack_top.store(stacks::empty_stack_pointer(index), Ordering::Relaxed);
    // SAFETY: the register is the kernel's alone, and from here on always holds the address of a block in a static.
    unsafe {
        asm!("msr tpidr_el1, {}", in(reg) ptr::from_ref(block), options(nostack, preserves_flags));
    }
}

/// Whether a context is any CPU's current one.
pub(super) fn is_current_anywhere(context: *const SavedState) -> bool {
    let mut installed = PER_CPU.iter().take(INSTALLED.load(Ordering::Relaxed));
    installed.any(|block| ptr::eq(block.context.load(Ordering::Relaxed), context))
}

/// The block of the CPU that runs this.
#[inline(always)]
pub(super) fn current() -> &'static PerCpu {
    let block: *const PerCpu;
    // SAFETY: reading TPIDR_EL1 has no side effect.
    unsafe {
        asm!("mrs {}, tpidr_el1", out(reg) block, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: `install` ran on this CPU before anything else, so the register points to an element of `PER_CPU`.
    unsafe { &*block }
}

/// Where the kernel keeps what it knows of the CPU that runs this.
#[inline(always)]
pub(super) fn line() -> usize {
    current().line.load(Ordering::Relaxed)
}

/// The number of the CPU that runs this.
#[inline(always)]
pub(super) fn index() -> usize {
    let index = current().index.load(Ordering::Relaxed) as usize;
    // SAFETY: only `install` writes the field, with the index of an element of an array of `CPUS_MAX`. Knowing it saves
    // the check where the index leads to other per-CPU data, on the fast paths too.
    unsafe { core::hint::assert_unchecked(index < CPUS_MAX) };
    index
}
