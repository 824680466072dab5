//! The consistency checks: what must hold between objects whenever no call is under way.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::TOP_SLOTS;
use tessera_arch::{Format, Frame, PageFormat, table};

use crate::lifecycle::tally::check_references;
use crate::object::cap_table::CapId;
use crate::object::derivation;
use crate::object::list::Chain;
use crate::object::reverse_map::Sharer;
use crate::object::space::Space;
use crate::object::store::Id;
use crate::state::kernel::Kernel;
use crate::vm::attach;
use crate::vm::map;
use crate::vm::map::MapOwner;
use crate::vm::view;

impl Kernel {
    /// Runs all checks, in time in proportion to what there is to check; gives how many facts held.
    ///
    /// # Panics
    /// At the first one that does not.
    pub fn check(&self) -> u64 {
        self.count_all();
        self.frames.check()
            + self.scheduler.check(&self.threads)
            + self.check_shared()
            + self.check_tables()
            + self.check_owners()
            + self.check_trees()
            + self.check_segments()
            + self.check_accounts()
            + check_references(&self.accounts, "account")
            + check_references(&self.tables, "table")
            + check_references(&self.spaces, "space")
            + check_references(&self.subtrees, "subtree")
            + check_references(&self.segments, "segment")
            + check_references(&self.threads, "thread")
    }

    /// Capability links run both ways.
    fn check_tables(&self) -> u64 {
        let mut facts = 0;
        for table in self.tables.ids() {
            let mut next = 0;
            while let Some(slot) = self.tables[table].next_used(next) {
                facts += self.check_capability(CapId { table, slot });
                next = slot + 1;
            }
            let threads = self.tables[table].threads;
            let users = threads.check(&self.threads, Chain::Table, |id| {
                assert_eq!(self.threads[id].table, Some(table), "a thread knows its table");
            });
            assert_eq!(users, self.tables.tally(table).amount(), "a table lists its threads");
            facts += 1 + self.tables[table].check();
        }
        facts + self.check_threads()
    }

    /// Every thread that has not ended is in its table's list and in its space's.
    fn check_threads(&self) -> u64 {
        let (mut in_spaces, mut in_tables) = (0, 0);
        for space in self.spaces.ids() {
            let count = self.spaces[space].threads.check(&self.threads, Chain::Space, |id| {
                assert_eq!(self.threads[id].space, space, "a thread knows whose list it is in");
                assert!(!self.threads[id].has_ended(), "who has ended is in no space");
            });
            assert_eq!(count, self.spaces[space].thread_count, "a space counts its threads");
            in_spaces += count;
        }
        for table in self.tables.ids() {
            in_tables += self.tables[table].threads.iter(&self.threads, Chain::Table).count() as u64;
        }
        let alive = self.threads.ids().filter(|id| !self.threads[*id].has_ended()).count() as u64;
        assert_eq!((in_spaces, in_tables), (alive, alive), "threads are in one space and use one table");
        in_spaces + in_tables
    }

    fn check_capability(&self, cap: CapId) -> u64 {
        let record = derivation::record(&self.tables, cap);
        if let Some(next) = record.next_sibling {
            assert_eq!(derivation::record(&self.tables, next).previous_sibling, Some(cap), "siblings know each other");
        }
        if let Some(child) = record.first_child {
            let child = derivation::record(&self.tables, child);
            assert_eq!(child.parent, Some(cap), "a child knows its parent");
            assert_eq!(child.previous_sibling, None, "the first child has no elder sibling");
        }
        if let Some(parent) = record.parent {
            let (theirs, ours) =
                (self.tables[parent.table].rights(parent.slot), self.tables[cap.table].rights(cap.slot));
            assert!(theirs.contains(ours), "rights only shrink");
            assert_eq!(derivation::record(&self.tables, parent).object, record.object, "a child names the same object");
        }
        3
    }

    /// An entry leads to a subtree by the frame of its root.
    fn check_owners(&self) -> u64 {
        for id in self.subtrees.ids() {
            let owner = self.frames.table_owner(self.subtrees[id].map.tree.root);
            assert_eq!(owner, id.index(), "the frame of a subtree's root knows the subtree");
        }
        self.subtrees.len() as u64
    }

    fn check_trees(&self) -> u64 {
        let mut facts = 0;
        for id in self.spaces.ids() {
            let space = &self.spaces[id];
            facts += space.map.tree.check(&self.frames) + self.check_map(MapOwner::Space(id));
            facts += self.check_attachments(MapOwner::Space(id)) + self.check_roots(id);
        }
        for id in self.subtrees.ids() {
            let subtree = &self.subtrees[id];
            facts += subtree.map.tree.check(&self.frames) + self.check_map(MapOwner::Subtree(id));
            facts += self.check_attachments(MapOwner::Subtree(id));
            let places = self.subtrees.tally(id).amount();
            assert_eq!(subtree.sharers.len() as u64, places, "a subtree counts its places");
            for sharer in subtree.sharers.iter() {
                let attachment = attach::attachment_at(self, sharer.owner, sharer.place);
                assert!(attachment.is_some_and(|there| there.subtree == id), "a sharer has the attachment");
            }
            facts += 1;
        }
        facts
    }

