//! From the loader to `kernel_main`, by the Limine boot protocol (base revision 2).
//!
//! The real Limine enters here, and so does the boot stub in `qemu/stub`, which answers the same requests.

use core::arch::naked_asm;
use core::ops::Range;
use core::ptr::NonNull;

use dtoolkit::error::FdtErrorKind::{InvalidNodeName, InvalidPropertyName};
use dtoolkit::error::FdtParseError;
use dtoolkit::fdt::Fdt;
use limine::BaseRevision;
use limine::memory_map::EntryType;
use limine::request::{
    BootloaderInfoRequest, DeviceTreeBlobRequest, ExecutableAddressRequest, HhdmRequest, MemoryMapRequest,
    ModuleRequest, RequestsEndMarker, RequestsStartMarker,
};
use spin::Once;
use tessera_abi::PAGE_BYTES;

use crate::ranges::{RangeList, frames_around, frames_within};
use crate::{BootInfo, PhysAddr, PhysRange, upcall};

use super::machine::{self, Machine};
use super::paging::{self, Builder};
use super::secondary::own_affinity;
use super::{console, entry, features, interrupts, memory, percpu, power, secondary, stacks, timer, trampoline};

#[used]
#[unsafe(link_section = ".limine_requests_start")]
static REQUESTS_START: RequestsStartMarker = RequestsStartMarker::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static BASE_REVISION: BaseRevision = BaseRevision::with_revision(2);
#[used]
#[unsafe(link_section = ".limine_requests")]
static LOADER_NAME: BootloaderInfoRequest = BootloaderInfoRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static LOADER_MAP: HhdmRequest = HhdmRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static MEMORY_MAP: MemoryMapRequest = MemoryMapRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static MODULES: ModuleRequest = ModuleRequest::with_revision(0);
#[used]
#[unsafe(link_section = ".limine_requests")]
static IMAGE_ADDRESS: ExecutableAddressRequest = ExecutableAddressRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests")]
static DEVICE_TREE: DeviceTreeBlobRequest = DeviceTreeBlobRequest::new();
#[used]
#[unsafe(link_section = ".limine_requests_end")]
static REQUESTS_END: RequestsEndMarker = RequestsEndMarker::new();

/// The free memory, for `BootInfo`.
static FREE_MEMORY: Once<RangeList> = Once::new();
/// The loader's name and version, for `BootInfo`.
static LOADER: Once<Text> = Once::new();
/// What the kernel gets.
static BOOT_INFO: Once<BootInfo> = Once::new();

/// Where the loader enters: EL1, all exceptions masked, SP_EL0 a stack of the loader's, its translation tables.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn kernel_entry() -> ! {
    naked_asm!(
        "bl {stack_top}",
        "msr spsel, #1",
        "mov sp, x0",
        "mov x29, xzr",
        "mov x30, xzr",
        "b {boot}",
        stack_top = sym stacks::boot_stack_top,
        boot = sym boot,
    )
}

/// Everything between the loader and the kernel.
extern "C" fn boot() -> ! {
    percpu::install(0);
    entry::install_vectors();
    let (machine, archive) = leave_loader();
    features::enable();
    memory::start();
    power::set_firmware_call(machine.firmware_by_smc);
    secondary::set_cpus(&machine.cpus);
    start_devices(&machine);
    timer::start();
    let boot_info = BOOT_INFO.call_once(|| BootInfo {
        loader: LOADER.get().map_or("unknown", Text::as_str),
        memory: FREE_MEMORY.get().map_or(&[], RangeList::as_slice),
        archive,
        cpus: machine.cpus.count(),
    });
    upcall::kernel_main(boot_info)
}

/// Reads all that the loader says and changes to the kernel's own tables. The loader's memory is free afterwards.
fn leave_loader() -> (Machine, PhysRange) {
    assert!(BASE_REVISION.is_supported(), "the loader does not know Limine base revision 2");
    let loader_map = LOADER_MAP.get_response().expect("the loader tells no direct map").offset();
    let image = IMAGE_ADDRESS.get_response().expect("the loader tells no image address");
    paging::set_image_offset(image.physical_base().wrapping_sub(image.virtual_base()));
    let tree = device_tree();
    if let Some(line) = machine::serial_line_address(tree) {
        use_console(loader_map + line);
    }
    let machine = Machine::read(tree, own_affinity());
    LOADER.call_once(loader_name);
    let archive = find_archive(loader_map);
    let (mapped, free) =
        (memory_of(is_memory, frames_around), memory_of(|kind| kind == EntryType::USABLE, frames_within));
    let longest = free.longest().expect("there is no free memory");
    let mut builder = Builder::new(loader_map, longest, trampoline::code_address());
    builder.map_image();
    builder.map_stacks(machine.cpus.count());
    mapped.as_slice().iter().for_each(|range| builder.map_memory(range));
    for device in [&machine.uart, &machine.distributor, &machine.redistributors] {
        builder.map_device(device);
    }
    let tables = free.longest().map_or(0, |range| range.start.value())..builder.free_start();
    FREE_MEMORY.call_once(|| free_memory(&tables));
    // SAFETY: image and memory are mapped; `machine`, `archive` and the three statics hold copies, and nothing else of
    // what the loader gave is used from here on.
    unsafe { builder.switch() };
    use_console(paging::device_address(machine.uart.start));
    (machine, archive)
}

