//! Page-table entries of x86_64 as pure data (SDM volume 3, section 5.5, "4-level paging").

use tessera_abi::Rights;

use crate::{Leaf, PageFormat, PhysAddr};

/// P: the entry means something.
pub(super) const PRESENT: u64 = 1 << 0;
/// R/W: writes are allowed, as far as this entry is concerned.
pub(super) const WRITABLE: u64 = 1 << 1;
/// U/S: user mode is allowed, as far as this entry is concerned.
const USER: u64 = 1 << 2;
/// A: set beforehand, so that the walker never has to write the entry.
pub(super) const ACCESSED: u64 = 1 << 5;
/// D: set beforehand in writable leaves, for the same reason.
pub(super) const DIRTY: u64 = 1 << 6;
/// PS: at levels 1 and 2, the entry is a leaf.
pub(super) const LARGE: u64 = 1 << 7;
/// G: the translation holds whatever the PCID.
pub(super) const GLOBAL: u64 = 1 << 8;
/// XD: no instruction fetches, as far as this entry is concerned.
pub(super) const NO_EXECUTE: u64 = 1 << 63;
/// Where the address lies: bits 12 to 51.
pub(super) const ADDRESS: u64 = ((1 << 52) - 1) & !0xfff;

const _: () = assert!(ADDRESS == 0x000f_ffff_ffff_f000);
const _: () = assert!(
    (PRESENT | WRITABLE | USER | ACCESSED | DIRTY | LARGE | GLOBAL | NO_EXECUTE) & ADDRESS == 0,
    "flags and address do not overlap"
);

/// The format of x86_64.
#[derive(Clone, Copy, Debug)]
pub enum Format {}

/// The bits that say what user mode may do.
fn access_bits(rights: Rights) -> u64 {
    let write = if rights.contains(Rights::WRITE) { WRITABLE } else { 0 };
    let execute = if rights.contains(Rights::EXECUTE) { 0 } else { NO_EXECUTE };
    USER | write | execute
}

/// What user mode may do by these bits. Reading cannot be forbidden in a present entry.
fn rights(entry: u64) -> Rights {
    let mut rights = Rights::READ;
    rights.set(Rights::WRITE, entry & WRITABLE != 0);
    rights.set(Rights::EXECUTE, entry & NO_EXECUTE == 0);
    rights
}

impl PageFormat for Format {
    fn table_entry(table: PhysAddr, bounds: Rights) -> u64 {
        table.value() & ADDRESS | access_bits(bounds) | ACCESSED | PRESENT
    }

    fn leaf_entry(address: PhysAddr, level: u8, leaf: Leaf) -> u64 {
        debug_assert!(level <= 2 && address.value() & ((1 << (12 + 9 * u32::from(level))) - 1) == 0);
        let dirty = if leaf.rights.contains(Rights::WRITE) { DIRTY } else { 0 };
        let large = if level == 0 { 0 } else { LARGE };
        let global = if leaf.global { GLOBAL } else { 0 };
        address.value() & ADDRESS | access_bits(leaf.rights) | dirty | large | global | ACCESSED | PRESENT
    }

    fn is_present(entry: u64) -> bool {
        entry & PRESENT != 0
    }

    fn is_table(entry: u64, level: u8) -> bool {
        level > 0 && entry & LARGE == 0
    }

    fn address(entry: u64) -> PhysAddr {
        PhysAddr::new(entry & ADDRESS)
    }

    fn leaf(entry: u64) -> Leaf {
        Leaf { rights: rights(entry), global: entry & GLOBAL != 0 }
    }

    fn read_only(entry: u64) -> u64 {
        entry & !(WRITABLE | DIRTY)
    }

    fn bounds(entry: u64) -> Rights {
        rights(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::{DIRTY, Format, NO_EXECUTE, USER, WRITABLE};
    use crate::{Leaf, PageFormat, PhysAddr, Share};
    use tessera_abi::Rights;

    /// Every combination that a mapping or a bound can have.
    fn all_rights() -> impl Iterator<Item = Rights> {
        (0..4).map(|bits| {
            let mut rights = Rights::READ;
            rights.set(Rights::WRITE, bits & 1 != 0);
            rights.set(Rights::EXECUTE, bits & 2 != 0);
            rights
        })
    }

    #[test]
    fn leaves_survive_at_every_level() {
        let address = PhysAddr::new(0x000f_ffff_c000_0000);
        for level in 0..=2 {
            for rights in all_rights() {
                for global in [false, true] {
                    let leaf = Leaf { rights, global };
                    let entry = Format::leaf_entry(address, level, leaf);
                    assert!(Format::is_present(entry) && !Format::is_table(entry, level));
                    assert_eq!((Format::address(entry), Format::leaf(entry)), (address, leaf));
                    let less = Leaf { rights: rights - Rights::WRITE, ..leaf };
                    assert_eq!(Format::read_only(entry), Format::leaf_entry(address, level, less));
                }
            }
        }
    }

    #[test]
    fn tables_survive_with_their_bounds() {
        let table = PhysAddr::new(0x0000_1234_5678_9000);
        for bounds in all_rights() {
            let entry = Format::table_entry(table, bounds);
            assert!(Format::is_present(entry));
            assert!((1..=3).all(|level| Format::is_table(entry, level)));
            assert_eq!((Format::address(entry), Format::bounds(entry)), (table, bounds));
        }
    }

    #[test]
    fn the_mark_of_a_shared_table_changes_nothing_else() {
        let table = PhysAddr::new(0x000f_ffff_ffff_f000);
        for bounds in all_rights() {
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
    fn bits_are_those_of_the_manual() {
        let leaf = Leaf { rights: Rights::READ_WRITE, global: true };
        let entry = Format::leaf_entry(PhysAddr::new(0x20_0000), 1, leaf);
        assert_eq!(entry, 0x8000_0000_0020_01e7);
        let leaf = Leaf { rights: Rights::READ_EXECUTE, global: false };
        assert_eq!(Format::leaf_entry(PhysAddr::new(0x1000), 0, leaf), 0x1025);
        assert_eq!(Format::table_entry(PhysAddr::new(0x3000), Rights::ACCESS), 0x3027);
        assert_eq!(Format::table_entry(PhysAddr::new(0x3000), Rights::READ), 0x8000_0000_0000_3025);
    }

    #[test]
    fn only_writable_leaves_are_dirty_and_every_entry_is_for_users() {
        for rights in all_rights() {
            let entry = Format::leaf_entry(PhysAddr::new(0), 0, Leaf { rights, global: false });
            assert_eq!(entry & DIRTY != 0, entry & WRITABLE != 0);
            assert!(entry & USER != 0);
            assert_eq!(entry & NO_EXECUTE == 0, rights.contains(Rights::EXECUTE));
        }
        assert!(!Format::is_present(0));
    }
}
