//! Accounts: everything charged is credited again, in whatever order objects come and go.

use host_tests::machine::{CODE, STACK_END};
use host_tests::snapshot::Snapshot;
use host_tests::{FLAVOURS, Machine, Options, config};
use proptest::prelude::*;
use tessera_abi::layout::{GateLayout, Words};
use tessera_abi::{Call, Error, Handle, ObjectKind, PAGE_BYTES, Rights};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::running;

const PLACES: u64 = 6;

#[derive(Clone, Debug)]
enum Operation {
    Make { kind: ObjectKind, account: usize, size: u64 },
    Map { target: usize, segment: usize, place: u64, pages: u64 },
    Unmap { target: usize, place: u64 },
    Attach { space: usize, subtree: usize, slot: u64 },
    Write { space: usize, place: u64 },
    Copy { handle: usize, table: usize },
    Derive { handle: usize },
    Start { thread: usize },
    Delete { handle: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    let index = any::<usize>;
    let made: Vec<ObjectKind> = ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Machine).collect();
    prop_oneof![
        10 => (prop::sample::select(made), index(), 1..40_u64)
            .prop_map(|(kind, account, size)| Operation::Make { kind, account, size }),
        4 => (index(), index(), 0..PLACES, 1..8_u64)
            .prop_map(|(target, segment, place, pages)| Operation::Map { target, segment, place, pages }),
        1 => (index(), 0..PLACES).prop_map(|(target, place)| Operation::Unmap { target, place }),
        2 => (index(), index(), 2..4_u64)
            .prop_map(|(space, subtree, slot)| Operation::Attach { space, subtree, slot }),
        2 => (index(), 0..PLACES).prop_map(|(space, place)| Operation::Write { space, place }),
        2 => (index(), index()).prop_map(|(handle, table)| Operation::Copy { handle, table }),
        1 => index().prop_map(|handle| Operation::Derive { handle }),
        1 => index().prop_map(|thread| Operation::Start { thread }),
        5 => index().prop_map(|handle| Operation::Delete { handle }),
    ]
}

/// Where it says how gates are to be.
const LAYOUT: u64 = host_tests::machine::BUFFER + 8 * PAGE_BYTES;

struct Scene {
    machine: Machine,
    made: Vec<(ObjectKind, Handle)>,
}

impl Scene {
    fn new(flavour: Flavour) -> Scene {
        let machine = Machine::boot(&Options::new(flavour).slots(48));
        let layout = GateLayout { entry: CODE, stacks: 1 << 20, stack_bytes: PAGE_BYTES, count: 5 };
        let mut words = [0; GateLayout::COUNT];
        layout.write(&mut words);
        machine.write(LAYOUT, &words.map(u64::to_le_bytes).concat());
        Scene { machine, made: Vec::new() }
    }

    /// Something of a kind that was made before, or what the program began with.
    fn choose(&self, kind: ObjectKind, number: usize) -> Handle {
        let made: Vec<Handle> =
            self.made.iter().filter(|(other, _)| *other == kind).map(|(_, handle)| *handle).collect();
        match (kind, made.get(number % (made.len() + 1))) {
            (_, Some(handle)) => *handle,
            (ObjectKind::Account, None) => self.machine.account,
            (ObjectKind::Space, None) => self.machine.space,
            (ObjectKind::CapTable, None) => self.machine.table,
            _ => Handle::NONE,
        }
    }

    fn choose_any(&self, number: usize) -> Option<(ObjectKind, Handle)> {
        (!self.made.is_empty()).then(|| self.made[number % self.made.len()])
    }

