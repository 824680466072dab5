//! The guest's page tables: each entry is read once, and again when somebody has stored to it.
//!
//! QEMU reads by virtual addresses, as the CPU could at that moment. So an entry is read through the kernel's direct map, or
//! through the alias of it that user mode can read, where there is one.

use std::collections::HashMap;

use crate::ffi;

const FRAME_BITS: u32 = 12;
const ENTRIES: usize = 512;

/// A table as far as it was read.
struct Table {
    entries: [u64; ENTRIES],
    is_known: [u64; ENTRIES / 64],
}

/// All that was read.
#[derive(Default)]
pub(crate) struct Memory {
    /// Where physical memory is mapped: for the kernel, and for everybody.
    maps: [u64; 2],
    tables: HashMap<u64, Box<Table>>,
    /// A bit for each frame that is in `tables`.
    is_table: Vec<u64>,
    buffer: usize,
}

impl Memory {
    /// The kernel says where it maps physical memory.
    pub(crate) fn begin(&mut self, direct_map: u64, alias: u64) {
        self.maps = [direct_map, if alias == 0 { direct_map } else { alias }];
    }

    /// The physical address that is stored to at an address in the direct map, if a table was read there.
    pub(crate) fn table_at(&self, address: u64) -> Option<u64> {
        let place = address.wrapping_sub(self.maps[0]);
        let frame = (place >> FRAME_BITS) as usize;
        let is_table = self.is_table.get(frame / 64).is_some_and(|word| word >> (frame % 64) & 1 != 0);
        is_table.then_some(place)
    }

    /// Forgets the entries in the sixteen bytes around a place that is stored to.
    pub(crate) fn forget(&mut self, place: u64) {
        if let Some(table) = self.tables.get_mut(&(place >> FRAME_BITS)) {
            let index = (place as usize >> 3 & (ENTRIES - 1)) & !1;
            table.is_known[index / 64] &= !(3 << (index % 64));
        }
    }

    /// Forgets a whole table.
    pub(crate) fn forget_table(&mut self, place: u64) {
        if let Some(table) = self.tables.get_mut(&(place >> FRAME_BITS)) {
            table.is_known = [0; ENTRIES / 64];
        }
    }

    /// The entry at a physical address.
    pub(crate) fn entry(&mut self, place: u64, is_user: bool) -> Option<u64> {
        let (frame, index) = (place >> FRAME_BITS, place as usize >> 3 & (ENTRIES - 1));
        let known = self.tables.get(&frame).filter(|table| table.is_known[index / 64] >> (index % 64) & 1 != 0);
        if let Some(table) = known {
            return Some(table.entries[index]);
        }
        let value = self.read(self.maps[usize::from(is_user)].wrapping_add(place))?;
        let word = frame as usize / 64;
        if self.is_table.len() <= word {
            self.is_table.resize(word + 1, 0);
        }
        self.is_table[word] |= 1 << (frame % 64);
        let empty = || Box::new(Table { entries: [0; ENTRIES], is_known: [0; ENTRIES / 64] });
        let table = self.tables.entry(frame).or_insert_with(empty);
        table.entries[index] = value;
        table.is_known[index / 64] |= 1 << (index % 64);
        Some(value)
    }

    /// The word at a virtual address, as the CPU could read it at this moment. From callbacks of a CPU.
    pub(crate) fn read(&mut self, address: u64) -> Option<u64> {
        if self.buffer == 0 {
            // SAFETY: making an array has no conditions.
            self.buffer = unsafe { ffi::g_byte_array_new() }.expose_provenance();
        }
        let buffer = std::ptr::with_exposed_provenance_mut::<ffi::Array>(self.buffer);
        let mut bytes = [0; 8];
        // SAFETY: called from callbacks of a CPU, which QEMU reads for; the array is ours and has eight bytes if QEMU says that
        // it has read them.
        unsafe {
            if !ffi::qemu_plugin_read_memory_vaddr(address, buffer, 8) || (*buffer).length < 8 {
                return None;
            }
            std::ptr::copy_nonoverlapping((*buffer).data, bytes.as_mut_ptr(), 8);
        }
        Some(u64::from_le_bytes(bytes))
    }
}
