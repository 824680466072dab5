//! Translation-table entries of VMSAv8-64 with 4 KiB granule, as pure data.
//!
//! Source: Arm Architecture Reference Manual (DDI 0487), section D8.3 "Translation table descriptor formats".
//! The manual counts levels from the root down (0 to 3), this project from the pages up (3 to 0).

use tessera_abi::Rights;

use crate::{Leaf, PageFormat, PhysAddr};

/// Bit 0: the entry is valid.
pub(super) const VALID: u64 = 1 << 0;
/// Bit 1: at levels 3 to 1 a table instead of a block; at level 0 set for every page.
pub(super) const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bits 4 to 2, AttrIndx: which field of MAIR_EL1 tells the kind of memory.
const ATTRIBUTE_SHIFT: u32 = 2;
/// Bit 6, AP\[1\]: user mode may access the memory.
pub(super) const USER: u64 = 1 << 6;
/// Bit 7, AP\[2\]: nobody may write.
pub(super) const READ_ONLY: u64 = 1 << 7;
/// Bits 9 and 8, SH: coherent among all CPUs of the inner shareable domain.
pub(super) const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Bit 10, AF: accessed. Without it the first access faults.
pub(super) const ACCESSED: u64 = 1 << 10;
/// Bit 11, nG: the translation belongs to one ASID.
const NOT_GLOBAL: u64 = 1 << 11;
/// Bit 53, PXN: the kernel may not execute.
pub(super) const KERNEL_NO_EXECUTE: u64 = 1 << 53;
/// Bit 54, UXN: user mode may not execute.
pub(super) const USER_NO_EXECUTE: u64 = 1 << 54;
/// Bit 59 of a table entry, PXNTable: the kernel may execute nothing below.
const TABLE_KERNEL_NO_EXECUTE: u64 = 1 << 59;
/// Bit 60 of a table entry, UXNTable: user mode may execute nothing below.
const TABLE_USER_NO_EXECUTE: u64 = 1 << 60;
/// Bit 62 of a table entry, APTable\[1\]: nobody may write below.
const TABLE_READ_ONLY: u64 = 1 << 62;
/// Bits 47 to 12: the address.
const ADDRESS_MASK: u64 = 0x0000_ffff_ffff_f000;

/// Field of MAIR_EL1 for ordinary memory (`paging.rs` sets the register).
pub(super) const NORMAL_MEMORY: u64 = 0;

/// What all leaves for user memory have in common.
const USER_LEAF: u64 = VALID | ACCESSED | INNER_SHAREABLE | USER | KERNEL_NO_EXECUTE | attribute(NORMAL_MEMORY);

const _: () = assert!(ADDRESS_MASK & USER_LEAF == 0);
const _: () = assert!(ADDRESS_MASK & (READ_ONLY | NOT_GLOBAL | USER_NO_EXECUTE | TABLE_OR_PAGE) == 0);
const _: () = assert!(ADDRESS_MASK & (TABLE_READ_ONLY | TABLE_USER_NO_EXECUTE | TABLE_KERNEL_NO_EXECUTE) == 0);
// Software and hardware agree on where a 48-bit address ends.
const _: () = assert!(ADDRESS_MASK == ((1 << 48) - 1) & !(tessera_abi::PAGE_BYTES - 1));

/// The AttrIndx bits that name a field of MAIR_EL1.
pub(super) const fn attribute(index: u64) -> u64 {
    index << ATTRIBUTE_SHIFT
}

/// The page-table format of aarch64.
#[derive(Clone, Copy, Debug)]
pub struct Format;

impl PageFormat for Format {
    fn table_entry(table: PhysAddr, bounds: Rights) -> u64 {
        let mut entry = address_bits(table) | VALID | TABLE_OR_PAGE | TABLE_KERNEL_NO_EXECUTE;
        if !bounds.contains(Rights::WRITE) {
            entry |= TABLE_READ_ONLY;
        }
        if !bounds.contains(Rights::EXECUTE) {
            entry |= TABLE_USER_NO_EXECUTE;
        }
        entry
    }

    fn leaf_entry(address: PhysAddr, level: u8, leaf: Leaf) -> u64 {
        let mut entry = address_bits(address) | USER_LEAF;
        if level == 0 {
            entry |= TABLE_OR_PAGE;
        }
        if !leaf.rights.contains(Rights::WRITE) {
            entry |= READ_ONLY;
        }
        if !leaf.rights.contains(Rights::EXECUTE) {
            entry |= USER_NO_EXECUTE;
        }
        if !leaf.global {
            entry |= NOT_GLOBAL;
        }
        entry
    }

