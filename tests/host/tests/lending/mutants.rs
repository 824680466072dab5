//! The model and the lists' own check catch bugs of lending, seeded into the kernel one at a time. The runs are the same for
//! every mutant, and the kernel without one passes them all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use host_tests::config;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tessera_kernel::base::mutants::{LENDING_MUTANTS, Mutant, seed};

use crate::corners::a_list_that_was_left_does_not_go_on_below_another_capability;
use crate::operations::operation;
use crate::{means, play};

/// Runs until a mutant counts as missed.
const RUNS: u32 = 60;

/// Whether some run shows the mutant. A kernel that finds out by itself that something is wrong is caught as well.
fn is_caught(mutant: Option<Mutant>) -> bool {
    let mut runner = TestRunner::new(config(RUNS));
    let strategy = (prop::collection::vec(operation(), 60..200), means());
    let is_shown = (0..RUNS).any(|number| {
        let (operations, means) = strategy.new_tree(&mut runner).expect("runs can be made").current();
        let outcome = catch_unwind(AssertUnwindSafe(|| play(&means, &operations, mutant)));
        let is_shown = !matches!(outcome, Ok(Ok(())));
        if is_shown {
            println!("{mutant:?} is caught by run {number}: {outcome:?}");
        }
        is_shown
    });
    seed(None);
    is_shown
}

#[test]
fn every_mutant_is_caught() {
    // One takes a program that goes on with a list below another capability, which runs do not.
    let by_runs = LENDING_MUTANTS.into_iter().filter(|mutant| *mutant != Mutant::MarkerMistaken);
    for mutant in by_runs {
        assert!(is_caught(Some(mutant)), "no run shows {mutant:?}");
    }
    seed(Some(Mutant::MarkerMistaken));
    let outcome = catch_unwind(a_list_that_was_left_does_not_go_on_below_another_capability);
    seed(None);
    assert!(outcome.is_err(), "no list shows a mistaken marker");
}

#[test]
fn the_kernel_without_mutants_passes_the_same_runs() {
    assert!(!is_caught(None));
}
