//! The consistency checks: what must hold between objects whenever no call is under way.

use crate::account::object_bytes;
use crate::address_space::MapOwner;
use crate::attachment::Place;
use crate::cap_table::{CapId, CapTable};
use crate::derivation;
use crate::kernel::Kernel;
use crate::object::ObjectRef;
use crate::segment::Segment;
use crate::space::Space;
use crate::store::Id;
use crate::subtree::{Sharer, Subtree};

impl Kernel {
    /// Runs all checks; gives how many facts held.
    ///
    /// # Panics
    /// At the first one that does not.
    pub fn check(&self) -> u64 {
        self.frames.check()
            + self.scheduler.check(&self.threads)
            + self.check_tables()
            + self.check_trees()
            + self.check_segments()
            + self.check_accounts()
    }

    /// Capability links run both ways, and every object has as many references as there are referrers.
    fn check_tables(&self) -> u64 {
        let mut facts = 0;
        for table in self.tables.ids() {
            let mut next = 0;
            let mut used = 0;
            while let Some(slot) = self.tables[table].next_used(next) {
                facts += self.check_capability(CapId { table, slot });
                (next, used) = (slot + 1, used + 1);
            }
            assert_eq!(used, self.tables[table].used(), "a table counts its capabilities");
            let users = self.threads.ids().filter(|id| self.threads[*id].table == Some(table)).count() as u32;
            assert_eq!(users, self.tables[table].users, "a table counts its threads");
            assert_eq!(
                self.tables.references(table),
                users + self.capabilities_to(ObjectRef::CapTable(table)),
                "a table's references are its threads and the capabilities to it"
            );
            facts += 3;
        }
        facts
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

    fn check_trees(&self) -> u64 {
        let mut facts = 0;
        for id in self.spaces.ids() {
            let space = &self.spaces[id];
            facts += space.map.tree.check(&self.frames, &|index| {
                space.attachments_from(index).next().is_some_and(|(place, _)| place.slot == index)
            });
            facts += self.check_map(MapOwner::Space(id));
            for (place, attachment) in space.attachments() {
                let sharers = &self.subtrees[attachment.subtree].sharers;
                let sharer = Sharer { space: id, slot: place.slot, cpu: place.cpu };
                assert!(sharers.contains(&sharer), "a subtree knows where it is attached");
                facts += 1;
            }
        }
        for id in self.subtrees.ids() {
            let subtree = &self.subtrees[id];
            facts += subtree.map.tree.check(&self.frames, &|_| false) + self.check_map(MapOwner::Subtree(id));
            let references = subtree.sharers.len() as u32 + self.capabilities_to(ObjectRef::Subtree(id));
            assert_eq!(self.subtrees.references(id), references, "a subtree's references are sharers and capabilities");
            for sharer in &subtree.sharers {
                let place = Place { slot: sharer.slot, cpu: sharer.cpu };
                let attached = self.spaces[sharer.space].attachments().any(|(other, _)| other == place);
                assert!(attached, "a sharer has the attachment");
            }
            facts += 1;
        }
        facts
    }

    /// What the tables say is what the records say, for the first page of each mapping.
    fn check_map(&self, owner: MapOwner) -> u64 {
        let (mut facts, mut end, mut pages) = (0, 0, 0);
        let map = self.map_of(owner);
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
        let maps = || {
            let spaces = self.spaces.ids().map(|id| &self.spaces[id].map);
            spaces.chain(self.subtrees.ids().map(|id| &self.subtrees[id].map))
        };
        let mut facts = 0;
        for id in self.segments.ids() {
            let mapped = maps().flat_map(|map| map.from(0)).filter(|(_, mapping)| mapping.segment == id).count() as u64;
            assert_eq!(mapped, self.segments[id].mappings, "a segment counts its mappings");
            let references = mapped as u32 + self.capabilities_to(ObjectRef::Segment(id));
            assert_eq!(
                self.segments.references(id),
                references,
                "a segment's references are mappings and capabilities"
            );
            facts += 2;
        }
        facts
    }

    /// Every account is charged exactly what its objects cost.
    fn check_accounts(&self) -> u64 {
        let mut facts = 0;
        for id in self.accounts.ids() {
            let charged = self.charged_to(id);
            assert_eq!(charged, self.accounts[id].used_bytes(), "an account is charged what its objects cost");
            facts += 1;
        }
        facts
    }

    fn charged_to(&self, account: Id<crate::account::Account>) -> u64 {
        let tables = self.tables.ids().map(|id| &self.tables[id]).filter(|table| table.account == account);
        let segments = self.segments.ids().map(|id| &self.segments[id]).filter(|segment| segment.account == account);
        let spaces = self.spaces.ids().map(|id| &self.spaces[id]).filter(|space| space.account == account);
        let subtrees = self.subtrees.ids().map(|id| &self.subtrees[id]).filter(|subtree| subtree.account == account);
        let threads = self.threads.ids().filter(|id| self.threads[*id].account == account).count() as u64;
        let children = self.accounts.ids().map(|id| &self.accounts[id]);
        let children = children.filter(|child| child.parent == Some(account));
        threads * Kernel::THREAD_BYTES
            + tables.map(|t| object_bytes::<CapTable>() + CapTable::slot_bytes(u64::from(t.slots()))).sum::<u64>()
            + segments
                .map(|s| with_object::<Segment>(Segment::region_bytes(s.pages()) + s.charged_frame_bytes()))
                .sum::<u64>()
            + spaces.map(|s| with_object::<Space>(s.charged_bytes())).sum::<u64>()
            + subtrees.map(|s| with_object::<Subtree>(s.map.charged_bytes())).sum::<u64>()
            + children.map(|c| with_object::<crate::account::Account>(c.limit_bytes())).sum::<u64>()
    }

    fn capabilities_to(&self, object: ObjectRef) -> u32 {
        let in_table = |id: Id<CapTable>| {
            let table = &self.tables[id];
            (0..table.slots()).filter(|slot| table.record(*slot).object == Some(object)).count() as u32
        };
        self.tables.ids().map(in_table).sum()
    }
}

fn with_object<T>(extra: u64) -> u64 {
    object_bytes::<T>() + extra
}
