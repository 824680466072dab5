//! What each CPU has for itself: a block that TPIDR_EL1 points to, and its kernel stacks.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use tessera_abi::PAGE_BYTES;

use crate::CPUS_MAX;

use super::registers::SavedState;

/// Bytes of a CPU's kernel stack.
const STACK_BYTES: usize = 64 * 1024;
/// Bytes of the stack on which exceptions of the kernel itself are reported.
const EMERGENCY_STACK_BYTES: usize = 16 * 1024;
/// Bytes of a guard page.
const GUARD_BYTES: usize = PAGE_BYTES as usize;

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
    /// How many exceptions of the kernel are being reported on this CPU.
    pub(super) kernel_exceptions: AtomicU64,
}

#[repr(C, align(4096))]
struct Stacks {
    guard: [u8; GUARD_BYTES],
    stack: [u8; STACK_BYTES],
    emergency_guard: [u8; GUARD_BYTES],
    emergency_stack: [u8; EMERGENCY_STACK_BYTES],
}

/// All CPUs' stacks, only ever used through stack pointers.
#[repr(transparent)]
struct AllStacks(UnsafeCell<[Stacks; CPUS_MAX]>);

// SAFETY: no reference to the contents is ever made, only addresses are taken; each CPU uses its own part.
unsafe impl Sync for AllStacks {}

static STACKS: AllStacks = AllStacks(UnsafeCell::new(
    [const {
        Stacks {
            guard: [0; GUARD_BYTES],
            stack: [0; STACK_BYTES],
            emergency_guard: [0; GUARD_BYTES],
            emergency_stack: [0; EMERGENCY_STACK_BYTES],
        }
    }; CPUS_MAX],
));

static PER_CPU: [PerCpu; CPUS_MAX] = [const {
    PerCpu {
        context: AtomicPtr::new(ptr::null_mut()),
        emergency_top: AtomicU64::new(0),
        stack_top: AtomicU64::new(0),
        index: AtomicU64::new(0),
        kernel_exceptions: AtomicU64::new(0),
    }
}; CPUS_MAX];

/// The address ranges that stay unmapped so that a stack that grows too far faults.
pub(super) fn guard_ranges() -> impl Iterator<Item = Range<u64>> {
    (0..CPUS_MAX).flat_map(|index| {
        [kernel_stack(index).start, emergency_stack(index).start].map(|start| start - GUARD_BYTES as u64..start)
    })
}

/// The addresses of a CPU's kernel stack.
pub(super) fn kernel_stack(index: usize) -> Range<u64> {
    let start = stacks_address(index) + core::mem::offset_of!(Stacks, stack) as u64;
    start..start + STACK_BYTES as u64
}

/// The addresses of a CPU's emergency stack.
pub(super) fn emergency_stack(index: usize) -> Range<u64> {
    let start = stacks_address(index) + core::mem::offset_of!(Stacks, emergency_stack) as u64;
    start..start + EMERGENCY_STACK_BYTES as u64
}

fn stacks_address(index: usize) -> u64 {
    assert!(index < CPUS_MAX);
    STACKS.0.get().addr() as u64 + (index * size_of::<Stacks>()) as u64
}

/// Fills in the block of the CPU that runs this and makes TPIDR_EL1 point to it.
pub(super) fn install(index: usize) {
    let block = &PER_CPU[index];
    block.index.store(index as u64, Ordering::Relaxed);
    block.emergency_top.store(emergency_stack(index).end, Ordering::Relaxed);
    block.stack_top.store(empty_stack_pointer(index), Ordering::Relaxed);
    // SAFETY: the register is the kernel's alone, and from here on always holds the address of a block in a static.
    unsafe {
        asm!("msr tpidr_el1, {}", in(reg) ptr::from_ref(block), options(nostack, preserves_flags));
    }
}

/// Whether a context is any CPU's current one.
pub(super) fn is_current_anywhere(context: *const SavedState) -> bool {
    PER_CPU.iter().any(|block| ptr::eq(block.context.load(Ordering::Relaxed), context))
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

/// The number of the CPU that runs this.
#[inline(always)]
pub(super) fn index() -> usize {
    let index = current().index.load(Ordering::Relaxed) as usize;
    // SAFETY: only `install` writes the field, with the index of an element of an array of `CPUS_MAX`. Knowing it saves
    // the check where the index leads to other per-CPU data, on the fast paths too.
    unsafe { core::hint::assert_unchecked(index < CPUS_MAX) };
    index
}

/// The stack pointer of a CPU's kernel stack with nothing on it: above are 16 bytes that stay zero, from which the
/// entry code clears registers two at a time.
pub(super) fn empty_stack_pointer(index: usize) -> u64 {
    kernel_stack(index).end - 16
}

/// The boot CPU's stack pointer, for the entry from the loader.
pub(super) extern "C" fn boot_stack_top() -> u64 {
    empty_stack_pointer(0)
}
