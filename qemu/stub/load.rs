//! The kernel's ELF file: its segments into memory, and the translation tables for them.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use elf::ElfBytes;
use elf::abi::{EM_AARCH64, ET_EXEC, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;

use crate::memory::{PAGE_BYTES, Span};
use crate::start;
use crate::steps::Failure;

/// Entries in a translation table.
const ENTRIES: usize = 512;
/// Tables of pages: each maps 2 MiB of the kernel's image.
const PAGE_TABLES: usize = 8;
/// The highest 1 GiB but one: where kernels by the Limine protocol are linked, with the 1 GiB above it.
const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// Descriptor bits (DDI 0487, D8.3): valid and table or page; accessed; inner shareable; no execution by users.
const TABLE: u64 = 0b11;
const PAGE: u64 = 0b11 | 1 << 10 | 0b11 << 8 | 1 << 54;
const READ_ONLY: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 53;

/// A translation table.
#[repr(C, align(4096))]
struct Table([AtomicU64; ENTRIES]);

impl Table {
    const fn empty() -> Table {
        Table([const { AtomicU64::new(0) }; ENTRIES])
    }

    /// The entry that points to this table.
    fn pointer(&self) -> u64 {
        self.0.as_ptr().addr() as u64 | TABLE
    }
}

static GIGABYTES: Table = Table::empty();
static MEGABYTES: Table = Table::empty();
static PAGES: [Table; PAGE_TABLES] = [const { Table::empty() }; PAGE_TABLES];

/// A kernel file that looks sound.
pub(crate) struct Kernel {
    file: ElfBytes<'static, LittleEndian>,
    first_address: u64,
    end_address: u64,
}

impl Kernel {
    /// Checks the file.
    pub(crate) fn read(bytes: &'static [u8]) -> Result<Kernel, Failure> {
        let file = ElfBytes::minimal_parse(bytes).map_err(|_| "the kernel is not an ELF file")?;
        if file.ehdr.e_machine != EM_AARCH64 || file.ehdr.e_type != ET_EXEC {
            return Err("the kernel is not a static aarch64 program");
        }
        let (mut first_address, mut end_address) = (u64::MAX, 0);
        for segment in loaded_segments(&file)? {
            let end = segment.p_vaddr.checked_add(segment.p_memsz).ok_or("a kernel segment wraps around")?;
            first_address = first_address.min(segment.p_vaddr & !(PAGE_BYTES - 1));
            end_address = end_address.max(end);
        }
        let room = PAGE_TABLES as u64 * ENTRIES as u64 * PAGE_BYTES;
        if first_address < KERNEL_BASE || end_address > KERNEL_BASE + room || first_address >= end_address {
            return Err("the kernel is not linked for the first 16 MiB of the highest 2 GiB");
        }
        Ok(Kernel { file, first_address, end_address })
    }

    /// The first address that it is linked for.
    pub(crate) fn first_address(&self) -> u64 {
        self.first_address
    }

    /// How much memory it takes.
    pub(crate) fn length_bytes(&self) -> u64 {
        self.end_address - self.first_address
    }

    /// Its entry point.
    pub(crate) fn entry(&self) -> u64 {
        self.file.ehdr.e_entry
    }

    /// Copies the segments to free memory and maps them; returns the image, for the requests in it.
    pub(crate) fn load(&self, place: Span) -> Result<&'static mut [u64], Failure> {
        // SAFETY: the place is free memory, mapped at its own address, page-aligned and in whole words; zero is a valid
        // word. It is written here for the first time.
        let image = unsafe {
            core::ptr::write_bytes(place.start as *mut u8, 0, place.length_bytes as usize);
            core::slice::from_raw_parts_mut(place.start as *mut u64, (place.length_bytes / 8) as usize)
        };
        for segment in loaded_segments(&self.file)? {
            let data = self.file.segment_data(&segment).map_err(|_| "a kernel segment is not in the file")?;
            if data.len() as u64 > segment.p_memsz {
                return Err("a kernel segment has more data than memory");
            }
            let target = place.start + (segment.p_vaddr - self.first_address);
            // SAFETY: the target lies within the image, as `read` computed its length from all segments; the
            // file is in the boot archive, elsewhere.
            unsafe { core::ptr::copy_nonoverlapping(data.as_ptr(), target as *mut u8, data.len()) };
            map(&segment, place.start.wrapping_sub(self.first_address));
        }
        publish(place);
        Ok(image)
    }
}

/// The segments to load.
fn loaded_segments(
    file: &ElfBytes<'static, LittleEndian>,
) -> Result<impl Iterator<Item = ProgramHeader> + use<>, Failure> {
    let segments = file.segments().ok_or("the kernel has no segments")?;
    Ok(segments.into_iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0))
}

/// Maps a segment's pages with what its flags allow; `offset` leads from virtual to physical addresses.
fn map(segment: &ProgramHeader, offset: u64) {
    let mut attributes = PAGE;
    if segment.p_flags & PF_W == 0 {
        attributes |= READ_ONLY;
    }
    if segment.p_flags & PF_X == 0 {
        attributes |= NO_EXECUTE;
    }
    let first = segment.p_vaddr & !(PAGE_BYTES - 1);
    for page in (first..segment.p_vaddr + segment.p_memsz).step_by(PAGE_BYTES as usize) {
        let index = ((page - KERNEL_BASE) / PAGE_BYTES) as usize;
        let entry = page.wrapping_add(offset) | attributes;
        PAGES[index / ENTRIES].0[index % ENTRIES].store(entry, Ordering::Relaxed);
    }
}

/// Hangs the tables into the root and makes them, and the code just copied, visible to the CPU.
fn publish(place: Span) {
    for (entry, table) in MEGABYTES.0.iter().zip(&PAGES) {
        entry.store(table.pointer(), Ordering::Relaxed);
    }
    let index = |address: u64, level: u32| ((address >> (12 + 9 * level)) & 511) as usize;
    GIGABYTES.0[index(KERNEL_BASE, 2)].store(MEGABYTES.pointer(), Ordering::Relaxed);
    start::set_root_entry(index(KERNEL_BASE, 3), GIGABYTES.pointer());
    const LINE_BYTES_MIN: usize = 16;
    for line in (place.start..place.end()).step_by(LINE_BYTES_MIN) {
        // SAFETY: cleaning a line of mapped memory changes no value.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers and invalidation of the instruction cache change no value.
    unsafe { asm!("dsb ish", "ic iallu", "dsb ish", "isb", options(nostack, preserves_flags)) };
}
