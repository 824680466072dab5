//! The consistency checks: what must hold between objects whenever no call is under way.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::TOP_SLOTS;
use tessera_arch::{Format, Frame, PageFormat, table};

use crate::lifecycle::check_cpus;
use crate::lifecycle::check_lists;
use crate::lifecycle::tally::{self, check_references};
use crate::object::id::{MapTarget, SpaceId, with_kinds};
use crate::object::links::Chain;
use crate::object::reverse_map::Sharer;
use crate::state::kernel::Kernel;
use crate::vm::attach;
use crate::vm::target;
use crate::vm::view;

macro_rules! check_all_references {
    ([$kernel:ident] $($kind:ident $store:ident;)*) => { [$(check_references(&$kernel.$store)),*].iter().sum::<u64>() };
}

/// Runs all checks, in time in proportion to what there is to check; gives how many facts held.
///
/// # Panics
/// At the first one that does not.
pub fn check(kernel: &Kernel) -> u64 {
    tally::count_all(kernel);
    kernel.frames.check()
        + kernel.scheduler.check(&kernel.threads)
        + check_cpus::check_shared(kernel)
        + check_tables(kernel)
        + check_owners(kernel)
        + check_trees(kernel)
        + check_segments(kernel)
        + check_accounts(kernel)
        + with_kinds!(check_all_references kernel)
        + check_lists::check_lists(kernel)
}

/// Tables hold what they count, and know their threads.
fn check_tables(kernel: &Kernel) -> u64 {
    let mut facts = 0;
    for table in kernel.tables.ids() {
        let threads = kernel.tables[table].threads;
        let users = threads.check(&kernel.threads, Chain::Table, |id| {
            assert_eq!(kernel.threads[id].table, Some(table), "a thread knows its table");
        });
        assert_eq!(users, kernel.tables.tally(table).amount(), "a table lists its threads");
        facts += 1 + kernel.tables[table].check();
    }
    facts + check_threads(kernel)
}

/// Every thread that has not ended is in its table's list and in its space's.
fn check_threads(kernel: &Kernel) -> u64 {
    let (mut in_spaces, mut in_tables) = (0, 0);
    for space in kernel.spaces.ids() {
        let count = kernel.spaces[space].threads.check(&kernel.threads, Chain::Space, |id| {
            assert_eq!(kernel.threads[id].space, space, "a thread knows whose list it is in");
            assert!(!kernel.threads[id].has_ended(), "who has ended is in no space");
        });
        assert_eq!(count, kernel.spaces[space].thread_count, "a space counts its threads");
        in_spaces += count;
    }
    for table in kernel.tables.ids() {
        in_tables += kernel.tables[table].threads.iter(&kernel.threads, Chain::Table).count() as u64;
    }
    let alive = kernel.threads.ids().filter(|id| !kernel.threads[*id].has_ended()).count() as u64;
    assert_eq!((in_spaces, in_tables), (alive, alive), "threads are in one space and use one table");
    in_spaces + in_tables
}

/// An entry leads to a subtree by the frame of its root.
fn check_owners(kernel: &Kernel) -> u64 {
    for id in kernel.subtrees.ids() {
        let owner = kernel.frames.table_owner(kernel.subtrees[id].map.tree.root);
        assert_eq!(owner, id.index(), "the frame of a subtree's root knows the subtree");
    }
    kernel.subtrees.len() as u64
}

fn check_trees(kernel: &Kernel) -> u64 {
    let mut facts = 0;
    for id in kernel.spaces.ids() {
        let space = &kernel.spaces[id];
        facts += space.map.tree.check(&kernel.frames) + check_map(kernel, MapTarget::Space(id));
        facts += check_attachments(kernel, MapTarget::Space(id)) + check_roots(kernel, id);
    }
    for id in kernel.subtrees.ids() {
        let subtree = &kernel.subtrees[id];
        facts += subtree.map.tree.check(&kernel.frames) + check_map(kernel, MapTarget::Subtree(id));
        facts += check_attachments(kernel, MapTarget::Subtree(id));
        for sharer in subtree.sharers.iter() {
            // One that is being taken apart may have it in a table to which nothing leads any more.
            let attachment = attach::attachment_at(kernel, sharer.owner(), sharer.place());
            let has_it = attachment.is_some_and(|there| there.subtree == id);
            assert!(has_it || is_doomed(kernel, sharer.owner()), "a sharer has the attachment");
        }
        facts += subtree.sharers.check();
    }
    facts
}

