//! Page tables that follow from a formula: for tests and for experiments without an emulator.

use crate::model::{Translation, Walk};

/// Address bits that the root table translates: four levels.
pub const ROOT_BITS: u8 = 48;

/// Who has the tables below a space's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The space, which has a root of its own.
    pub space: u64,
    /// Whose all other tables are: the space's own number if they are private; a number that no space has if they are a
    /// subtree that several spaces attach.
    pub owner: u64,
}

impl Tables {
    /// A space whose tables are all its own.
    #[must_use]
    pub fn private(space: u64) -> Tables {
        Tables { space, owner: space }
    }

    /// The walk to a page of 2 to the power of `page_bits` bytes.
    #[must_use]
    pub fn walk(&self, address: u64, page_bits: u8, global: bool) -> Walk {
        let references = (ROOT_BITS - page_bits).div_ceil(9).min(4);
        let mut tables = [0; 5];
        for depth in 0..references {
            tables[usize::from(depth)] = self.entry(address, depth);
        }
        let frame = address >> page_bits << page_bits;
        let result = Translation { frame, page_bits, global, writable: true, user: true, executable: true };
        Walk { tables, references, root_bits: ROOT_BITS, result: Some(result) }
    }

    /// The physical address of the entry that a walk reads after `depth` others: no two tables have the same.
    fn entry(&self, address: u64, depth: u8) -> u64 {
        let span = ROOT_BITS - 9 * depth;
        let owner = if depth == 0 { self.space } else { self.owner };
        let low = address & ((1 << ROOT_BITS) - 1);
        let table = owner << 32 | u64::from(depth) << 28 | low >> span;
        table << 12 | (low >> (span - 9) & 0x1ff) << 3
    }
}
