//! The kernel's own translation tables, and the change from the loader's tables to them.
//!
//! The upper half holds the direct map (`memory::DIRECT_MAP`), device registers and the kernel image.
//! Nothing is both writable and executable, and only the kernel's code is executable.

use core::arch::{asm, global_asm};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{MAIR_EL1, Readable, TCR_EL1, TTBR0_EL1, Writeable};
use tessera_abi::PAGE_BYTES;

use crate::ranges::parts;
use crate::{PhysRange, TABLE_ENTRIES, TOP_LEVEL, VirtAddr};

use super::format::{
    ACCESSED, INNER_SHAREABLE, KERNEL_NO_EXECUTE, NORMAL_MEMORY, READ_ONLY, TABLE_OR_PAGE, USER_NO_EXECUTE, VALID,
    attribute,
};
use super::{features, memory, stacks};

/// Where device registers appear: this plus their physical address.
const DEVICE_MAP: u64 = 0xffff_8000_0000_0000;
/// Field of MAIR_EL1 for device registers.
const DEVICE_MEMORY: u64 = 1;
/// MAIR_EL1: field 0 is write-back memory, field 1 device registers, ordered but with early acknowledgement.
const MEMORY_ATTRIBUTES: u64 = 0xff << (8 * NORMAL_MEMORY) | 0x04 << (8 * DEVICE_MEMORY);
/// The field value of write-back memory.
const WRITE_BACK: u8 = 0xff;

/// What every leaf of the kernel has; it is global and for the kernel only.
const KERNEL_LEAF: u64 = VALID | ACCESSED | INNER_SHAREABLE | USER_NO_EXECUTE | attribute(NORMAL_MEMORY);
const CODE: u64 = KERNEL_LEAF | READ_ONLY;
const CONSTANTS: u64 = KERNEL_LEAF | READ_ONLY | KERNEL_NO_EXECUTE;
const DATA: u64 = KERNEL_LEAF | KERNEL_NO_EXECUTE;
const DEVICE: u64 = VALID | ACCESSED | USER_NO_EXECUTE | KERNEL_NO_EXECUTE | attribute(DEVICE_MEMORY);

/// The user root while no space is active.
static EMPTY_ROOT: EmptyTable = EmptyTable([const { AtomicU64::new(0) }; TABLE_ENTRIES]);

/// What to add to an address in the kernel's image for its physical address (wraps around).
static IMAGE_OFFSET: AtomicU64 = AtomicU64::new(0);

/// Physical address of a root that maps the code which turns translation on at its own physical address.
static ENTRY_ROOT: AtomicU64 = AtomicU64::new(0);

#[repr(C, align(4096))]
struct EmptyTable([AtomicU64; TABLE_ENTRIES]);

unsafe extern "C" {
    static text_start: u8;
    static text_end: u8;
    static constants_start: u8;
    static constants_end: u8;
    static data_start: u8;
    static image_end: u8;
}

/// Where a device's register appears.
pub(super) fn device_address(physical: u64) -> u64 {
    DEVICE_MAP + physical
}

/// The lower root with which a CPU turns translation on.
pub(super) fn entry_root() -> u64 {
    ENTRY_ROOT.load(Ordering::Relaxed)
}

/// Says what to add to an address in the kernel's image for its physical address, wrapping around. Comes before all else.
pub(super) fn set_image_offset(offset: u64) {
    IMAGE_OFFSET.store(offset, Ordering::Relaxed);
}

fn image_offset() -> u64 {
    IMAGE_OFFSET.load(Ordering::Relaxed)
}

/// The physical address of something in the kernel's image.
pub(super) fn physical_address_of_image(address: u64) -> u64 {
    address.wrapping_add(image_offset())
}

/// Where the kernel's code and constants lie, which the linker script puts side by side: nobody writes there.
fn fixed_memory() -> Range<u64> {
    let physical = |symbol: *const u8| physical_address_of_image(symbol.addr() as u64);
    physical(&raw const text_start)..physical(&raw const constants_end)
}

/// Builds tables while the loader's are in force.
pub(super) struct Builder {
    /// Where the loader's direct map begins.
    loader_map: u64,
    /// The root for TTBR1_EL1.
    root: u64,
    /// Memory for tables.
    free: Range<u64>,
    /// Where the code lies that turns translation on: for the boot CPU, and for the others.
    entry_code: [u64; 2],
}

