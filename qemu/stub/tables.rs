//! Translation tables for the kernel's image. Both architectures have four levels of 512 entries, and differ only in
//! the bits of an entry.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::memory::PAGE_BYTES;

/// Where kernels by the Limine protocol are linked: in the highest 2 GiB.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// Entries in a table.
const ENTRIES: usize = 512;
/// Tables of pages: each maps 2 MiB of the kernel's image.
const PAGE_TABLES: usize = 8;
/// Bytes of the kernel's image that can be mapped, from [`KERNEL_BASE`] on.
pub const ROOM_BYTES: u64 = (PAGE_TABLES * ENTRIES) as u64 * PAGE_BYTES;

/// A translation table.
#[repr(C, align(4096))]
struct Table([AtomicU64; ENTRIES]);

impl Table {
    const fn empty() -> Table {
        Table([const { AtomicU64::new(0) }; ENTRIES])
    }

    fn address(&self) -> u64 {
        self.0.as_ptr().addr() as u64
    }
}

/// Tables below one entry of the root. They lie at their own physical address.
pub struct Tables {
    gigabytes: Table,
    megabytes: Table,
    pages: [Table; PAGE_TABLES],
}

impl Tables {
    /// Tables that map nothing.
    pub const fn empty() -> Tables {
        Tables { gigabytes: Table::empty(), megabytes: Table::empty(), pages: [const { Table::empty() }; PAGE_TABLES] }
    }

    /// Sets the entry for a page of the kernel's image.
    ///
    /// # Panics
    /// If the page lies outside of [`ROOM_BYTES`].
    pub fn set_page(&self, address: u64, entry: u64) {
        let index = ((address - KERNEL_BASE) / PAGE_BYTES) as usize;
        self.pages[index / ENTRIES].0[index % ENTRIES].store(entry, Ordering::Relaxed);
    }

    /// Connects the tables, with `table_bits` in each entry that points to one. Returns which entry of the root is to
    /// have which value.
    pub fn connect(&self, table_bits: u64) -> (usize, u64) {
        let index = |level: u32| ((KERNEL_BASE >> (12 + 9 * level)) & 511) as usize;
        for (entry, table) in self.megabytes.0.iter().zip(&self.pages) {
            entry.store(table.address() | table_bits, Ordering::Relaxed);
        }
        self.gigabytes.0[index(2)].store(self.megabytes.address() | table_bits, Ordering::Relaxed);
        (index(3), self.gigabytes.address() | table_bits)
    }
}
