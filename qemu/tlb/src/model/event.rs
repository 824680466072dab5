//! What the model is told: accesses, the walks they need, and invalidations.

/// Address bits that one level of tables translates, with 4 KiB tables.
const LEVEL_BITS: u8 = 9;

/// What an instruction did to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read an instruction.
    Fetch,
    /// Read data.
    Load,
    /// Wrote data.
    Store,
}

/// What a leaf of the page tables says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Physical address of the page's first byte.
    pub frame: u64,
    /// The page has 2 to this power bytes: 12, 16 (contiguous 4 KiB), 21, 25 (contiguous 2 MiB), 30, 39.
    pub page_bits: u8,
    /// Whether it holds under every tag (x86 G set, Arm nG clear).
    pub global: bool,
    /// Whether stores are allowed.
    pub writable: bool,
    /// Whether user mode may use it.
    pub user: bool,
    /// Whether instructions may be fetched.
    pub executable: bool,
}

/// A whole walk, as if nothing of it were cached; the model knows what its walk caches save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Physical address of each entry read, from the root down; `references` of them count.
    pub tables: [u64; 5],
    /// How many entries were read, the one that ended the walk included.
    pub references: u8,
    /// Address bits that the root table translates: 48 with four levels, 57 with five, 39 with three.
    pub root_bits: u8,
    /// What was found, if anything.
    pub result: Option<Translation>,
}

impl Walk {
    /// The table that the walk was in after it had read `depth` entries, 1 or more, and the address bits it translates.
    #[must_use]
    pub fn table(&self, depth: u8) -> (u64, u8) {
        (self.tables[usize::from(depth)] & !0xfff, self.root_bits - depth * LEVEL_BITS)
    }
}

/// What becomes of page-walk cache entries when a page is invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkEntries {
    /// They stay: Arm's last-level forms.
    Keep,
    /// Those go that the address's walk goes through: Arm's other forms, INVPCID type 0.
    OfAddress,
    /// All of the tag go, whatever the address: INVLPG (SDM volume 3, "Operations that Invalidate TLBs and
    /// Paging-Structure Caches").
    OfTag,
}

/// An invalidation, as it reaches one CPU. The functions below are named after the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// Everything, of all tags.
    All {
        /// Whether global translations go as well.
        globals: bool,
    },
    /// Everything of a tag but global translations.
    Tag(u16),
    /// One page.
    Page {
        /// Of which tag; of all, and global ones, if none is given.
        tag: Option<u16>,
        /// An address in the page.
        address: u64,
        /// Whether a global translation of the page goes as well, if a tag is given.
        globals: bool,
        /// What becomes of walk cache entries.
        walk_entries: WalkEntries,
    },
    /// All pages that overlap a range, global ones included.
    Range {
        /// Of which tag; of all if none is given.
        tag: Option<u16>,
        /// The first address.
        start: u64,
        /// How many bytes, more than 0.
        bytes: u64,
        /// What becomes of walk cache entries.
        walk_entries: WalkEntries,
    },
}

impl Invalidation {
    /// x86 INVLPG under the current PCID.
    #[must_use]
    pub fn invlpg(current_tag: u16, address: u64) -> Self {
        Self::Page { tag: Some(current_tag), address, globals: true, walk_entries: WalkEntries::OfTag }
    }

    /// x86 INVPCID of a type from 0 to 3; any other raises an exception and invalidates nothing.
    #[must_use]
    pub fn invpcid(kind: u64, tag: u16, address: u64) -> Option<Self> {
        match kind {
            0 => Some(Self::Page { tag: Some(tag), address, globals: false, walk_entries: WalkEntries::OfAddress }),
            1 => Some(Self::Tag(tag)),
            2 => Some(Self::All { globals: true }),
            3 => Some(Self::All { globals: false }),
            _ => None,
        }
    }

    /// x86 MOV to CR4 that changes PGE.
    #[must_use]
    pub fn page_global_toggle() -> Self {
        Self::All { globals: true }
    }

    /// Arm TLBI VMALLE1.
    #[must_use]
    pub fn vmalle1() -> Self {
        Self::All { globals: true }
    }

    /// Arm TLBI ASIDE1.
    #[must_use]
    pub fn aside1(tag: u16) -> Self {
        Self::Tag(tag)
    }

    /// Arm TLBI VAE1, or VALE1 if `last_level`.
    #[must_use]
    pub fn vae1(tag: u16, address: u64, last_level: bool) -> Self {
        Self::Page { tag: Some(tag), address, globals: true, walk_entries: arm_walk_entries(last_level) }
    }

    /// Arm TLBI VAAE1, or VAALE1 if `last_level`.
    #[must_use]
    pub fn vaae1(address: u64, last_level: bool) -> Self {
        Self::Page { tag: None, address, globals: true, walk_entries: arm_walk_entries(last_level) }
    }

    /// Arm TLBI RVAE1, or RVALE1 if `last_level`.
    #[must_use]
    pub fn rvae1(tag: u16, start: u64, bytes: u64, last_level: bool) -> Self {
        Self::Range { tag: Some(tag), start, bytes, walk_entries: arm_walk_entries(last_level) }
    }

    /// Arm TLBI RVAAE1, or RVAALE1 if `last_level`.
    #[must_use]
    pub fn rvaae1(start: u64, bytes: u64, last_level: bool) -> Self {
        Self::Range { tag: None, start, bytes, walk_entries: arm_walk_entries(last_level) }
    }
}

/// Arm's last-level forms leave the walk caches alone.
fn arm_walk_entries(last_level: bool) -> WalkEntries {
    if last_level { WalkEntries::Keep } else { WalkEntries::OfAddress }
}
