//! From the loaders' entry points to `kernel_main`.
//!
//! One image serves both loaders: the one of the `bootloader` crate enters at the ELF entry point, Limine at the
//! address that a request names. Each way fills a [`Loader`]; the rest is common.

use core::arch::naked_asm;

use spin::Once;

use super::firmware::Firmware;
use super::machine::CpuList;
use super::memory_map::MemoryMap;
use super::paging::Device;
use super::stacks::{BOOT_STACKS, KERNEL_STACK_END};
use super::trampoline::FRAMES;
use super::{call_entry, console, entry, features, gdt, idt, interrupts, machine, paging, percpu, secondary, timer};
use crate::ranges::RangeList;
use crate::{BootInfo, CPUS_MAX, Frame, PhysAddr, PhysRange, upcall};

/// Memory below this is left alone, as it may hold firmware data, but for the frames that other CPUs start in.
const LOW_MEMORY_END: u64 = 1 << 20;

/// What a loader left behind.
pub(super) struct Loader {
    /// Its name, for people.
    pub(super) name: &'static str,
    /// Where it mapped physical memory.
    pub(super) direct_map: u64,
    /// All memory below this physical address is mapped there.
    pub(super) direct_map_end: u64,
    /// Memory that the kernel may have.
    pub(super) memory: MemoryMap,
    /// The boot archive.
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
        stacks = sym BOOT_STACKS,
        end = const KERNEL_STACK_END,
    )
}

/// Makes the CPU able to report what goes wrong. The first thing to call.
pub(super) fn prepare_cpu() {
    gdt::load(0);
    percpu::install(0);
    // SAFETY: the stubs are made for that.
    unsafe { idt::fill(entry::stub_address) };
    idt::load();
    console::init();
}

/// Sets the machine up and starts the kernel. `prepare_cpu` was called.
pub(super) fn start(mut loader: Loader) -> ! {
    features::enable_for_paging();
    let firmware = Firmware { direct_map: loader.direct_map, root_pointer: loader.acpi };
    let controllers = firmware.table(b"APIC");
    let listed = CpuList::in_table(controllers);
    let cpus = listed.apics().len().clamp(1, CPUS_MAX);
    let port_of_timer = machine::timer_port(firmware.table(b"FACP"));
    machine::io_apics(controllers).filter_map(|address| firmware.registers(address)).for_each(|registers| {
        // SAFETY: firmware says that an I/O APIC is there, and the loader has its registers mapped.
        unsafe { interrupts::mask_lines(registers) }
    });
    let low_frames = leave_loader(&mut loader, cpus);
    features::enable();
    call_entry::enable_system_calls();
    interrupts::silence_old_controllers();
    interrupts::enable();
    timer::init(port_of_timer);
    let memory = MEMORY.call_once(|| loader.memory.free);
    let info = BOOT_INFO.call_once(|| BootInfo {
        loader: loader.name,
        memory: memory.as_slice(),
        archive: loader.archive,
        cpus: secondary::find_cpus(&listed, cpus, low_frames),
    });
    upcall::kernel_main(info)
}

/// Exchanges the loader's page tables for the kernel's, with stacks for so many CPUs, and gives the loader's memory back.
/// Returns the frames that other CPUs need to start.
fn leave_loader(loader: &mut Loader, cpus: usize) -> Option<[Frame; FRAMES]> {
    // What is memory by the loader's map, and nothing else, is what the kernel maps.
    let memory = loader.memory.all(loader.archive);
    let MemoryMap { free, reclaimable } = &mut loader.memory;
    let low_frames = secondary::take_frames(free);
    for list in [&mut *free, &mut *reclaimable] {
        list.remove(0, LOW_MEMORY_END);
        list.remove(loader.archive.start.value(), loader.archive.end().value());
    }
    let device = Device { window: interrupts::WINDOW, registers: interrupts::registers_address() };
    // SAFETY: the loader promises both, by its protocol; what the kernel uses itself, image and archive, is out of
    // the lists or will be before the first frame is taken for anything but tables.
    unsafe {
        paging::build(loader.direct_map, loader.direct_map_end, &memory, free, reclaimable, &device, cpus);
    }
    paging::use_kernel_root();
    for range in reclaimable.as_slice() {
        free.add(range.start.value(), range.end().value());
    }
    low_frames
}