    fn call_for(&self, operation: &Operation) -> Call {
        let address = |place: u64| (1 << 39) + place * 4 * PAGE_BYTES;
        match *operation {
            Operation::Make { kind, account, size } => self.make(kind, self.choose(ObjectKind::Account, account), size),
            Operation::Map { target, segment, place, pages } => Call::Map {
                target: self.choose(ObjectKind::Space, target),
                segment: self.choose(ObjectKind::Segment, segment),
                offset: 0,
                address: address(place),
                length_bytes: pages * PAGE_BYTES,
                rights: Rights::READ_WRITE,
            },
            Operation::Unmap { target, place } => {
                let target = self.choose(ObjectKind::Space, target);
                Call::Unmap { target, address: address(place), length_bytes: PAGE_BYTES }
            }
            Operation::Attach { space, subtree, slot } => {
                let (space, subtree) =
                    (self.choose(ObjectKind::Space, space), self.choose(ObjectKind::Subtree, subtree));
                Call::SubtreeAttach { target: space, subtree, address: slot << 39, bounds: Rights::READ, flags: 0 }
            }
            Operation::Write { space, place } => {
                let (space, buffer) = (self.choose(ObjectKind::Space, space), host_tests::machine::BUFFER);
                Call::MemoryWrite { space, address: address(place), buffer, length_bytes: 2 * PAGE_BYTES }
            }
            Operation::Copy { handle, table } => {
                let handle = self.choose_any(handle).filter(|(kind, _)| !is_container(*kind));
                let handle = handle.map_or(Handle::NONE, |(_, handle)| handle);
                let table = self.choose(ObjectKind::CapTable, table);
                Call::CapabilityCopy { handle, table, rights: Rights::all(), badge: 0 }
            }
            Operation::Derive { handle } => {
                let handle = self.choose_any(handle).map_or(Handle::NONE, |(_, handle)| handle);
                Call::CapabilityDerive { handle, rights: Rights::all(), badge: 1 }
            }
            Operation::Start { thread } => Call::ThreadStart {
                thread: self.choose(ObjectKind::Thread, thread),
                instruction_pointer: CODE,
                stack_pointer: STACK_END,
                argument: 0,
            },
            Operation::Delete { handle } => {
                Call::CapabilityDelete { handle: self.choose_any(handle).map_or(Handle::NONE, |(_, handle)| handle) }
            }
        }
    }

    fn make(&self, kind: ObjectKind, account: Handle, size: u64) -> Call {
        match kind {
            ObjectKind::Account => Call::AccountCreate { account, bytes: size * 6000 },
            ObjectKind::Space => Call::SpaceCreate { account },
            ObjectKind::Subtree => Call::SubtreeCreate { account, level: 3 },
            ObjectKind::Segment => Call::SegmentCreate { account, length_bytes: size * PAGE_BYTES, flags: size % 2 },
            ObjectKind::CapTable => Call::TableCreate { account, slots: size },
            ObjectKind::Gate => {
                let choose = |kind| self.choose(kind, size as usize);
                let (space, table) = (choose(ObjectKind::Space), choose(ObjectKind::CapTable));
                Call::GateCreate { account, space, table, layout: LAYOUT }
            }
            ObjectKind::Guest => {
                Call::GuestCreate { account, segment: self.choose(ObjectKind::Segment, size as usize), offset: 0 }
            }
            ObjectKind::Thread | ObjectKind::Machine => {
                let table = self.choose(ObjectKind::CapTable, size as usize);
                Call::ThreadCreate {
                    account,
                    table,
                    space: self.choose(ObjectKind::Space, size as usize),
                    priority: size % 32,
                }
            }
        }
    }

    fn step(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        let call = self.call_for(operation);
        let before = Snapshot::of(&self.machine.kernel);
        let result = self.machine.call(call);
        // A write may have touched the first of its two pages.
        let may_populate = matches!(call, Call::MemoryWrite { .. });
        match (operation, result) {
            (_, Err(_)) if may_populate => {}
            (_, Err(error)) => {
                prop_assert_eq!(
                    before,
                    Snapshot::of(&self.machine.kernel),
                    "{:?}: {:?} changed something",
                    call,
                    error
                );
            }
            (Operation::Make { kind, .. }, Ok(bits)) => self.made.push((*kind, Handle::from_bits(bits))),
            (Operation::Derive { handle }, Ok(bits)) => {
                let kind = self.choose_any(*handle).map_or(ObjectKind::Segment, |(kind, _)| kind);
                self.made.push((kind, Handle::from_bits(bits)));
            }
            (Operation::Copy { handle, .. }, Ok(bits)) => self.note_copy(*handle, call, bits),
            (Operation::Delete { .. }, Ok(_)) => {
                let Call::CapabilityDelete { handle: deleted } = call else { return Ok(()) };
                self.made.retain(|(_, handle)| *handle != deleted);
            }
            _ => {}
        }
        check::check(&self.machine.kernel);
        Ok(())
    }

    /// Copies into the program's own table are given up with the rest; others go with their table.
    fn note_copy(&mut self, handle: usize, call: Call, bits: u64) {
        let Call::CapabilityCopy { table, .. } = call else { return };
        if self.machine.object(table) == self.machine.object(self.machine.table) {
            let kind = self.choose_any(handle).map_or(ObjectKind::Segment, |(kind, _)| kind);
            self.made.push((kind, Handle::from_bits(bits)));
        }
    }
}

/// Whether a table may hold objects of this kind only if it is not to be among those that hold it in turn: such a
/// circle goes only when somebody empties it.
fn is_container(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::CapTable | ObjectKind::Thread)
}

