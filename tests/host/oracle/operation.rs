//! What can happen, and random lists of it.

use proptest::prelude::*;
use tessera_abi::Rights;
use tessera_arch::fake::Flavour;
use tessera_kernel::base::mutants::{Mutant, seed};

use super::prelude;
use super::scene::Scene;
use crate::FLAVOURS;

/// Spaces that operations are about. The first one is the program's own and stays.
pub(super) const SPACES: usize = 5;
/// The levels of the subtrees that operations are about.
pub(super) const LEVELS: [u64; SUBTREES] = [3, 3, 3, 2, 1, 1];
/// How many of them are of the top level.
const TOP_SUBTREES: usize = 3;
/// How many they are.
pub(super) const SUBTREES: usize = 6;
/// Views that operations are about.
pub(super) const VIEWS: usize = 3;
/// Segments that operations are about.
pub(super) const SEGMENTS: usize = 3;
/// The most CPUs.
pub(super) const CPUS_MAX: usize = 4;
/// Threads of the program.
pub(super) const THREADS: usize = 5;

/// A part of a mapping.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// Its first half.
    Half,
    /// A page in its middle.
    Middle,
    /// Its last page.
    Last,
}

/// Where something is attached: a top-level slot, which counts in spaces only, and the place in it, in units of what is
/// attached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) slot: u64,
    pub(super) unit: u64,
}

/// How something is attached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// As most things are.
    Plain,
    /// Views leave it as it is.
    Window,
    /// On one CPU, after it was taken out of everything.
    OnlyCpu(u64),
}

/// What is done, by the thread that runs on some CPU. Targets are spaces and behind them subtrees; who is entered is a
/// space or behind them a view.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Switches its space, by the fast path if that will do.
    Enter { space: usize, fast: bool },
    /// Jumps into a space.
    Jump { space: usize },
    /// Maps.
    Map { target: usize, segment: usize, place: usize, pages: u64, rights: Rights },
    /// Unmaps a part of the nth mapping.
    Unmap { target: usize, nth: usize, part: Part },
    /// Gives a part of the nth mapping other rights.
    Protect { target: usize, nth: usize, part: Part, rights: Rights },
    /// Attaches a subtree, perhaps as a core window, or as one that views leave as it is.
    Attach { target: usize, subtree: usize, spot: Spot, bounds: Rights, way: Way },
    /// Detaches the nth of what is attached.
    Detach { target: usize, nth: usize },
    /// Takes a subtree out of everything.
    Withdraw { subtree: usize },
    /// The same, and makes it public.
    Publish { subtree: usize, slot: u64, bounds: Rights },
    /// Seals a subtree.
    Seal { subtree: usize },
    /// Gives a space up and makes another, local to a CPU or not.
    ReplaceSpace { space: usize, only_cpu: Option<u64> },
    /// Gives a view up and makes one of something else.
    ReplaceView { view: usize, of: usize, bounds: Rights },
    /// Gives a subtree up and makes another.
    ReplaceSubtree { subtree: usize },
    /// Gives a segment up and makes another.
    ReplaceSegment { segment: usize },
    /// Makes a thread go on on other CPUs.
    Move { thread: usize, cpus: u64 },
    /// Touches a page that has no memory yet, or is not mapped.
    Touch { slot: u64, place: usize },
    /// Lets another thread run.
    Yield,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// On which CPU, modulo their number.
    pub(super) cpu: usize,
    /// What.
    pub(super) kind: Kind,
}

/// A machine and what happens on it.
#[derive(Clone, Debug)]
pub struct Run {
    /// Whose page-table format.
    pub(super) flavour: Flavour,
    /// Whether invalidation reaches other CPUs without interrupts.
    pub(super) broadcasts: bool,
    /// Width of the tags.
    pub(super) tag_bits: u32,
    /// CPUs.
    pub(super) cpus: usize,
    /// What interrupted CPUs do first depends on it.
    pub(super) seed: u64,
    /// What happens.
    pub(super) operations: Vec<Operation>,
}

impl Run {
    /// Does it all; gives the first breach of a rule.
    ///
    /// # Panics
    /// If the kernel's own checks find something at the end.
    pub fn play(&self) -> Option<String> {
        let mut scene = Scene::new(self);
        let found = self.play_in(&mut scene);
        if found.is_none() {
            scene.check();
        }
        found
    }

    /// The same while the kernel checks everything, by so many steps after each operation, and then to the end, which must
    /// find as much as a check in one go.
    ///
    /// # Panics
    /// If a check takes for wrong what is only new, or does not come to its end.
    pub fn play_under_checks(&self, steps: u32) -> Option<String> {
        let mut scene = Scene::new(self);
        let found = self.operations.iter().find_map(|operation| {
            scene.step(operation);
            scene.step_checks(steps);
            scene.find_breach()
        });
        if found.is_none() {
            scene.end_checks();
        }
        found
    }

    /// The same in a kernel with a bug, which it gets once it is booted, and without the kernel's own checks.
    pub fn find_breach(&self, mutant: Mutant) -> Option<String> {
        let mut scene = Scene::new(self);
        seed(Some(mutant));
        let found = self.play_in(&mut scene);
        seed(None);
        found
    }

    fn play_in(&self, scene: &mut Scene) -> Option<String> {
        self.operations.iter().find_map(|operation| {
            scene.step(operation);
            scene.find_breach()
        })
    }
}

