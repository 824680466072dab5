//! The model catches what no translation shows: bugs seeded into the kernel, one at a time, must make a machine and the
//! model differ in some run. The runs are the same for every mutant, and the kernel without one passes them all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use host_tests::config;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tessera_kernel::base::mutants::{MODEL_MUTANTS, Mutant};

use crate::operations::operation;
use crate::scene::Means;
use crate::{machine, play};

/// Runs until a mutant counts as missed.
const RUNS: u32 = 100;

/// Whether some run shows the mutant. A kernel that finds out by itself that something is wrong is caught as well.
fn is_caught(mutant: Option<Mutant>) -> bool {
    let mut runner = TestRunner::new(config(RUNS));
    let strategy = (prop::collection::vec(operation(), 40..80), machine());
    (0..RUNS).any(|number| {
        let (operations, machine) = strategy.new_tree(&mut runner).expect("runs can be made").current();
        let outcome = catch_unwind(AssertUnwindSafe(|| play(machine, Means::Plenty, &operations, mutant)));
        let is_shown = !matches!(outcome, Ok(Ok(())));
        if is_shown {
            println!("{mutant:?} is caught by run {number}: {outcome:?}");
        }
        is_shown
    })
}

#[test]
fn every_mutant_is_caught() {
    let others = [
        Mutant::ViewUnbounded,
        Mutant::ViewMissesLoss,
        Mutant::SharerNotHeld,
        Mutant::PublicMissing,
        Mutant::PublicStaysGlobal,
    ];
    for mutant in MODEL_MUTANTS.into_iter().chain(others) {
        assert!(is_caught(Some(mutant)), "no run shows {mutant:?}");
    }
}

#[test]
fn the_kernel_without_mutants_passes_the_same_runs() {
    assert!(!is_caught(None));
}
