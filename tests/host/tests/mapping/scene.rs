//! The machine and the model side by side.

use host_tests::machine::{BUFFER, CODE, STACK_END};
use host_tests::model::{Attached, Frames, Segment, SegmentCap, Sight, World};
use host_tests::snapshot::Snapshot;
use host_tests::tlb::Tlb;
use host_tests::walker::{merge, survey, tables_needed};
use host_tests::{Machine, Options};
use proptest::prelude::*;
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::{Access, TOP_LEVEL, VirtAddr, fake};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ObjectRef;
use tessera_kernel::sched::running;
use tessera_kernel::vm::fault;

use crate::operations::{Operation, Range, Way, fitted, resolve};

type Check = Result<(), TestCaseError>;

/// Spaces besides the program's own.
const MORE_SPACES: usize = 2;
/// Spaces in the world.
pub(crate) const SPACES: usize = MORE_SPACES + 1;
/// Subtrees besides the program's.
pub(crate) const SUBTREES: usize = 2;
/// Segment capabilities.
pub(crate) const CAPS: usize = 7;

/// What CPU 0 sees in a space.
fn sight(space: usize) -> Sight {
    Sight::of_space(space, 0)
}

fn attached(subtree: usize, bounds: Rights) -> Attached {
    Attached { subtree, bounds, is_window: false }
}

/// Both.
pub(crate) struct Scene {
    machine: Machine,
    world: World,
    /// Handles of the world's maps.
    maps: Vec<Handle>,
    tlb: Tlb,
}

impl Scene {
    /// Three spaces, of which all have the program attached, two subtrees and segments of all sorts.
    pub(crate) fn new(options: &Options) -> Scene {
        let machine = Machine::boot(options);
        let mut scene = Scene { maps: vec![machine.space], machine, world: World::default(), tlb: Tlb::new() };
        for _ in 0..MORE_SPACES {
            let space = scene.machine.new_space();
            scene.machine.attach_program(space);
            scene.maps.push(space);
        }
        for _ in 0..SUBTREES {
            scene.maps.push(scene.machine.make(Call::SubtreeCreate { account: scene.machine.account, level: 3 }));
        }
        scene.maps.push(scene.machine.program);
        for _ in 0..SPACES {
            scene.world.add_space();
        }
        for _ in 0..=SUBTREES {
            scene.world.add_subtree(TOP_LEVEL);
        }
        scene.add_segments();
        scene.learn_program();
        scene
    }

    fn add_segments(&mut self) {
        let huge = self.machine.borrow_frames(1 << 28, 3 << 18);
        let crooked = self.machine.borrow_frames((1 << 30) + 1, 3 << 9);
        let present = self.machine.segment(600 * PAGE_BYTES, 0);
        let lazy = self.machine.segment(1100 * PAGE_BYTES, 1);
        for (handle, rights) in [
            (huge, Rights::ACCESS),
            (huge, Rights::READ_EXECUTE),
            (crooked, Rights::ACCESS),
            (present, Rights::ACCESS),
            (present, Rights::READ_WRITE),
            (lazy, Rights::ACCESS),
            (lazy, Rights::READ),
        ] {
            let derive = Call::CapabilityDerive { handle, rights, badge: 0 };
            let handle = if rights == Rights::ACCESS { handle } else { self.machine.make(derive) };
            let segment = self.segment(handle);
            self.world.caps.push(SegmentCap { handle, segment, rights });
        }
        assert_eq!(self.world.caps.len(), CAPS);
    }

    /// The world's number of the segment that a handle names; learns its frames if it is new.
    fn segment(&mut self, handle: Handle) -> usize {
        let ObjectRef::Segment(id) = self.machine.object(handle) else { panic!("{handle:?} is no segment") };
        if let Some(known) = self.world.segments.iter().position(|segment| segment.id == id) {
            return known;
        }
        let kernels = &self.machine.kernel.segments[id];
        let pages = kernels.pages();
        let frames = match kernels.frame(0).map(|frame| frame.number()) {
            Some(first) if first >= 1 << 28 => Frames::From(first),
            _ => Frames::List((0..pages).map(|page| kernels.frame(page).map(|frame| frame.number())).collect()),
        };
        self.world.segments.push(Segment { id, pages, frames });
        self.world.segments.len() - 1
    }

