//! Every CPU's stacks, part of the kernel image, each above a guard page that stays unmapped.

use core::cell::UnsafeCell;
use core::ops::Range;

use tessera_abi::PAGE_BYTES;

use crate::CPUS_MAX;

/// Bytes of a CPU's kernel stack.
const STACK_BYTES: usize = 64 * 1024;
/// Bytes of the stack on which exceptions of the kernel itself are reported.
const EMERGENCY_STACK_BYTES: usize = 16 * 1024;
/// Bytes of a guard page.
const GUARD_BYTES: usize = PAGE_BYTES as usize;

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

/// The stack pointer of a CPU's kernel stack with nothing on it: above are 16 bytes that stay zero, from which the
/// entry code clears registers two at a time.
pub(super) fn empty_stack_pointer(index: usize) -> u64 {
    kernel_stack(index).end - 16
}

/// The boot CPU's stack pointer, for the entry from the loader.
pub(super) extern "C" fn boot_stack_top() -> u64 {
    empty_stack_pointer(0)
}
