//! Capabilities against a naive tree: derived, copied among tables, given up; handles stale, invented, foreign.

use host_tests::{FLAVOURS, Machine, Options, config};
use proptest::prelude::*;
use tessera_abi::layout::CapabilityInfo;
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::derivation;
use tessera_kernel::object::id::{CapId, ObjectRef, TableId, ThreadId};
use tessera_kernel::state::kernel::Kernel;

const TABLES: usize = 3;
/// Slots of each table but the first: few, so that they fill up.
const SLOTS: u64 = 12;

/// A capability that the model knows.
#[derive(Clone, Debug)]
struct Node {
    table: usize,
    handle: Handle,
    object: ObjectRef,
    rights: Rights,
    badge: u64,
    parent: Option<usize>,
    alive: bool,
}

#[derive(Clone, Debug)]
enum Operation {
    Derive {
        node: usize,
        rights: Rights,
        badge: u64,
    },
    Copy {
        node: usize,
        table: usize,
        rights: Rights,
        badge: u64,
    },
    Delete {
        node: usize,
    },
    /// Whatever a program may make up: any number, or a good handle with some bits changed.
    Invent {
        table: usize,
        bits: u64,
        like: Option<usize>,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let rights = || prop_oneof![3 => Just(Rights::all()), 5 => any::<u32>().prop_map(Rights::from_bits_truncate)];
    let bits = prop_oneof![any::<u64>(), (0..20_u64, 0..4_u64).prop_map(|(slot, generation)| slot | generation << 32)];
    let flips = prop_oneof![(0..64_u32).prop_map(|bit| 1_u64 << bit), any::<u64>()];
    prop_oneof![
        4 => (any::<usize>(), rights(), any::<u64>())
            .prop_map(|(node, rights, badge)| Operation::Derive { node, rights, badge }),
        4 => (any::<usize>(), 0..TABLES, rights(), any::<u64>())
            .prop_map(|(node, table, rights, badge)| Operation::Copy { node, table, rights, badge }),
        4 => any::<usize>().prop_map(|node| Operation::Delete { node }),
        1 => (0..TABLES, bits).prop_map(|(table, bits)| Operation::Invent { table, bits, like: None }),
        1 => (0..TABLES, flips, any::<usize>())
            .prop_map(|(table, bits, like)| Operation::Invent { table, bits, like: Some(like) }),
    ]
}

/// The machine, with a thread for each table, and the model.
struct Scene {
    machine: Machine,
    tables: Vec<TableId>,
    threads: Vec<ThreadId>,
    /// By table, the handles there that name the tables.
    doors: Vec<Vec<Handle>>,
    nodes: Vec<Node>,
}

impl Scene {
    fn new(flavour: tessera_arch::fake::Flavour) -> Scene {
        let mut machine = Machine::boot(&Options::new(flavour).slots(40));
        let main = machine.thread_id;
        let programs: Vec<_> = (1..TABLES).map(|_| machine.new_program(SLOTS, 31)).collect();
        machine.let_run(main);
        let mut doors = vec![vec![machine.table]];
        doors[0].extend(programs.iter().map(|(table, _)| *table));
        let (mut tables, mut threads) = (vec![machine.table_id], vec![main]);
        for (table, thread) in programs {
            let ObjectRef::CapTable(id) = machine.object(table) else { panic!("a table") };
            let copy = |handle| Call::CapabilityCopy { handle, table, rights: Rights::INSERT, badge: 0 };
            doors.push(doors[0].clone().into_iter().map(|door| machine.make(copy(door))).collect());
            tables.push(id);
            threads.push(thread);
        }
        let mut scene = Scene { machine, tables, threads, doors, nodes: Vec::new() };
        scene.add_roots();
        scene
    }

