//! Clones of spaces and subtrees: another one that begins with all that this one has mapped, and sees nothing of what either writes
//! from then on.
//!
//! Nothing is gone through: not the memory, nor the mappings, nor the tables below the root. Mappings and pages that were copied
//! before are in trees that both share (`object/page_map.rs`), page tables hang from both roots (`paging/cloned.rs`), and what is
//! written to is copied then (`copied.rs`). What is attached stays the same subtree in both.

use tessera_abi::{Error, Rights};
use tessera_arch::TOP_LEVEL;

use crate::mem::FrameList;
use crate::object::derivation;
use crate::object::id::{AccountId, AttachPoint, MapTarget, SpaceId, SubtreeId};
use crate::object::reverse_map::{ATTACHMENT_BYTES, Sharer};
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::object::use_pool::Use;
use crate::paging::range::{EVERYTHING, PageRange};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::attach::{self, Attachment};
use crate::vm::view;

/// Subtrees that may be attached to a space that is cloned: each is seen to at once.
pub const ATTACHMENTS_MOST: u64 = 16;

/// Kernel heap that noting attachments takes at most, pages.
pub const HEAP_PAGES: u64 = 4 + ATTACHMENTS_MOST / 2;

/// What a clone costs besides what any new space does, bytes: what it begins with, as though it had that alone.
///
/// # Errors
/// `BadState` for a view, one with core windows, with something attached below its root, of which something is mapped that can
/// be taken back by itself, or with which locks are taken; `BadArgument` if another account pays for it; `LimitReached`.
pub fn plan(kernel: &Kernel, source: SpaceId, account: AccountId) -> Result<u64, Error> {
    let space = &kernel.spaces[source];
    if space.seen.is_some() || space.map.core_windows() != 0 || space.locks.is_some() || !space.map.may_be_cloned() {
        return Err(Error::BadState);
    }
    if space.account != account {
        return Err(Error::BadArgument);
    }
    if space.map.attachments() > ATTACHMENTS_MOST {
        return Err(Error::LimitReached);
    }
    Ok(space.map.bytes_below_root() + space.map.attachments() * ATTACHMENT_BYTES)
}

/// Has a new space, on a root table of nothing but what is public, begin with what another one has mapped. It has been charged; memory
/// was found to be there.
pub fn clone(kernel: &mut Kernel, source: SpaceId, mut space: Space, is_frozen: bool) -> SpaceId {
    let Kernel { spaces, frames, .. } = &mut *kernel;
    spaces[source].map.clone_to(frames, &mut space.map, is_frozen);
    let root = space.map.tree.root;
    let id = kernel.spaces.insert(space);
    attach_alike(kernel, (source, id), is_frozen);
    tessera_arch::publish_tables();
    let only_cpu = kernel.shared.space_words(source.index()).only_cpu();
    kernel.shared.space_words(id.index()).initialise(root, only_cpu);
    // The source could write to all of it until now.
    let owner = MapTarget::Space(source);
    view::sync_roots(kernel, owner);
    flush::execute(kernel, Flush { owner, range: EVERYTHING, freed_tables: FrameList::new() });
    id
}

/// The same of a subtree.
///
/// # Errors
/// `BadState` if it is public or on the way, something is attached to it, or something is mapped in it that can be taken back by
/// itself; `BadArgument` if another account pays for it.
pub fn plan_subtree(kernel: &Kernel, source: SubtreeId, account: AccountId) -> Result<u64, Error> {
    let subtree = &kernel.subtrees[source];
    if subtree.public.is_some() || subtree.map.attachments() != 0 || !subtree.map.may_be_cloned() {
        return Err(Error::BadState);
    }
    if subtree.account != account {
        return Err(Error::BadArgument);
    }
    Ok(subtree.map.bytes_below_root())
}

/// Has a new subtree begin with what another one has mapped. It has been charged; memory was found to be there.
pub fn clone_subtree(kernel: &mut Kernel, source: SubtreeId, mut subtree: Subtree, is_frozen: bool) -> SubtreeId {
    let Kernel { subtrees, frames, .. } = &mut *kernel;
    subtrees[source].map.clone_to(frames, &mut subtree.map, is_frozen);
    let id = attach::add_subtree(kernel, subtree);
    let owner = MapTarget::Subtree(source);
    flush::execute(kernel, Flush { owner, range: whole(kernel, source), freed_tables: FrameList::new() });
    id
}

fn whole(kernel: &Kernel, subtree: SubtreeId) -> PageRange {
    PageRange { first: 0, count: kernel.subtrees[subtree].pages() }
}

/// Attaches to a clone what is attached to its source.
fn attach_alike(kernel: &mut Kernel, (source, clone): (SpaceId, SpaceId), is_frozen: bool) {
    let mut next = 0;
    // Behind the last one there is nothing to be looked for.
    for _ in 0..kernel.spaces[source].map.attachments() {
        let found = attach::attachments_between(kernel, MapTarget::Space(source), next, u64::MAX).next();
        let Some((place, mut attachment)) = found else { return };
        if is_frozen && !attachment.is_window {
            attachment.bounds -= Rights::WRITE;
        }
        attach_one(kernel, (source, clone), place, &attachment);
        next = place.page + attachment.pages();
    }
}

fn attach_one(kernel: &mut Kernel, (source, clone): (SpaceId, SpaceId), place: AttachPoint, attachment: &Attachment) {
    let (from, to) = (MapTarget::Space(source), MapTarget::Space(clone));
    debug_assert_eq!(attachment.level, TOP_LEVEL, "nothing is attached below the root of what is cloned");
    let Kernel { subtrees, spaces, frames, tables, uses, .. } = kernel;
    let subtree = subtrees.open(attachment.subtree.index()).expect("what is attached exists");
    // Whoever takes the one back takes the other back.
    let lent = subtree.object.sharers.lent(&Sharer::new(from, place));
    let lent = lent.map(|lent| derivation::lend_alike(tables, uses, lent, Use::attachment(to, place)));
    let entry = attach::hold(subtree, to, place, attachment, lent);
    spaces[clone].map.attach(frames, place, attachment.level, entry);
}
