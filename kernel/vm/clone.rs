//! Clones of spaces and subtrees: another one that begins with all that this one has mapped, and sees nothing of what either writes
//! from then on.
//!
//! Nothing is gone through: not the memory, nor the mappings, nor the tables below the root. Mappings and pages that were copied
//! before are in trees that both share (`object/page_map.rs`), page tables hang from both roots (`paging/cloned.rs`), and what is
//! written to is copied then (`copied.rs`). What is attached stays the same subtree in both.

use tessera_abi::{Error, Rights};
use tessera_arch::TOP_LEVEL;

use crate::mem::FrameList;
use crate::object::address_map::{AddressMap, Lenders};
use crate::object::derivation;
use crate::object::id::{AccountId, AttachPoint, MapTarget, SpaceId, SubtreeId};
use crate::object::map_clone::Lent;
use crate::object::reverse_map::{ATTACHMENT_BYTES, Sharer};
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::object::use_pool::Use;
use crate::paging::range::{EVERYTHING, PageRange};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::attach::{self, Attachment};
use crate::vm::target;
use crate::vm::view;

/// Subtrees that may be attached to a space that is cloned: each is seen to at once.
pub const ATTACHMENTS_MOST: u64 = 16;

/// Accounts that are looked at, at most, to find out whether one was split off from another, and the first one.
const ACCOUNTS_MOST: usize = 17;

/// Kernel heap that noting attachments takes at most, pages.
const HEAP_PAGES: u64 = 4 + ATTACHMENTS_MOST / 2;

/// A clone that can be made.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is cloned yet"]
pub struct Plan {
    /// What it costs besides what any new space or subtree does, bytes: what it begins with, as though it had that alone.
    pub extra_bytes: u64,
    /// Kernel heap that it takes at most, pages.
    pub heap_pages: u64,
    lent: Lent,
}

impl Plan {
    fn new(extra_bytes: u64, heap_pages: u64, lent: Lent) -> Plan {
        Plan { extra_bytes, heap_pages: heap_pages + lent.heap_pages(), lent }
    }

    /// Checks that nothing can be taken back from it, if that is asked for.
    ///
    /// # Errors
    /// `BadState`.
    #[inline(always)]
    pub fn ensure_kept(&self, is_asked: bool) -> Result<(), Error> {
        if is_asked && self.lent.heap_pages() != 0 { Err(Error::BadState) } else { Ok(()) }
    }
}

/// Checks that a space can be cloned at the cost of an account, but for whether that can bear it.
///
/// # Errors
/// `BadState` for a view, one with something attached below its root, or with which locks are taken; `BadArgument` if an account is
/// to pay for it that may not; `LimitReached` if too much is attached, or mapped that can be taken back by itself.
pub fn plan(kernel: &Kernel, source: SpaceId, account: AccountId) -> Result<Plan, Error> {
    let space = &kernel.spaces[source];
    if space.seen.is_some() || space.locks.is_some() || !space.map.may_be_cloned() {
        return Err(Error::BadState);
    }
    if !may_pay(kernel, account, space.account) {
        return Err(Error::BadArgument);
    }
    let attachments = attached_on_all(&space.map);
    if attachments > ATTACHMENTS_MOST {
        return Err(Error::LimitReached);
    }
    Ok(Plan::new(space.map.bytes_below_root() + attachments * ATTACHMENT_BYTES, HEAP_PAGES, space.map.lent()?))
}

/// Whether an account may pay for a clone of what another one pays for: that one, or one that was split off from it, which ends
/// with it. What is mapped was not noted as a use of the other account's, and so could not be found in a clone that outlives it.
fn may_pay(kernel: &Kernel, account: AccountId, source: AccountId) -> bool {
    let mut from = core::iter::successors(Some(account), |id| kernel.accounts[*id].parent).take(ACCOUNTS_MOST);
    from.any(|id| id == source)
}

/// How many attachments a clone gets: core windows are the source's alone, as a subtree in one is nowhere else.
fn attached_on_all(map: &AddressMap) -> u64 {
    map.attachments() - map.core_windows()
}

/// Has a new space, on a root table of nothing but what is public, begin with what another one has mapped. It has been charged; memory
/// was found to be there.
pub fn clone(kernel: &mut Kernel, (source, plan): (SpaceId, &Plan), mut space: Space, is_frozen: bool) -> SpaceId {
    let Kernel { spaces, frames, .. } = &mut *kernel;
    spaces[source].map.clone_to(frames, &mut space.map, is_frozen);
    let root = space.map.tree.root;
    let id = kernel.spaces.insert(space);
    own_lent(kernel, MapTarget::Space(id), &plan.lent);
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
/// `BadState` if it is public or on the way, or something is attached to it; `BadArgument` if an account is to pay for it that may
/// not; `LimitReached` if too much is mapped that can be taken back by itself.
pub fn plan_subtree(kernel: &Kernel, source: SubtreeId, account: AccountId) -> Result<Plan, Error> {
    let subtree = &kernel.subtrees[source];
    if subtree.public.is_some() || subtree.map.attachments() != 0 || !subtree.map.may_be_cloned() {
        return Err(Error::BadState);
    }
    if !may_pay(kernel, account, subtree.account) {
        return Err(Error::BadArgument);
    }
    Ok(Plan::new(subtree.map.bytes_below_root(), 0, subtree.map.lent()?))
}

/// Has a new subtree begin with what another one has mapped. It has been charged; memory was found to be there.
pub fn clone_subtree(
    kernel: &mut Kernel,
    (source, plan): (SubtreeId, &Plan),
    mut subtree: Subtree,
    is_frozen: bool,
) -> SubtreeId {
    let Kernel { subtrees, frames, .. } = &mut *kernel;
    subtrees[source].map.clone_to(frames, &mut subtree.map, is_frozen);
    let id = attach::add_subtree(kernel, subtree);
    own_lent(kernel, MapTarget::Subtree(id), &plan.lent);
    let owner = MapTarget::Subtree(source);
    flush::execute(kernel, Flush { owner, range: whole(kernel, source), freed_tables: FrameList::new() });
    id
}

/// What is lent to the source is lent to the clone as well.
#[inline(always)]
fn own_lent(kernel: &mut Kernel, clone: MapTarget, lent: &Lent) {
    if lent.heap_pages() != 0 {
        own_some_lent(kernel, clone, lent);
    }
}

#[inline(never)]
fn own_some_lent(kernel: &mut Kernel, clone: MapTarget, lent: &Lent) {
    let Kernel { spaces, subtrees, segments, tables, uses, .. } = kernel;
    target::open(spaces, subtrees, clone).0.own_lent(&mut Lenders { segments, tables, uses }, clone, lent);
}

fn whole(kernel: &Kernel, subtree: SubtreeId) -> PageRange {
    PageRange { first: 0, count: kernel.subtrees[subtree].pages() }
}

/// Attaches to a clone what is attached to its source.
fn attach_alike(kernel: &mut Kernel, (source, clone): (SpaceId, SpaceId), is_frozen: bool) {
    let mut next = 0;
    // Behind the last one there is nothing to be looked for.
    for _ in 0..attached_on_all(&kernel.spaces[source].map) {
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
