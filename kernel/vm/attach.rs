//! Attaching subtrees: to spaces on every CPU, or on one (a core window), and to other subtrees.
//!
//! The entry that the hardware reads is the record of an attachment: it leads to the subtree's root, whose frame knows
//! the subtree; it holds the bounds; and bits that the hardware ignores tell what kind it is. So attaching writes one
//! entry, and nothing can disagree with the tables. The subtree keeps the list of the places (`sharers`).

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Error, PAGE_BYTES, Rights};
use tessera_arch::{Format, Frame, PageFormat, Share, TOP_LEVEL, VirtAddr, table};

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::object::account::Account;
use crate::object::address_map::{AddressMap, Cost};
use crate::object::derivation;
use crate::object::id::{AttachPoint, CapId, MapTarget, Object, SpaceId, SubtreeId, UseId};
use crate::object::reverse_map::Sharer;
use crate::object::space::{SLOT_PAGES, Space};
use crate::object::store::Opened;
use crate::object::subtree::Subtree;
use crate::object::use_pool::Use;
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::new_table;
use crate::paging::range::PageRange;
use crate::sched::{enter, remote};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Asked, Flush};
use crate::tlb::global;
use crate::vm::own;
use crate::vm::target;
use crate::vm::view;

/// Kernel heap that the records of an attachment may take, pages: a node at each level of the ordered set of sharers.
const HEAP_PAGES: u64 = 4;

/// A subtree at an entry of a space or of another subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The subtree.
    pub subtree: SubtreeId,
    /// The level of the entry.
    pub level: u8,
    /// What the entry lets the subtree's mappings allow here.
    pub bounds: Rights,
    /// Whether views show it with the same bounds.
    pub is_window: bool,
}

impl Attachment {
    /// The pages that it fills.
    pub fn pages(&self) -> u64 {
        entry_pages(self.level)
    }

    /// What its mappings may allow, seen through a view that allows `view`.
    pub fn bounds_in(&self, view: Rights) -> Rights {
        if self.is_window { self.bounds } else { self.bounds & view }
    }

    /// The entry that says so, at a place of this kind.
    #[inline(always)]
    pub(crate) fn entry(&self, root: Frame, place: AttachPoint) -> u64 {
        let bounds = if is_seeded(Mutant::BoundsNotApplied) { Rights::ACCESS } else { self.bounds };
        let share = match (place.cpu, self.is_window) {
            (Some(_), _) => Share::CoreWindow,
            (None, true) => Share::Window,
            (None, false) => Share::Attached,
        };
        Format::shared_entry(root.start(), bounds, share)
    }
}

/// Takes a new subtree in. Inlined, so that it is made where it stays.
#[inline(always)]
pub fn add_subtree(kernel: &mut Kernel, subtree: Subtree) -> SubtreeId {
    let root = subtree.map.tree.root;
    let id = kernel.subtrees.insert(subtree);
    kernel.frames.set_table_owner(root, id.index());
    id
}

/// The attachment that an entry at a level stands for.
#[inline(always)]
pub(crate) fn attachment_of(kernel: &Kernel, entry: u64, level: u8) -> Option<Attachment> {
    let subtree = kernel.subtrees.id_at(kernel.frames.table_owner(Frame::containing(Format::address(entry))))?;
    let is_window = Format::share(entry) == Some(Share::Window);
    Some(Attachment { subtree, level, bounds: Format::bounds(entry), is_window })
}

/// The attachment that an entry at a level stands for, unless it is a core window.
pub(crate) fn attached_on_all(kernel: &Kernel, entry: u64, level: u8) -> Option<Attachment> {
    if Format::share(entry) == Some(Share::CoreWindow) { None } else { attachment_of(kernel, entry, level) }
}

