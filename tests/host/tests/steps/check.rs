//! The check of everything against everything, cut wherever it can be.

use std::panic::{AssertUnwindSafe, catch_unwind};

use host_tests::smp::Cpus;
use host_tests::{FLAVOURS, Machine};
use tessera_abi::{Call, Error, Handle, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::Flavour;
use tessera_arch::fake::cpu;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::base::mutants::{CHECK_MUTANTS, seed};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::running;

use crate::scene::{BASE, UNITS, boot, pages};

/// A machine with several of everything, on whose second CPU another thread of the program runs.
fn full_machine(flavour: Flavour) -> (Machine, Cpus) {
    let mut machine = boot(flavour, 2);
    let cpus = Cpus::new(machine.kernel.shared);
    let (account, table, space) = (machine.account, machine.table, machine.space);
    start_thread(&mut machine, 31, 2);
    on_second_cpu(&mut machine, |_| {});
    (1..9).for_each(|number| start_thread(&mut machine, number, number % 4));
    for number in 0..5 {
        let inner = machine.make(Call::AccountCreate { account, bytes: pages(100) });
        let segment = machine.make(Call::SegmentCreate { account: inner, length_bytes: pages(20), flags: number % 2 });
        let rights = Rights::READ | Rights::GRANT;
        let derived = machine.make(Call::CapabilityDerive { handle: segment, rights, badge: number });
        let other = machine.make(Call::TableCreate { account: inner, slots: 9 });
        machine
            .call(Call::CapabilityCopy { handle: derived, table: other, rights: Rights::READ, badge: 0 })
            .expect("there are free slots");
        for place in 0..7 {
            let mapped = machine.map(space, derived, 0, BASE + pages(number * 700 + place * 3), pages(2), Rights::READ);
            assert_eq!(mapped, Ok(0));
        }
    }
    attach_things(&mut machine, table);
    // The core window has taken that one off its CPU.
    on_second_cpu(&mut machine, |_| {});
    (machine, cpus)
}

fn attach_things(machine: &mut Machine, table: Handle) {
    let (account, bounds) = (machine.account, Rights::READ);
    let mut subtree = |level| machine.make(Call::SubtreeCreate { account, level });
    let (outer, inner, window, public) = (subtree(3), subtree(1), subtree(3), subtree(3));
    for unit in 1..4 {
        let address = unit * pages(512);
        let attach = Call::SubtreeAttach { target: outer, subtree: inner, address, bounds, flags: 0 };
        assert_eq!(machine.call(attach), Ok(0));
    }
    for slot in 3..6 {
        let space = machine.new_space();
        machine.make(Call::ViewCreate { account, space, bounds });
        let address = slot * TOP_SLOT_BYTES;
        let inside = 9 * TOP_SLOT_BYTES + pages(512 * slot);
        for (subtree, address, flags) in [(outer, address, slot % 2), (inner, inside, 0)] {
            let attach = Call::SubtreeAttach { target: space, subtree, address, bounds, flags };
            assert_eq!(machine.call(attach), Ok(0));
        }
        machine.make(Call::ThreadCreate { account, table, space, priority: 3 });
    }
    let (control, space, address) = (machine.machine, machine.space, 20 * TOP_SLOT_BYTES);
    let attach = Call::SubtreeAttachCore { space, subtree: window, address, bounds, cpu: 1 };
    assert_eq!(machine.call(attach), Ok(0));
    let publish = Call::SubtreePublish { machine: control, subtree: public, address: 30 * TOP_SLOT_BYTES, bounds };
    assert_eq!(machine.call(publish), Ok(0));
    check::check(&machine.kernel);
}

/// A thread that may run on some CPUs, a bit each; on any if there is none.
fn start_thread(machine: &mut Machine, priority: u64, cpus: u64) {
    let (account, table, space) = (machine.account, machine.table, machine.space);
    let (thread, _) = machine.new_thread(Call::ThreadCreate { account, table, space, priority });
    if cpus != 0 {
        machine.call(Call::ThreadSetAffinity { thread, cpus }).expect("there are two CPUs");
    }
    let (instruction_pointer, stack_pointer) = (host_tests::machine::CODE, host_tests::machine::STACK_END);
    machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("it is new");
}

/// Does something as the thread of the second CPU.
fn on_second_cpu(machine: &mut Machine, act: impl FnOnce(&mut Machine)) {
    let here = cpu::cpu_index();
    cpu::set_cpu_index(1);
    if running::current(&machine.kernel, 1).is_some() || trap::schedule(&mut machine.kernel, 1) {
        act(machine);
    }
    cpu::set_cpu_index(here);
}

fn call_check(machine: &mut Machine) -> Result<u64, Error> {
    machine.call(Call::MachineCheck { machine: machine.machine })
}

#[test]
fn a_check_finds_the_same_however_it_is_cut() {
    for flavour in FLAVOURS {
        let (mut machine, _cpus) = full_machine(flavour);
        let facts = check::check(&machine.kernel);
        assert!(facts > 2000, "{facts} facts");
        for units in UNITS {
            set_entry_units(units);
            machine.steps = 0;
            assert_eq!(call_check(&mut machine), Ok(facts), "with {units} units");
            assert!(machine.steps == 0 || units < 1 << 24, "so much is done at once");
        }
        assert!(machine.steps > 500, "it was cut");
        set_entry_units(ENTRY_UNITS);
    }
}

/// Somebody who does something between all steps keeps a check from adding up what takes several, and from nothing else.
#[test]
fn a_check_comes_to_its_end_on_a_machine_that_never_stands_still() {
    for (flavour, units) in FLAVOURS.into_iter().flat_map(|flavour| [(flavour, 1), (flavour, 40), (flavour, 600)]) {
        let (mut machine, _cpus) = full_machine(flavour);
        let facts = check::check(&machine.kernel);
        set_entry_units(units);
        call_check(&mut machine).expect("nothing is wrong");
        let alone = std::mem::take(&mut machine.steps);
        machine.between_steps(move |machine| {
            on_second_cpu(machine, |machine| {
                let segment = machine.segment(pages(1), 0);
                machine.call(Call::CapabilityDelete { handle: segment }).expect("it was made");
            });
            true
        });
        let found = call_check(&mut machine).expect("nothing is wrong");
        assert!(found > facts / 8 && found <= facts, "{found} of {facts} facts, with {units} units");
        assert!(machine.steps < 8 * alone + 100, "{} steps, and {alone} alone", machine.steps);
        machine.between_steps = None;
        let found = call_check(&mut machine);
        assert_eq!(found, Ok(check::check(&machine.kernel)), "nobody does anything any more");
        set_entry_units(ENTRY_UNITS);
    }
}

/// Who comes while a pass is under way has no use for that one.
#[test]
fn two_who_check_go_on_with_the_same_pass() {
    for flavour in FLAVOURS {
        let (mut machine, _cpus) = full_machine(flavour);
        let facts = check::check(&machine.kernel);
        set_entry_units(1);
        let (number, words) = Call::MachineCheck { machine: machine.machine }.encode();
        machine.between_steps(move |machine| {
            on_second_cpu(machine, |machine| machine.step_words(number, words));
            machine.kernel.self_check.passes == 0
        });
        assert_eq!(call_check(&mut machine), Ok(facts), "nobody has done anything else");
        // The other one came while that pass was under way, and needs the next.
        on_second_cpu(&mut machine, |machine| {
            let other = running::current(&machine.kernel, 1).expect("it runs");
            assert!(machine.is_under_way(other) && machine.kernel.self_check.passes == 1);
            assert_eq!(machine.call_words(number, words), Ok(facts));
            assert_eq!(machine.kernel.self_check.passes, 2);
        });
        set_entry_units(ENTRY_UNITS);
    }
}

/// One that is stopped leaves its pass to the next, who needs another one after it.
#[test]
fn a_check_that_is_stopped_leaves_nothing_wrong() {
    for flavour in FLAVOURS {
        for steps in [1, 10, 100, 400] {
            let (mut machine, _cpus) = full_machine(flavour);
            set_entry_units(1);
            let (number, words) = Call::MachineCheck { machine: machine.machine }.encode();
            let table = machine.table;
            on_second_cpu(&mut machine, |machine| (0..steps).for_each(|_| machine.step_words(number, words)));
            assert!(machine.kernel.self_check.course.is_some(), "it is under way");
            machine.call(Call::TableStopThreads { table }).expect("the caller goes on");
            let facts = call_check(&mut machine);
            assert_eq!((facts, machine.kernel.self_check.passes), (Ok(check::check(&machine.kernel)), 2));
            set_entry_units(ENTRY_UNITS);
        }
    }
}

/// Without a look at what others have done, a check takes for wrong what is new.
#[test]
fn every_mutant_of_checks_is_caught() {
    for (flavour, mutant) in FLAVOURS.into_iter().flat_map(|flavour| CHECK_MUTANTS.map(|mutant| (flavour, mutant))) {
        let (mut machine, _cpus) = full_machine(flavour);
        machine.between_steps(|machine| {
            on_second_cpu(machine, |machine| _ = machine.segment(pages(1), 0));
            machine.steps < 300
        });
        set_entry_units(20);
        seed(Some(mutant));
        let outcome = catch_unwind(AssertUnwindSafe(|| call_check(&mut machine)));
        seed(None);
        set_entry_units(ENTRY_UNITS);
        assert!(outcome.is_err(), "nothing shows {mutant:?}");
    }
}
