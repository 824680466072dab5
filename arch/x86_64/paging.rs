//! The kernel's own page tables, built once at boot: the upper half of every root table.
//!
//! * the direct map of physical memory, of what is memory and nothing else, writable, not executable, in the largest pages
//!   that fit (a large page over a hole, or over memory of two types, has a type that nobody chose: SDM volume 3, 13.11.9);
//! * the kernel's image, each part with just the rights it needs, without the stacks' guard pages; the direct map's
//!   alias of code and constants is read-only too;
//! * the stacks of the other CPUs, as many as there are;
//! * one page of device registers (the local APIC's), where the caller wants it.

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::PhysAddr as MachinePhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::registers::model_specific::Msr;
use x86_64::structures::paging::PhysFrame;

use super::features::features;
use super::format::{ACCESSED, ADDRESS, DIRTY, GLOBAL, LARGE, NO_EXECUTE, PRESENT, WRITABLE};
use super::memory::{DIRECT_MAP, table};
use super::mtrr::TypeRanges;
use super::stacks;
use crate::ranges::RangeList;
use crate::{Frame, PhysAddr, TABLE_ENTRIES, VirtAddr};

/// PWT and PCD: not cached, with the page attribute table as it is after reset.
const UNCACHED: u64 = 1 << 3 | 1 << 4;

const PAGE: u64 = 4096;

/// The memory type range registers: how many ranges there are, and the first base (SDM volume 3, 13.11.1 and 13.11.2.3).
const TYPE_CAPABILITIES: u32 = 0xfe;
const TYPE_FIRST: u32 = 0x200;

const READ_ONLY: u64 = PRESENT | ACCESSED | GLOBAL | NO_EXECUTE;
const DATA: u64 = READ_ONLY | WRITABLE | DIRTY;
const CODE: u64 = PRESENT | ACCESSED | GLOBAL;
/// Entries that point to tables restrict nothing.
const TABLE: u64 = PRESENT | ACCESSED | WRITABLE;

// Set by the linker script.
unsafe extern "C" {
    static image_text_start: u8;
    static image_text_end: u8;
    static image_rodata_start: u8;
    static image_data_start: u8;
    static image_data_end: u8;
}

/// Addresses of the image's parts: code, constants, data, and the image's end.
struct Image {
    text: u64,
    text_end: u64,
    rodata: u64,
    data: u64,
    end: u64,
}

fn image() -> Image {
    Image {
        text: (&raw const image_text_start).addr() as u64,
        text_end: (&raw const image_text_end).addr() as u64,
        rodata: (&raw const image_rodata_start).addr() as u64,
        data: (&raw const image_data_start).addr() as u64,
        end: (&raw const image_data_end).addr() as u64,
    }
}

/// Whether an address is in the kernel's code.
pub(super) fn is_kernel_code(address: u64) -> bool {
    let image = image();
    (image.text..image.text_end).contains(&address)
}

/// The kernel's root table; its lower half is empty.
static ROOT: AtomicU64 = AtomicU64::new(0);

/// Which entries the upper half of the kernel's root table has, a bit each. They are few, and stay as they are.
static ENTRIES: [AtomicU64; TABLE_ENTRIES / 128] = [const { AtomicU64::new(0) }; TABLE_ENTRIES / 128];

/// Calls `each` with the index of every entry that the kernel's root table has, and the entry.
pub(super) fn for_each_entry(mut each: impl FnMut(usize, u64)) {
    let root = table(kernel_root());
    for (word, entries) in ENTRIES.iter().enumerate() {
        let mut left = entries.load(Ordering::Relaxed);
        while left != 0 {
            let index = TABLE_ENTRIES / 2 + 64 * word + left.trailing_zeros() as usize;
            each(index, root[index].load(Ordering::Relaxed));
            left &= left - 1;
        }
    }
}

/// The frame of the kernel's root table.
pub(super) fn kernel_root() -> Frame {
    Frame::new(ROOT.load(Ordering::Relaxed))
}