/// What is attached knows where, fits, and is not nested too deep.
fn check_attachments(kernel: &Kernel, owner: MapTarget) -> u64 {
    let mut facts = 0;
    for (place, attachment) in attach::attachments(kernel, owner) {
        let subtree = &kernel.subtrees[attachment.subtree];
        assert!(subtree.sharers.contains(&Sharer::new(owner, place)), "a subtree knows where it is attached");
        assert_eq!(subtree.level(), attachment.level, "an attachment has its subtree's level");
        assert!(place.page.is_multiple_of(attachment.pages()), "a subtree is attached at a multiple of its size");
        assert!(subtree.public.is_none(), "a public subtree is attached nowhere else");
        if let MapTarget::Subtree(outer) = owner {
            let outer = &kernel.subtrees[outer];
            assert!(outer.level() > subtree.level(), "levels fall from the outer subtree to the inner");
            assert!(!outer.is_nested() && subtree.map.attachments() == 0, "one subtree deep and no deeper");
        }
        facts += 5;
    }
    let (counted, noted) =
        (attach::attachments(kernel, owner).count() as u64, target::map_of(kernel, owner).attachments());
    assert!(counted == noted || counted < noted && is_doomed(kernel, owner), "a map counts its attachments");
    facts
}

/// Whether a space or subtree is being taken apart.
fn is_doomed(kernel: &Kernel, owner: MapTarget) -> bool {
    match owner {
        MapTarget::Space(id) => kernel.spaces.is_doomed(id.index()),
        MapTarget::Subtree(id) => kernel.subtrees.is_doomed(id.index()),
    }
}

/// Roots that are copies say what they should: views, other CPUs' roots, public slots.
fn check_roots(kernel: &Kernel, id: SpaceId) -> u64 {
    let space = &kernel.spaces[id];
    if kernel.spaces.is_doomed(id.index()) {
        return 0;
    }
    if let Some(seen) = space.seen {
        let root = kernel.spaces[seen.base].view_roots.root(seen.bounds);
        assert_eq!(root, Some(space.map.tree.root), "views that allow the same have one root");
    }
    let entry_of = |root: Frame, slot: usize| table(root)[slot].load(Relaxed);
    for public in kernel.public.iter().filter(|public| public.is_shown()) {
        let root = kernel.subtrees[public.subtree].map.tree.root;
        let shown = |entry: u64| Format::is_present(entry) && Format::address(entry) == root.start();
        assert!(space.roots().all(|root| shown(entry_of(root, public.slot))), "all spaces show what is public");
    }
    for slot in (0..TOP_SLOTS).filter(|slot| !space.has_core_window(*slot)) {
        let entry = entry_of(space.map.tree.root, slot);
        assert!(space.roots().all(|root| entry_of(root, slot) == entry), "all CPUs' roots are alike");
        if let Some(seen) = space.seen {
            let due = view::entry_in_view(&kernel.spaces[seen.base], slot, seen.bounds);
            assert_eq!(entry, due, "a view shows what its base holds");
        }
    }
    let is_view = |view: &SpaceId| kernel.spaces[*view].seen.is_some_and(|seen| seen.base == id);
    assert!(space.views.iter().all(is_view), "what a base lists are its views");
    if let Some(seen) = space.seen {
        let base = &kernel.spaces[seen.base];
        assert!(base.views.contains(&id), "a base knows its views");
        assert_eq!(
            base.view_roots.root(seen.bounds),
            Some(space.map.tree.root),
            "views that allow the same have one root"
        );
    }
    let rooted = space.view_roots.iter().map(|(_, root)| kernel.frames.table_owner(root) as usize).sum::<usize>();
    assert_eq!(rooted, space.views.len(), "a base counts the views that have a root");
    kernel.public.len() as u64 + 5
}

/// What the tables say is what the records say, for the first page of each mapping.
fn check_map(kernel: &Kernel, owner: MapTarget) -> u64 {
    let (mut facts, mut end, mut pages) = (0, 0, 0);
    let map = target::map_of(kernel, owner);
    for (first, mapping) in map.from(0) {
        assert!(first >= end, "mappings do not overlap");
        end = first + mapping.pages;
        pages += mapping.pages;
        let translated = map.tree.translate(tessera_arch::VirtAddr::new(first * tessera_abi::PAGE_BYTES));
        if let Some((frame, rights)) = translated {
            assert_eq!(Some(frame), kernel.segments.at(mapping.segment).frame(mapping.offset), "tables tell the truth");
            assert_eq!(rights, mapping.rights, "tables allow what the mapping allows");
            assert!(!rights.is_write_execute(), "nothing is writable and executable");
        }
        facts += 4;
    }
    assert_eq!(pages, map.mapped_pages(), "a map counts its pages");
    facts + 1
}

fn check_segments(kernel: &Kernel) -> u64 {
    let mut facts = 0;
    for id in kernel.segments.ids() {
        let mapped = kernel.segments.tally(id).amount();
        assert_eq!(mapped, kernel.segments[id].mappings, "a segment counts its mappings");
        facts += 1;
    }
    facts
}

/// Every account is charged exactly what its objects cost.
fn check_accounts(kernel: &Kernel) -> u64 {
    let mut facts = 0;
    for id in kernel.accounts.ids() {
        let charged = kernel.accounts.tally(id).amount();
        assert_eq!(charged, kernel.accounts[id].used_bytes(), "an account is charged what its objects cost");
        facts += 1;
    }
    facts
}
