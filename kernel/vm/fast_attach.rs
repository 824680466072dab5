//! Deciding fast about `subtree_attach` and `subtree_detach` in the usual case: a top-level entry of a space, on every
//! CPU.
//!
//! Attaching is one write; what costs is to look everything up. The common path does that object by object, as what it
//! attaches to may be a space or a subtree, at any level. Here each object is looked up once. What is decided is then
//! performed as on the common path (`attach`). Whatever is out of the ordinary (another level, a core window, a view to be
//! kept in step, any refusal) changes nothing and goes the common path, which does it or refuses with the right error.
//! Both are under the kernel's lock.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Handle, ObjectKind, Rights};
use tessera_arch::{Format, Frame, PageFormat, Share, TOP_LEVEL, table};

use crate::cpu::cap_word::CapWord;
use crate::cpu::table_view::TableView;
use crate::mem::FrameList;
use crate::object::address_map::Cost;
use crate::object::derivation;
use crate::object::id::{AttachPoint, CapId, MapTarget};
use crate::object::space::{SLOT_PAGES, top_slot};
use crate::object::use_pool::Use;
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::vm::attach::{self, Attachment, Side};

/// What a top-level entry costs.
const COST: Cost = Cost { tables: 0, records: 0, attachments: 1 };

/// Serves `subtree_attach` in the usual case.
#[inline(always)]
pub(crate) fn attach_fast(
    kernel: &mut Kernel,
    held: &TableView,
    handles: [Handle; 2],
    address: u64,
    bounds: Rights,
    flags: u64,
) -> Option<()> {
    let [target, subtree] = handles;
    let (target, word, slot) = (held.word_of(target)?, held.word_of(subtree)?, subtree.slot());
    match word.is_derived() {
        false => attach_as::<false>(kernel, (0, slot), (target, word), address, bounds, flags),
        true => attach_noted(kernel, (held.number(), slot), (target, word), address, bounds, flags),
    }
}

/// The same for attachments that are noted. Out of the way of those that are not, so that they have all registers.
#[inline(never)]
fn attach_noted(
    kernel: &mut Kernel,
    through: (u32, u32),
    words: (CapWord, CapWord),
    address: u64,
    bounds: Rights,
    flags: u64,
) -> Option<()> {
    attach_as::<true>(kernel, through, words, address, bounds, flags)
}

#[inline(always)]
fn attach_as<const NOTED: bool>(
    kernel: &mut Kernel,
    (table_number, subtree_slot): (u32, u32),
    (target, word): (CapWord, CapWord),
    address: u64,
    bounds: Rights,
    flags: u64,
) -> Option<()> {
    if !bounds.contains(Rights::READ) || !Rights::ACCESS.contains(bounds) || flags > 1 {
        return None;
    }
    let slot = top_slot(address).ok()?;
    let target = target.object(ObjectKind::Space, Rights::MAP)?;
    let subtree = word.object(ObjectKind::Subtree, bounds)?;
    let Kernel { spaces, subtrees, accounts, frames, tables, uses, .. } = kernel;
    let (space, subtree) = (spaces.open(target)?, subtrees.open(subtree)?);
    let inner = &*subtree.object;
    if inner.level() != TOP_LEVEL || inner.public.is_some() || inner.sharers.core_window().is_some() {
        return None;
    }
    let (has_copies, first) = (space.object.has_copies(), slot as u64 * SLOT_PAGES);
    let map = &mut space.object.map;
    // Without roots that are copies, a core window shows in this one.
    let is_vacant =
        table(map.tree.root)[slot].load(Relaxed) == 0 && !map.overlaps(PageRange { first, count: SLOT_PAGES });
    if has_copies || !is_vacant || kernel.is_publishing || !crate::mem::has_spare_pages() {
        return None;
    }
    // What another account pays for can be taken back by itself: that is noted on the common path.
    if space.object.account.index() != inner.account.index() {
        return None;
    }
    // What is charged for a space keeps its account.
    let payer = accounts.at_mut(space.object.account.index());
    // The last check, and the first change.
    payer.try_charge(COST.bytes()).ok()?;
    let (owner, place) = (MapTarget::Space(space.id), AttachPoint { page: first, cpu: None });
    let attachment = Attachment { subtree: subtree.id, level: TOP_LEVEL, bounds, is_window: flags == 1 };
    let lent = NOTED.then(|| {
        let through = CapId::at(table_number, subtree_slot);
        derivation::lend(tables, uses, through, Use::attachment(owner, place))
    });
    let entry = attach::hold(subtree, owner, place, &attachment, lent);
    Side { map, payer, frames }.show(place, TOP_LEVEL, entry);
    Some(())
}

/// Serves `subtree_detach` in the usual case.
#[inline(always)]
pub(crate) fn detach_fast(kernel: &mut Kernel, held: &TableView, target: Handle, address: u64) -> Option<()> {
    let slot = top_slot(address).ok()?;
    let target = held.word_of(target)?.object(ObjectKind::Space, Rights::MAP)?;
    let space = kernel.spaces.open(target)?;
    let has_copies = space.object.has_copies();
    let map = &mut space.object.map;
    let entry = table(map.tree.root)[slot].load(Relaxed);
    let is_attached = matches!(Format::share(entry), Some(Share::Attached | Share::Window));
    if !is_attached || has_copies {
        return None;
    }
    let subtree = kernel.subtrees.id_at(kernel.frames.table_owner(Frame::containing(Format::address(entry))))?;
    let payer = kernel.accounts.at_mut(space.object.account.index());
    let (owner, place) = (MapTarget::Space(space.id), AttachPoint { page: slot as u64 * SLOT_PAGES, cpu: None });
    let mut freed_tables = FrameList::new();
    Side { map, payer, frames: &mut kernel.frames }.hide(place, TOP_LEVEL, &mut freed_tables);
    attach::let_go(kernel, owner, place, (subtree, SLOT_PAGES), freed_tables);
    Some(())
}
