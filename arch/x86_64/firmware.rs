//! Physical memory as the loader mapped it, for reading firmware's tables while its page tables are in use: they need not
//! lie in what is memory by the map of memory, which is all that the kernel's own tables hold.

use super::acpi::{self, Memory};
use super::paging;
use crate::PhysAddr;

const PAGE: u64 = 4096;

/// The loader's map of physical memory, and where ACPI's tables begin.
#[derive(Clone, Copy)]
pub(super) struct Firmware {
    /// Where physical address 0 is mapped.
    pub(super) direct_map: u64,
    /// ACPI's root pointer, if there is one.
    pub(super) root_pointer: Option<PhysAddr>,
}

impl Firmware {
    /// The table with this signature; empty if there is none.
    pub(super) fn table(&self, signature: &[u8; 4]) -> &[u8] {
        self.root_pointer.map_or(&[], |pointer| acpi::find(self, pointer.value(), signature))
    }

    /// Where a page of device registers is mapped, if the loader has mapped it.
    pub(super) fn registers(&self, address: u64) -> Option<*mut u32> {
        let mapped = self.direct_map.checked_add(address)?;
        self.is_mapped(mapped).then_some(mapped as *mut u32)
    }

    fn is_mapped(&self, address: u64) -> bool {
        // SAFETY: the loader's map of physical memory holds its own tables.
        unsafe { paging::translate(self.direct_map, address) }.is_some()
    }
}

impl Memory for Firmware {
    fn bytes(&self, address: u64, length_bytes: u64) -> Option<&[u8]> {
        let first = self.direct_map.checked_add(address)?;
        let last = first.checked_add(length_bytes.checked_sub(1)?)?;
        let mut pages = (first / PAGE..=last / PAGE).map(|page| page * PAGE);
        if !pages.all(|page| self.is_mapped(page)) {
            return None;
        }
        // SAFETY: the pages are mapped by tables that stay until all is read; firmware's tables do not change any more.
        Some(unsafe { core::slice::from_raw_parts(first as *const u8, length_bytes as usize) })
    }
}
