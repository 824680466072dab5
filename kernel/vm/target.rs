//! What mappings are made in, a space or a subtree: its map, who pays for it, changing it and its tables together.

use tessera_abi::{Error, USER_END, USER_START};

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameAllocator;
use crate::object::address_map::{AddressMap, Cost, Lenders};
use crate::object::id::{AccountId, MapTarget, SpaceId, SubtreeId};
use crate::object::space::Space;
use crate::object::store::Store;
use crate::object::subtree::Subtree;
use crate::object::use_pool::Use;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::vm::view;

/// What a call on mappings has to know of the space or subtree that it is about, looked up once.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Which it is.
    pub owner: MapTarget,
    /// What is mapped.
    pub map: &'a AddressMap,
    /// Who pays for tables and mappings.
    pub payer: AccountId,
    is_sealed: bool,
    /// The addresses that mappings may have, bytes.
    start: u64,
    end: u64,
}

impl<'a> Target<'a> {
    /// What is to be known of a space.
    #[inline(always)]
    pub fn space(id: SpaceId, space: &'a Space) -> Target<'a> {
        let (owner, payer) = (MapTarget::Space(id), space.account);
        Target { owner, map: &space.map, payer, is_sealed: false, start: USER_START, end: USER_END }
    }

    /// What is to be known of a subtree.
    #[inline(always)]
    pub fn subtree(id: SubtreeId, subtree: &'a Subtree) -> Target<'a> {
        let ((start, end), payer) = (subtree.bounds(), subtree.account);
        let (owner, is_sealed) = (MapTarget::Subtree(id), subtree.is_sealed);
        Target { owner, map: &subtree.map, payer, is_sealed, start, end }
    }

    /// Checks that what is mapped may change.
    ///
    /// # Errors
    /// `Sealed`.
    #[inline(always)]
    pub fn ensure_changeable(&self) -> Result<(), Error> {
        if self.is_sealed && !is_seeded(Mutant::SealIgnored) { Err(Error::Sealed) } else { Ok(()) }
    }

    /// Reads an address range.
    ///
    /// # Errors
    /// As `PageRange::new`.
    #[inline(always)]
    pub fn range(&self, address: u64, length_bytes: u64) -> Result<PageRange, Error> {
        PageRange::new(address, length_bytes, self.start, self.end)
    }
}

/// Looks a space or subtree up that exists.
#[inline(always)]
pub fn look(kernel: &Kernel, owner: MapTarget) -> Target<'_> {
    match owner {
        MapTarget::Space(id) => Target::space(id, kernel.spaces.at(id.index())),
        MapTarget::Subtree(id) => Target::subtree(id, kernel.subtrees.at(id.index())),
    }
}

/// The address map of an owner.
pub fn map_of(kernel: &Kernel, owner: MapTarget) -> &AddressMap {
    look(kernel, owner).map
}

/// The space or subtree that shows what a use is of.
pub fn owner_of(kernel: &Kernel, lent: &Use) -> Option<MapTarget> {
    if lent.is_in_space() {
        kernel.spaces.id_at(lent.number).map(MapTarget::Space)
    } else {
        kernel.subtrees.id_at(lent.number).map(MapTarget::Subtree)
    }
}

/// Who pays for an owner's tables and mappings.
pub fn payer_of(kernel: &Kernel, owner: MapTarget) -> AccountId {
    look(kernel, owner).payer
}

/// Reads an address range of an owner.
///
/// # Errors
/// As `PageRange::new`.
pub fn range_of(kernel: &Kernel, owner: MapTarget, address: u64, length_bytes: u64) -> Result<PageRange, Error> {
    look(kernel, owner).range(address, length_bytes)
}

/// Checks that what an owner holds may change.
///
/// # Errors
/// `Sealed`.
pub fn ensure_changeable(kernel: &Kernel, owner: MapTarget) -> Result<(), Error> {
    look(kernel, owner).ensure_changeable()
}

/// Checks that account and memory can bear a cost.
///
/// # Errors
/// `AccountExhausted`, `OutOfMemory`.
#[inline(always)]
pub fn ensure_cost(kernel: &Kernel, payer: AccountId, cost: Cost) -> Result<(), Error> {
    kernel.accounts[payer].ensure(cost.bytes())?;
    kernel.ensure_frames(cost.tables)
}

/// Changes a map without touching live translations, and settles the bill.
#[inline(always)]
pub(crate) fn change_map(
    kernel: &mut Kernel,
    owner: MapTarget,
    change: impl FnOnce(&mut AddressMap, &mut FrameAllocator, &mut Lenders<'_>),
) {
    let Kernel { spaces, subtrees, frames, segments, tables, uses, .. } = &mut *kernel;
    let (map, payer) = open(spaces, subtrees, owner);
    let before = map.bytes();
    change(map, frames, &mut Lenders { segments, tables, uses });
    let (after, is_root_changed) = (map.bytes(), map.tree.is_root_changed());
    // Most changes are below a root that stays as it is.
    if is_root_changed {
        view::sync_roots(kernel, owner);
    }
    if after != before {
        kernel.adjust_charge(payer, before, after);
    }
}

/// The map of an owner, to be changed in a way that neither costs nor frees anything.
#[inline(always)]
pub(crate) fn map_mut(kernel: &mut Kernel, owner: MapTarget) -> &mut AddressMap {
    open(&mut kernel.spaces, &mut kernel.subtrees, owner).0
}

/// The map of an owner, and who pays for what is in it.
#[inline(always)]
pub(crate) fn open<'a>(
    spaces: &'a mut Store<Space>,
    subtrees: &'a mut Store<Subtree>,
    owner: MapTarget,
) -> (&'a mut AddressMap, AccountId) {
    match owner {
        MapTarget::Space(id) => {
            let space = spaces.at_mut(id.index());
            (&mut space.map, space.account)
        }
        MapTarget::Subtree(id) => {
            let subtree = subtrees.at_mut(id.index());
            (&mut subtree.map, subtree.account)
        }
    }
}