/// The attachment that covers a page of an owner on a CPU, and its first page. Without a CPU, core windows do not
/// count.
pub fn attachment_over(kernel: &Kernel, owner: MapTarget, page: u64, cpu: Option<usize>) -> Option<(u64, Attachment)> {
    let (map, root) = match owner {
        MapTarget::Space(id) => {
            let space = &kernel.spaces[id];
            (&space.map, space.root(cpu.unwrap_or(0)))
        }
        MapTarget::Subtree(id) => {
            let map = &kernel.subtrees[id].map;
            (map, map.tree.root)
        }
    };
    if map.attachments() == 0 {
        return None;
    }
    let (entry, level) = map.tree.attached_over(root, VirtAddr::new(page * PAGE_BYTES))?;
    if cpu.is_none() && Format::share(entry) == Some(Share::CoreWindow) {
        return None;
    }
    Some((page - page % entry_pages(level), attachment_of(kernel, entry, level)?))
}

/// The attachment at a place.
pub fn attachment_at(kernel: &Kernel, owner: MapTarget, place: AttachPoint) -> Option<Attachment> {
    let (first, attachment) = attachment_over(kernel, owner, place.page, place.cpu)?;
    let is_window = |id: SpaceId| kernel.spaces[id].has_core_window((place.page / SLOT_PAGES) as usize);
    let is_core = matches!(owner, MapTarget::Space(id) if place.cpu.is_some() && is_window(id));
    (first == place.page && is_core == place.cpu.is_some()).then_some(attachment)
}

/// All attachments of an owner, core windows last.
pub fn attachments(kernel: &Kernel, owner: MapTarget) -> impl Iterator<Item = (AttachPoint, Attachment)> {
    attachments_between(kernel, owner, 0, u64::MAX).chain(core_windows(kernel, owner, 0, u64::MAX))
}

/// Those that are attached on every CPU, and end after a page and begin before `end`, in order.
pub(crate) fn attachments_between(
    kernel: &Kernel,
    owner: MapTarget,
    page: u64,
    end: u64,
) -> impl Iterator<Item = (AttachPoint, Attachment)> {
    let tree = &target::map_of(kernel, owner).tree;
    let mut behind = page;
    // Nothing is looked for before it is asked for: behind the last one, that is a long way.
    let entries = core::iter::from_fn(move || {
        let (page, level, entry) = tree.next_attached(behind, end)?;
        behind = page + entry_pages(level);
        Some((page, level, entry))
    });
    entries.filter_map(|(page, level, entry)| {
        Some((AttachPoint { page, cpu: None }, attached_on_all(kernel, entry, level)?))
    })
}

/// Core windows that end after a page and begin before `end`, in order.
pub(crate) fn core_windows(
    kernel: &Kernel,
    owner: MapTarget,
    page: u64,
    end: u64,
) -> impl Iterator<Item = (AttachPoint, Attachment)> {
    let space = if let MapTarget::Space(id) = owner { Some(&kernel.spaces[id]) } else { None };
    let windows =
        space.into_iter().flat_map(move |space| space.core_windows_in(page / SLOT_PAGES..end.div_ceil(SLOT_PAGES)));
    windows.filter_map(|(cpu, slot, entry)| {
        let place = AttachPoint { page: slot as u64 * SLOT_PAGES, cpu: Some(cpu) };
        Some((place, attachment_of(kernel, entry, TOP_LEVEL)?))
    })
}

/// Whether nothing is where an entry of a level would be written: a core window leaves the place free for other
/// CPUs' windows.
pub fn is_vacant(kernel: &Kernel, owner: MapTarget, place: AttachPoint, level: u8) -> bool {
    let space = match owner {
        MapTarget::Subtree(id) => return kernel.subtrees[id].map.is_free(place.page, level),
        MapTarget::Space(id) => &kernel.spaces[id],
    };
    let slot = (place.page / SLOT_PAGES) as usize;
    !kernel.public.iter().any(|public| public.slot == slot) && is_vacant_in(space, place, level)
}