    /// What is attached knows where, fits, and is not nested too deep.
    fn check_attachments(&self, owner: MapOwner) -> u64 {
        let mut facts = 0;
        for (place, attachment) in attach::attachments(self, owner) {
            let subtree = &self.subtrees[attachment.subtree];
            assert!(subtree.sharers.contains(&Sharer { owner, place }), "a subtree knows where it is attached");
            assert_eq!(subtree.level(), attachment.level, "an attachment has its subtree's level");
            assert!(place.page.is_multiple_of(attachment.pages()), "a subtree is attached at a multiple of its size");
            assert!(subtree.public.is_none(), "a public subtree is attached nowhere else");
            if let MapOwner::Subtree(outer) = owner {
                let outer = &self.subtrees[outer];
                assert!(outer.level() > subtree.level(), "levels fall from the outer subtree to the inner");
                assert!(!outer.is_nested() && subtree.map.attachments() == 0, "one subtree deep and no deeper");
            }
            facts += 5;
        }
        let counted = attach::attachments(self, owner).count() as u64;
        assert_eq!(counted, map::map_of(self, owner).attachments(), "a map counts its attachments");
        facts
    }

    /// Roots that are copies say what they should: views, other CPUs' roots, public slots.
    fn check_roots(&self, id: Id<Space>) -> u64 {
        let space = &self.spaces[id];
        let entry_of = |root: Frame, slot: usize| table(root)[slot].load(Relaxed);
        for public in &self.public {
            let root = self.subtrees[public.subtree].map.tree.root;
            let shown = |entry: u64| Format::is_present(entry) && Format::address(entry) == root.start();
            assert!(space.roots().all(|root| shown(entry_of(root, public.slot))), "all spaces show what is public");
        }
        for slot in (0..TOP_SLOTS).filter(|slot| !space.has_core_window(*slot)) {
            let entry = entry_of(space.map.tree.root, slot);
            assert!(space.roots().all(|root| entry_of(root, slot) == entry), "all CPUs' roots are alike");
            if let Some(seen) = space.seen {
                let due = view::entry_in_view(&self.spaces[seen.base], slot, seen.bounds);
                assert_eq!(entry, due, "a view shows what its base holds");
            }
        }
        let is_view =
            |view: &Id<Space>| self.spaces.find(*view).and_then(|view| view.seen).is_some_and(|seen| seen.base == id);
        assert!(space.views.iter().all(is_view), "what a base lists are its views");
        let is_listed = space.seen.is_none_or(|seen| self.spaces[seen.base].views.contains(&id));
        assert!(is_listed, "a base knows its views");
        self.public.len() as u64 + 3
    }

    /// What the tables say is what the records say, for the first page of each mapping.
    fn check_map(&self, owner: MapOwner) -> u64 {
        let (mut facts, mut end, mut pages) = (0, 0, 0);
        let map = map::map_of(self, owner);
        for (first, mapping) in map.from(0) {
            assert!(first >= end, "mappings do not overlap");
            end = first + mapping.pages;
            pages += mapping.pages;
            let translated = map.tree.translate(tessera_arch::VirtAddr::new(first * tessera_abi::PAGE_BYTES));
            if let Some((frame, rights)) = translated {
                assert_eq!(Some(frame), self.segments[mapping.segment].frame(mapping.offset), "tables tell the truth");
                assert_eq!(rights, mapping.rights, "tables allow what the mapping allows");
                assert!(!rights.is_write_execute(), "nothing is writable and executable");
            }
            facts += 4;
        }
        assert_eq!(pages, map.mapped_pages(), "a map counts its pages");
        facts + 1
    }

    fn check_segments(&self) -> u64 {
        let mut facts = 0;
        for id in self.segments.ids() {
            let mapped = self.segments.tally(id).amount();
            assert_eq!(mapped, self.segments[id].mappings, "a segment counts its mappings");
            facts += 1;
        }
        facts
    }

    /// Every account is charged exactly what its objects cost.
    fn check_accounts(&self) -> u64 {
        let mut facts = 0;
        for id in self.accounts.ids() {
            let charged = self.accounts.tally(id).amount();
            assert_eq!(charged, self.accounts[id].used_bytes(), "an account is charged what its objects cost");
            facts += 1;
        }
        facts
    }
}
