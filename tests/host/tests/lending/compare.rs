//! Comparing the kernel's lists, maps and threads with the model.

use std::collections::BTreeMap;

use host_tests::machine::BUFFER;
use host_tests::{checking, oracle};
use proptest::prelude::*;
use tessera_abi::layout::{LentInfo, LentKind, Words};
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_kernel::Kernel;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::derivation;
use tessera_kernel::object::id::{CapId, MapTarget, ObjectRef, ThreadId};
use tessera_kernel::object::neighbour::Standing;
use tessera_kernel::object::use_pool::{Use, UseKind};
use tessera_kernel::sched::running;
use tessera_kernel::vm::attach;
use tessera_kernel::vm::target;

use crate::model::What;
use crate::scene::Scene;

/// What stands in a list, as both sides can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Described {
    Capability(u32, u32),
    Mapping(bool, u32, u64),
    Attachment(bool, u32, u64, Option<usize>),
    View(u32),
    Inside(u32),
    Fallback(u32),
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) object: ObjectRef,
    /// Table and slot of the capability that it is below.
    pub(crate) parent: Option<(u32, u32)>,
    pub(crate) badge: u64,
}

impl Scene {
    /// The kernel's records say what the model says.
    pub(crate) fn compare(&mut self) -> Result<(), TestCaseError> {
        match self.check_steps {
            0 => _ = check::check(&self.machine.kernel),
            steps => checking::go_on(&mut self.machine.kernel, steps),
        }
        if let Some(breach) = oracle::find_breach(&self.machine.kernel, self.means.cpus) {
            return Err(TestCaseError::fail(breach));
        }
        self.note_closed();
        self.compare_tables()?;
        self.compare_lists()?;
        self.compare_threads()?;
        self.compare_maps()
    }

    /// What is in the middle of being deleted, between two steps, has no rights: a capability to a space, by which threads run.
    fn note_closed(&mut self) {
        let (kernel, tables) = (&self.machine.kernel, &self.tables);
        for node in self.model.nodes.iter_mut().filter(|node| !node.is_gone) {
            let What::Capability { table, handle, rights } = &mut node.what else { continue };
            let records = &kernel.tables[tables[*table]];
            if records.slot_of(*handle).is_ok_and(|slot| records.is_closed(slot)) {
                assert!(matches!(node.object, ObjectRef::Space(_)), "{handle:?} is deleted in one go");
                *rights = Rights::empty();
            }
        }
    }

    fn compare_tables(&self) -> Result<(), TestCaseError> {
        let kernel = &self.machine.kernel;
        let mut used = self.furniture.clone();
        for (_, node) in self.model.there() {
            let What::Capability { table, handle, rights } = node.what else { continue };
            used[table] += 1;
            let records = &kernel.tables[self.tables[table]];
            let Ok(slot) = records.slot_of(handle) else {
                return Err(TestCaseError::fail(format!("{node:?} is gone")));
            };
            let object = kernel.object_of(records.record(slot).object);
            prop_assert_eq!((records.rights(slot), object), (rights, Some(node.object)));
        }
        let found: Vec<u32> = self.tables.iter().map(|table| kernel.tables[*table].used()).collect();
        prop_assert_eq!(found, used, "capabilities in each table");
        Ok(())
    }

    /// All that stands in the lists of the objects that the model knows.
    pub(crate) fn listed(&self) -> BTreeMap<Described, Listed> {
        let kernel = &self.machine.kernel;
        let views = self.model.views.iter().map(|view| ObjectRef::Space(*view));
        let mut listed = BTreeMap::new();
        for object in self.objects.iter().copied().chain(views) {
            let exists = match object {
                ObjectRef::Space(id) => kernel.spaces.find(id).is_some(),
                _ => true,
            };
            if !exists {
                continue;
            }
            let list = kernel.list_of(object);
            let mut parents = BTreeMap::new();
            for standing in derivation::listed(&kernel.tables, &kernel.uses, list) {
                if let Standing::Beginning(cap) = standing {
                    for below in derivation::directly_below(&kernel.tables, &kernel.uses, cap) {
                        describe(kernel, below).map(|(below, _)| parents.insert(below, (cap.table(), cap.slot())));
                    }
                }
            }
            for standing in derivation::listed(&kernel.tables, &kernel.uses, list) {
                if let Some((described, badge)) = describe(kernel, standing) {
                    let parent = parents.get(&described).copied();
                    listed.insert(described, Listed { object, parent, badge });
                }
            }
        }
        listed
    }

