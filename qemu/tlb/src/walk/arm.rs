//! AArch64, stage 1, 4 KiB granule.

use super::{PAGE_BITS, Path, Rights, Unreadable};
use crate::model::Translation;

const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 1 << 1;
const USER: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const ACCESSED: u64 = 1 << 10;
const NOT_GLOBAL: u64 = 1 << 11;
const CONTIGUOUS: u64 = 1 << 52;
const KERNEL_NO_EXECUTE: u64 = 1 << 53;
const USER_NO_EXECUTE: u64 = 1 << 54;
const TABLE_KERNEL_NO_EXECUTE: u64 = 1 << 59;
const TABLE_USER_NO_EXECUTE: u64 = 1 << 60;
const TABLE_NO_USER: u64 = 1 << 61;
const TABLE_READ_ONLY: u64 = 1 << 62;
/// SCTLR_EL1.M.
const TRANSLATION: u64 = 1;
/// Sixteen neighbours are one translation where the bit says so.
const CONTIGUOUS_BITS: u8 = 4;

/// The control registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArmControl {
    /// SCTLR_EL1.
    pub enable: u64,
    /// TTBR0_EL1.
    pub user_root: u64,
    /// TTBR1_EL1.
    pub kernel_root: u64,
    /// TCR_EL1.
    pub control: u64,
}

impl ArmControl {
    pub(super) fn is_on(&self) -> bool {
        self.enable & TRANSLATION != 0
    }

    /// The ASID in TTBR0_EL1; in TTBR1_EL1 where TCR_EL1.A1 says so. Of 8 bits unless TCR_EL1.AS is set.
    pub(super) fn tag(&self) -> u16 {
        let root = if self.control >> 22 & 1 == 0 { self.user_root } else { self.kernel_root };
        let mask = if self.control >> 36 & 1 == 0 { 0xff } else { 0xffff };
        (root >> 48) as u16 & mask
    }

    /// Root table and address bits for an address: by bit 55, TTBR0 or TTBR1 with their T0SZ or T1SZ.
    fn half(&self, address: u64) -> (u64, u8) {
        let is_kernel = address >> 55 & 1 != 0;
        let (root, shift) = if is_kernel { (self.kernel_root, 16) } else { (self.user_root, 0) };
        (root & ADDRESS, 64 - (self.control >> shift & 63) as u8)
    }
}

pub(super) fn walk(
    control: &ArmControl,
    address: u64,
    read: &mut dyn FnMut(u64) -> Option<u64>,
) -> Result<Path, Unreadable> {
    let (mut table, size) = control.half(address);
    // As many whole levels as the size needs; the root table may be smaller than a page.
    let levels = (size.saturating_sub(PAGE_BITS)).div_ceil(9);
    let mut path = Path::begin(PAGE_BITS + 9 * levels);
    loop {
        let (bits, entry) = path.read(table, address, read)?;
        let is_page = bits == PAGE_BITS;
        let is_reserved = is_page && entry & TABLE_OR_PAGE == 0;
        if entry & VALID == 0 || is_reserved {
            return Ok(path);
        }
        if is_page || entry & TABLE_OR_PAGE == 0 {
            // Without the access flag every access faults.
            path.walk.result = (entry & ACCESSED != 0).then(|| leaf(&mut path, bits, entry));
            return Ok(path);
        }
        path.narrow(Rights {
            write: entry & TABLE_READ_ONLY == 0,
            user: entry & TABLE_NO_USER == 0,
            // Kernel tables have the one bit, user tables the other; see `leaf`.
            execute: entry & execute_bit(address, TABLE_USER_NO_EXECUTE, TABLE_KERNEL_NO_EXECUTE) == 0,
        });
        table = entry & ADDRESS;
    }
}

/// Which of two bits keeps this half from being executed by those whom it is for.
fn execute_bit(address: u64, user: u64, kernel: u64) -> u64 {
    if address >> 55 & 1 != 0 { kernel } else { user }
}