impl Builder {
    /// Begins with an empty root. Tables are taken from the start of `free`, which the loader's map covers. The other CPUs
    /// turn translation on by the code at `secondary_code`, which lies in one page.
    pub(super) fn new(loader_map: u64, free: PhysRange, secondary_code: u64) -> Builder {
        let free = free.start.value()..free.end().value();
        let entry_code = [(&raw const switch_tables).addr() as u64, secondary_code];
        let mut builder = Builder { loader_map, root: 0, free, entry_code };
        builder.root = builder.take_frame();
        ENTRY_ROOT.store(builder.map_entry_code(NORMAL_MEMORY), Ordering::Relaxed);
        builder
    }

    /// First address that was not taken for tables.
    pub(super) fn free_start(&self) -> u64 {
        self.free.start
    }

    /// Maps memory into the direct map. What the kernel's image does not let be written cannot be written here either.
    pub(super) fn map_memory(&mut self, range: &PhysRange) {
        let memory = range.start.value()..range.end().value();
        let fixed = fixed_memory();
        for (part, attributes) in parts(&memory, &fixed).into_iter().zip([DATA, CONSTANTS, DATA]) {
            self.map(self.root, memory::DIRECT_MAP + part.start, part, attributes);
        }
    }

    /// Maps device registers.
    pub(super) fn map_device(&mut self, registers: &Range<u64>) {
        let start = registers.start & !(PAGE_BYTES - 1);
        let end = registers.end.next_multiple_of(PAGE_BYTES);
        self.map(self.root, DEVICE_MAP + start, start..end, DEVICE);
    }

    /// Maps the kernel's image by section, less the guard pages.
    pub(super) fn map_image(&mut self) {
        let address = |symbol: *const u8| symbol.addr() as u64;
        let sections = [
            (address(&raw const text_start)..address(&raw const text_end), CODE),
            (address(&raw const constants_start)..address(&raw const constants_end), CONSTANTS),
            (address(&raw const data_start)..address(&raw const image_end), DATA),
        ];
        for (section, attributes) in sections {
            for page in section.step_by(PAGE_BYTES as usize) {
                if !stacks::is_guard(page) {
                    let physical = physical_address_of_image(page);
                    self.map(self.root, page, physical..physical + PAGE_BYTES, attributes);
                }
            }
        }
    }

    /// Maps memory for the stacks of all CPUs but the first, which has its own in the image.
    pub(super) fn map_stacks(&mut self, cpus: usize) {
        for page in stacks::pages_of_others(cpus) {
            let frame = self.take_frame();
            self.map(self.root, page, frame..frame + PAGE_BYTES, DATA);
        }
    }

    /// Maps a range, which may be empty, with the largest leaves that fit.
    fn map(&mut self, root: u64, address: u64, physical: Range<u64>, attributes: u64) {
        let (mut address, mut next) = (address, physical.start);
        while next < physical.end {
            let level = (0..TOP_LEVEL)
                .rev()
                .find(|level| {
                    let bytes = leaf_bytes(*level);
                    (address | next).is_multiple_of(bytes) && physical.end - next >= bytes
                })
                .expect("memory comes in whole frames");
            let page_bit = if level == 0 { TABLE_OR_PAGE } else { 0 };
            *self.entry(root, address, level) = next | attributes | page_bit;
            address += leaf_bytes(level);
            next += leaf_bytes(level);
        }
    }

    /// The entry for an address in the table of `level`; tables on the way are made.
    fn entry(&mut self, root: u64, address: u64, level: u8) -> &mut u64 {
        let mut table = root;
        for above in (level + 1..=TOP_LEVEL).rev() {
            let present = *self.slot(table, address, above);
            table = if present != 0 {
                present & !(VALID | TABLE_OR_PAGE)
            } else {
                let frame = self.take_frame();
                *self.slot(table, address, above) = frame | VALID | TABLE_OR_PAGE;
                frame
            };
        }
        self.slot(table, address, level)
    }

    fn slot(&mut self, table: u64, address: u64, level: u8) -> &mut u64 {
        let index = VirtAddr::new(address).table_index(level) as u64;
        // SAFETY: the table is a frame that `take_frame` gave out, which the loader's direct map covers and which
        // nobody else uses; `&mut self` keeps the reference unique.
        unsafe { &mut *((self.loader_map + table + index * 8) as *mut u64) }
    }

    fn take_frame(&mut self) -> u64 {
        let frame = self.free.start;
        self.free.start += PAGE_BYTES;
        assert!(self.free.start <= self.free.end, "no memory for the kernel's page tables and stacks");
        // SAFETY: the frame is free memory, covered by the loader's direct map.
        unsafe { ((self.loader_map + frame) as *mut [u64; TABLE_ENTRIES]).write([0; TABLE_ENTRIES]) };
        frame
    }