    /// The program's memory, which no operation changes.
    fn learn_program(&mut self) {
        let program = self.maps.len() - 1;
        for (address, pages, rights) in [
            (CODE, 1, Rights::READ_EXECUTE),
            (STACK_END - 4 * PAGE_BYTES, 4, Rights::READ_WRITE),
            (BUFFER, 16, Rights::READ_WRITE),
        ] {
            let ObjectRef::Subtree(id) = self.machine.object(self.machine.program) else { panic!("a subtree") };
            let (_, mapping) = self.machine.kernel.subtrees[id].map.find(address / PAGE_BYTES).expect("it is mapped");
            let (segment, kernels) = self.machine.kernel.segments.look(mapping.segment).expect("it exists");
            let frames = Frames::List((0..pages).map(|page| kernels.frame(page).map(|frame| frame.number())).collect());
            self.world.segments.push(Segment { id: segment, pages, frames });
            let cap =
                SegmentCap { handle: Handle::NONE, segment: self.world.segments.len() - 1, rights: Rights::ACCESS };
            self.world.caps.push(cap);
            let cap = self.world.caps.len() - 1;
            assert_eq!(self.world.map(program, cap, 0, address, pages * PAGE_BYTES, rights), []);
        }
        for space in 0..SPACES {
            assert_eq!(self.world.attach(space, 0, None, attached(program, Rights::ACCESS)), []);
        }
    }

    /// Performs an operation on both, and compares.
    pub(crate) fn step(&mut self, operation: &Operation) -> Check {
        match *operation {
            Operation::Touch { space, ref range, access, value } => self.touch(space, range, access, value)?,
            Operation::Enter { space, by } => self.enter(space, by)?,
            _ => self.change(operation)?,
        }
        self.compare()
    }

    fn enter(&mut self, space: usize, by: Way) -> Check {
        let (handle, instruction_pointer, stack_pointer) = (self.maps[space], CODE, STACK_END);
        let result = match by {
            Way::Jump => {
                self.machine.call(Call::SpaceJump { space: handle, instruction_pointer, stack_pointer, argument: 0 })
            }
            Way::Switch => self.machine.call(Call::SpaceSwitch { space: handle }),
            Way::FastSwitch => self.machine.switch_fast(handle),
        };
        prop_assert!(result.is_ok(), "{:?} by {:?}: {:?}", space, by, result);
        let inside = running::space_of(&self.machine.kernel, self.machine.thread_id);
        prop_assert_eq!(inside, self.machine.space_id(handle));
        Ok(())
    }

    fn change(&mut self, operation: &Operation) -> Check {
        let before = Snapshot::of(&self.machine.kernel);
        let call = self.call_for(operation);
        let result = self.machine.call(call);
        let errors = self.predict(operation);
        match result {
            Ok(value) => prop_assert_eq!((value, &errors), (0, &Vec::new()), "{:?} was not refused", call),
            Err(error) => {
                prop_assert!(errors.contains(&error), "{:?}: {:?}, but it should be one of {:?}", call, error, errors);
                prop_assert_eq!(before, Snapshot::of(&self.machine.kernel), "a refused call changed something");
            }
        }
        Ok(())
    }

    fn call_for(&self, operation: &Operation) -> Call {
        let place = |target: usize, range: &Range| resolve(&self.world, target, range);
        match *operation {
            Operation::Map { target, cap, offset, ref range, rights, fit } => {
                let (address, length_bytes) = place(target, range);
                let (offset, length_bytes) = fitted(&self.world, cap, offset, (address, length_bytes), fit);
                let segment = self.world.caps[cap].handle;
                Call::Map { target: self.maps[target], segment, offset, address, length_bytes, rights }
            }
            Operation::Unmap { target, ref range } => {
                let (address, length_bytes) = place(target, range);
                Call::Unmap { target: self.maps[target], address, length_bytes }
            }
            Operation::Protect { target, ref range, rights } => {
                let (address, length_bytes) = place(target, range);
                Call::Protect { target: self.maps[target], address, length_bytes, rights }
            }
            Operation::Attach { space, subtree, address, bounds } => {
                let subtree = self.maps[SPACES + subtree];
                Call::SubtreeAttach { target: self.maps[space], subtree, address, bounds, flags: 0 }
            }
            Operation::Detach { space, address } => Call::SubtreeDetach { target: self.maps[space], address },
            Operation::Touch { .. } | Operation::Enter { .. } => Call::Null {},
        }
    }

    fn predict(&mut self, operation: &Operation) -> Vec<Error> {
        let world = &mut self.world;
        match *operation {
            Operation::Map { target, cap, offset, ref range, rights, fit } => {
                let (address, length) = resolve(world, target, range);
                let (offset, length) = fitted(world, cap, offset, (address, length), fit);
                world.map(target, cap, offset, address, length, rights)
            }
            Operation::Unmap { target, ref range } => {
                let (address, length) = resolve(world, target, range);
                world.unmap(target, address, length)
            }
            Operation::Protect { target, ref range, rights } => {
                let (address, length) = resolve(world, target, range);
                world.protect(target, address, length, rights)
            }
            Operation::Attach { space, subtree, address, bounds } => {
                world.attach(space, address, None, attached(SPACES + subtree, bounds))
            }
            Operation::Detach { space, address } => world.detach(space, address, None),
            Operation::Touch { .. } | Operation::Enter { .. } => Vec::new(),
        }
    }