/// Makes the kernel's root table the running CPU's, with nothing in the lower half. PCIDs are not on yet.
pub(super) fn use_kernel_root() {
    let root = PhysFrame::containing_address(MachinePhysAddr::new(kernel_root().start().value()));
    // SAFETY: the table holds the image, stacks included, where it runs now, so the next instruction is there. Whoever
    // calls wants nothing of the lower half any more. The low bits mean nothing without PCIDs.
    unsafe { Cr3::write(root, Cr3Flags::empty()) };
}

/// Finds what a virtual address stands for in the tables that the CPU uses now. The kernel's direct map is in use.
pub(super) fn translate_active(address: u64) -> Option<PhysAddr> {
    // SAFETY: the CPU's tables are in memory that the direct map holds.
    unsafe { translate(DIRECT_MAP, address) }
}

/// Finds what a virtual address stands for in the tables that the CPU uses now.
///
/// # Safety
/// Physical memory is mapped at `direct_map`, as far as tables lie in it.
pub(super) unsafe fn translate(direct_map: u64, address: u64) -> Option<PhysAddr> {
    let mut table = Cr3::read().0.start_address().as_u64();
    for level in (0..=3).rev() {
        let index = VirtAddr::new(address).table_index(level);
        // SAFETY: a table of the CPU's, mapped as the caller says; the entry lies within it.
        let entry = unsafe { *((direct_map + table) as *const u64).add(index) };
        if entry & PRESENT == 0 {
            return None;
        }
        let size = PAGE << (9 * level);
        if level == 0 || (level < 3 && entry & LARGE != 0) {
            return Some(PhysAddr::new(entry & ADDRESS & !(size - 1) | address & (size - 1)));
        }
        table = entry & ADDRESS;
    }
    None
}

/// Tables under construction.
struct Builder<'a> {
    /// Where the loader has mapped physical memory.
    direct_map: u64,
    /// Where new tables come from.
    free: &'a mut RangeList,
    /// Tables must lie below this physical address.
    limit: u64,
    root: u64,
}

impl Builder<'_> {
    /// A cleared frame for a table.
    fn new_table(&mut self) -> u64 {
        let table = self.free.take_frame(self.limit).expect("memory for the kernel's page tables").value();
        // SAFETY: the frame was free, so nothing else refers to it, and the loader has it mapped.
        unsafe { ((self.direct_map + table) as *mut [u64; TABLE_ENTRIES]).write([0; TABLE_ENTRIES]) };
        table
    }

    /// An entry of a table.
    fn entry(&mut self, table: u64, index: usize) -> &mut u64 {
        // SAFETY: the table is one of ours, which nobody else has a reference to; the exclusive borrow of the
        // builder keeps it so.
        unsafe { &mut (*((self.direct_map + table) as *mut [u64; TABLE_ENTRIES]))[index] }
    }

    /// The table below an entry, made if there is none; a large page becomes a table of smaller ones.
    fn table_below(&mut self, table: u64, index: usize, level: u8) -> u64 {
        let old = *self.entry(table, index);
        if old & PRESENT != 0 && old & LARGE == 0 {
            return old & ADDRESS;
        }
        let below = self.new_table();
        if old & PRESENT != 0 {
            let size = PAGE << (9 * (level - 1));
            let flags = if level == 1 { old & !LARGE } else { old };
            for part in 0..TABLE_ENTRIES {
                *self.entry(below, part) = flags + size * part as u64;
            }
        }
        *self.entry(table, index) = below | TABLE;
        below
    }

    /// Maps a page of size `PAGE << (9 * level)`.
    fn map_page(&mut self, address: u64, physical: u64, level: u8, flags: u64) {
        let mut table = self.root;
        for above in (level + 1..=3).rev() {
            table = self.table_below(table, VirtAddr::new(address).table_index(above), above);
        }
        let large = if level == 0 { 0 } else { LARGE };
        *self.entry(table, VirtAddr::new(address).table_index(level)) = physical | large | flags;
    }

    /// Maps all that is memory.
    fn map_memory(&mut self, memory: &RangeList) {
        let highest = if features().gigabyte_pages { 2 } else { 1 };
        let types = memory_types();
        types.for_each_page(memory, highest, |physical, level| {
            self.map_page(DIRECT_MAP + physical, physical, level, DATA);
        });
    }

    /// Maps the kernel's image where it runs, page by page: the frames may lie anywhere. They are used for ever.
    fn map_image(&mut self, image: &Image, used: &mut [&mut RangeList]) {
        for address in (image.text..image.end).step_by(PAGE as usize) {
            // SAFETY: the caller of `build` vouches for the loader's direct map.
            let physical = unsafe { translate(self.direct_map, address) };
            let Some(physical) = physical.map(PhysAddr::value) else { continue };
            used.iter_mut().for_each(|list| list.remove(physical, physical + PAGE));
            self.free.remove(physical, physical + PAGE);
            let flags = match address {
                address if address < image.text_end => CODE,
                address if address < image.rodata => continue,
                address if address < image.data => READ_ONLY,
                _ => DATA,
            };
            if !stacks::is_guard(address) {
                self.map_page(address, physical, 0, flags);
            }
            if flags != DATA {
                self.map_page(DIRECT_MAP + physical, physical, 0, READ_ONLY);
            }
        }
    }

    /// Maps memory for the stacks of all CPUs but the first, which has its own in the image.
    fn map_stacks(&mut self, cpus: usize) {
        for page in stacks::pages_of_others(cpus) {
            let frame = self.free.take_frame(u64::MAX).expect("memory for the kernel's stacks").value();
            self.map_page(page, frame, 0, DATA);
        }
    }
}

