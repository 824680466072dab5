//! ACPI's tables, as firmware left them in memory (ACPI 6.5, 5.2.5 to 5.2.8). Read while the loader's tables are in use:
//! they need not lie in what is memory by the map of memory, which is all that the kernel's own tables hold.

use super::paging;

/// Bytes of the header that every table begins with; the length is its second word.
const HEADER_BYTES: u64 = 36;
/// Tables longer than this are taken for broken.
const TABLE_BYTES_MAX: u64 = 1 << 16;
const PAGE: u64 = 4096;

/// Physical memory as the loader mapped it.
#[derive(Clone, Copy)]
pub(super) struct Firmware {
    /// Where physical address 0 is mapped.
    pub(super) direct_map: u64,
    /// ACPI's root pointer.
    pub(super) root_pointer: u64,
}

impl Firmware {
    /// The table of interrupt controllers, signature `APIC`; empty if there is none that can be read.
    pub(super) fn interrupt_controllers(self) -> &'static [u8] {
        self.find(b"APIC").unwrap_or(&[])
    }

    /// The fixed table, signature `FACP`, likewise.
    pub(super) fn fixed(self) -> &'static [u8] {
        self.find(b"FACP").unwrap_or(&[])
    }

    fn find(self, signature: &[u8; 4]) -> Option<&'static [u8]> {
        let pointer = self.bytes(self.root_pointer, 20)?;
        // Revision 2 and later have a table of 64-bit addresses, which goes before the one of 32-bit addresses.
        let (list, width) = match pointer.get(15) {
            Some(2..) => (number(self.bytes(self.root_pointer + 24, 8)?), 8),
            _ => (number(&pointer[16..20]), 4),
        };
        let addresses = self.table(list)?.get(HEADER_BYTES as usize..)?.chunks_exact(width).map(number);
        addresses.filter_map(|address| self.table(address)).find(|table| table.starts_with(signature))
    }

    /// A table, header included, if its length is credible and all of it is mapped.
    fn table(self, address: u64) -> Option<&'static [u8]> {
        let length = number(&self.bytes(address, HEADER_BYTES)?[4..8]);
        if !(HEADER_BYTES..TABLE_BYTES_MAX).contains(&length) {
            return None;
        }
        self.bytes(address, length)
    }

    /// Bytes of physical memory, if the loader has mapped all of them.
    fn bytes(self, address: u64, length: u64) -> Option<&'static [u8]> {
        let first = self.direct_map.checked_add(address)?;
        let last = first.checked_add(length - 1)?;
        let mut page = first / PAGE * PAGE;
        while page <= last {
            // SAFETY: the loader's map of physical memory holds its own tables.
            unsafe { paging::translate(self.direct_map, page) }?;
            page = page.checked_add(PAGE)?;
        }
        // SAFETY: the pages are mapped by tables that stay until this is read; firmware's tables do not change any more.
        Some(unsafe { core::slice::from_raw_parts(first as *const u8, length as usize) })
    }

    /// Where a page of device registers is mapped, if the loader has mapped it.
    pub(super) fn registers(self, address: u64) -> Option<*mut u32> {
        let mapped = self.direct_map.checked_add(address)?;
        // SAFETY: as in `bytes`.
        unsafe { paging::translate(self.direct_map, mapped) }.map(|_| mapped as *mut u32)
    }
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
