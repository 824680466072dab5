//! From the loaders' entry points to `kernel_main`.
//!
//! One image serves both loaders: the one of the `bootloader` crate enters at the ELF entry point, Limine at the
//! address that a request names. Each way fills a [`Loader`]; the rest is common.

use core::arch::naked_asm;

use spin::Once;
use x86_64::PhysAddr as MachinePhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;

use super::ranges::RangeList;
use super::stacks::{KERNEL_STACK_END, STACKS};
use super::{acpi, apic, console, features, gdt, idt, paging, percpu, timer, trap};
use crate::{BootInfo, PhysAddr, PhysRange, upcall};

/// Memory below this is left alone: firmware data, and where other CPUs will have to start.
const LOW_MEMORY_END: u64 = 1 << 20;

/// What a loader left behind.
pub(super) struct Loader {
    /// Its name, for people.
    pub(super) name: &'static str,
    /// Where it mapped physical memory.
    pub(super) direct_map: u64,
    /// All memory below this physical address is mapped there.
    pub(super) direct_map_end: u64,
    /// Memory that nobody uses.
    pub(super) free: RangeList,
    /// Memory that the loader uses until its tables are left.
    pub(super) reclaimable: RangeList,
    /// The boot archive; not in the lists above.
    pub(super) archive: PhysRange,
    /// Physical address of ACPI's root pointer, if there is one.
    pub(super) acpi: Option<PhysAddr>,
}

/// The memory list that outlives boot.
static MEMORY: Once<RangeList> = Once::new();
static BOOT_INFO: Once<BootInfo> = Once::new();

/// Goes on in `function` on the boot CPU's own stack, with interrupts off and frame pointers starting anew.
///
/// # Safety
/// The caller is the boot CPU's first code, so nobody uses that stack.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn on_kernel_stack(argument: u64, function: extern "C" fn(u64) -> !) -> ! {
    naked_asm!(
        "cli",
        "cld",
        "lea rsp, [rip + {stacks} + {end}]",
        "xor ebp, ebp",
        "call rsi",
        "ud2",
        stacks = sym STACKS,
        end = const KERNEL_STACK_END,
    )
}

/// Makes the CPU able to report what goes wrong. The first thing to call.
pub(super) fn prepare_cpu() {
    gdt::load(0);
    percpu::install(0);
    idt::fill();
    idt::load();
    console::init();
}

/// Sets the machine up and starts the kernel. `prepare_cpu` was called.
pub(super) fn start(mut loader: Loader) -> ! {
    features::enable_for_paging();
    leave_loader(&mut loader);
    features::enable();
    trap::enable_system_calls();
    apic::silence_old_controllers();
    apic::enable();
    timer::init();
    let memory = MEMORY.call_once(|| loader.free);
    let info = BOOT_INFO.call_once(|| BootInfo {
        loader: loader.name,
        memory: memory.as_slice(),
        archive: loader.archive,
        cpus: loader.acpi.map_or(1, acpi::count_cpus),
    });
    upcall::kernel_main(info)
}

/// Exchanges the loader's page tables for the kernel's, and gives the loader's memory back.
fn leave_loader(loader: &mut Loader) {
    let Loader { free, reclaimable, .. } = loader;
    for list in [&mut *free, &mut *reclaimable] {
        list.remove(0, LOW_MEMORY_END);
        list.remove(loader.archive.start.value(), loader.archive.end().value());
    }
    // SAFETY: the loader promises both, by its protocol; what the kernel uses itself, image and archive, is out of
    // the lists or will be before the first frame is taken for anything but tables.
    unsafe { paging::build(loader.direct_map, loader.direct_map_end, free, reclaimable) };
    let root = PhysFrame::containing_address(MachinePhysAddr::new(paging::kernel_root().start().value()));
    // SAFETY: the new tables hold the image, stacks included, where it runs now, so the next instruction is there.
    // Everything wanted from the loader was copied; PCIDs are not on yet, so the low bits mean nothing else.
    unsafe { Cr3::write(root, Cr3Flags::empty()) };
    for range in reclaimable.as_slice() {
        free.add(range.start.value(), range.end().value());
    }
}