    /// Leaves the loader's tables for the ones built. Afterwards the loader's map is gone, and what this took from
    /// the free memory for itself is free again.
    ///
    /// # Safety
    /// 1. The kernel's image and all memory are mapped in them.
    /// 2. No reference into the loader's map is used any more.
    pub(super) unsafe fn switch(mut self) {
        // Before the change the attribute fields are the loader's; one of them is write-back memory (Limine protocol,
        // "Machine state at entry").
        let loader_attributes = MAIR_EL1.get().to_le_bytes();
        let loader_field = loader_attributes.iter().position(|value| *value == WRITE_BACK).unwrap_or(0);
        let before = self.map_entry_code(loader_field as u64);
        // The loader's TCR_EL1 with our lower half: the fields for it are bits 0 to 15.
        const LOWER_HALF: u64 = 0xffff;
        let control = features::translation_control();
        let transition = TCR_EL1.get() & !LOWER_HALF | control & LOWER_HALF;
        let values = [before, transition, entry_root(), self.root, control, MEMORY_ATTRIBUTES];
        // With translation off the CPU need not see what is in caches, and nobody has promised that the code is not.
        memory::clean_to_coherency(
            (&raw const switch_tables).addr() as u64,
            (&raw const switch_tables_end).addr() as u64,
        );
        // SAFETY: both lower halves map the code that runs while translation changes; the tables were written
        // through cached memory, as the walker reads them. The caller promises the rest.
        unsafe { leave_loader_tables(&values, features::system_control(), image_offset()) };
        leave_user_half_empty();
    }

    /// A root that maps the code which turns translation on at its own physical address.
    fn map_entry_code(&mut self, memory_field: u64) -> u64 {
        let root = self.take_frame();
        let attributes = VALID | ACCESSED | INNER_SHAREABLE | READ_ONLY | USER_NO_EXECUTE | attribute(memory_field);
        for code in self.entry_code {
            let page = physical_address_of_image(code) & !(PAGE_BYTES - 1);
            self.map(root, page, page..page + PAGE_BYTES, attributes);
        }
        root
    }
}

/// Gives the CPU that runs this a user root with nothing in it, until a space is activated.
pub(super) fn leave_user_half_empty() {
    let root = physical_address_of_image(EMPTY_ROOT.0.as_ptr().addr() as u64);
    TTBR0_EL1.set(root);
    // SAFETY: dropping translations is always allowed. The new root is in force first, so that nothing of the old one
    // is fetched any more.
    unsafe { asm!("isb", "tlbi vmalle1", "dsb nsh", "isb", options(nostack, preserves_flags)) };
}

/// Bytes that a leaf at `level` maps.
fn leaf_bytes(level: u8) -> u64 {
    PAGE_BYTES << (9 * level)
}

unsafe extern "C" {
    static switch_tables: u8;
    static switch_tables_end: u8;
    fn leave_loader_tables(values: &[u64; 6], system_control: u64, image_offset: u64);
}

// Attributes, granule and roots cannot change under a CPU that translates with them, so translation goes off for
// a moment: through a lower half that maps this code at its physical address, where it needs neither stack nor data.
// values: lower half before, TCR_EL1 before; lower half after, upper half; TCR_EL1, MAIR_EL1. While translation is off,
// SCTLR_EL1 has the bits that are 1 in AArch64 and nothing else, so fetches pass over the caches.
global_asm!(
    ".pushsection .text.trampoline, \"ax\"",
    ".balign 256",
    ".global switch_tables",
    "switch_tables:",
    ".global leave_loader_tables",
    "leave_loader_tables:",
    "    ldp x3, x4, [x0]",
    "    ldp x5, x6, [x0, #16]",
    "    ldp x7, x8, [x0, #32]",
    "    adr x9, 1f",
    "    add x9, x9, x2",
    "    dsb ish",
    "    msr ttbr0_el1, x3",
    "    msr tcr_el1, x4",
    "    isb",
    "    tlbi vmalle1",
    "    dsb nsh",
    "    isb",
    "    br x9",
    "1:  mov x9, #0x0800",
    "    movk x9, #0x30d0, lsl #16",
    "    msr sctlr_el1, x9",
    "    isb",
    "    msr ttbr0_el1, x5",
    "    msr ttbr1_el1, x6",
    "    msr tcr_el1, x7",
    "    msr mair_el1, x8",
    "    isb",
    "    ic iallu",
    "    tlbi vmalle1",
    "    dsb nsh",
    "    isb",
    "    msr sctlr_el1, x1",
    "    isb",
    "    ret",
    ".global switch_tables_end",
    "switch_tables_end:",
    ".popsection",
);
