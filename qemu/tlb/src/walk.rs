//! Walks of both architectures' page tables, as the hardware does them with nothing cached.
//!
//! x86-64: Intel SDM volume 3, 4.5 "4-level paging and 5-level paging". AArch64: DDI 0487, D8.2 and D8.3 "Translation table
//! descriptor formats", stage 1 with 4 KiB granule.

mod arm;
mod x86;

pub use arm::ArmControl;
pub use x86::X86Control;

use crate::model::Walk;

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const ENTRY_BYTES: u64 = 8;
/// Address bits that one level translates, and a page's.
const LEVEL_BITS: u8 = 9;
const PAGE_BITS: u8 = 12;

/// What a translation, or the tables down to some level, allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Stores.
    pub write: bool,
    /// Accesses from user mode.
    pub user: bool,
    /// Fetches, from user mode if that may access it at all.
    pub execute: bool,
}

impl Rights {
    /// All of them: what an empty path allows.
    pub const ALL: Rights = Rights { write: true, user: true, execute: true };

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Rights) -> Rights {
        Rights { write: self.write & other.write, user: self.user & other.user, execute: self.execute & other.execute }
    }

    /// Whether there is nothing here that another does not allow.
    #[must_use]
    pub fn is_within(self, other: Rights) -> bool {
        self.and(other) == self
    }
}

/// A walk, and what the entries down to each level allow together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The walk.
    pub walk: Walk,
    /// What the first entry allows, the first two, and so on.
    pub rights: [Rights; 5],
}

impl Path {
    fn begin(root_bits: u8) -> Path {
        let walk = Walk { tables: [0; 5], references: 0, root_bits, result: None };
        Path { walk, rights: [Rights::default(); 5] }
    }

    /// Reads the entry for an address in the table that is next; gives its address bits below, and the entry.
    fn read(
        &mut self,
        table: u64,
        address: u64,
        read: &mut dyn FnMut(u64) -> Option<u64>,
    ) -> Result<(u8, u64), Unreadable> {
        let depth = self.walk.references;
        let bits = self.walk.root_bits - LEVEL_BITS * (depth + 1);
        let place = table + (address >> bits & 0x1ff) * ENTRY_BYTES;
        self.walk.tables[usize::from(depth)] = place;
        self.walk.references += 1;
        read(place).map(|entry| (bits, entry)).ok_or(Unreadable(place))
    }

    /// Notes what the entry just read allows, beside what those above do.
    fn narrow(&mut self, rights: Rights) -> Rights {
        let depth = usize::from(self.walk.references) - 1;
        let above = if depth == 0 { Rights::ALL } else { self.rights[depth - 1] };
        self.rights[depth] = above.and(rights);
        self.rights[depth]
    }
}

/// The physical address of an entry that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub u64);

/// How a CPU translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// An x86-64's registers.
    X86(X86Control),
    /// An AArch64's registers.
    Arm(ArmControl),
}

impl Control {
    /// Whether addresses are translated at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        match self {
            Control::X86(control) => control.is_on(),
            Control::Arm(control) => control.is_on(),
        }
    }

    /// The tag under which user translations are cached.
    #[must_use]
    pub fn tag(&self) -> u16 {
        match self {
            Control::X86(control) => control.tag(),
            Control::Arm(control) => control.tag(),
        }
    }

    /// The root that user addresses are translated by.
    #[must_use]
    pub fn root(&self) -> u64 {
        match self {
            Control::X86(control) => control.root & ADDRESS,
            Control::Arm(control) => control.user_root & ADDRESS & !(0xf << 48),
        }
    }

    /// Walks the tables for an address. `read` gives the entry at a physical address.
    ///
    /// # Errors
    /// If an entry cannot be read.
    pub fn walk(&self, address: u64, read: &mut dyn FnMut(u64) -> Option<u64>) -> Result<Path, Unreadable> {
        match self {
            Control::X86(control) => x86::walk(control, address, read),
            Control::Arm(control) => arm::walk(control, address, read),
        }
    }
}
