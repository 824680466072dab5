//! Every interleaving of a CPU that switches by a capability and another that takes this away.

use std::sync::Arc;

use loom_tests::atomic::{AtomicBool, Ordering, fence};
use loom_tests::handshake::{Pass, Presence};
use loom_tests::mutants::{Mutant, seed};

const S: u32 = 0;
const T: u32 = 1;

/// What both look at: the capability's slot, the CPU's pass to the space, and where the CPU is.
struct World {
    door: AtomicBool,
    way: Pass,
    line: Presence,
}

/// The CPU finds the door open, and goes in if its pass is good still; the other closes it, turns the pass stale, and looks.
/// Afterwards the CPU is not inside unseen, however that went.
fn a_switch_and_the_end_of_its_capability() {
    loom::model(|| {
        let world = Arc::new(World { door: AtomicBool::new(true), way: Pass::new(), line: Presence::new() });
        world.way.make_good(1 << 12);
        world.line.stay(T);
        let cpu = world.clone();
        let cpu = loom::thread::spawn(move || {
            if !cpu.door.load(Ordering::Relaxed) {
                return false;
            }
            let pass = cpu.way.read();
            pass.is_good() && cpu.line.enter(S, &cpu.way, pass)
        });
        world.door.store(false, Ordering::Release);
        world.way.make_stale();
        fence(Ordering::SeqCst);
        let is_seen = world.line.is_in(S);
        let has_entered = cpu.join().expect("it ends");
        assert!(is_seen || !has_entered, "a switch succeeded unseen");
    });
}

#[test]
fn a_switch_is_seen_or_fails() {
    a_switch_and_the_end_of_its_capability();
}

#[test]
#[should_panic(expected = "a switch succeeded unseen")]
fn a_switch_that_does_not_look_again_is_caught() {
    struct Seeded;
    impl Drop for Seeded {
        fn drop(&mut self) {
            seed(None);
        }
    }
    let _seeded = Seeded;
    seed(Some(Mutant::NotLookedAgain));
    a_switch_and_the_end_of_its_capability();
}