/// The device tree, in the loader's map.
fn device_tree() -> Fdt<'static> {
    let tree = DEVICE_TREE.get_response().expect("the loader hands on no device tree").dtb_ptr().cast::<u8>();
    // SAFETY: the loader promises that this is a device tree, and it is in the loader's map as long as that exists.
    match unsafe { Fdt::from_raw(tree) } {
        Ok(tree) => tree,
        // Boards have longer names than the specification lets them have; nothing here looks for such.
        // SAFETY: as above.
        Err(FdtParseError { kind: InvalidNodeName | InvalidPropertyName, .. }) => unsafe {
            Fdt::from_raw_unchecked(tree)
        },
        Err(error) => panic!("the device tree: {error}"),
    }
}

/// Lets the console write to a PL011 at a virtual address.
fn use_console(registers: u64) {
    if let Some(registers) = NonNull::new(registers as *mut _) {
        // SAFETY: the device tree says that a PL011 is there, and the tables in force map it.
        unsafe { console::use_registers(registers) };
    }
}

/// Whether memory of this kind is in the kernel's direct map.
fn is_memory(kind: EntryType) -> bool {
    kind == EntryType::USABLE || kind == EntryType::BOOTLOADER_RECLAIMABLE || kind == EntryType::EXECUTABLE_AND_MODULES
}

/// The frames, as `frames` finds them, of what the loader lists under the kinds that `wanted` accepts.
fn memory_of(wanted: impl Fn(EntryType) -> bool, frames: fn(u64, u64, u64) -> Range<u64>) -> RangeList {
    let mut list = RangeList::new();
    let map = MEMORY_MAP.get_response().expect("the loader gives no memory map");
    for entry in map.entries().iter().filter(|entry| wanted(entry.entry_type)) {
        let frames = frames(entry.base, entry.length, memory::DIRECT_MAP_BYTES);
        list.add(frames.start, frames.end);
    }
    list
}

/// Free memory once the loader is left: all but the tables just built.
fn free_memory(tables: &Range<u64>) -> RangeList {
    let is_free = |kind| kind == EntryType::USABLE || kind == EntryType::BOOTLOADER_RECLAIMABLE;
    let mut list = memory_of(is_free, frames_within);
    list.remove(tables.start, tables.end);
    list
}

/// Where the boot archive lies: the first module; an empty range if there is none.
fn find_archive(loader_map: u64) -> PhysRange {
    let modules = MODULES.get_response().map(|response| response.modules());
    let Some(module) = modules.and_then(|modules| modules.first()) else {
        return PhysRange { start: PhysAddr::new(0), length_bytes: 0 };
    };
    let start = PhysAddr::new(module.addr().addr() as u64 - loader_map);
    assert!(start.value().is_multiple_of(PAGE_BYTES), "the boot archive begins within a frame");
    PhysRange { start, length_bytes: module.size() }
}

/// Starts the devices that every machine has.
fn start_devices(machine: &Machine) {
    if let Some(clock_hertz) = machine.uart_clock_hertz {
        console::start(clock_hertz);
    }
    let registers = |range: &Range<u64>| paging::device_address(range.start) as *mut u8;
    let distributor = NonNull::new(registers(&machine.distributor).cast());
    let redistributors = NonNull::new(registers(&machine.redistributors).cast());
    if let (Some(distributor), Some(redistributors)) = (distributor, redistributors) {
        // SAFETY: the addresses are those of the device tree, mapped as device memory by `leave_loader`; called once.
        unsafe { interrupts::start(distributor, redistributors, machine.timer_interrupt, machine.cpus.boot) };
    }
}

/// A short text in fixed space.
struct Text {
    bytes: [u8; 64],
    length: usize,
}

impl Text {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("unknown")
    }

    /// Appends as much as fits.
    fn append(&mut self, text: &str) {
        for byte in text.bytes() {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
    }
}

/// The loader's name and version.
fn loader_name() -> Text {
    let mut text = Text { bytes: [0; 64], length: 0 };
    if let Some(info) = LOADER_NAME.get_response() {
        text.append(info.name());
        text.append(" ");
        text.append(info.version());
    }
    text
}
