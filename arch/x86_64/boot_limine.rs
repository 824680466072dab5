//! Entry by the Limine boot protocol, base revision 2.

use limine::BaseRevision;
use limine::memory_map::EntryType;
use limine::paging::Mode;
use limine::request::{
    EntryPointRequest, HhdmRequest, MemoryMapRequest, ModuleRequest, PagingModeRequest, RequestsEndMarker,
    RequestsStartMarker, RsdpRequest,
};

use super::boot::{self, Loader};
use super::features;
use super::memory_map::{Kind, MemoryMap};
use crate::{PhysAddr, PhysRange};

// The loader finds the requests by the markers around them, which the linker script puts in place, and answers
// in the requests themselves.

#[used]
#[unsafe(link_section = ".limine_start")]
static START: RequestsStartMarker = RequestsStartMarker::new();

#[used]
#[unsafe(link_section = ".limine_requests")]
static REVISION: BaseRevision = BaseRevision::with_revision(2);

#[used]
#[unsafe(link_section = ".limine_requests")]
static ENTRY: EntryPointRequest = EntryPointRequest::new().with_entry_point(enter);

#[used]
#[unsafe(link_section = ".limine_requests")]
static DIRECT_MAP: HhdmRequest = HhdmRequest::new();

#[used]
#[unsafe(link_section = ".limine_requests")]
static MEMORY: MemoryMapRequest = MemoryMapRequest::new();

#[used]
#[unsafe(link_section = ".limine_requests")]
static MODULES: ModuleRequest = ModuleRequest::new();

#[used]
#[unsafe(link_section = ".limine_requests")]
static PAGING: PagingModeRequest = PagingModeRequest::new().with_mode(Mode::FOUR_LEVEL).with_max_mode(Mode::FOUR_LEVEL);

#[used]
#[unsafe(link_section = ".limine_requests")]
static ACPI: RsdpRequest = RsdpRequest::new();

#[used]
#[unsafe(link_section = ".limine_end")]
static END: RequestsEndMarker = RequestsEndMarker::new();

extern "C" fn enter() -> ! {
    // SAFETY: this is the first code of the boot CPU.
    unsafe { boot::on_kernel_stack(0, enter_on_kernel_stack) }
}

extern "C" fn enter_on_kernel_stack(_: u64) -> ! {
    boot::prepare_cpu();
    assert!(REVISION.is_supported(), "the loader does not know base revision 2 of the Limine protocol");
    let direct_map = DIRECT_MAP.get_response().expect("the loader maps physical memory").offset();
    let entries = MEMORY.get_response().expect("the loader tells where memory is").entries();
    let entries = entries.iter().map(|entry| {
        let kind = match entry.entry_type {
            EntryType::USABLE => Kind::Free,
            EntryType::BOOTLOADER_RECLAIMABLE => Kind::Reclaimable,
            _ => Kind::Other,
        };
        (entry.base, entry.length, kind)
    });
    boot::start(Loader {
        name: "Limine",
        direct_map,
        direct_map_end: u64::MAX,
        memory: MemoryMap::new(entries, features::address_bits()),
        archive: archive(direct_map),
        acpi: acpi(direct_map),
    })
}

/// The first module.
fn archive(direct_map: u64) -> PhysRange {
    match MODULES.get_response().and_then(|response| response.modules().first()) {
        Some(module) => {
            PhysRange { start: PhysAddr::new(module.addr().addr() as u64 - direct_map), length_bytes: module.size() }
        }
        None => PhysRange { start: PhysAddr::new(0), length_bytes: 0 },
    }
}

/// ACPI's root pointer. Up to base revision 2 the protocol tells it as an address in the direct map.
fn acpi(direct_map: u64) -> Option<PhysAddr> {
    let address = ACPI.get_response()?.address() as u64;
    Some(PhysAddr::new(address.checked_sub(direct_map).unwrap_or(address)))
}