    fn compare_lists(&self) -> Result<(), TestCaseError> {
        let mut expected = BTreeMap::new();
        for (number, node) in self.model.there() {
            let parent = node.parent.and_then(|parent| match self.described(parent) {
                Described::Capability(table, slot) => Some((table, slot)),
                _ => None,
            });
            let listed = Listed { object: node.object, parent, badge: node.badge };
            expected.insert(self.described(number), listed);
        }
        let mut found = self.listed();
        // Where a thread is that runs, its CPU knows better than the list.
        let running: Vec<u32> =
            self.actors.iter().filter(|actor| self.runs(actor.id)).map(|actor| actor.id.index()).collect();
        let is_noted =
            |described: &Described| !matches!(described, Described::Inside(thread) if running.contains(thread));
        found.retain(|described, _| is_noted(described));
        expected.retain(|described, _| is_noted(described));
        // What is done with a capability that was not derived cannot be taken back alone, and need not be noted.
        let is_due = |described: &Described, listed: &Listed| {
            let is_use = !matches!(described, Described::Capability(..));
            let is_free = is_use && listed.parent.is_none() || self.is_seen_by_what_goes(described);
            !is_free || found.contains_key(described)
        };
        expected.retain(|described, listed| is_due(described, listed));
        if found != expected {
            let only = |these: &BTreeMap<Described, Listed>, those: &BTreeMap<Described, Listed>| -> Vec<String> {
                these
                    .iter()
                    .filter(|(key, value)| those.get(key) != Some(value))
                    .map(|one| format!("{one:?}"))
                    .collect()
            };
            let (kernel, model) = (only(&found, &expected), only(&expected, &found));
            return Err(TestCaseError::fail(format!("lists: kernel {kernel:#?} model {model:#?}")));
        }
        Ok(())
    }

    /// Whether it is a view of a view that is doomed: it stands in the list of that until it is taken apart.
    fn is_seen_by_what_goes(&self, described: &Described) -> bool {
        let kernel = &self.machine.kernel;
        let Described::View(view) = *described else { return false };
        kernel.spaces.ids().filter(|id| kernel.spaces.is_doomed(id.index())).any(|id| {
            let list = kernel.spaces.capabilities(id.index());
            let mut listed = derivation::listed(&kernel.tables, &kernel.uses, list);
            listed.any(|standing| describe(kernel, standing).is_some_and(|(found, _)| found == Described::View(view)))
        })
    }

    /// What a node is, as the kernel would say it.
    pub(crate) fn described(&self, number: usize) -> Described {
        match self.model.nodes[number].what {
            What::Capability { table, handle, .. } => Described::Capability(self.tables[table].index(), handle.slot()),
            What::Mapping { owner, first, .. } => {
                let (is_space, owner) = numbered(owner);
                Described::Mapping(is_space, owner, first)
            }
            What::Attachment { owner, place } => {
                let (is_space, owner) = numbered(owner);
                Described::Attachment(is_space, owner, place.page, place.cpu)
            }
            What::View { view } => Described::View(view.index()),
            What::Inside { thread } => Described::Inside(thread.index()),
            What::Fallback { thread } => Described::Fallback(thread.index()),
        }
    }

    fn compare_threads(&self) -> Result<(), TestCaseError> {
        let kernel = &self.machine.kernel;
        for actor in &self.actors {
            let thread = kernel.threads.find(actor.id);
            let has_ended = thread.is_none_or(tessera_kernel::object::thread::Thread::has_ended);
            prop_assert_eq!(has_ended, actor.has_ended, "{:?}", actor);
            if has_ended {
                continue;
            }
            let space = ObjectRef::Space(running::space_of(kernel, actor.id));
            prop_assert_eq!(Some(space), self.model.space_of(actor.id), "{:?}", actor);
        }
        Ok(())
    }

