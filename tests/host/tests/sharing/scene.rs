//! The machine and the model side by side.

use host_tests::model::{Frames, SPACE_LEVEL, Segment, SegmentCap, World};
use host_tests::smp::Cpus;
use host_tests::snapshot::Snapshot;
use host_tests::{Machine, Options};
use proptest::prelude::*;
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::TOP_LEVEL;
use tessera_arch::fake::oracle;
use tessera_arch::fake::smp::set_broadcasts;
use tessera_kernel::object::id::{ObjectRef, SegmentId};

use crate::names::{Named, Names};
use crate::operations::Operation;

pub(crate) type Check = Result<(), TestCaseError>;

/// CPUs. The test plays the first one; core windows may be another's.
pub(crate) const CPUS: usize = 2;
/// Spaces that operations name. The first one is the program's own and stays.
pub(crate) const SPACES: usize = 3;
/// Subtrees that operations name.
pub(crate) const SUBTREES: usize = 6;
/// Views that operations name.
pub(crate) const VIEWS: usize = 3;
/// Segments: one whose frames allow large pages, one with memory, one that gets it page by page.
pub(crate) const SEGMENTS: usize = 3;
/// Levels of the subtrees that are there in the beginning.
const LEVELS: [u8; SUBTREES] = [3, 3, 3, 2, 1, 1];
/// The number of the program's subtree.
pub(crate) const PROGRAM: usize = 1;
const HUGE_PAGES: u64 = 4096;
const SEGMENT_PAGES: u64 = 48;

/// What everything is charged to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Means {
    /// More than is needed.
    Plenty,
    /// So many pages, so that calls are refused for it.
    Pages(u64),
}

/// Both.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    /// The other CPU sees to shootdowns as long as this exists.
    _cpus: Cpus,
    pub(crate) world: World,
    pub(crate) names: Names,
    /// The numbers of the segments' capabilities.
    pub(crate) segments: Vec<usize>,
    pub(crate) account: Handle,
    pub(crate) is_scarce: bool,
    /// Frames free, before there was anything but the machine and the account.
    pub(crate) free_frames: u64,
}

impl Scene {
    pub(crate) fn new(options: &Options, broadcasts: bool, means: Means) -> Scene {
        let mut machine = Machine::boot(options);
        let cpus = Cpus::new(machine.kernel.shared);
        set_broadcasts(broadcasts);
        oracle::watch();
        let bytes = match means {
            Means::Plenty => 1 << 20,
            Means::Pages(pages) => pages * PAGE_BYTES,
        };
        let account = machine.make(Call::AccountCreate { account: machine.account, bytes });
        let is_scarce = matches!(means, Means::Pages(_));
        let free_frames = machine.kernel.frames.free_frames();
        let (world, names, segments) = (World::default(), Names::default(), Vec::new());
        let mut scene = Scene { machine, _cpus: cpus, world, names, segments, account, is_scarce, free_frames };
        scene.add_program();
        scene.add_segments();
        for _ in 1..SPACES {
            let space = scene.add_space().expect("there is nothing that could be refused");
            scene.names.spaces.push(space.expect("means are not as scarce as that"));
        }
        for level in LEVELS {
            let subtree = scene.add_subtree(level).expect("there is nothing that could be refused");
            scene.names.subtrees.push(subtree);
        }
        scene.names.views = vec![None; VIEWS];
        scene
    }

    /// The program's space, and its subtree, which no operation names.
    fn add_program(&mut self) {
        let (handle, number) = (self.machine.space, self.world.add_space());
        self.names.spaces.push(Named { handle, number });
        self.names.living.insert(number, self.machine.object(handle));
        self.learn_program();
        self.attach_program(number);
    }

    fn learn_program(&mut self) {
        let number = self.world.add_subtree(TOP_LEVEL);
        let object = self.machine.object(self.machine.program);
        self.names.living.insert(number, object);
        let ObjectRef::Subtree(id) = object else { panic!("a subtree") };
        let mappings: Vec<_> = self.machine.kernel.subtrees[id].map.from(0).collect();
        for (first, mapping) in mappings {
            let segment = self.machine.kernel.segments.id_at(mapping.segment).expect("it exists");
            let cap = self.learn_segment(Handle::NONE, segment);
            let (address, length_bytes) = (first * PAGE_BYTES, mapping.pages * PAGE_BYTES);
            assert_eq!(self.world.map(number, cap, 0, address, length_bytes, mapping.rights), []);
        }
    }

