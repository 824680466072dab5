//! What the BIOS tells: memory, and where ACPI's tables begin.

use tessera_stub::Failure;
use tessera_stub::memory::{Kind, Layout, PAGE_BYTES, Span};

use crate::sector::{MEMORY_MAP, MEMORY_MAP_ENTRY_BYTES};
use crate::start::MAPPED_BYTES;

/// In the memory map: free memory.
const FREE: u64 = 1;
/// Where the BIOS keeps the segment of its extended data.
const EXTENDED_DATA: u64 = 0x40e;
/// The BIOS itself.
const BIOS: Span = Span::new(0xe_0000, 0x2_0000);

/// The memory map that the boot sector asked for, up to where the stub maps memory. Its end is `map_end`.
pub(crate) fn memory(map_end: u64) -> Result<Layout, Failure> {
    let mut layout = Layout::new();
    for entry in (MEMORY_MAP as u64..map_end).step_by(MEMORY_MAP_ENTRY_BYTES) {
        let (start, length_bytes) = (number::<8>(entry), number::<8>(entry + 8));
        let end = start.saturating_add(length_bytes).min(MAPPED_BYTES);
        if number::<4>(entry + 16) == FREE && start < end {
            layout.add_bank(Span::new(start, end - start))?;
        }
    }
    // The BIOS's own data, and no place for a pointer to lead to.
    layout.reserve(Span::new(0, PAGE_BYTES), Kind::Reserved)?;
    Ok(layout)
}

/// ACPI's root pointer (ACPI 6.5, 5.2.5.1).
pub(crate) fn acpi() -> Option<u64> {
    let extended = Span::new(number::<2>(EXTENDED_DATA) * 16, 1024);
    [extended, BIOS].into_iter().flat_map(|span| (span.start..span.end()).step_by(16)).find(|place| {
        let sum = (0..20).fold(0u8, |sum, offset| sum.wrapping_add(number::<1>(place + offset) as u8));
        number::<8>(*place) == u64::from_le_bytes(*b"RSD PTR ") && sum == 0
    })
}

/// A little-endian number of `N` bytes in physical memory.
fn number<const N: usize>(address: u64) -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the first 4 GiB are mapped at their own addresses, and what is read here lies within the first MiB.
    let source = unsafe { core::slice::from_raw_parts(address as *const u8, N) };
    bytes[..N].copy_from_slice(source);
    u64::from_le_bytes(bytes)
}
