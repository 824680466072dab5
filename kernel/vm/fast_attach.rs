//! The fast paths of `subtree_attach` and `subtree_detach`: a top-level entry of a space, on every CPU.
//!
//! Attaching is one write; what costs is to look everything up. The common path does that object by object, as what it
//! attaches to may be a space or a subtree, at any level. Here each object is looked up once. Whatever is out of the
//! ordinary (another level, a core window, a view to be kept in step, any refusal) changes nothing and goes the common
//! path, which does it or refuses with the right error. Both are under the kernel's lock.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Handle, ObjectKind, Rights};
use tessera_arch::{Format, Frame, PageFormat, Share, TOP_LEVEL, table};

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameList;
use crate::object::id::{AttachPoint, MapTarget};
use crate::object::reverse_map::{ATTACHMENT_BYTES, Sharer};
use crate::object::space::{SLOT_PAGES, top_slot};
use crate::paging::range::PageRange;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::attach::Attachment;

/// Serves `subtree_attach` in the ordinary case.
#[inline(always)]
pub(crate) fn attach_fast(
    kernel: &mut Kernel,
    cpu: usize,
    [target, subtree]: [Handle; 2],
    address: u64,
    bounds: Rights,
    flags: u64,
) -> Option<()> {
    if !bounds.contains(Rights::READ) || !Rights::ACCESS.contains(bounds) || flags > 1 {
        return None;
    }
    let slot = top_slot(address).ok()?;
    let target = named(kernel, cpu, target, ObjectKind::Space, Rights::MAP)?;
    let subtree = named(kernel, cpu, subtree, ObjectKind::Subtree, bounds)?;
    let (space, subtree) = (kernel.spaces.open(target)?, kernel.subtrees.open(subtree)?);
    let inner = subtree.object;
    if inner.level() != TOP_LEVEL || inner.public.is_some() || inner.sharers.core_window().is_some() {
        return None;
    }
    let (place, range) = at_slot(slot);
    let is_ordinary = !space.object.has_copies() && space.object.map.core_windows() == 0;
    let map = &mut space.object.map;
    if !is_ordinary || map.overlaps(range) || table(map.tree.root)[slot].load(Relaxed) != 0 {
        return None;
    }
    if !crate::mem::has_spare_pages() {
        return None;
    }
    kernel.accounts[space.object.account].try_charge(ATTACHMENT_BYTES).ok()?;
    *subtree.references += u32::from(!is_seeded(Mutant::SharerNotHeld));
    let attachment = Attachment { subtree: subtree.id, level: TOP_LEVEL, bounds, is_window: flags == 1 };
    let entry = attachment.entry(inner.map.tree.root, place);
    inner.sharers.insert(Sharer::new(MapTarget::Space(space.id), place));
    map.attach(&mut kernel.frames, place, TOP_LEVEL, entry);
    Some(())
}

/// Serves `subtree_detach` in the ordinary case.
#[inline(always)]
pub(crate) fn detach_fast(kernel: &mut Kernel, cpu: usize, target: Handle, address: u64) -> Option<()> {
    let slot = top_slot(address).ok()?;
    let target = named(kernel, cpu, target, ObjectKind::Space, Rights::MAP)?;
    let space = kernel.spaces.open(target)?;
    let entry = table(space.object.map.tree.root)[slot].load(Relaxed);
    let is_ordinary = matches!(Format::share(entry), Some(Share::Attached | Share::Window));
    let (place, range) = at_slot(slot);
    if !is_ordinary || space.object.has_copies() {
        return None;
    }
    let map = &mut space.object.map;
    let owner = kernel.frames.table_owner(Frame::containing(Format::address(entry)));
    let mut freed_tables = FrameList::new();
    map.detach(&mut kernel.frames, place, TOP_LEVEL, &mut freed_tables);
    kernel.accounts[space.object.account].credit(ATTACHMENT_BYTES);
    let sharer = Sharer::new(MapTarget::Space(space.id), place);
    let count = if is_seeded(Mutant::DetachUnflushed) { 0 } else { range.count };
    flush::execute(kernel, Flush { owner: sharer.owner, range: PageRange { count, ..range }, freed_tables });
    let subtree = kernel.subtrees.open(owner)?;
    subtree.object.sharers.remove(&sharer);
    let id = subtree.id;
    kernel.subtrees.release(id);
    Some(())
}

/// The number of the object that a handle of a CPU's current thread names, if it is of the kind and carries the
/// rights.
#[inline(always)]
fn named(kernel: &Kernel, cpu: usize, handle: Handle, kind: ObjectKind, needed: Rights) -> Option<u32> {
    kernel.shared.cpus[cpu].word_of(handle)?.object(kind, needed)
}

#[inline(always)]
fn at_slot(slot: usize) -> (AttachPoint, PageRange) {
    let first = slot as u64 * SLOT_PAGES;
    (AttachPoint { page: first, cpu: None }, PageRange { first, count: SLOT_PAGES })
}