/// The same, of what the space itself shows.
pub(crate) fn is_vacant_in(space: &Space, place: AttachPoint, level: u8) -> bool {
    let slot = (place.page / SLOT_PAGES) as usize;
    match place.cpu {
        None => space.map.is_free(place.page, level) && !space.has_core_window(slot),
        Some(cpu) => {
            let range = PageRange { first: place.page, count: SLOT_PAGES };
            table(space.root(cpu))[slot].load(Relaxed) == 0 && !space.map.overlaps(range)
        }
    }
}

/// Checks that a subtree whose level fits can be attached at a place; gives what it takes.
///
/// # Errors
/// `BadState` for one that is public, or cannot be attached twice because of a core window, `Overlap`,
/// `AccountExhausted`, `OutOfMemory`.
pub fn plan_attach(
    kernel: &mut Kernel,
    owner: MapTarget,
    place: AttachPoint,
    subtree: SubtreeId,
) -> Result<Cost, Error> {
    let object = &kernel.subtrees[subtree];
    let level = object.level();
    let is_windowed = object.sharers.core_window().is_some() || place.cpu.is_some() && !object.sharers.is_empty();
    if is_windowed || object.public.is_some() {
        return Err(Error::BadState);
    }
    // What is in common with clones says nothing of this place.
    own::own_way(kernel, owner, place.page, level)?;
    if !is_vacant(kernel, owner, place, level) {
        return Err(Error::Overlap);
    }
    let map = target::map_of(kernel, owner);
    let is_root = level == map.tree.level;
    let tables = if is_root { 0 } else { map.tree.missing_tables(VirtAddr::new(place.page * PAGE_BYTES), level) };
    let (roots, roots_bytes) = match (owner, place.cpu) {
        (MapTarget::Space(space), Some(_)) => {
            let (space, cpus) = (&kernel.spaces[space], kernel.cpus());
            (space.missing_roots(cpus), space.missing_roots_bytes(cpus))
        }
        _ => (0, 0),
    };
    let cost = Cost { tables, records: 0, attachments: 1 };
    kernel.accounts[target::payer_of(kernel, owner)].ensure(cost.bytes() + roots_bytes)?;
    kernel.ensure_frames(tables + roots)?;
    kernel.reserve_heap(HEAP_PAGES)?;
    Ok(cost)
}

/// Checks that a subtree may be attached to something of this level. Levels fall from a space down, so no chain of
/// attachments comes back to where it began.
///
/// # Errors
/// `WrongLevel`, `TooDeep`, `BadState` for a public one.
pub fn ensure_level(kernel: &Kernel, owner: MapTarget, subtree: SubtreeId) -> Result<(), Error> {
    let MapTarget::Subtree(outer) = owner else { return Ok(()) };
    let (outer, inner) = (&kernel.subtrees[outer], &kernel.subtrees[subtree]);
    if inner.level() >= outer.level() {
        Err(Error::WrongLevel)
    } else if outer.is_nested() || inner.map.attachments() != 0 {
        Err(Error::TooDeep)
    } else if outer.public.is_some() {
        Err(Error::BadState)
    } else {
        Ok(())
    }
}

/// Attaches a subtree as planned, at that cost, through a capability to it; through none, if the kernel does it for itself. For one
/// CPU's sake, each has its own root table ([`separate_roots`]).
pub fn attach(
    kernel: &mut Kernel,
    owner: MapTarget,
    place: AttachPoint,
    attachment: Attachment,
    (cost, through): (Cost, Option<CapId>),
) {
    let payers = [target::payer_of(kernel, owner), kernel.subtrees[attachment.subtree].account];
    let lent = through.and_then(|cap| kernel.note_use(cap, payers, Use::attachment(owner, place)));
    let subtree = kernel.subtrees.open(attachment.subtree.index()).expect("only what exists is attached");
    let entry = hold(subtree, owner, place, &attachment, lent);
    if let (MapTarget::Space(space), Some(cpu)) = (owner, place.cpu) {
        kernel.spaces[space].set_core_entry(place.page, cpu, entry);
    }
    let side = open_side(kernel, owner);
    side.payer.charge(cost.bytes());
    side.show(place, attachment.level, entry);
    view::sync_roots(kernel, owner);
}