/// Where the type of memory changes, as firmware has set this CPU up; the manual wants all CPUs to be alike.
fn memory_types() -> TypeRanges {
    let count = if features().memory_types { read_register(TYPE_CAPABILITIES) as u32 & 0xff } else { 0 };
    let of_range = |range| (read_register(TYPE_FIRST + 2 * range), read_register(TYPE_FIRST + 2 * range + 1));
    TypeRanges::new((0..count).map(of_range))
}

fn read_register(number: u32) -> u64 {
    // SAFETY: called for the memory type range registers only, where CPUID says that there are such; reading has no
    // effect.
    unsafe { Msr::new(number).read() }
}

/// A page of device registers.
pub(super) struct Device {
    /// Where it is to be mapped.
    pub(super) window: u64,
    /// Where it is.
    pub(super) registers: PhysAddr,
}

/// Builds the kernel's tables, whose direct map holds `memory`. Frames for them, and for the stacks of `cpus` CPUs, are taken
/// out of `free`, those of the image out of both lists.
///
/// # Safety
/// 1. The loader has physical memory below `limit` mapped at `direct_map`.
/// 2. `free` is memory that nobody uses.
pub(super) unsafe fn build(
    direct_map: u64,
    limit: u64,
    memory: &RangeList,
    free: &mut RangeList,
    reclaimable: &mut RangeList,
    device: &Device,
    cpus: usize,
) {
    let mut builder = Builder { direct_map, free, limit, root: 0 };
    builder.root = builder.new_table();
    builder.map_memory(memory);
    builder.map_image(&image(), &mut [reclaimable]);
    builder.map_stacks(cpus);
    builder.map_page(device.window, device.registers.value(), 0, DATA | UNCACHED);
    let root = builder.root;
    for upper in (0..TABLE_ENTRIES / 2).filter(|upper| *builder.entry(root, TABLE_ENTRIES / 2 + upper) != 0) {
        ENTRIES[upper / 64].fetch_or(1 << (upper % 64), Ordering::Relaxed);
    }
    ROOT.store(root / PAGE, Ordering::Relaxed);
}
