//! What can happen, and random lists of it.

use proptest::prelude::*;
use tessera_abi::Rights;
use tessera_arch::fake::Flavour;

use super::scene::Scene;
use crate::FLAVOURS;

/// Spaces that operations are about. The first one is the program's own and stays.
pub(super) const SPACES: usize = 5;
/// Subtrees that operations are about.
pub(super) const SUBTREES: usize = 3;
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

/// What is done, by the thread that runs on some CPU.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Switches its space, by the fast path if that will do.
    Enter { space: usize, fast: bool },
    /// Jumps into a space.
    Jump { space: usize },
    /// Maps in a space, or behind them a subtree.
    Map { target: usize, segment: usize, place: usize, pages: u64, rights: Rights },
    /// Unmaps a part of the nth mapping.
    Unmap { target: usize, nth: usize, part: Part },
    /// Gives a part of the nth mapping other rights.
    Protect { target: usize, nth: usize, part: Part, rights: Rights },
    /// Attaches a subtree, perhaps as a core window.
    Attach { space: usize, subtree: usize, slot: u64, bounds: Rights, only_cpu: Option<u64> },
    /// Detaches.
    Detach { space: usize, slot: u64, only_cpu: Option<u64> },
    /// Gives a space up and makes another, local to a CPU or not.
    ReplaceSpace { space: usize, only_cpu: Option<u64> },
    /// Gives a subtree up and makes another.
    ReplaceSubtree { subtree: usize },
    /// Gives a segment up and makes another.
    ReplaceSegment { segment: usize },
    /// Makes a thread go on on other CPUs.
    Move { thread: usize, cpus: u64 },
    /// Touches a page that has no memory yet, or is not mapped.
    Touch { place: usize },
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
    pub fn play(&self) -> Option<String> {
        let mut scene = Scene::new(self);
        for operation in &self.operations {
            scene.step(operation);
            if let Some(breach) = scene.find_breach() {
                return Some(breach);
            }
        }
        scene.check();
        None
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
    (machine, prop::collection::vec(operation(), 1..operations)).prop_map(|(machine, operations)| {
        let (flavour, broadcasts, tag_bits, cpus, seed) = machine;
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
    prop_oneof![10 => moving(), 16 => mapping(), 6 => attaching(), 3 => replacing()]
}

fn moving() -> impl Strategy<Value = Kind> {
    prop_oneof![
        8 => (0..SPACES, any::<bool>()).prop_map(|(space, fast)| Kind::Enter { space, fast }),
        2 => (0..SPACES).prop_map(|space| Kind::Jump { space }),
        1 => (0..THREADS, 1..16_u64).prop_map(|(thread, cpus)| Kind::Move { thread, cpus }),
        1 => (0..5_usize).prop_map(|place| Kind::Touch { place }),
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
    prop_oneof![
        2 => (0..SPACES, 0..SUBTREES, 2..5_u64, rights(), only_cpu()).prop_map(
            |(space, subtree, slot, bounds, only_cpu)| Kind::Attach { space, subtree, slot, bounds, only_cpu }
        ),
        1 => (0..SPACES, 2..5_u64, only_cpu()).prop_map(|(space, slot, only_cpu)| Kind::Detach { space, slot, only_cpu }),
    ]
}

fn replacing() -> impl Strategy<Value = Kind> {
    prop_oneof![
        2 => (1..SPACES, only_cpu()).prop_map(|(space, only_cpu)| Kind::ReplaceSpace { space, only_cpu }),
        1 => (0..SUBTREES).prop_map(|subtree| Kind::ReplaceSubtree { subtree }),
        1 => (1..SEGMENTS).prop_map(|segment| Kind::ReplaceSegment { segment }),
    ]
}