    fn compare_maps(&self) -> Result<(), TestCaseError> {
        let kernel = &self.machine.kernel;
        prop_assert_eq!(
            kernel
                .spaces
                .ids()
                .filter(|id| kernel.spaces[*id].seen.is_some() && !kernel.spaces.is_doomed(id.index()))
                .count(),
            self.model.views.len()
        );
        for owner in self.objects.iter().filter_map(|object| crate::acts::owner_of(*object)) {
            let mut expected: Vec<_> =
                self.model.mappings(owner).into_iter().map(|number| self.shown(number)).collect();
            expected.sort_unstable();
            let found = target::map_of(kernel, owner).from(0);
            let found: Vec<_> = found.map(|(first, map)| (first, map.pages, map.segment, map.rights.bits())).collect();
            prop_assert_eq!(found, expected, "mappings of {:?}", owner);
            let home = |page: u64| page == 0 && matches!(owner, MapTarget::Space(_));
            let attached = attach::attachments(kernel, owner).filter(|(place, _)| !home(place.page));
            let mut found: Vec<_> =
                attached.map(|(place, found)| (place.page, place.cpu, found.subtree.index())).collect();
            let expected = self.model.attachments(owner).into_iter().map(|number| self.attached(number));
            let mut expected: Vec<_> = expected.collect();
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected, "attachments of {:?}", owner);
        }
        Ok(())
    }

    fn shown(&self, number: usize) -> (u64, u64, u32, u32) {
        let node = &self.model.nodes[number];
        match node.what {
            What::Mapping { first, pages, rights, .. } => (first, pages, node.object.index(), rights.bits()),
            _ => panic!("{node:?} is no mapping"),
        }
    }

    fn attached(&self, number: usize) -> (u64, Option<usize>, u32) {
        let node = &self.model.nodes[number];
        match node.what {
            What::Attachment { place, .. } => (place.page, place.cpu, node.object.index()),
            _ => panic!("{node:?} is no attachment"),
        }
    }

    /// `lent_list` tells what is below a capability in the model.
    pub(crate) fn compare_list(&mut self, node: usize, handle: Handle, chunk: u64) -> Result<(), TestCaseError> {
        let Some(mut found) = self.lent(handle, chunk) else { return Ok(()) };
        let mut expected: Vec<_> = self.model.below(node).into_iter().map(|number| self.told(number)).collect();
        let running: Vec<_> = self.actors.iter().filter(|actor| self.runs(actor.id)).map(|actor| actor.id).collect();
        let is_noted = |told: &Told| {
            told.0 != LentKind::Thread as u64 || !running.iter().any(|id| u64::from(id.index()) == told.4)
        };
        found.retain(is_noted);
        expected.retain(is_noted);
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected, "what is lent through {:?}", self.model.nodes[node]);
        Ok(())
    }

    /// What `lent_list` tells, so many at a time; nothing if the thread cannot have it where it is.
    fn lent(&mut self, handle: Handle, chunk: u64) -> Option<Vec<Told>> {
        let mut all = Vec::new();
        loop {
            let call = Call::LentList { handle, buffer: BUFFER, capacity: chunk, goes_on: u64::from(!all.is_empty()) };
            let count = self.machine.call(call).ok()?;
            let words = LentInfo::BYTES / 8;
            for number in 0..count {
                let mut bytes = vec![0; LentInfo::BYTES];
                self.machine.read(BUFFER + number * LentInfo::BYTES as u64, &mut bytes);
                let info: Vec<u64> =
                    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight"))).collect();
                assert_eq!(info.len(), words);
                all.push(told_by(&LentInfo::read(&info)));
            }
            if count == 0 {
                return Some(all);
            }
        }
    }

    /// The same, from the model.
    fn told(&self, number: usize) -> Told {
        let node = &self.model.nodes[number];
        let badge = node.badge;
        let thread = |kind: LentKind, id: ThreadId| (kind as u64, badge, 0, 5, u64::from(id.index()), 0, 0);
        match node.what {
            What::Capability { table, rights, .. } => {
                let table = u64::from(self.tables[table].index());
                (LentKind::Capability as u64, badge, u64::from(rights.bits()), kinds::TABLE, table, 0, 0)
            }
            What::Mapping { owner, first, pages, rights } => {
                let (is_space, number) = numbered(owner);
                let (kind, number) = (kinds::of(is_space), u64::from(number));
                let (address, length) = (first * PAGE_BYTES, pages * PAGE_BYTES);
                (LentKind::Mapping as u64, badge, u64::from(rights.bits()), kind, number, address, length)
            }
            What::Attachment { owner, place } => {
                let (is_space, number) = numbered(owner);
                (
                    LentKind::Attachment as u64,
                    badge,
                    0,
                    kinds::of(is_space),
                    u64::from(number),
                    place.page * PAGE_BYTES,
                    0,
                )
            }
            What::View { view } => (LentKind::View as u64, badge, 0, kinds::SPACE, u64::from(view.index()), 0, 0),
            What::Inside { thread: id } => {
                (LentKind::Thread as u64, badge, 0, kinds::THREAD, thread(LentKind::Thread, id).4, 0, 0)
            }
            What::Fallback { thread: id } => {
                (LentKind::Fallback as u64, badge, 0, kinds::THREAD, thread(LentKind::Fallback, id).4, 0, 0)
            }
        }
    }
}

