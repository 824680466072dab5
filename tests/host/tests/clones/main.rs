//! Clones of spaces against a naive model: random operations in several clones of each other, both formats.

mod around;
mod model;
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};

use host_tests::{FLAVOURS, config};
use proptest::prelude::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tessera_abi::Rights;
use tessera_arch::fake::Flavour;
use tessera_kernel::base::mutants::{CLONE_MUTANTS, Mutant, seed};

use around::SUBTREES;
use scene::{FIRST, Of, PAGES, SEGMENT_PAGES, Scene};

/// Runs until a bug counts as missed.
const RUNS: u32 = 100;

/// Clones that there are at once, at most.
const SPACES_MOST: usize = 6;

#[derive(Clone, Debug)]
enum Operation {
    Map { segment: usize, is_lent: bool, offset: u64, first: u64, pages: u64, rights: Rights },
    Unmap { first: u64, pages: u64 },
    Protect { first: u64, pages: u64, rights: Rights },
    Write { page: u64 },
    Pin { page: u64 },
    Clone { is_frozen: bool, is_childs: bool },
    Attach { number: usize, may_write: bool },
    Detach { number: usize },
    Withdraw { number: usize },
    Revoke { segment: usize },
    WriteAttached { number: usize },
    Window { cpu: u64 },
    View { may_write: bool },
    WriteByView { page: u64 },
    Destroy,
    Enter,
}

fn rights() -> impl Strategy<Value = Rights> {
    prop_oneof![3 => Just(Rights::READ_WRITE), 1 => Just(Rights::READ), 1 => Just(Rights::READ_EXECUTE)]
}

/// Pages at which something begins, often that of a large page.
fn first() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0..PAGES / 512).prop_map(|number| number * 512),
        (0..PAGES / 64).prop_map(|number| number * 64),
        0..PAGES
    ]
    .prop_map(|page| FIRST + page)
}

fn pages() -> impl Strategy<Value = u64> {
    prop_oneof![Just(512_u64), Just(1024), 1..20_u64, 1..600_u64]
}

fn operation() -> impl Strategy<Value = Operation> {
    let offset = prop_oneof![3 => Just(0_u64), 1 => Just(512), 1 => 0..600_u64];
    let map = ((0..SEGMENT_PAGES.len(), prop::bool::weighted(0.3)), offset, first(), pages(), rights()).prop_map(
        |((segment, is_lent), offset, first, pages, rights)| Operation::Map {
            segment,
            is_lent,
            offset: offset % SEGMENT_PAGES[segment],
            first,
            pages,
            rights,
        },
    );
    prop_oneof![
        4 => map,
        2 => (first(), pages()).prop_map(|(first, pages)| Operation::Unmap { first, pages }),
        2 => (first(), pages(), prop_oneof![Just(Rights::READ_WRITE), Just(Rights::READ)])
            .prop_map(|(first, pages, rights)| Operation::Protect { first, pages, rights }),
        12 => first().prop_map(|page| Operation::Write { page }),
        2 => first().prop_map(|page| Operation::Pin { page }),
        2 => (prop::bool::weighted(0.3), prop::bool::weighted(0.2))
            .prop_map(|(is_frozen, is_childs)| Operation::Clone { is_frozen, is_childs }),
        4 => around(),
        1 => (0..SEGMENT_PAGES.len()).prop_map(|segment| Operation::Revoke { segment }),
        2 => Just(Operation::Enter),
        1 => Just(Operation::Destroy),
    ]
}

/// What concerns attached subtrees, core windows and views.
fn around() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => (0..SUBTREES, any::<bool>()).prop_map(|(number, may_write)| Operation::Attach { number, may_write }),
        1 => (0..SUBTREES).prop_map(|number| Operation::Detach { number }),
        1 => (0..SUBTREES).prop_map(|number| Operation::Withdraw { number }),
        2 => (0..SUBTREES).prop_map(|number| Operation::WriteAttached { number }),
        1 => (0..2_u64).prop_map(|cpu| Operation::Window { cpu }),
        1 => any::<bool>().prop_map(|may_write| Operation::View { may_write }),
        2 => first().prop_map(|page| Operation::WriteByView { page }),
    ]
}