proptest! {
    #![proptest_config(config(192))]

    #[test]
    fn all_that_was_charged_is_credited(
        operations in prop::collection::vec(operation(), 1..120),
        order in any::<prop::sample::Index>(),
        flavour in prop::sample::select(FLAVOURS.to_vec()),
    ) {
        let mut scene = Scene::new(flavour);
        let before = Snapshot::of(&scene.machine.kernel);
        for operation in &operations {
            scene.step(operation)?;
        }
        while !scene.made.is_empty() {
            scene.step(&Operation::Delete { handle: order.index(scene.made.len()) })?;
        }
        // What was mapped in, or attached to, the program's own space is taken out again.
        for place in 0..4 * PLACES + 8 {
            let address = (1 << 39) + place * PAGE_BYTES;
            scene.machine.call(Call::Unmap { target: scene.machine.space, address, length_bytes: PAGE_BYTES }).ok();
        }
        for slot in 2..4 {
            scene.machine.call(Call::SubtreeDetach { target: scene.machine.space, address: slot << 39 }).ok();
        }
        prop_assert_eq!(before, Snapshot::of(&scene.machine.kernel));
    }
}

/// A thousand of each kind, one after the other.
#[test]
fn a_thousand_of_each_kind_leave_nothing() {
    let mut scene = Scene::new(Flavour::X86);
    let account = scene.machine.account;
    // For what a guest's state is in.
    let segment = scene.machine.segment(PAGE_BYTES, 0);
    let before = Snapshot::of(&scene.machine.kernel).accounts;
    let free = scene.machine.kernel.frames.free_frames();
    for round in 0..1000 {
        for kind in ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Machine) {
            let call = match kind {
                ObjectKind::Guest => Call::GuestCreate { account, segment, offset: 0 },
                _ => scene.make(kind, account, 1 + round % 30),
            };
            let handle = scene.machine.make(call);
            assert_eq!(scene.machine.call(Call::CapabilityDelete { handle }), Ok(0));
        }
    }
    check::check(&scene.machine.kernel);
    assert_eq!(before, Snapshot::of(&scene.machine.kernel).accounts);
    assert_eq!(free, scene.machine.kernel.frames.free_frames());
}

/// A program whose table holds capabilities to the table itself, its thread and its account goes with its thread.
#[test]
fn a_program_that_holds_itself_goes_when_its_thread_ends() {
    for flavour in FLAVOURS {
        let mut machine = Machine::boot(&Options::new(flavour));
        let before = Snapshot::of(&machine.kernel);
        let account = machine.make(Call::AccountCreate { account: machine.account, bytes: 1 << 18 });
        let table = machine.make(Call::TableCreate { account, slots: 16 });
        let space = machine.make(Call::SpaceCreate { account });
        let thread = machine.make(Call::ThreadCreate { account, table, space, priority: 31 });
        let start = Call::ThreadStart { thread, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
        assert_eq!(machine.call(start), Ok(0));
        for handle in [account, table, space, thread] {
            machine.make(Call::CapabilityCopy { handle, table, rights: Rights::all(), badge: 0 });
        }
        for handle in [account, table, space, thread] {
            assert_eq!(machine.call(Call::CapabilityDelete { handle }), Ok(0));
        }
        assert_ne!(before, Snapshot::of(&machine.kernel), "the program runs on without anybody outside");
        machine.call(Call::YieldNow {}).expect("yielding is never refused");
        assert_ne!(running::current(&machine.kernel, 0), Some(machine.thread_id));
        // It says what one entry does.
        set_entry_units(ENTRY_UNITS);
        machine.call(Call::ThreadExit { code: 0 }).expect_err("a thread that went has no result");
        check::check(&machine.kernel);
        assert_eq!(before, Snapshot::of(&machine.kernel));
    }
}

#[test]
fn budgets_are_split_and_return() {
    let mut machine = Machine::boot(&Options::new(Flavour::Arm));
    let child = machine.make(Call::AccountCreate { account: machine.account, bytes: 100_000 });
    let grandchild = machine.make(Call::AccountCreate { account: child, bytes: 50_000 });
    let too_much = Call::AccountCreate { account: child, bytes: 50_000 };
    assert_eq!(machine.call(too_much), Err(Error::AccountExhausted));
    // The middle one stays for as long as something of it is charged to another.
    assert_eq!(machine.call(Call::CapabilityDelete { handle: child }), Ok(0));
    let space = machine.make(Call::SpaceCreate { account: grandchild });
    check::check(&machine.kernel);
    assert_eq!(machine.kernel.accounts.len(), 3);
    assert_eq!(machine.call(Call::CapabilityDelete { handle: grandchild }), Ok(0));
    assert_eq!(machine.kernel.accounts.len(), 3);
    assert_eq!(machine.call(Call::CapabilityDelete { handle: space }), Ok(0));
    assert_eq!(machine.kernel.accounts.len(), 1);
    check::check(&machine.kernel);
}