fn leaf(path: &mut Path, bits: u8, entry: u64) -> Translation {
    let is_user = entry & USER != 0;
    let never = if is_user { USER_NO_EXECUTE } else { KERNEL_NO_EXECUTE };
    let rights = path.narrow(Rights { write: entry & READ_ONLY == 0, user: is_user, execute: entry & never == 0 });
    let page_bits = if entry & CONTIGUOUS != 0 && bits < 30 { bits + CONTIGUOUS_BITS } else { bits };
    Translation {
        frame: entry & ADDRESS & !((1 << page_bits) - 1),
        page_bits,
        global: entry & NOT_GLOBAL == 0,
        writable: rights.write,
        user: rights.user,
        executable: rights.execute,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{
        ACCESSED, ArmControl, CONTIGUOUS, NOT_GLOBAL, READ_ONLY, TABLE_OR_PAGE, TABLE_READ_ONLY, TABLE_USER_NO_EXECUTE,
        USER, USER_NO_EXECUTE, VALID, walk,
    };
    use crate::model::Translation;

    /// Both halves of 48 bits, ASIDs of 16.
    const CONTROL: ArmControl = ArmControl {
        enable: 1,
        user_root: 0x103 << 48 | 0x1000,
        kernel_root: 0x8000,
        control: 1 << 36 | 16 << 16 | 16,
    };
    const TABLE: u64 = VALID | TABLE_OR_PAGE;
    const LEAF: u64 = VALID | ACCESSED | USER;

    fn result(control: &ArmControl, address: u64, entries: &[(u64, u64)]) -> (Option<Translation>, u8) {
        let map: HashMap<u64, u64> = entries.iter().copied().collect();
        let path = walk(control, address, &mut |place| map.get(&place).copied()).expect("all entries can be read");
        (path.walk.result, path.walk.references)
    }

    #[test]
    fn tables_take_rights_away() {
        let entries = |bound: u64| {
            [
                (0x1000, 0x2000 | TABLE | bound),
                (0x2000, 0x3000 | TABLE),
                (0x3000, 0x4000 | TABLE),
                (0x4008, 0x9000 | LEAF | TABLE_OR_PAGE | NOT_GLOBAL),
            ]
        };
        let found = |bound| result(&CONTROL, 0x1000, &entries(bound)).0.expect("a page");
        let all =
            Translation { frame: 0x9000, page_bits: 12, global: false, writable: true, user: true, executable: true };
        assert_eq!(found(0), all);
        assert_eq!(found(TABLE_READ_ONLY), Translation { writable: false, ..all });
        assert_eq!(found(TABLE_USER_NO_EXECUTE), Translation { executable: false, ..all });
        assert_eq!(CONTROL.tag(), 0x103);
    }

    #[test]
    fn blocks_and_contiguous_entries_have_their_sizes() {
        let block = [(0x1000, 0x2000 | TABLE), (0x2008, 0x4000_0000 | LEAF | READ_ONLY | USER_NO_EXECUTE)];
        let (found, references) = result(&CONTROL, 0x4000_0000, &block);
        let found = found.expect("a block of 1 GiB");
        assert_eq!((found.page_bits, found.writable, found.executable, references), (30, false, false, 2));
        let contiguous = [
            (0x1000, 0x2000 | TABLE),
            (0x2000, 0x3000 | TABLE),
            (0x3000, 0x4000 | TABLE),
            (0x4008, 0x1_1000 | LEAF | TABLE_OR_PAGE | CONTIGUOUS),
        ];
        let found = result(&CONTROL, 0x1000, &contiguous).0.expect("one of sixteen pages");
        assert_eq!((found.frame, found.page_bits), (0x1_0000, 16));
    }

    #[test]
    fn the_halves_have_roots_of_their_own() {
        let kernel = [(0x8000, 0x9000 | TABLE), (0x9000, VALID | ACCESSED)];
        let found = result(&CONTROL, 0xffff_0000_0000_1000, &kernel).0.expect("the kernel's block");
        assert!(!found.user && found.global && found.executable);
        // 39 bits need three levels.
        let small = ArmControl { control: 25 << 16 | 25, ..CONTROL };
        assert_eq!(result(&small, 0, &[(0x1000, VALID | ACCESSED)]).0.map(|found| found.page_bits), Some(30));
        assert_eq!(result(&CONTROL, 0, &[(0x1000, 0)]), (None, 1));
        assert_eq!(result(&CONTROL, 0, &[(0x1000, 0x2000 | TABLE), (0x2000, VALID | USER)]).0, None, "never accessed");
    }
}