/// A `LentInfo`, in its order.
type Told = (u64, u64, u64, u64, u64, u64, u64);

fn told_by(info: &LentInfo) -> Told {
    let LentInfo { kind, badge, rights, holder_kind, holder, address, length_bytes } = *info;
    (kind, badge, rights, holder_kind, holder, address, length_bytes)
}

/// Kinds of who holds something.
mod kinds {
    use tessera_abi::ObjectKind;

    pub(crate) const TABLE: u64 = ObjectKind::CapTable as u64;
    pub(crate) const SPACE: u64 = ObjectKind::Space as u64;
    pub(crate) const THREAD: u64 = ObjectKind::Thread as u64;

    pub(crate) fn of(is_space: bool) -> u64 {
        if is_space { SPACE } else { ObjectKind::Subtree as u64 }
    }
}

fn numbered(owner: MapTarget) -> (bool, u32) {
    match owner {
        MapTarget::Space(id) => (true, id.index()),
        MapTarget::Subtree(id) => (false, id.index()),
    }
}

/// What stands in a list of the kernel's, with its badge; nothing of ends and markers.
fn describe(kernel: &Kernel, standing: Standing) -> Option<(Described, u64)> {
    match standing {
        Standing::Beginning(cap) => {
            let badge = derivation::record(&kernel.tables, cap).badge();
            Some((Described::Capability(CapId::table(cap), cap.slot()), badge))
        }
        Standing::End(_) => None,
        Standing::Use(id) => {
            let lent = kernel.uses.get(id);
            if is_going(kernel, lent) {
                return None;
            }
            let described = match lent.kind {
                UseKind::Mapping => Described::Mapping(lent.is_in_space(), lent.number, lent.page()),
                UseKind::Attachment => {
                    let place = lent.attach_point();
                    Described::Attachment(lent.is_in_space(), lent.number, place.page, place.cpu)
                }
                UseKind::View => Described::View(lent.number),
                UseKind::Inside => Described::Inside(lent.number),
                UseKind::Fallback => Described::Fallback(lent.number),
                // No thread of the model makes a gate call, or runs a guest, and nothing has a handler.
                UseKind::Gate | UseKind::Handler | UseKind::State | UseKind::Suspended | UseKind::Called => {
                    return None;
                }
                UseKind::Marker | UseKind::Object | UseKind::Free => return None,
            };
            Some((described, lent.badge))
        }
    }
}

/// Whether who has a use is doomed: it is taken apart when its turn comes, and the use goes with it.
fn is_going(kernel: &Kernel, lent: &Use) -> bool {
    match lent.kind {
        UseKind::Mapping | UseKind::Attachment if !lent.is_in_space() => kernel.subtrees.is_doomed(lent.number),
        UseKind::Mapping | UseKind::Attachment | UseKind::View => kernel.spaces.is_doomed(lent.number),
        UseKind::Inside | UseKind::Fallback | UseKind::Suspended | UseKind::Called => {
            kernel.threads.is_doomed(lent.number)
        }
        UseKind::Gate => kernel.gates.is_doomed(lent.number),
        UseKind::State => kernel.guests.is_doomed(lent.number),
        UseKind::Handler | UseKind::Marker | UseKind::Object | UseKind::Free => false,
    }
}
