//! Subtrees at every level, in each other, public, and spaces seen through views: random operations against a naive
//! model, in which each space is a list of pages with frame and rights.

mod changes;
mod compare;
mod corners;
mod lives;
mod looks;
mod mutants;
mod names;
mod operations;
mod scene;

use host_tests::{FLAVOURS, Options, config};
use operations::{Operation, operation};
use proptest::prelude::*;
use scene::{Means, Scene};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::mutants::{Mutant, seed};

/// How a machine can be.
fn machine() -> impl Strategy<Value = (Flavour, bool, u32)> {
    (prop::sample::select(FLAVOURS.to_vec()), any::<bool>(), 0_u32..4)
}

/// Plays operations; the kernel gets a bug once the scene is set.
fn play(
    machine: (Flavour, bool, u32),
    means: Means,
    operations: &[Operation],
    mutant: Option<Mutant>,
) -> Result<(), TestCaseError> {
    let (flavour, broadcasts, tag_bits) = machine;
    let options = Options { cpus: scene::CPUS, ..Options::new(flavour).tag_bits(tag_bits).slots(96) };
    seed(None);
    let mut scene = Scene::new(&options, broadcasts, means);
    seed(mutant);
    for operation in operations {
        scene.step(operation)?;
    }
    scene.check_infos()?;
    scene.finish()
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn spaces_and_views_show_what_the_model_says(
        operations in prop::collection::vec(operation(), 20..80),
        machine in machine(),
    ) {
        play(machine, Means::Plenty, &operations, None)?;
    }

    #[test]
    fn what_the_account_cannot_bear_changes_nothing(
        operations in prop::collection::vec(operation(), 20..60),
        machine in machine(),
        pages in 20_u64..60,
    ) {
        play(machine, Means::Pages(pages), &operations, None)?;
    }
}