/// The subtree's side of attaching: it lists the place, which keeps it from going, and as which use. Gives the entry that
/// shows it there.
#[inline(always)]
pub(crate) fn hold(
    subtree: Opened<'_, Subtree>,
    owner: MapTarget,
    place: AttachPoint,
    attachment: &Attachment,
    lent: Option<UseId>,
) -> u64 {
    *subtree.references += u32::from(!is_seeded(Mutant::SharerNotHeld));
    subtree.object.sharers.insert(Sharer::new(owner, place), lent);
    attachment.entry(subtree.object.map.tree.root, place)
}

/// The owner's side of attaching and detaching: the map that shows a subtree, and who pays for that.
pub(crate) struct Side<'a> {
    pub(crate) map: &'a mut AddressMap,
    pub(crate) payer: &'a mut Account,
    pub(crate) frames: &'a mut FrameAllocator,
}

impl Side<'_> {
    /// Writes the entry of an attachment at a place that was found vacant, at a cost that was found bearable. The roots
    /// that are copies do not have it yet.
    #[inline(always)]
    pub(crate) fn show(self, place: AttachPoint, level: u8, entry: u64) {
        self.map.attach(self.frames, place, level, entry);
    }

    /// Takes the entry of an attachment out. The roots that are copies have it still, and the subtree lists the place,
    /// for the flush that is due.
    #[inline(always)]
    pub(crate) fn hide(self, place: AttachPoint, level: u8, freed_tables: &mut FrameList) {
        let tables = freed_tables.count();
        self.map.detach(self.frames, place, level, freed_tables);
        let cost = Cost { tables: freed_tables.count() - tables, records: 0, attachments: 1 };
        self.payer.credit(cost.bytes());
    }
}

fn open_side(kernel: &mut Kernel, owner: MapTarget) -> Side<'_> {
    let (map, payer) = match owner {
        MapTarget::Subtree(id) => {
            let subtree = &mut kernel.subtrees[id];
            (&mut subtree.map, subtree.account)
        }
        MapTarget::Space(id) => {
            let space = &mut kernel.spaces[id];
            (&mut space.map, space.account)
        }
    };
    Side { map, payer: &mut kernel.accounts[payer], frames: &mut kernel.frames }
}

/// Takes an attachment out of a space or subtree; gives whether there was one.
pub fn detach(kernel: &mut Kernel, owner: MapTarget, place: AttachPoint) -> bool {
    let mut freed_tables = FrameList::new();
    let Some(attachment) = take_entry(kernel, owner, place, &mut freed_tables) else { return false };
    view::sync_roots(kernel, owner);
    let_go(kernel, owner, place, (attachment.subtree, attachment.pages()), freed_tables);
    true
}

/// Invalidates what a subtree of so many pages showed at a place whose entry was taken out; the subtree's side of
/// detaching.
#[inline(always)]
pub(crate) fn let_go(
    kernel: &mut Kernel,
    owner: MapTarget,
    place: AttachPoint,
    (subtree, pages): (SubtreeId, u64),
    freed_tables: FrameList,
) {
    let count = if is_seeded(Mutant::DetachUnflushed) { 0 } else { pages };
    let (seen_by, first) = match place.cpu {
        // A core window is flushed as the subtree's, which lists the place still.
        Some(_) => {
            kernel.subtrees[subtree].sharers.forget_common_page();
            (MapTarget::Subtree(subtree), 0)
        }
        None => (owner, place.page),
    };
    flush::execute(kernel, Flush { owner: seen_by, range: PageRange { first, count }, freed_tables });
    forget_place(kernel, subtree, owner, place);
}

