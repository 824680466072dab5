//! The kernel's image: into memory, and into the translation tables.

use core::arch::asm;

use tessera_stub::Failure;
use tessera_stub::kernel::{Kernel, Page};
use tessera_stub::memory::Span;
use tessera_stub::tables::Tables;

use crate::start;

/// Descriptor bits (DDI 0487, D8.3): valid and table or page; accessed; inner shareable; no execution by users.
const TABLE: u64 = 0b11;
const PAGE: u64 = 0b11 | 1 << 10 | 0b11 << 8 | 1 << 54;
const READ_ONLY: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 53;

static TABLES: Tables = Tables::empty();

/// Copies the kernel to free memory and maps it; returns the image, for the requests in it.
pub(crate) fn load(kernel: &Kernel<'_>, place: Span) -> Result<&'static mut [u64], Failure> {
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
    publish_code(place);
    // SAFETY: the same memory, page-aligned and in whole words; the slice of bytes is used no more.
    Ok(unsafe { core::slice::from_raw_parts_mut(start.cast(), (place.length_bytes / 8) as usize) })
}

fn attributes(page: Page) -> u64 {
    let writable = if page.is_writable { 0 } else { READ_ONLY };
    let executable = if page.is_executable { 0 } else { NO_EXECUTE };
    PAGE | writable | executable
}

/// Makes the code just copied visible to instruction fetches, those with translation off included, which pass over the
/// caches: up to the point of coherency.
fn publish_code(place: Span) {
    const LINE_BYTES_MIN: usize = 16;
    for line in (place.start..place.end()).step_by(LINE_BYTES_MIN) {
        // SAFETY: cleaning a line of mapped memory changes no value.
        unsafe { asm!("dc cvac, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers and invalidation of the instruction cache change no value.
    unsafe { asm!("dsb sy", "ic iallu", "dsb sy", "isb", options(nostack, preserves_flags)) };
}
