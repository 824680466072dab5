//! What mappings are made in, a space or a subtree: its map, who pays for it, changing it and its tables together.

use tessera_abi::Error;

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameAllocator;
use crate::object::address_map::{AddressMap, Cost};
use crate::object::id::{AccountId, MapTarget};
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::store::Store;
use crate::paging::page_table::Tree;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::vm::view;

/// The address map of an owner.
pub fn map_of(kernel: &Kernel, owner: MapTarget) -> &AddressMap {
    match owner {
        MapTarget::Space(id) => &kernel.spaces[id].map,
        MapTarget::Subtree(id) => &kernel.subtrees[id].map,
    }
}

/// Who pays for an owner's tables and mappings.
pub fn payer_of(kernel: &Kernel, owner: MapTarget) -> AccountId {
    match owner {
        MapTarget::Space(id) => kernel.spaces[id].account,
        MapTarget::Subtree(id) => kernel.subtrees[id].account,
    }
}

/// Reads an address range of an owner.
///
/// # Errors
/// As `PageRange::new`.
pub fn range_of(kernel: &Kernel, owner: MapTarget, address: u64, length_bytes: u64) -> Result<PageRange, Error> {
    match owner {
        MapTarget::Space(_) => Space::range(address, length_bytes),
        MapTarget::Subtree(id) => kernel.subtrees[id].range(address, length_bytes),
    }
}

/// Checks that what an owner holds may change.
///
/// # Errors
/// `Sealed`.
pub fn ensure_changeable(kernel: &Kernel, owner: MapTarget) -> Result<(), Error> {
    let is_sealed = matches!(owner, MapTarget::Subtree(id) if kernel.subtrees[id].is_sealed);
    if is_sealed && !is_seeded(Mutant::SealIgnored) { Err(Error::Sealed) } else { Ok(()) }
}

/// Checks that account and memory can bear a cost.
///
/// # Errors
/// `AccountExhausted`, `OutOfMemory`.
pub fn ensure_cost(kernel: &Kernel, payer: AccountId, cost: Cost) -> Result<(), Error> {
    kernel.accounts[payer].ensure(cost.bytes())?;
    kernel.ensure_frames(cost.tables)
}

/// Changes a map without touching live translations, and settles the bill.
#[inline(always)]
pub(crate) fn change_map(
    kernel: &mut Kernel,
    owner: MapTarget,
    change: impl FnOnce(&mut AddressMap, &mut FrameAllocator, &mut Store<Segment>),
) {
    let (map, payer) = match owner {
        MapTarget::Space(id) => {
            let space = &mut kernel.spaces[id];
            (&mut space.map, space.account)
        }
        MapTarget::Subtree(id) => {
            let subtree = &mut kernel.subtrees[id];
            (&mut subtree.map, subtree.account)
        }
    };
    let before = map.charged_bytes();
    change(map, &mut kernel.frames, &mut kernel.segments);
    let (after, is_root_changed) = (map.charged_bytes(), map.tree.is_root_changed());
    // Most changes are below a root that stays as it is.
    if is_root_changed {
        view::sync_roots(kernel, owner);
    }
    if after != before {
        kernel.settle(payer, before, after);
    }
}

pub(crate) fn tree_mut(kernel: &mut Kernel, owner: MapTarget) -> &mut Tree {
    match owner {
        MapTarget::Space(id) => &mut kernel.spaces[id].map.tree,
        MapTarget::Subtree(id) => &mut kernel.subtrees[id].map.tree,
    }
}