/// A subtree is no longer at a place: it does not list it any more, nor does whoever lent it.
#[inline(always)]
pub(crate) fn forget_place(kernel: &mut Kernel, subtree: SubtreeId, owner: MapTarget, place: AttachPoint) {
    let Kernel { subtrees, tables, uses, .. } = kernel;
    if let Some(lent) = subtrees.released(subtree).sharers.remove(&Sharer::new(owner, place)) {
        derivation::take_back(tables, uses, lent);
    }
}

/// What taking out an entry takes, and forgetting the place.
const PLACE_UNITS: u32 = 120;

/// What asking a CPU takes what it shows, or to drop it.
const CPU_UNITS: u32 = 4;

/// What telling those takes who see what changes in a subtree, or in a space with views.
const AUDIENCE_UNITS: u32 = 300;

/// Of a subtree at more places, such owners are not told who see it: all drop everything, which takes the same for any number of
/// them. Each step would have to tell them all, whether it takes out many places or few.
const TOLD_PLACES: usize = 40;

/// Takes a subtree out of what it is attached to, as far as the effort goes; gives how many places that were, and whether some
/// are left. The subtree notes how far it has come, so that what is attached behind its back is not looked at again.
///
/// A space or subtree that has it is told by itself, so that a CPU in a space is interrupted by the step that takes it from there
/// and by no other; the answers of all are waited for together.
pub fn detach_further(kernel: &mut Kernel, subtree: SubtreeId, effort: &mut Effort) -> (u64, bool) {
    let (mut freed_tables, mut places, mut asked) = (FrameList::new(), 0, Asked::default());
    let before = kernel.subtrees[subtree].withdrawn;
    let mut next = kernel.subtrees[subtree].sharers.after(before);
    while let Some(first) = next.filter(|_| effort.is_left()) {
        let (gone, last) = take_from_owner(kernel, subtree, first, &mut freed_tables, effort);
        asked.join(flush_taken(kernel, subtree, [first, last], effort));
        places += gone;
        next = kernel.subtrees[subtree].sharers.after(Some(last));
    }
    asked.wait(kernel.shared);
    kernel.frames.free_list(freed_tables);
    for _ in 0..places {
        let object = kernel.subtrees.released(subtree);
        let gone = object.sharers.after(before).expect("it lists the places still");
        object.sharers.remove(&gone);
        object.withdrawn = Some(gone);
    }
    if next.is_none() {
        kernel.subtrees[subtree].withdrawn = None;
    }
    (places, next.is_some())
}

/// Takes a subtree out of the places in one owner from `first` on, one at least; gives how many they were, and the last. What has
/// copies of the owner's root gets them anew once for places that lie side by side.
fn take_from_owner(
    kernel: &mut Kernel,
    subtree: SubtreeId,
    first: Sharer,
    freed_tables: &mut FrameList,
    effort: &mut Effort,
) -> (u64, Sharer) {
    let (owner, mut sharer, mut places) = (first.owner(), first, 0);
    loop {
        take_entry(kernel, owner, sharer.place(), freed_tables);
        let Kernel { subtrees, tables, uses, .. } = &mut *kernel;
        if let Some(lent) = subtrees[subtree].sharers.lent(&sharer) {
            derivation::take_back(tables, uses, lent);
        }
        places += 1;
        effort.spend(PLACE_UNITS);
        let next = subtrees[subtree].sharers.after(Some(sharer));
        let next = next.filter(|next| next.owner() == owner && effort.is_left());
        if next.is_none_or(|next| next.place().page > sharer.place().page + SLOT_PAGES) {
            view::sync_roots(kernel, owner);
        }
        let Some(next) = next else { return (places, sharer) };
        sharer = next;
    }
}

