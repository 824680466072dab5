//! Locks of segments: whatever threads, spaces and mappings do, a writer is alone, whoever can come in has come in, nobody waits for
//! itself, and the kernel counts who holds what.

mod model;
mod scene;

use host_tests::FLAVOURS;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::mutants::{LOCK_MUTANTS, Mutant, seed};

use crate::scene::{Operation, SEGMENTS, SPACES, Scene, THREADS};

fn operation() -> impl Strategy<Value = Operation> {
    let (thread, space) = (|| 0..THREADS, || 0..SPACES);
    let how =
        || prop::sample::select(vec![scene::How::Fast, scene::How::Waiting, scene::How::Waiting, scene::How::Trying]);
    prop_oneof![
        14 => (thread(), space(), how()).prop_map(|(thread, space, how)| Operation::Enter { thread, space, how }),
        5 => (thread(), how()).prop_map(|(thread, how)| Operation::GoHome { thread, how }),
        2 => (thread(), space()).prop_map(|(thread, space)| Operation::Wait { thread, space }),
        1 => Just(Operation::LetTimePass),
        3 => thread().prop_map(|thread| Operation::Call { thread }),
        4 => thread().prop_map(|thread| Operation::Return { thread }),
        1 => thread().prop_map(|thread| Operation::Stop { thread }),
        1 => space().prop_map(|space| Operation::Destroy { space }),
        1 => space().prop_map(|space| Operation::Revoke { space }),
        3 => (space(), 0..SEGMENTS, any::<bool>())
            .prop_map(|(space, segment, writes)| Operation::Map { space, segment, writes }),
        2 => (space(), 0..SEGMENTS).prop_map(|(space, segment)| Operation::Unmap { space, segment }),
        1 => space().prop_map(|space| Operation::View { space }),
        2 => (thread(), thread()).prop_map(|(thread, other)| Operation::Join { thread, other }),
    ]
}

fn plays(flavour: Flavour, operations: &[Operation]) -> Result<(), TestCaseError> {
    let mut scene = Scene::new(flavour);
    for operation in operations {
        scene.play(operation);
    }
    scene.end();
    Ok(())
}

fn run(flavour: Flavour, cases: u32) -> Result<(), TestError<Vec<Operation>>> {
    let operations = prop::collection::vec(operation(), 1..120);
    TestRunner::new(host_tests::config(cases)).run(&operations, |operations| plays(flavour, &operations))
}

#[test]
fn a_writer_is_alone_and_whoever_can_come_in_has() {
    for flavour in FLAVOURS {
        run(flavour, 150).unwrap_or_else(|error| panic!("{flavour:?}: {error}"));
    }
}

#[test]
fn seeded_bugs_are_caught() {
    let caught = LOCK_MUTANTS.map(|mutant: Mutant| {
        std::thread::spawn(move || {
            seed(Some(mutant));
            FLAVOURS.into_iter().any(|flavour| run(flavour, 60).is_err())
        })
        .join()
        .unwrap_or(true)
    });
    assert_eq!(caught, [true; LOCK_MUTANTS.len()], "{LOCK_MUTANTS:?}");
}
