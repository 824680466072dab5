//! Page-table entries as pure data, whatever the architecture.

use tessera_abi::Rights;

use crate::PhysAddr;

/// What a leaf entry says besides its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// What user mode may do: `READ` always, `WRITE` or `EXECUTE` or neither.
    pub rights: Rights,
    /// Whether the translation holds in every space (x86 G set, Arm nG clear).
    pub global: bool,
}

/// An architecture's table entries.
///
/// Levels count from 0 (entries for 4 KiB) to 3 (top level, entries for 512 GiB); leaves exist at levels
/// 0 to 2. All entries made here are for user memory: the kernel's own tables are the backend's business.
/// An entry of zero is not present on either architecture.
pub trait PageFormat {
    /// An entry that points to the next table; `bounds` limit every leaf below it for user mode.
    fn table_entry(table: PhysAddr, bounds: Rights) -> u64;

    /// A leaf at `level`.
    fn leaf_entry(address: PhysAddr, level: u8, leaf: Leaf) -> u64;

    /// Whether the walker goes on, or finds memory, at this entry.
    fn is_present(entry: u64) -> bool;

    /// Whether a present entry at `level` points to a table.
    fn is_table(entry: u64, level: u8) -> bool;

    /// The table or memory that a present entry points to.
    fn address(entry: u64) -> PhysAddr;

    /// What a present leaf allows user mode.
    fn leaf(entry: u64) -> Leaf;

    /// What a present table entry lets the leaves below it allow.
    fn bounds(entry: u64) -> Rights;
}
