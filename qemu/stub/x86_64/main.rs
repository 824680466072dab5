//! The x86_64 boot stub: starts from a disk by BIOS, enters the kernel the Limine way. `../README.md` tells more.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod firmware;
#[cfg(target_os = "none")]
mod sector;
#[cfg(target_os = "none")]
mod start;

/// On a host there is nothing to boot; this lets the whole workspace be checked there.
#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod steps {
    use core::panic::PanicInfo;

    use elf::abi::EM_X86_64;
    use tessera_stub::kernel::{Kernel, Page};
    use tessera_stub::memory::{Kind, Span};
    use tessera_stub::respond::{self, Facts};
    use tessera_stub::tables::Tables;
    use tessera_stub::{Failure, archive};

    use crate::{console, firmware, sector, start};

    /// Where the direct map of physical memory begins, as with Limine.
    pub(crate) const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
    /// What lies below stays free: there the kernel starts the other CPUs.
    const LOW_MEMORY_END: u64 = 1 << 20;

    /// Entry bits (SDM volume 3, 5.5.4): present; writable; accessed; dirty; no execution.
    const PAGE: u64 = 1 | 1 << 5 | 1 << 6;
    const WRITABLE: u64 = 1 << 1;
    const NO_EXECUTE: u64 = 1 << 63;
    const TABLE: u64 = 1 | WRITABLE | 1 << 5;

    static TABLES: Tables = Tables::empty();

    /// Called by the start code, in long mode, with the first 4 GiB mapped at their own address and in the direct
    /// map. `map_end` is the end of the BIOS's memory map.
    pub(crate) extern "C" fn run(map_end: u64) -> ! {
        let failure = match boot(map_end) {
            Err(failure) => failure,
            Ok(entry) => start::enter_kernel(entry),
        };
        console::fail(format_args!("{failure}"))
    }

    /// Makes everything ready for the kernel; returns its entry point.
    fn boot(map_end: u64) -> Result<u64, Failure> {
        let mut layout = firmware::memory(map_end)?;
        let archive = Span::new(start::own_image().end(), sector::archive_bytes());
        layout.reserve(start::own_image(), Kind::Loader)?;
        layout.reserve(archive, Kind::KernelOrModule)?;
        // SAFETY: the boot sector loaded the archive there; nobody writes to it while the stub runs.
        let bytes = unsafe { core::slice::from_raw_parts(archive.start as *const u8, archive.length_bytes as usize) };
        let kernel = Kernel::read(archive::kernel_file(bytes)?, EM_X86_64)?;
        let place = layout.find_room(kernel.length_bytes(), LOW_MEMORY_END)?;
        layout.reserve(place, Kind::KernelOrModule)?;
        let image = load(&kernel, place)?;
        let facts = Facts {
            layout: &layout,
            archive,
            device_tree: None,
            acpi: firmware::acpi(),
            direct_map: DIRECT_MAP,
            kernel_virtual: kernel.first_address(),
            kernel_physical: place.start,
        };
        Ok(respond::answer(image, &facts)?.unwrap_or(kernel.entry()))
    }

    /// Copies the kernel to free memory and maps it; returns the image, for the requests in it.
    fn load(kernel: &Kernel<'_>, place: Span) -> Result<&'static mut [u64], Failure> {
        let start = place.start as *mut u8;
        // SAFETY: the place is free memory, mapped at its own address. It is written here for the first time.
        let image = unsafe {
            core::ptr::write_bytes(start, 0, place.length_bytes as usize);
            core::slice::from_raw_parts_mut(start, place.length_bytes as usize)
        };
        kernel.load(image)?;
        kernel.for_each_page(place, |page| TABLES.set_page(page.address, page.physical | attributes(page)))?;
        let (index, entry) = TABLES.connect(TABLE);
        start::set_root_entry(index, entry);
        // SAFETY: the same memory, page-aligned and in whole words; the slice of bytes is used no more.
        Ok(unsafe { core::slice::from_raw_parts_mut(start.cast(), (place.length_bytes / 8) as usize) })
    }

    fn attributes(page: Page) -> u64 {
        let writable = if page.is_writable { WRITABLE } else { 0 };
        let executable = if page.is_executable { 0 } else { NO_EXECUTE };
        PAGE | writable | executable
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        console::fail(format_args!("{info}"))
    }
}
