//! Lending and taking back: random operations of several programs on several CPUs against a naive tree of capabilities and
//! of what was done with them. Each revocation is cut into steps, between which others go on.

mod acts;
mod compare;
mod corners;
mod costs;
mod leaving;
mod model;
mod mutants;
mod operations;
mod places;
mod races;
mod revoking;
mod scene;
mod world;

use host_tests::{FLAVOURS, config};
use operations::{Operation, operation};
use proptest::prelude::*;
use scene::{Means, Scene};
use tessera_kernel::base::effort;
use tessera_kernel::base::mutants::{Mutant, seed};

/// How a machine can be.
fn means() -> impl Strategy<Value = Means> {
    (
        prop::sample::select(FLAVOURS.to_vec()),
        any::<bool>(),
        prop_oneof![2 => Just(2_u32), 1 => Just(0), 1 => Just(8)],
        2..4_usize,
        prop_oneof![2 => Just(1_u32), 1 => Just(25), 1 => Just(120), 1 => Just(1000)],
        any::<u64>(),
    )
        .prop_map(|(flavour, broadcasts, tag_bits, cpus, units, seed)| Means {
            flavour,
            broadcasts,
            tag_bits,
            cpus,
            units,
            seed,
        })
}

/// Plays operations; the kernel gets a bug once the scene is set.
fn play(means: &Means, operations: &[Operation], mutant: Option<Mutant>) -> Result<(), TestCaseError> {
    play_under_checks(means, operations, mutant, 0)
}

/// The same with so many steps of a check between any two operations.
fn play_under_checks(
    means: &Means,
    operations: &[Operation],
    mutant: Option<Mutant>,
    check_steps: u32,
) -> Result<(), TestCaseError> {
    seed(None);
    let mut scene = Scene::new(means.clone());
    scene.check_steps = check_steps;
    effort::set_entry_units(means.units);
    seed(mutant);
    scene.compare()?;
    for operation in operations {
        scene.step(operation)?;
    }
    scene.finish()
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn what_is_lent_follows_a_naive_tree(
        operations in prop::collection::vec(operation(), 20..200),
        means in means(),
    ) {
        play(&means, &operations, None)?;
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn no_check_takes_for_wrong_what_is_only_new(
        operations in prop::collection::vec(operation(), 20..200),
        means in means(),
        steps in 1..100_u32,
    ) {
        play_under_checks(&means, &operations, None, steps)?;
    }
}
