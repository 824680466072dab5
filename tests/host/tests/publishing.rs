//! What is written to tables is published before a CPU may walk them: the ways to a new root, one by one.

use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::{oracle, smp};
use tessera_kernel::base::mutants::{Mutant, seed};

/// A machine with something public, on which unpublished entries are found.
fn machine(flavour: tessera_arch::fake::Flavour, broadcasts: bool) -> Machine {
    let mut machine = Machine::boot(&Options { cpus: 2, ..Options::new(flavour) });
    smp::set_broadcasts(broadcasts);
    oracle::watch();
    let subtree = machine.make(Call::SubtreeCreate { account: machine.account, level: 3 });
    let segment = machine.segment(PAGE_BYTES, 0);
    machine.map(subtree, segment, 0, PAGE_BYTES, PAGE_BYTES, Rights::READ_EXECUTE).expect("nothing is there");
    let publish =
        Call::SubtreePublish { machine: machine.machine, subtree, address: 5 << 39, bounds: Rights::READ_EXECUTE };
    machine.call(publish).expect("no space has anything there");
    machine
}

fn jump(machine: &mut Machine, space: Handle) -> Option<String> {
    let call = Call::SpaceJump { space, instruction_pointer: 5 << 39, stack_pointer: 5 << 39, argument: 0 };
    machine.call(call).expect("there is something public");
    oracle::check();
    oracle::take_breach()
}

#[test]
fn a_new_space_shows_what_is_public_to_every_walker() {
    for flavour in FLAVOURS {
        for broadcasts in [false, true] {
            for mutant in [None, Some(Mutant::NewRootUnpublished)] {
                let mut machine = machine(flavour, broadcasts);
                seed(mutant);
                let space = machine.new_space();
                let breach = jump(&mut machine, space);
                seed(None);
                let rule = breach.as_deref().and_then(|breach| breach.split(':').next());
                assert_eq!(rule, mutant.map(|_| "unpublished"), "{breach:?}");
            }
        }
    }
}

#[test]
fn a_new_view_shows_everything_to_every_walker() {
    for flavour in FLAVOURS {
        let mut machine = machine(flavour, true);
        let (account, space) = (machine.account, machine.space);
        let view = machine.make(Call::ViewCreate { account, space, bounds: Rights::READ_EXECUTE });
        assert_eq!(jump(&mut machine, view), None);
    }
}
