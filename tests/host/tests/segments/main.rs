//! Segments that change, mappings that are copied or moved: against a naive model, by random operations, both formats.

mod model;
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};

use host_tests::{FLAVOURS, config};
use proptest::prelude::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tessera_abi::Rights;
use tessera_arch::fake::Flavour;
use tessera_kernel::base::mutants::{Mutant, SEGMENT_MUTANTS, seed};

use scene::{PAGES, SEGMENTS, Scene, TARGETS};

/// Runs until a bug counts as missed.
const RUNS: u32 = 100;

#[derive(Clone, Debug)]
enum Operation {
    Map { segment: usize, offset: u64, first: u64, pages: u64, rights: Rights, is_private: bool, is_derived: bool },
    Unmap { first: u64, pages: u64 },
    Protect { first: u64, pages: u64, rights: Rights },
    Write { first: u64 },
    Discard { segment: usize, offset: u64, pages: u64 },
    Grow { segment: usize, pages: u64 },
    Move { first: u64, pages: u64, to: usize, place: u64, stays: bool },
    Revoke { segment: usize },
    Enter,
}

fn rights() -> impl Strategy<Value = Rights> {
    prop_oneof![3 => Just(Rights::READ_WRITE), 1 => Just(Rights::READ), 1 => Just(Rights::READ_EXECUTE)]
}

/// Pages at which something begins, often that of a large page.
fn first() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => (0..PAGES / 512).prop_map(|number| number * 512),
        2 => (0..PAGES / 64).prop_map(|number| number * 64),
        1 => 0..PAGES
    ]
}

fn pages() -> impl Strategy<Value = u64> {
    prop_oneof![Just(512_u64), Just(1024), 1..20_u64, 1..600_u64]
}

/// Where in a segment something begins, as a share of its length.
fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0_u64), 1 => Just(512), 2 => 0..1300_u64]
}

fn operation() -> impl Strategy<Value = Operation> {
    let kinds = (prop::bool::weighted(0.3), prop::bool::ANY);
    let map = (0..SEGMENTS.len(), offset(), first(), pages(), rights(), kinds).prop_map(
        |(segment, offset, first, pages, rights, (is_private, is_derived))| Operation::Map {
            segment,
            offset,
            first,
            pages,
            rights,
            is_private,
            is_derived,
        },
    );
    let protected = prop_oneof![Just(Rights::READ_WRITE), Just(Rights::READ)];
    prop_oneof![
        6 => map,
        2 => (first(), pages()).prop_map(|(first, pages)| Operation::Unmap { first, pages }),
        2 => (first(), pages(), protected)
            .prop_map(|(first, pages, rights)| Operation::Protect { first, pages, rights }),
        12 => first().prop_map(|first| Operation::Write { first }),
        5 => (0..SEGMENTS.len(), offset(), pages())
            .prop_map(|(segment, offset, pages)| Operation::Discard { segment, offset, pages }),
        2 => (0..SEGMENTS.len(), pages()).prop_map(|(segment, pages)| Operation::Grow { segment, pages }),
        4 => (first(), pages(), 0..TARGETS, first(), prop::bool::ANY)
            .prop_map(|(first, pages, to, place, stays)| Operation::Move { first, pages, to, place, stays }),
        1 => (0..SEGMENTS.len()).prop_map(|segment| Operation::Revoke { segment }),
        2 => Just(Operation::Enter),
    ]
}

fn apply(scene: &mut Scene, at: usize, operation: &Operation, value: u64) {
    let within = |scene: &Scene, segment: usize, offset: u64| offset % scene.segments[segment].pages;
    match *operation {
        Operation::Map { segment, offset, first, pages, rights, is_private, is_derived } => {
            let offset = within(scene, segment, offset);
            scene.map(at, segment, (offset, first, pages), (rights, is_private, is_derived));
        }
        Operation::Unmap { first, pages } => scene.unmap(at, first, pages.min(PAGES - first)),
        Operation::Protect { first, pages, rights } => scene.protect(at, first, pages.min(PAGES - first), rights),
        Operation::Write { first } => scene.write(at, first, value),
        Operation::Discard { segment, offset, pages } => {
            let offset = within(scene, segment, offset);
            scene.discard(segment, offset, pages);
        }
        Operation::Grow { segment, pages } => scene.grow(segment, pages),
        Operation::Move { first, pages, to, place, stays } => {
            scene.move_range((at, first), pages, (to, place), stays);
        }
        Operation::Revoke { segment } => scene.revoke(segment),
        Operation::Enter => scene.enter(at),
    }
}

fn play(flavour: Flavour, operations: &[(usize, Operation)]) {
    let mut scene = Scene::new(flavour);
    // Something to begin with: large pages, and pages on first touch, that two targets show.
    scene.map(0, 0, (0, 0, 1024), (Rights::READ_WRITE, false, false));
    scene.map(1, 0, (0, 0, 1024), (Rights::READ_WRITE, true, true));
    scene.map(2, 1, (0, 0, 700), (Rights::READ_WRITE, false, true));
    for (number, (at, operation)) in operations.iter().enumerate() {
        apply(&mut scene, *at, operation, 1 + number as u64);
        scene.check_held();
        let around = match operation {
            Operation::Write { first }
            | Operation::Map { first, .. }
            | Operation::Unmap { first, .. }
            | Operation::Protect { first, .. }
            | Operation::Move { place: first, .. } => *first,
            Operation::Discard { .. } | Operation::Grow { .. } | Operation::Revoke { .. } | Operation::Enter => {
                number as u64 * 37 % PAGES
            }
        };
        scene.check_pages([around, around + 1, around ^ 16, around ^ 512].into_iter());
        if number % 8 == 0 {
            scene.check_kernel();
        }
    }
    scene.check_pages((0..PAGES).step_by(61));
    scene.check_kernel();
    scene.end();
}

fn run() -> impl Strategy<Value = Vec<(usize, Operation)>> {
    prop::collection::vec((0..TARGETS, operation()), 10..100)
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn segments_and_mappings_hold_what_plain_maps_would(operations in run()) {
        for flavour in FLAVOURS {
            play(flavour, &operations);
        }
    }
}

/// Plays runs with a bug in the kernel until one finds it.
fn is_caught(mutant: Mutant) -> bool {
    let mut runner = TestRunner::new(config(RUNS));
    (0..RUNS).any(|number| {
        let operations = run().new_tree(&mut runner).expect("runs can be made").current();
        seed(Some(mutant));
        let played = catch_unwind(AssertUnwindSafe(|| play(FLAVOURS[number as usize % 2], &operations)));
        seed(None);
        played.is_err()
    })
}

macro_rules! caught {
    ($($test:ident: $mutant:ident,)*) => {$(
        #[test]
        fn $test() {
            assert!(is_caught(Mutant::$mutant), "no run shows {:?}", Mutant::$mutant);
        }
    )*

    #[test]
    fn every_bug_of_segments_has_its_test() {
        assert!(SEGMENT_MUTANTS.iter().all(|mutant| [$(Mutant::$mutant,)*].contains(mutant)));
    }};
}

caught! {
    discarded_without_flush_is_caught: DiscardUnflushed,
    moved_but_not_lent_is_caught: MovedNotLent,
    private_written_to_is_caught: PrivateShared,
}
