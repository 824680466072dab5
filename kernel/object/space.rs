//! Spaces: address spaces as objects of their own.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::Name;
use tessera_abi::{Error, ObjectKind, PAGE_BYTES, Rights, TOP_SLOT_BYTES, TOP_SLOTS, USER_END, USER_START};
use tessera_arch::{Format, Frame, PageFormat, Share, TOP_LEVEL, table};

use crate::base::cpu_set::{self, CpuSet};
use crate::mem::FrameAllocator;
use crate::mem::block;
use crate::object::account::{frame_bytes, object_bytes};
use crate::object::address_map::{AddressMap, MAP_BYTES};
use crate::object::handler::{Handler, handler_bytes};
use crate::object::id::{AccountId, Object, SpaceId, ThreadId, UseId, kind};
use crate::object::links::{Chain, Link, List};
use crate::object::lock::SpaceLocks;
use crate::object::store::Store;
use crate::object::thread::Thread;
use crate::object::use_pool::USE_BYTES;
use crate::object::view_roots::ViewRoots;
use crate::paging::page_table::Tree;
use crate::paging::range::PageRange;

/// What a view costs its base's list at worst, bytes, and as a use of a capability to it. Each pays for a root besides, as though
/// no other had the same: what a view costs does not depend on what others make and end.
pub const VIEW_BYTES: u64 = block::tree_entry_bytes::<SpaceId, ()>() + USE_BYTES;

/// What a space's list of its views costs at worst besides what is in it, bytes.
const VIEWS_BYTES: u64 = block::tree_base_bytes::<SpaceId, ()>();

/// What a space costs more with which locks are taken, bytes.
pub const SPACE_LOCKS_BYTES: u64 = block::box_bytes::<SpaceLocks>();

/// Pages that one top-level entry stands for.
pub const SLOT_PAGES: u64 = TOP_SLOT_BYTES / PAGE_BYTES;

/// What a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewOf {
    /// The space it shows, which is no view.
    pub base: SpaceId,
    /// What it allows at most.
    pub bounds: Rights,
}

/// An address space: root table, mappings, attachments. Its tag lives in `shared::SpaceWords`.
///
/// Laid out as written: map and payer are where a subtree has them, so that who deals with either need not ask which it is.
#[derive(Debug)]
#[repr(C)]
pub struct Space {
    /// The space's own mappings, and what is attached to it. A view has none.
    pub map: AddressMap,
    /// Who pays for record, tables and mappings.
    pub account: AccountId,
    /// The use of a capability to that which it is.
    pub lent: Option<UseId>,
    /// Views of this space.
    pub views: BTreeSet<SpaceId>,
    /// Root tables of CPUs 1, 2, ...; CPU 0 uses the map's own. Empty while all CPUs use that one.
    other_roots: Vec<Frame>,
    /// How many threads are in the list of those that are in it.
    pub thread_count: u64,
    /// The threads in it that do not run, and some that do (`sched::noting::note_space`).
    pub threads: List,
    /// The root tables that its views have.
    pub view_roots: ViewRoots,
    /// For a view, what it shows.
    pub seen: Option<ViewOf>,
    /// For people.
    pub name: Name,
    /// The CPUs that were not looked at since it goes.
    pub unasked: CpuSet,
    /// Whether it goes because it was taken back, so that those in it are told so.
    pub is_revoked: bool,
    /// Who is asked of faults in it.
    pub handler: Option<Box<Handler>>,
    /// The locks that are taken with it. A view takes those of what it shows.
    pub locks: Option<Box<SpaceLocks>>,
}

impl Object for Space {
    type Kind = kind::Space;
    const KIND: ObjectKind = ObjectKind::Space;
    const WHAT: &'static str = "space";

    #[inline(always)]
    fn payer(&self) -> Option<AccountId> {
        Some(self.account)
    }

    /// What the space's tables, mappings, attachments and lists cost now, bytes. A view costs its base's list an entry.
    fn extra_bytes(&self) -> u64 {
        let listed = if self.seen.is_some() { VIEW_BYTES } else { 0 };
        let handler = handler_bytes(self.handler.as_deref());
        let locks = if self.locks.is_some() { SPACE_LOCKS_BYTES } else { 0 };
        self.map.charged_bytes() + VIEWS_BYTES + self.other_roots_bytes() + listed + handler + locks
    }
}