/// Asks for the invalidation of what a subtree showed in one owner, from the first to the last of the places, which it lists
/// still.
fn flush_taken(kernel: &mut Kernel, subtree: SubtreeId, [first, last]: [Sharer; 2], effort: &mut Effort) -> Asked {
    if is_seeded(Mutant::WithdrawUnflushed) {
        return Asked::default();
    }
    let (owner, [first, last]) = (first.owner(), [first, last].map(|sharer| sharer.place()));
    let (sharers, pages) = (&kernel.subtrees[subtree].sharers, kernel.subtrees[subtree].pages());
    effort.spend(CPU_UNITS * kernel.cpus() as u32);
    if !flush::is_alone(kernel, owner) {
        effort.spend(AUDIENCE_UNITS);
        if sharers.len() > TOLD_PLACES {
            tessera_arch::publish_tables();
            global::flush_everywhere(kernel);
            return Asked::default();
        }
    }
    if first.cpu.is_some() {
        // A core window is its only place, and is flushed as the subtree's, which lists it still.
        kernel.subtrees[subtree].sharers.forget_common_page();
        return flush::begin(kernel, MapTarget::Subtree(subtree), PageRange { first: 0, count: pages });
    }
    flush::begin(kernel, owner, PageRange { first: first.page, count: last.page - first.page + pages })
}

/// Takes an attachment, if there is one, and its entry out. Copies of the root still have it. The subtree still lists
/// the place, for the flush that is due.
fn take_entry(
    kernel: &mut Kernel,
    owner: MapTarget,
    place: AttachPoint,
    freed_tables: &mut FrameList,
) -> Option<Attachment> {
    let attachment = attachment_at(kernel, owner, place)?;
    open_side(kernel, owner).hide(place, attachment.level, freed_tables);
    if let (MapTarget::Space(space), Some(cpu)) = (owner, place.cpu) {
        kernel.spaces[space].set_core_entry(place.page, cpu, 0);
    }
    Some(attachment)
}

/// What clearing a root table takes, filling it, and having its CPU use it.
const ROOT_UNITS: u32 = 160;

/// Gives each CPU a root table of its own for the space, all alike, as far as the effort goes; gives whether each has one. Those
/// who have none yet use the first CPU's. Account and memory were found to have room.
pub fn separate_roots(kernel: &mut Kernel, space: SpaceId, effort: &mut Effort) -> bool {
    if kernel.spaces[space].missing_roots(kernel.cpus()) == 0 {
        return true;
    }
    let before = kernel.spaces[space].extra_bytes();
    while kernel.spaces[space].missing_roots(kernel.cpus()) != 0 && effort.is_left() {
        effort.spend(ROOT_UNITS);
        let root: Frame = new_table(&mut kernel.frames);
        tessera_arch::prepare_root(root);
        let cpu = kernel.spaces[space].add_root(root, kernel.cpus);
        let way = kernel.shared.space_words(space.index()).pass(cpu);
        if is_seeded(Mutant::WindowForgetsMarks) {
            way.reset(root.to_word());
        } else {
            way.redirect(root.to_word());
        }
        let line = &kernel.shared.cpus[cpu];
        // Whoever walks the new root sees what is in it.
        if !is_seeded(Mutant::CopiedRootUnpublished) {
            tessera_arch::publish_tables();
        }
        if !line.presence.is_in(space.index()) {
            continue;
        }
        // The CPU is in the space on the old root, or was about to enter it.
        if cpu == tessera_arch::cpu_index() {
            let entered_by = line.entered_by.load(core::sync::atomic::Ordering::Relaxed);
            enter::enter_space(kernel, cpu, space.index(), tessera_abi::Handle::from_bits(entered_by));
        } else {
            remote::preempt_remote(kernel, cpu);
        }
    }
    let after = kernel.spaces[space].extra_bytes();
    kernel.adjust_charge(kernel.spaces[space].account, before, after);
    kernel.spaces[space].missing_roots(kernel.cpus()) == 0
}