    /// An access to memory: refused or not, which frame, which contents.
    fn touch(&mut self, space: usize, range: &Range, access: Access, value: u64) -> Check {
        let (address, _) = resolve(&self.world, space, range);
        let address = address & !7;
        let expected =
            self.world.access(&sight(space), address / PAGE_BYTES, access).filter(|_| VirtAddr::new(address).is_user());
        let id = self.machine.space_id(self.maps[space]);
        let Some((segment, page)) = expected else {
            let before = Snapshot::of(&self.machine.kernel);
            prop_assert!(fault::handle_fault(&mut self.machine.kernel, id, VirtAddr::new(address), access).is_err());
            prop_assert_eq!(before, Snapshot::of(&self.machine.kernel), "a refused access changed something");
            return Ok(());
        };
        let found = fault::handle_fault(&mut self.machine.kernel, id, VirtAddr::new(address), access);
        prop_assert!(found.is_ok(), "{:?} at {:#x}: {:?}", access, address, found);
        self.learn_frame(space, address / PAGE_BYTES, segment, page)?;
        if matches!(self.world.segments[segment].frames, Frames::List(_)) {
            self.move_word(space, address, (segment, page, address % PAGE_BYTES), access, value)?;
        }
        Ok(())
    }

    fn learn_frame(&mut self, space: usize, at: u64, segment: usize, page: u64) -> Check {
        let (owner, at, _) = self.world.locate(&sight(space), at);
        self.world.maps[owner].hidden.remove(&at);
        let segment = &mut self.world.segments[segment];
        let frame = self.machine.kernel.segments[segment.id].frame(page).map(|frame| frame.number());
        prop_assert!(frame.is_some(), "an allowed access finds memory");
        if let Frames::List(list) = &mut segment.frames {
            prop_assert!(list[page as usize].is_none() || list[page as usize] == frame, "a page keeps its frame");
            list[page as usize] = frame;
        }
        Ok(())
    }

    /// Reads or writes a word from outside the space.
    fn move_word(&mut self, space: usize, address: u64, place: (usize, u64, u64), access: Access, value: u64) -> Check {
        let space = self.maps[space];
        let (buffer, length_bytes) = (BUFFER, 8);
        match access {
            Access::Write => {
                self.machine.write(BUFFER, &value.to_le_bytes());
                let call = Call::MemoryWrite { space, address, buffer, length_bytes };
                prop_assert_eq!(self.machine.call(call), Ok(8));
                self.world.memory.insert(place, value);
            }
            Access::Read => {
                let call = Call::MemoryRead { space, address, buffer, length_bytes };
                prop_assert_eq!(self.machine.call(call), Ok(8));
                let mut bytes = [0; 8];
                self.machine.read(BUFFER, &mut bytes);
                let expected = self.world.memory.get(&place).copied().unwrap_or(0);
                prop_assert_eq!(u64::from_le_bytes(bytes), expected, "memory keeps what was written");
            }
            Access::Execute => {}
        }
        Ok(())
    }

    /// Everything the hardware sees is what the model says, and nothing stale can be seen.
    fn compare(&mut self) -> Check {
        check::check(&self.machine.kernel);
        for (number, handle) in self.maps.iter().enumerate() {
            let (map, level) = match self.machine.object(*handle) {
                ObjectRef::Space(id) => (&self.machine.kernel.spaces[id].map, TOP_LEVEL),
                ObjectRef::Subtree(id) => (&self.machine.kernel.subtrees[id].map, TOP_LEVEL - 1),
                other => panic!("{other:?} has no map"),
            };
            let attached = |page| self.world.attached_in(number).any(|(spot, _)| spot.page == page);
            let own = survey(map.tree.root, level, &|page, level| level == TOP_LEVEL && attached(page));
            prop_assert_eq!(merge(&own.leaves), self.world.runs(number), "the tables of map {}", number);
            prop_assert_eq!((own.empty, own.tables), (0, tables_needed(&own.leaves, level)));
            prop_assert_eq!(own.globals, [], "nothing is global unless it is asked for");
            if number < SPACES {
                let view = survey(map.tree.root, level, &|_, _| false).leaves;
                prop_assert_eq!(merge(&view), self.world.seen(&sight(number)), "what is seen in space {}", number);
            }
            let records = map.from(0).map(|(first, mapping)| (first, mapping.pages, mapping.offset, mapping.rights));
            let extents = self.world.maps[number].extents.iter();
            let extents = extents.map(|extent| (extent.first, extent.pages, extent.offset, extent.rights));
            prop_assert_eq!(records.collect::<Vec<_>>(), extents.collect::<Vec<_>>());
        }
        self.tlb.follow(fake::tlb::take_events()).map_err(TestCaseError::fail)
    }
}
