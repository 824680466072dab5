//! Random operations on spaces, subtrees and segments against a naive model of what is mapped where.

mod operations;
mod scene;

use host_tests::{FLAVOURS, Options, config};
use operations::operation;
use proptest::prelude::*;
use scene::{CAPS, SPACES, SUBTREES, Scene};

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn tables_records_and_memory_follow_the_model(
        operations in prop::collection::vec(operation(SPACES, SUBTREES, CAPS), 20..70),
        flavour in prop::sample::select(FLAVOURS.to_vec()),
        tag_bits in 0_u32..4,
    ) {
        let mut scene = Scene::new(&Options::new(flavour).frames(2400).tag_bits(tag_bits));
        for operation in &operations {
            scene.step(operation)?;
        }
    }
}
