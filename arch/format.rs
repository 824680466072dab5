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

/// How an entry came to lead to a table of another tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// A copy of another root's entry: in a view, or of what is public.
    Copy = 0,
    /// A subtree was attached.
    Attached = 1,
    /// A subtree was attached that views show with the same bounds.
    Window = 2,
    /// A subtree was attached on one CPU only.
    CoreWindow = 3,
    /// A space or subtree was cloned: both have the table, until one of them changes what is in it.
    Cloned = 4,
}

/// Bit 55 of an entry that points to a table: the table belongs to another tree, or not to this one alone. Bits 56 to 58: its
/// [`Share`].
///
/// The hardware ignores these bits: x86_64 bits 52 to 62 of entries that reference a table (SDM volume 3, section 5.5.4,
/// "Format of a PML4 entry" and its like), aarch64 bits 53 to 58 of table descriptors (DDI 0487, D8.3.1).
const SHARED: u64 = 1 << 55;
const SHARE_SHIFT: u32 = 56;

/// An architecture's table entries.
///
/// Levels count from 0 (entries for 4 KiB) to 3 (top level, entries for 512 GiB); leaves exist at levels
/// 0 to 2. All entries made here are for user memory: the kernel's own tables are the backend's business.
/// An entry of zero is not present on either architecture.
pub trait PageFormat {
    /// An entry that points to the next table; `bounds` limit every leaf below it for user mode.
    fn table_entry(table: PhysAddr, bounds: Rights) -> u64;

    /// An entry that points to a table which belongs to another tree: like [`PageFormat::table_entry`], but marked.
    fn shared_entry(table: PhysAddr, bounds: Rights, share: Share) -> u64 {
        Self::table_entry(table, bounds) | SHARED | (share as u64) << SHARE_SHIFT
    }

    /// A leaf at `level`.
    fn leaf_entry(address: PhysAddr, level: u8, leaf: Leaf) -> u64;

    /// Whether the walker goes on, or finds memory, at this entry.
    fn is_present(entry: u64) -> bool;

    /// Whether a present entry at `level` points to a table.
    fn is_table(entry: u64, level: u8) -> bool;

    /// Whether this is an entry made by [`PageFormat::shared_entry`]. For entries that point to tables, and zero.
    #[inline(always)]
    fn is_shared(entry: u64) -> bool {
        entry & SHARED != 0
    }

    /// How such an entry came to be; `None` for any other that points to a table, and for zero.
    fn share(entry: u64) -> Option<Share> {
        let shares = [Share::Copy, Share::Attached, Share::Window, Share::CoreWindow];
        let number = (entry >> SHARE_SHIFT) as usize;
        let share = if number & 4 != 0 { Share::Cloned } else { shares[number % shares.len()] };
        Self::is_shared(entry).then_some(share)
    }

    /// The table or memory that a present entry points to.
    fn address(entry: u64) -> PhysAddr;

    /// What a present leaf allows user mode.
    fn leaf(entry: u64) -> Leaf;

    /// A present leaf that lets nobody write, else like this one.
    fn read_only(entry: u64) -> u64;

    /// What a present table entry lets the leaves below it allow.
    fn bounds(entry: u64) -> Rights;
}