    fn is_present(entry: u64) -> bool {
        entry & VALID != 0
    }

    fn is_table(entry: u64, level: u8) -> bool {
        level > 0 && entry & TABLE_OR_PAGE != 0
    }

    fn address(entry: u64) -> PhysAddr {
        PhysAddr::new(entry & ADDRESS_MASK)
    }

    fn leaf(entry: u64) -> Leaf {
        let mut rights = Rights::READ;
        rights.set(Rights::WRITE, entry & READ_ONLY == 0);
        rights.set(Rights::EXECUTE, entry & USER_NO_EXECUTE == 0);
        Leaf { rights, global: entry & NOT_GLOBAL == 0 }
    }

    fn read_only(entry: u64) -> u64 {
        entry | READ_ONLY
    }

    fn bounds(entry: u64) -> Rights {
        let mut rights = Rights::READ;
        rights.set(Rights::WRITE, entry & TABLE_READ_ONLY == 0);
        rights.set(Rights::EXECUTE, entry & TABLE_USER_NO_EXECUTE == 0);
        rights
    }
}

/// The address as it stands in an entry.
fn address_bits(address: PhysAddr) -> u64 {
    debug_assert!(address.value() & !ADDRESS_MASK == 0, "{address:?} does not fit an entry");
    address.value() & ADDRESS_MASK
}

#[cfg(test)]
mod tests {
    use tessera_abi::Rights;

    use super::{Format, KERNEL_NO_EXECUTE, TABLE_KERNEL_NO_EXECUTE, TABLE_OR_PAGE, USER};
    use crate::{Leaf, PageFormat, PhysAddr, Share};

    const ALLOWED: [Rights; 4] = [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::ACCESS];

    #[test]
    fn leaves_round_trip_at_every_level() {
        for level in 0..=2 {
            let address = PhysAddr::new(0x7f_c000_0000);
            for rights in ALLOWED {
                for global in [false, true] {
                    let leaf = Leaf { rights, global };
                    let entry = Format::leaf_entry(address, level, leaf);
                    assert!(Format::is_present(entry) && !Format::is_table(entry, level));
                    assert_eq!(Format::address(entry), address);
                    assert_eq!(Format::leaf(entry), leaf);
                    assert_ne!(entry & USER, 0);
                    assert_ne!(entry & KERNEL_NO_EXECUTE, 0, "the kernel never executes user memory");
                }
            }
        }
    }

    #[test]
    fn tables_round_trip_at_every_level() {
        let table = PhysAddr::new(0xffff_ffff_f000);
        for bounds in ALLOWED {
            let entry = Format::table_entry(table, bounds);
            assert!(Format::is_present(entry) && (1..=3).all(|level| Format::is_table(entry, level)));
            assert_eq!(Format::address(entry), table);
            assert_eq!(Format::bounds(entry), bounds);
            assert_ne!(entry & TABLE_KERNEL_NO_EXECUTE, 0);
        }
    }

    #[test]
    fn the_mark_of_a_shared_table_changes_nothing_else() {
        let table = PhysAddr::new(0xffff_ffff_f000);
        for bounds in ALLOWED {
            let plain = Format::table_entry(table, bounds);
            let shared = Format::shared_entry(table, bounds, Share::Window);
            assert_eq!((shared ^ plain, Format::share(shared)), (0b101 << 55, Some(Share::Window)));
            assert!(Format::is_shared(shared) && !Format::is_shared(plain));
            assert!(Format::is_present(shared) && (1..=3).all(|level| Format::is_table(shared, level)));
            assert_eq!((Format::address(shared), Format::bounds(shared)), (table, bounds));
        }
        assert!(!Format::is_shared(0));
    }

    #[test]
    fn a_page_has_the_bit_that_a_block_has_not() {
        let leaf = Leaf { rights: Rights::READ, global: false };
        let entries = [0, 1, 2].map(|level| Format::leaf_entry(PhysAddr::new(0), level, leaf));
        assert_eq!(entries.map(|entry| entry & TABLE_OR_PAGE != 0), [true, false, false]);
    }

    #[test]
    fn zero_is_not_present() {
        assert!(!Format::is_present(0));
    }
}