impl Space {
    /// What a new space costs besides its record, bytes; a view costs [`VIEW_BYTES`] more.
    pub const NEW_BYTES: u64 = PAGE_BYTES + MAP_BYTES + VIEWS_BYTES;

    /// More spaces than this cannot be paid for with so much memory.
    pub const fn most(memory_bytes: u64) -> usize {
        (memory_bytes / Space::LEAST_BYTES) as usize + 64
    }

    /// What any space costs at least, bytes.
    pub const LEAST_BYTES: u64 = object_bytes::<Space>() + Space::NEW_BYTES;

    /// An empty space on a cleared root table.
    #[inline(always)]
    pub fn new(account: AccountId, root: Frame) -> Space {
        tessera_arch::prepare_root(root);
        Space::on_root(account, root)
    }

    /// The same on a root table that is prepared. Inlined, so that it is made where it stays.
    #[inline(always)]
    pub fn on_root(account: AccountId, root: Frame) -> Space {
        Space {
            name: Name::EMPTY,
            account,
            map: AddressMap::new(Tree::new(root, TOP_LEVEL)),
            threads: List::default(),
            thread_count: 0,
            seen: None,
            lent: None,
            unasked: cpu_set::ALL,
            is_revoked: false,
            handler: None,
            locks: None,
            views: BTreeSet::new(),
            view_roots: ViewRoots::default(),
            other_roots: Vec::new(),
        }
    }

    /// Puts a thread into the space's list.
    pub fn add_thread(&mut self, threads: &mut Store<Thread>, id: ThreadId) {
        self.threads.push(threads, Chain::Space, id);
        self.thread_count += 1;
    }

    /// Begins to put a thread into the space's list ([`List::append`]); gives its place.
    #[inline(always)]
    #[must_use = "the thread must know its place"]
    pub fn add_thread_last(&mut self, id: ThreadId) -> Link {
        self.thread_count += 1;
        self.threads.append(id)
    }

    /// Takes a thread out of the space's list.
    pub fn remove_thread(&mut self, threads: &mut Store<Thread>, id: ThreadId) {
        self.threads.remove(threads, Chain::Space, id);
        self.thread_count -= 1;
    }

    /// Reads an address range of the space.
    ///
    /// # Errors
    /// As [`PageRange::new`].
    pub fn range(address: u64, length_bytes: u64) -> Result<PageRange, Error> {
        PageRange::new(address, length_bytes, USER_START, USER_END)
    }

    /// The root table on a CPU.
    pub fn root(&self, cpu: usize) -> Frame {
        let other = cpu.checked_sub(1).and_then(|other| self.other_roots.get(other));
        other.copied().unwrap_or(self.map.tree.root)
    }

    /// The core windows at some slots, in order: CPU, slot and entry of each.
    pub fn core_windows_in(&self, slots: Range<u64>) -> impl Iterator<Item = (usize, usize, u64)> {
        let end = if self.map.core_windows() == 0 { 0 } else { slots.end.min(TOP_SLOTS as u64) as usize };
        let entries =
            |slot: usize| self.roots().enumerate().map(move |(cpu, root)| (cpu, slot, table(root)[slot].load(Relaxed)));
        let is_window = |(_, _, entry): &(usize, usize, u64)| Format::share(*entry) == Some(Share::CoreWindow);
        (slots.start as usize..end).flat_map(entries).filter(is_window)
    }

    /// Whether a slot shows different things on different CPUs.
    pub fn has_core_window(&self, slot: usize) -> bool {
        let is_window = |root: Frame| Format::share(table(root)[slot].load(Relaxed)) == Some(Share::CoreWindow);
        self.map.core_windows() != 0 && self.roots().any(is_window)
    }

    /// How many root tables are missing before a core window can be.
    pub fn missing_roots(&self, cpus: usize) -> u64 {
        (cpus - 1 - self.other_roots.len()) as u64
    }

    /// What these will cost, with their list if that is missing too, bytes.
    pub fn missing_roots_bytes(&self, cpus: usize) -> u64 {
        let listed = if self.other_roots.capacity() == 0 { self.missing_roots(cpus) } else { 0 };
        frame_bytes(self.missing_roots(cpus)) + block::list_bytes::<Frame>(listed)
    }

