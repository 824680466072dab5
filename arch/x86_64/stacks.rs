//! Every CPU's stacks, each above a guard page that stays unmapped.
//!
//! The boot CPU's are part of the kernel's image. Those of the others lie side by side where nothing else is, in memory that
//! `paging::build` takes for as many CPUs as the machine has.

use core::cell::UnsafeCell;
use core::mem::offset_of;

use crate::CPUS_MAX;

const PAGE: usize = 4096;

/// A page of stack, or a guard.
#[repr(C, align(4096))]
struct Page(#[allow(dead_code, reason = "read and written by hardware")] UnsafeCell<[u8; PAGE]>);

/// A stack that grows down towards its guard page.
#[repr(C)]
struct Stack<const PAGES: usize> {
    _guard: Page,
    _pages: [Page; PAGES],
}

/// What one CPU has. Reports of fatal traps are made on the trap's own stack, hence the size.
#[repr(C)]
pub(super) struct CpuStacks {
    kernel: Stack<16>,
    double_fault: Stack<4>,
    non_maskable: Stack<4>,
    machine_check: Stack<4>,
    debug: Stack<1>,
}

// SAFETY: nothing but the CPU that owns a stack uses it, and never through a reference.
unsafe impl Sync for CpuStacks {}

impl Page {
    const fn new() -> Page {
        Page(UnsafeCell::new([0; PAGE]))
    }
}

impl<const PAGES: usize> Stack<PAGES> {
    const fn new() -> Stack<PAGES> {
        Stack { _guard: Page::new(), _pages: [const { Page::new() }; PAGES] }
    }
}

impl CpuStacks {
    const fn new() -> CpuStacks {
        CpuStacks {
            kernel: Stack::new(),
            double_fault: Stack::new(),
            non_maskable: Stack::new(),
            machine_check: Stack::new(),
            debug: Stack::new(),
        }
    }
}

/// The stacks of the boot CPU.
pub(super) static BOOT_STACKS: CpuStacks = CpuStacks::new();

/// Where the stacks of the other CPUs are mapped: 1 GiB below the image, under the same top-level entry.
const OTHERS: u64 = 0xffff_ffff_4000_0000;
const SIZE: u64 = size_of::<CpuStacks>() as u64;

/// Where the kernel stack ends, from the beginning of a [`CpuStacks`].
pub(super) const KERNEL_STACK_END: usize = offset_of!(CpuStacks, double_fault);

/// Offsets of the guard pages in a [`CpuStacks`].
const GUARDS: [usize; 5] = [
    offset_of!(CpuStacks, kernel),
    offset_of!(CpuStacks, double_fault),
    offset_of!(CpuStacks, non_maskable),
    offset_of!(CpuStacks, machine_check),
    offset_of!(CpuStacks, debug),
];

/// The upper ends of one CPU's stacks.
pub(super) struct Tops {
    /// The stack of ordinary kernel code.
    pub(super) kernel: u64,
    /// In order: double fault, non-maskable interrupt, machine check, debug trap.
    pub(super) traps: [u64; 4],
}

/// Where the stacks of a CPU lie.
fn base(cpu: usize) -> u64 {
    match cpu {
        0 => (&raw const BOOT_STACKS).addr() as u64,
        other => OTHERS + (other - 1) as u64 * SIZE,
    }
}

/// The pages that want memory for the stacks of the other CPUs of a machine with so many.
pub(super) fn pages_of_others(cpus: usize) -> impl Iterator<Item = u64> {
    (1..cpus).flat_map(|cpu| (base(cpu)..base(cpu) + SIZE).step_by(PAGE)).filter(|page| !is_guard(*page))
}

/// Where the stacks of a CPU begin to be used.
pub(super) fn tops(cpu: usize) -> Tops {
    let base = base(cpu);
    Tops {
        kernel: base + GUARDS[1] as u64,
        traps: [base + GUARDS[2] as u64, base + GUARDS[3] as u64, base + GUARDS[4] as u64, base + SIZE],
    }
}

/// Whether an address lies in a guard page.
pub(super) fn is_guard(address: u64) -> bool {
    let is_others = (OTHERS..base(CPUS_MAX)).contains(&address);
    let Some(offset) = address.checked_sub(if is_others { OTHERS } else { base(0) }) else { return false };
    let within = (offset % SIZE) as usize;
    (is_others || offset < SIZE) && GUARDS.iter().any(|guard| (*guard..guard + PAGE).contains(&within))
}

/// Whether 16 bytes at an address lie in one of a CPU's stacks, outside of the guard pages.
pub(super) fn holds(cpu: usize, address: u64) -> bool {
    let base = base(cpu);
    let inside = address >= base && address + 16 <= base + SIZE;
    inside && !is_guard(address) && !is_guard(address + 15)
}