fn apply(scene: &mut Scene, at: usize, operation: &Operation, value: u64) {
    let fit = |first: u64, pages: u64| pages.min(FIRST + PAGES - first);
    match *operation {
        Operation::Revoke { segment } => scene.revoke(segment),
        Operation::Map { segment, is_lent, offset, first, pages, rights } => {
            scene.map(at, (segment, is_lent), (offset, first, pages), rights)
        }
        Operation::Unmap { first, pages } => scene.unmap(at, first, fit(first, pages)),
        Operation::Protect { first, pages, rights } => scene.protect(at, first, fit(first, pages), rights),
        Operation::Write { page } => scene.write(at, page, value),
        Operation::Pin { page } => scene.pin(at, page),
        Operation::Attach { number, may_write } => scene.attach(at, number, may_write),
        Operation::Detach { number } => scene.detach(at, number),
        Operation::Withdraw { number } => scene.withdraw(number),
        Operation::WriteAttached { number } => scene.write_attached(at, number, value),
        Operation::Window { cpu } => scene.toggle_window(at, cpu),
        Operation::View { may_write } => scene.toggle_view(at, may_write),
        Operation::WriteByView { page } => scene.write_by_view(at, page, value),
        Operation::Clone { is_frozen, is_childs } if scene.spaces.len() < SPACES_MOST => {
            scene.clone_space(at, is_frozen, is_childs);
        }
        Operation::Destroy if scene.spaces.len() > 1 => scene.destroy(at),
        Operation::Enter => scene.enter(at),
        Operation::Clone { .. } | Operation::Destroy => {}
    }
}

fn play(flavour: Flavour, of: Of, operations: &[(usize, Operation)], order: &[usize]) {
    let mut scene = Scene::new(flavour, of);
    // Something to begin with: large pages, pages on first touch.
    scene.map(0, (0, false), (0, FIRST, 1024), Rights::READ_WRITE);
    scene.map(0, (1, false), (0, FIRST + 1024, 700), Rights::READ_WRITE);
    for (number, (at, operation)) in operations.iter().enumerate() {
        let at = at % scene.spaces.len();
        apply(&mut scene, at, operation, 1 + number as u64);
        scene.check_held();
        scene.check_writable();
        let around = match operation {
            Operation::Write { page } | Operation::Pin { page } | Operation::WriteByView { page } => *page,
            Operation::Map { first, .. } | Operation::Unmap { first, .. } | Operation::Protect { first, .. } => *first,
            _ => FIRST + number as u64 * 37 % PAGES,
        };
        scene.check_pages([around, around + 1, around ^ 16, around ^ 512].into_iter());
        if number % 8 == 0 {
            scene.check_written();
            scene.check_around();
            scene.check_kernel();
        }
    }
    scene.check_pages((FIRST..FIRST + PAGES).step_by(61));
    scene.check_kernel();
    let mut order = order.iter().cycle();
    scene.end(|count| order.next().map_or(0, |at| at % count));
}

fn run() -> impl Strategy<Value = (Vec<(usize, Operation)>, Vec<usize>)> {
    let operations = prop::collection::vec((0..SPACES_MOST, operation()), 10..120);
    (operations, prop::collection::vec(0..SPACES_MOST, 6))
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn clones_hold_what_plain_maps_would((operations, order) in run()) {
        for flavour in FLAVOURS {
            play(flavour, Of::Spaces, &operations, &order);
        }
    }

    #[test]
    fn clones_of_subtrees_hold_what_plain_maps_would((operations, order) in run()) {
        for flavour in FLAVOURS {
            play(flavour, Of::Subtrees, &operations, &order);
        }
    }
}

