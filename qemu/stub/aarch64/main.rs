//! The aarch64 boot stub: starts as a Linux Image, enters the kernel the Limine way. `../README.md` tells more.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod load;
#[cfg(target_os = "none")]
mod start;

/// On a host there is nothing to boot; this lets the whole workspace be checked there.
#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod steps {
    use core::panic::PanicInfo;

    use dtoolkit::fdt::Fdt;
    use dtoolkit::{Node, Property};
    use elf::abi::EM_AARCH64;
    use tessera_stub::kernel::Kernel;
    use tessera_stub::memory::{Kind, Layout, PAGE_BYTES, Span};
    use tessera_stub::respond::{self, Facts};
    use tessera_stub::{Failure, archive};

    use crate::{console, load, start};

    /// Where the direct map of physical memory begins, as with Limine.
    pub(crate) const DIRECT_MAP: u64 = 0xffff_0000_0000_0000;

    /// Called by the start code, at EL1, with all of RAM mapped at its own address and in the direct map.
    pub(crate) extern "C" fn run(device_tree: u64) -> ! {
        let failure = match boot(device_tree) {
            Err(failure) => failure,
            Ok(entry) => start::enter_kernel(entry),
        };
        console::fail(format_args!("{failure}"))
    }

    /// Makes everything ready for the kernel; returns its entry point.
    fn boot(device_tree: u64) -> Result<u64, Failure> {
        // SAFETY: the Linux boot protocol puts the tree's physical address into x0, and it is mapped there.
        let tree = unsafe { Fdt::from_raw(device_tree as *const u8) };
        let tree = tree.map_err(|_| "x0 does not point to a device tree")?;
        console::find(tree);
        let archive = archive_of(tree)?;
        let mut layout = memory_of(tree)?;
        layout.reserve(start::own_image(), Kind::Loader)?;
        layout.reserve(Span::new(device_tree, tree.data().len() as u64), Kind::Loader)?;
        layout.reserve(archive, Kind::KernelOrModule)?;
        // SAFETY: QEMU put the archive there; nobody writes to it while the stub runs.
        let bytes = unsafe { core::slice::from_raw_parts(archive.start as *const u8, archive.length_bytes as usize) };
        let kernel = Kernel::read(archive::kernel_file(bytes)?, EM_AARCH64)?;
        let place = layout.find_room(kernel.length_bytes(), 0)?;
        layout.reserve(place, Kind::KernelOrModule)?;
        let image = load::load(&kernel, place)?;
        let facts = Facts {
            layout: &layout,
            archive,
            device_tree: Some(device_tree),
            acpi: None,
            direct_map: DIRECT_MAP,
            kernel_virtual: kernel.first_address(),
            kernel_physical: place.start,
        };
        let entry = respond::answer(image, &facts)?.unwrap_or(kernel.entry());
        start::limit_direct_map(layout.memory_end());
        Ok(entry)
    }

    /// The RAM that the device tree lists, with nothing in use but what the tree reserves.
    fn memory_of(tree: Fdt<'_>) -> Result<Layout, Failure> {
        let mut layout = Layout::new();
        for node in tree.root().children().filter(|node| node.name_without_address() == "memory") {
            for region in node.reg().ok().flatten().into_iter().flatten() {
                let (Ok(start), Ok(length_bytes)) = (region.address(), region.size()) else { continue };
                layout.add_bank(Span::new(start, length_bytes))?;
            }
        }
        for reservation in tree.memory_reservations() {
            layout.reserve(Span::new(reservation.address(), reservation.size()), Kind::Reserved)?;
        }
        Ok(layout)
    }

    /// Where QEMU put the boot archive.
    fn archive_of(tree: Fdt<'_>) -> Result<Span, Failure> {
        let chosen = tree.find_node("/chosen").ok_or("the device tree has no /chosen")?;
        let address = |name| {
            let bytes: &[u8] = chosen.property(name)?.value_as().ok()?;
            bytes.iter().try_fold(0u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)))
        };
        let start = address("linux,initrd-start").ok_or("there is no boot archive (QEMU: -initrd FILE)")?;
        let end = address("linux,initrd-end").ok_or("the boot archive has no end")?;
        if !start.is_multiple_of(PAGE_BYTES) {
            return Err("the boot archive does not begin on a page boundary");
        }
        Ok(Span::new(start, end.saturating_sub(start)))
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        console::fail(format_args!("{info}"))
    }
}