    fn add_segments(&mut self) {
        let length_bytes = SEGMENT_PAGES * PAGE_BYTES;
        let huge = self.machine.borrow_frames(1 << 28, HUGE_PAGES);
        let [present, lazy] = [0, 1].map(|flags| self.machine.segment(length_bytes, flags));
        for handle in [huge, present, lazy] {
            let ObjectRef::Segment(id) = self.machine.object(handle) else { panic!("a segment") };
            let cap = self.learn_segment(handle, id);
            self.segments.push(cap);
        }
    }

    /// Gives the number of a capability to it.
    fn learn_segment(&mut self, handle: Handle, id: SegmentId) -> usize {
        let kernels = &self.machine.kernel.segments[id];
        let (pages, frame) = (kernels.pages(), |page| kernels.frame(page).map(|frame| frame.number()));
        let frames = match frame(0) {
            Some(first) if first >= 1 << 28 => Frames::From(first),
            _ => Frames::List((0..pages).map(frame).collect()),
        };
        self.world.segments.push(Segment { id, pages, frames });
        let segment = self.world.segments.len() - 1;
        self.world.caps.push(SegmentCap { handle, segment, rights: Rights::ACCESS });
        self.world.caps.len() - 1
    }

    /// Performs an operation on both, and compares.
    pub(crate) fn step(&mut self, operation: &Operation) -> Check {
        match *operation {
            Operation::Touch { by, part, access } => self.touch(by, part, access)?,
            Operation::Enter { by, fast } => self.enter(by, fast)?,
            Operation::ReplaceSpace { space } => self.replace_space(space)?,
            Operation::ReplaceSubtree { subtree, level } => self.replace_subtree(subtree, level)?,
            Operation::ReplaceView { view, of, bounds } => self.replace_view(view, of, bounds)?,
            _ => self.change(operation)?,
        }
        self.names.sweep(&mut self.world);
        self.compare()
    }

    fn change(&mut self, operation: &Operation) -> Check {
        let Some(call) = self.call_for(operation) else { return Ok(()) };
        let mut world = self.world.clone();
        let (errors, value) = self.predict(&mut world, operation, &call);
        if let Some(result) = self.call(call, &errors)? {
            prop_assert_eq!(result, value, "{:?}", call);
            self.world = world;
        }
        Ok(())
    }

    /// Makes a call to which these errors apply; gives its value, or nothing if it was refused and changed nothing.
    pub(crate) fn call(&mut self, call: Call, errors: &[Error]) -> Result<Option<u64>, TestCaseError> {
        let before = Snapshot::of(&self.machine.kernel);
        match self.machine.call(call) {
            Ok(value) => {
                prop_assert_eq!(errors, [], "{:?} should be refused", call);
                Ok(Some(value))
            }
            Err(error) => {
                let is_short = self.is_scarce && error == Error::AccountExhausted;
                prop_assert!(is_short || errors.contains(&error), "{:?}: {:?} instead of {:?}", call, error, errors);
                prop_assert_eq!(before, Snapshot::of(&self.machine.kernel), "a refused call changed something");
                Ok(None)
            }
        }
    }

    /// Handle, level and number of a space, subtree or view; a view has no number.
    pub(crate) fn target(&self, target: usize) -> Option<(Handle, u8, Option<usize>)> {
        let named = match target {
            _ if target < SPACES => Some(self.names.spaces[target]),
            _ if target < SPACES + SUBTREES => Some(self.names.subtrees[target - SPACES]?),
            _ => None,
        };
        match named {
            Some(Named { handle, number }) => Some((handle, self.world.levels[number], Some(number))),
            None => Some((self.names.views[target - SPACES - SUBTREES]?.handle, SPACE_LEVEL, None)),
        }
    }

    /// What the account pays for.
    pub(crate) fn used_bytes(&self) -> u64 {
        let ObjectRef::Account(id) = self.machine.object(self.account) else { panic!("an account") };
        self.machine.kernel.accounts[id].used_bytes()
    }
}