/// Protecting is cut within a mapping, as having tables of one's own takes effort, and a record more cannot be paid for.
#[test]
fn who_can_pay_for_nothing_protects_in_a_clone_or_is_refused() {
    for flavour in FLAVOURS {
        for first in (0..512).step_by(64) {
            let mut scene = Scene::new(flavour, Of::Spaces);
            scene.map(0, (0, false), (1, FIRST + 1 + first, 400), Rights::READ_WRITE);
            scene.clone_space(0, false, false);
            // Then the tables are its own again, and are not let go of.
            scene.destroy(1);
            scene.protect_without_means(0, FIRST + 1 + first, 400);
            scene.check_kernel();
        }
    }
}

/// In tables and records that clones have in common: the mapping is left there, and nobody can do anything by it.
#[test]
fn what_is_lent_is_taken_back_from_clones_though_there_is_no_memory() {
    for flavour in FLAVOURS {
        for of in [Of::Spaces, Of::Subtrees] {
            let mut scene = Scene::new(flavour, of);
            // Small pages and large ones, with something beside them that is not lent; pages of its own among them.
            scene.map(0, (0, true), (0, FIRST, 1024), Rights::READ_WRITE);
            scene.map(0, (1, true), (1, FIRST + 1024, 300), Rights::READ_WRITE);
            scene.map(0, (1, false), (301, FIRST + 1324, 300), Rights::READ_WRITE);
            scene.clone_space(0, false, false);
            [1, 600, 1030, 1400].into_iter().for_each(|page| scene.write(0, FIRST + page, page));
            scene.clone_space(0, false, false);
            scene.clone_space(1, true, true);
            (0..4).for_each(|at| {
                scene.enter(at);
                scene.check_pages([FIRST + 1, FIRST + 600, FIRST + 1030, FIRST + 1031, FIRST + 1400].into_iter());
            });
            scene.without_memory(|scene| {
                scene.revoke(0);
                scene.revoke(1);
                scene.check_held();
                scene.check_kernel();
            });
            for at in 0..4 {
                assert!(scene.is_out_of_reach(at, FIRST..FIRST + 1324), "some of it can be had still in space {at}");
            }
            scene.check_pages(FIRST + 1324..FIRST + 1624);
            [1, 600, 1400].into_iter().for_each(|page| scene.write(2, FIRST + page, 7));
            assert!((0..4).map(|at| scene.unmap_left(at)).sum::<usize>() > 2, "all could be unmapped");
            scene.map(0, (2, false), (0, FIRST, 40), Rights::READ_WRITE);
            scene.clone_space(0, false, false);
            scene.write(4, FIRST, 5);
            scene.check_pages((FIRST..FIRST + 1624).step_by(13));
            scene.check_kernel();
            scene.end(|count| count / 2);
        }
    }
}

/// Plays runs with a bug in the kernel until one finds it.
fn is_caught(mutant: Mutant) -> bool {
    let mut runner = TestRunner::new(config(RUNS));
    (0..RUNS).any(|number| {
        let (operations, order) = run().new_tree(&mut runner).expect("runs can be made").current();
        let flavour = FLAVOURS[number as usize % 2];
        seed(Some(mutant));
        let played = catch_unwind(AssertUnwindSafe(|| play(flavour, Of::Spaces, &operations, &order)));
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
    fn every_bug_of_clones_has_its_test() {
        assert!(CLONE_MUTANTS.iter().all(|mutant| [$(Mutant::$mutant,)*].contains(mutant)));
    }};
}

caught! {
    clone_that_may_write_is_caught: CloneMayWrite,
    table_uncounted_is_caught: CloneUncounted,
    table_replaced_without_flush_is_caught: CloneBreakUnflushed,
    copied_page_without_flush_is_caught: CopiedUnflushed,
    private_page_uncounted_is_caught: PrivateUncounted,
    private_page_written_through_is_caught: PrivateWrittenThrough,
    pin_forgotten_is_caught: PinForgotten,
    frozen_page_written_to_is_caught: FrozenMayWrite,
    clone_not_lent_is_caught: CloneNotLent,
    taken_back_from_common_tables_is_caught: TakenBackInCommon,
}