    fn add_roots(&mut self) {
        let account = self.machine.account;
        for call in [
            Call::SegmentCreate { account, length_bytes: 0x3000, flags: 0 },
            Call::SegmentCreate { account, length_bytes: 0x1000, flags: 1 },
            Call::SpaceCreate { account },
            Call::AccountCreate { account, bytes: 0x1000 },
        ] {
            let handle = self.machine.make(call);
            let object = self.machine.object(handle);
            let root = Node { table: 0, handle, object, rights: Rights::all(), badge: 0, parent: None, alive: true };
            self.nodes.push(root);
        }
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].alive).collect()
    }

    fn choose(&self, number: usize) -> Option<usize> {
        let alive = self.alive();
        (!alive.is_empty()).then(|| alive[number % alive.len()])
    }

    fn is_full(&self, table: usize) -> bool {
        let table = &self.machine.kernel.tables[self.tables[table]];
        table.used() == table.slots()
    }

    fn step(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        match *operation {
            Operation::Derive { node, rights, badge } => {
                let Some(node) = self.choose(node) else { return Ok(()) };
                let table = self.nodes[node].table;
                let call = Call::CapabilityDerive { handle: self.nodes[node].handle, rights, badge };
                self.make_child(node, table, rights, badge, call, Rights::empty())
            }
            Operation::Copy { node, table, rights, badge } => {
                let Some(node) = self.choose(node) else { return Ok(()) };
                let door = self.doors[self.nodes[node].table][table];
                let call = Call::CapabilityCopy { handle: self.nodes[node].handle, table: door, rights, badge };
                self.make_child(node, table, rights, badge, call, Rights::GRANT)
            }
            Operation::Delete { node } => self.delete(node),
            Operation::Invent { table, bits, like } => self.invent(table, bits, like),
        }
    }

    fn make_child(
        &mut self,
        parent: usize,
        table: usize,
        rights: Rights,
        badge: u64,
        call: Call,
        needed: Rights,
    ) -> Result<(), TestCaseError> {
        let mut errors = Vec::new();
        if !self.nodes[parent].rights.contains(rights | needed) {
            errors.push(Error::MissingRight);
        }
        if self.is_full(table) {
            errors.push(Error::TableFull);
        }
        self.machine.let_run(self.threads[self.nodes[parent].table]);
        match self.machine.call(call) {
            Ok(bits) => {
                prop_assert_eq!(errors, []);
                let (handle, object) = (Handle::from_bits(bits), self.nodes[parent].object);
                self.nodes.push(Node { table, handle, object, rights, badge, parent: Some(parent), alive: true });
                Ok(())
            }
            Err(error) => {
                prop_assert!(errors.contains(&error), "{:?} instead of {:?}", error, errors);
                Ok(())
            }
        }
    }

    fn delete(&mut self, node: usize) -> Result<(), TestCaseError> {
        let Some(node) = self.choose(node) else { return Ok(()) };
        self.machine.let_run(self.threads[self.nodes[node].table]);
        let call = Call::CapabilityDelete { handle: self.nodes[node].handle };
        prop_assert_eq!(self.machine.call(call), Ok(0));
        self.nodes[node].alive = false;
        let grandparent = self.nodes[node].parent;
        let orphans = self.nodes.iter_mut().filter(|other| other.parent == Some(node));
        orphans.for_each(|orphan| orphan.parent = grandparent);
        Ok(())
    }

    fn invent(&mut self, table: usize, bits: u64, like: Option<usize>) -> Result<(), TestCaseError> {
        let pattern = like.and_then(|number| self.choose(number)).map_or(0, |node| self.nodes[node].handle.bits());
        let handle = Handle::from_bits(bits ^ pattern);
        let found = self.machine.kernel.tables[self.tables[table]].slot_of(handle);
        let known = self.nodes.iter().any(|node| node.alive && node.table == table && node.handle == handle);
        let furniture = found.is_ok_and(|slot| !self.is_node(table, slot));
        prop_assert_eq!(found.is_ok(), known || furniture);
        if found.is_err() {
            self.machine.let_run(self.threads[table]);
            let buffer = host_tests::machine::BUFFER;
            prop_assert_eq!(self.machine.call(Call::CapabilityInfo { handle, buffer }), Err(Error::BadHandle));
            prop_assert_eq!(self.machine.call(Call::CapabilityDelete { handle }), Err(Error::BadHandle));
            prop_assert_eq!(self.machine.call(Call::SpaceSwitch { space: handle }), Err(Error::BadHandle));
        }
        Ok(())
    }

    fn is_node(&self, table: usize, slot: u32) -> bool {
        self.nodes.iter().any(|node| node.alive && node.table == table && node.handle.slot() == slot)
    }

    /// The kernel's records say what the model says.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        check::check(&self.machine.kernel);
        for node in &self.nodes {
            let table = &self.machine.kernel.tables[self.tables[node.table]];
            let slot = table.slot_of(node.handle);
            if !node.alive {
                prop_assert_eq!(slot, Err(Error::BadHandle), "a handle that was given up stays stale");
                continue;
            }
            let slot = slot.map_err(|error| TestCaseError::fail(format!("{node:?}: {error}")))?;
            let record = table.record(slot);
            prop_assert_eq!(
                (table.rights(slot), record.badge(), self.machine.kernel.object_of(record.object)),
                (node.rights, node.badge, Some(node.object))
            );
            let Kernel { tables, uses, .. } = &self.machine.kernel;
            let parent = derivation::parent(tables, uses, CapId::new(self.tables[node.table], slot));
            let parent = parent.map(|parent| (parent.table(), parent.slot()));
            let expected = node.parent.map(|parent| &self.nodes[parent]);
            prop_assert_eq!(parent, expected.map(|parent| (self.tables[parent.table].index(), parent.handle.slot())));
        }
        self.compare_objects()
    }

    fn compare_objects(&self) -> Result<(), TestCaseError> {
        for root in &self.nodes[..4] {
            let references = self.nodes.iter().filter(|node| node.alive && node.object == root.object).count() as u32;
            let kernel = &self.machine.kernel;
            let exists = match root.object {
                ObjectRef::Segment(id) => kernel.segments.find(id).is_some(),
                ObjectRef::Space(id) => kernel.spaces.find(id).is_some(),
                ObjectRef::Account(id) => kernel.accounts.find(id).is_some(),
                _ => false,
            };
            prop_assert_eq!(exists, references != 0, "an object lives as long as a capability to it");
            if exists {
                prop_assert_eq!(kernel.references(root.object), references);
            }
        }
        Ok(())
    }

    /// What `capability_info` tells of one capability.
    fn compare_info(&mut self, number: usize) -> Result<(), TestCaseError> {
        let Some(number) = self.choose(number) else { return Ok(()) };
        let node = self.nodes[number].clone();
        self.machine.let_run(self.threads[node.table]);
        let info = self.machine.info::<CapabilityInfo>(|buffer| Call::CapabilityInfo { handle: node.handle, buffer });
        let info = info.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let children = self.nodes.iter().filter(|other| other.alive && other.parent == Some(number)).count() as u64;
        let parent = node.parent.map(|parent| &self.nodes[parent]).filter(|parent| parent.table == node.table);
        prop_assert_eq!((info.kind, info.object), (node.object.kind() as u64, u64::from(node.object.index())));
        prop_assert_eq!((info.rights, info.badge), (u64::from(node.rights.bits()), node.badge));
        prop_assert_eq!((info.children, info.has_parent), (children, u64::from(node.parent.is_some())));
        prop_assert_eq!(info.parent, parent.map_or(0, |parent| parent.handle.bits()));
        Ok(())
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn capabilities_follow_a_naive_tree(
        operations in prop::collection::vec((operation(), any::<usize>()), 1..120),
        flavour in prop::sample::select(FLAVOURS.to_vec()),
    ) {
        let mut scene = Scene::new(flavour);
        for (operation, number) in &operations {
            scene.step(operation)?;
            scene.compare()?;
            scene.compare_info(*number)?;
        }
    }
}