/// Random runs of up to so many operations.
pub fn run(operations: usize) -> impl Strategy<Value = Run> {
    let machine = (
        prop::sample::select(FLAVOURS.to_vec()),
        any::<bool>(),
        prop_oneof![1 => Just(0_u32), 6 => Just(2), 2 => Just(3)],
        2..=CPUS_MAX,
        any::<u64>(),
    );
    let operations = prop::collection::vec(operation(), 1..operations);
    (machine, prelude::prelude(), operations).prop_map(|(machine, prelude, operations)| {
        let (flavour, broadcasts, tag_bits, cpus, seed) = machine;
        let operations = [prelude, operations].concat();
        Run { flavour, broadcasts, tag_bits, cpus, seed, operations }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    (0..CPUS_MAX, kind()).prop_map(|(cpu, kind)| Operation { cpu, kind })
}

fn rights() -> impl Strategy<Value = Rights> {
    prop::sample::select(vec![Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE])
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![4 => Just(Part::Whole), 1 => Just(Part::Half), 2 => Just(Part::Middle), 1 => Just(Part::Last)]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![14 => moving(), 16 => mapping(), 8 => attaching(), 2 => publishing(), 4 => replacing()]
}

fn moving() -> impl Strategy<Value = Kind> {
    prop_oneof![
        8 => (0..SPACES + VIEWS, any::<bool>()).prop_map(|(space, fast)| Kind::Enter { space, fast }),
        2 => (0..SPACES + VIEWS).prop_map(|space| Kind::Jump { space }),
        1 => (0..THREADS, 1..16_u64).prop_map(|(thread, cpus)| Kind::Move { thread, cpus }),
        2 => (1..7_u64, 0..5_usize).prop_map(|(slot, place)| Kind::Touch { slot, place }),
        1 => Just(Kind::Yield),
    ]
}

fn mapping() -> impl Strategy<Value = Kind> {
    let pages = prop_oneof![4 => 1..4_u64, 1 => Just(40), 2 => Just(512)];
    let target = || 0..SPACES + SUBTREES;
    prop_oneof![
        7 => (target(), 0..SEGMENTS, 0..5_usize, pages, rights())
            .prop_map(|(target, segment, place, pages, rights)| Kind::Map { target, segment, place, pages, rights }),
        4 => (target(), 0..4_usize, part()).prop_map(|(target, nth, part)| Kind::Unmap { target, nth, part }),
        4 => (target(), 0..4_usize, part(), rights())
            .prop_map(|(target, nth, part, rights)| Kind::Protect { target, nth, part, rights }),
    ]
}

fn only_cpu() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![2 => Just(None), 1 => (0..CPUS_MAX as u64).prop_map(Some)]
}

fn attaching() -> impl Strategy<Value = Kind> {
    let attach = |(target, subtree, spot, bounds, way)| Kind::Attach { target, subtree, spot, bounds, way };
    let way = prop_oneof![3 => Just(Way::Plain), 1 => Just(Way::Window)];
    let only_cpu = (0..CPUS_MAX as u64).prop_map(Way::OnlyCpu);
    prop_oneof![
        3 => (0..SPACES, 0..TOP_SUBTREES, spot(), bounds(), way).prop_map(attach),
        2 => (0..SPACES, 0..TOP_SUBTREES, spot(), bounds(), only_cpu).prop_map(attach),
        1 => (0..SPACES, TOP_SUBTREES..SUBTREES, spot(), bounds(), Just(Way::Plain)).prop_map(attach),
        2 => (SPACES..SPACES + SUBTREES, TOP_SUBTREES..SUBTREES, spot(), bounds(), Just(Way::Plain)).prop_map(attach),
        3 => (0..SPACES + SUBTREES, 0..4_usize).prop_map(|(target, nth)| Kind::Detach { target, nth }),
    ]
}

fn spot() -> impl Strategy<Value = Spot> {
    (2..5_u64, prop::sample::select(vec![1_u64, 2, 40])).prop_map(|(slot, unit)| Spot { slot, unit })
}

fn publishing() -> impl Strategy<Value = Kind> {
    let bounds = prop::sample::select(vec![Rights::READ, Rights::READ_EXECUTE]);
    prop_oneof![
        4 => (0..SUBTREES, 4..7_u64, bounds).prop_map(|(subtree, slot, bounds)| Kind::Publish { subtree, slot, bounds }),
        2 => (0..SUBTREES).prop_map(|subtree| Kind::Withdraw { subtree }),
        1 => (0..SUBTREES).prop_map(|subtree| Kind::Seal { subtree }),
    ]
}

fn bounds() -> impl Strategy<Value = Rights> {
    prop_oneof![3 => rights(), 1 => Just(Rights::ACCESS)]
}

fn replacing() -> impl Strategy<Value = Kind> {
    prop_oneof![
        2 => (1..SPACES, only_cpu()).prop_map(|(space, only_cpu)| Kind::ReplaceSpace { space, only_cpu }),
        2 => (0..VIEWS, 0..SPACES + VIEWS, bounds())
            .prop_map(|(view, of, bounds)| Kind::ReplaceView { view, of, bounds }),
        1 => (0..SUBTREES).prop_map(|subtree| Kind::ReplaceSubtree { subtree }),
        1 => (1..SEGMENTS).prop_map(|segment| Kind::ReplaceSegment { segment }),
    ]
}