    /// What other CPUs' root tables cost, with their list, which is made for all of them, bytes.
    fn other_roots_bytes(&self) -> u64 {
        frame_bytes(self.other_roots.len() as u64) + block::list_bytes::<Frame>(self.other_roots.capacity() as u64)
    }

    /// Gives the next CPU, of so many, a prepared root table of its own, like the first CPU's; gives which CPU that is.
    pub fn add_root(&mut self, root: Frame, cpus: usize) -> usize {
        self.other_roots.reserve_exact(cpus - 1 - self.other_roots.len());
        for slot in 0..TOP_SLOTS {
            let entry = table(self.map.tree.root)[slot].load(Relaxed);
            if entry != 0 && !self.has_core_window(slot) {
                table(root)[slot].store(entry, Relaxed);
            }
        }
        self.other_roots.push(root);
        self.map.tree.forget_changed();
        self.other_roots.len()
    }

    /// Copies an entry of the first CPU to the other roots, if they have another, and the slot no core windows. Where these
    /// are, the first two CPUs have one each, or nothing.
    pub fn sync_other_roots(&self, slot: usize) {
        let Some(second) = self.other_roots.first() else { return };
        let [entry, before] = [self.map.tree.root, *second].map(|root| table(root)[slot].load(Relaxed));
        let is_window = |entry| Format::share(entry) == Some(Share::CoreWindow);
        if entry != before && !is_window(entry) && !is_window(before) {
            self.other_roots.iter().for_each(|root| table(*root)[slot].store(entry, Relaxed));
        }
    }

    /// Writes the entry of a core window that is not the first CPU's.
    pub fn set_core_entry(&self, page: u64, cpu: usize, entry: u64) {
        if cpu > 0 {
            table(self.other_roots[cpu - 1])[(page / SLOT_PAGES) as usize].store(entry, Relaxed);
        }
    }

    /// Whether anything has copies of the root's entries.
    pub fn has_copies(&self) -> bool {
        !self.other_roots.is_empty() || !self.views.is_empty()
    }

    /// The last CPU that has a root table besides the first one's, and that root.
    pub fn last_other_root(&self) -> Option<(usize, Frame)> {
        self.other_roots.last().map(|root| (self.other_roots.len(), *root))
    }

    /// Frees that root table, which nobody uses any more.
    pub fn drop_last_root(&mut self, frames: &mut FrameAllocator) {
        // What is in copies, nobody counts.
        self.other_roots.pop().into_iter().for_each(|root| frames.free(root, 0));
    }

    /// Frees the root table, which nobody uses any more, and which is the only one. That of a view goes with the last that
    /// has it ([`ViewRoots`]).
    pub fn free_root(&self, frames: &mut FrameAllocator) {
        if self.seen.is_none() {
            free_root(frames, self.map.tree.root);
        }
    }

    /// How many root tables it has besides the first CPU's.
    #[inline(always)]
    pub fn other_root_count(&self) -> u32 {
        self.other_roots.len() as u32
    }

    /// The root tables, the first CPU's first.
    pub fn roots(&self) -> impl Iterator<Item = Frame> {
        core::iter::once(self.map.tree.root).chain(self.other_roots.iter().copied())
    }

    /// Tables that belong to the space alone, bytes.
    pub fn table_bytes(&self) -> u64 {
        frame_bytes(self.map.tree.tables + self.other_roots.len() as u64)
    }
}

/// Frees a root table without entries, which nobody uses any more.
pub fn free_root(frames: &mut FrameAllocator, root: Frame) {
    tessera_arch::strip_root(root);
    frames.free_table(root);
}

/// The top-level slot that begins at an address, if a subtree can be attached there.
///
/// # Errors
/// `Misaligned`, `BadAddress`.
#[inline(always)]
pub fn top_slot(address: u64) -> Result<usize, Error> {
    // What is no multiple of a slot's size has bits that come round to the top.
    let slot = address.rotate_right(TOP_SLOT_BYTES.trailing_zeros());
    // The last slot holds the page before the end of the lower half, which no mapping may reach.
    if slot < TOP_SLOTS as u64 - 1 {
        Ok(slot as usize)
    } else if address.is_multiple_of(TOP_SLOT_BYTES) {
        Err(Error::BadAddress)
    } else {
        Err(Error::Misaligned)
    }
}
