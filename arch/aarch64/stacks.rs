//! Every CPU's stacks, each above a guard page that stays unmapped.
//!
//! The boot CPU's are part of the kernel's image. Those of the others lie side by side where nothing else is, in memory that
//! `paging` takes for as many CPUs as the machine has.

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

/// The boot CPU's stacks, only ever used through stack pointers.
#[repr(transparent)]
struct BootStacks(UnsafeCell<Stacks>);

// SAFETY: no reference to the contents is ever made, only addresses are taken; the boot CPU alone uses them.
unsafe impl Sync for BootStacks {}

static BOOT_STACKS: BootStacks = BootStacks(UnsafeCell::new(Stacks {
    guard: [0; GUARD_BYTES],
    stack: [0; STACK_BYTES],
    emergency_guard: [0; GUARD_BYTES],
    emergency_stack: [0; EMERGENCY_STACK_BYTES],
}));

/// Where the stacks of the other CPUs are mapped: 1 GiB below the image.
const OTHERS: u64 = 0xffff_ffff_4000_0000;

/// Whether an address is in a page that stays unmapped so that a stack that grows too far faults.
pub(super) fn is_guard(address: u64) -> bool {
    let is_others = (OTHERS..stacks_address(CPUS_MAX)).contains(&address);
    let cpu = if is_others { 1 + (address - OTHERS) as usize / size_of::<Stacks>() } else { 0 };
    let starts = [kernel_stack(cpu).start, emergency_stack(cpu).start];
    starts.into_iter().any(|start| (start - GUARD_BYTES as u64..start).contains(&address))
}

/// The pages that want memory for the stacks of the other CPUs of a machine with so many.
pub(super) fn pages_of_others(cpus: usize) -> impl Iterator<Item = u64> {
    (1..cpus).flat_map(|cpu| [kernel_stack(cpu), emergency_stack(cpu)]).flat_map(|stack| stack.step_by(GUARD_BYTES))
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
    match index {
        0 => BOOT_STACKS.0.get().addr() as u64,
        other => OTHERS + ((other - 1) * size_of::<Stacks>()) as u64,
    }
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
