//! Entry from the loader of the `bootloader` crate (version 0.11), by BIOS or UEFI.

use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::info::{MemoryRegionKind, Optional};
use bootloader_api::{BootInfo, entry_point};

use super::boot::{self, Loader};
use super::memory_map::{Kind, MemoryMap};
use super::{features, paging};
use crate::{PhysAddr, PhysRange};

const CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config
};

entry_point!(enter, config = &CONFIG);

fn enter(info: &'static mut BootInfo) -> ! {
    // SAFETY: this is the first code of the boot CPU.
    unsafe { boot::on_kernel_stack((&raw mut *info).addr() as u64, enter_on_kernel_stack) }
}

extern "C" fn enter_on_kernel_stack(info: u64) -> ! {
    boot::prepare_cpu();
    // SAFETY: `enter` passed its exclusive reference on as a number, and uses it no more.
    let info = unsafe { &*(info as *const BootInfo) };
    let Optional::Some(direct_map) = info.physical_memory_offset else {
        panic!("the loader did not map physical memory as the configuration asks");
    };
    let entries = info.memory_regions.iter().map(|region| {
        let kind = match region.kind {
            MemoryRegionKind::Usable => Kind::Free,
            MemoryRegionKind::Bootloader => Kind::Reclaimable,
            _ => Kind::Other,
        };
        (region.start, region.end.saturating_sub(region.start), kind)
    });
    let memory = MemoryMap::new(entries, features::address_bits());
    // The loader maps everything up to the end of the last region of any kind.
    let direct_map_end = info.memory_regions.iter().map(|region| region.end).max().unwrap_or(0);
    let archive = archive(info, direct_map);
    let acpi = info.rsdp_addr.into_option().map(PhysAddr::new);
    boot::start(Loader { name: "bootloader 0.11", direct_map, direct_map_end, memory, archive, acpi })
}

/// Where the ramdisk lies. The loader tells its virtual address; the frames follow each other.
fn archive(info: &BootInfo, direct_map: u64) -> PhysRange {
    let Optional::Some(address) = info.ramdisk_addr else {
        return PhysRange { start: PhysAddr::new(0), length_bytes: 0 };
    };
    // SAFETY: the loader maps all memory there, its own tables included.
    let translate = |address| unsafe { paging::translate(direct_map, address) };
    let start = translate(address).expect("the loader maps the ramdisk");
    let last = info.ramdisk_len.saturating_sub(1);
    assert!(translate(address + last) == Some(PhysAddr::new(start.value() + last)), "the ramdisk lies in one piece");
    PhysRange { start, length_bytes: info.ramdisk_len }
}
