//! What goes within the call that gave it up, and what only when the calling thread's registers are saved.

use host_tests::{Machine, Options};
use tessera_abi::{Call, Handle, PAGE_BYTES};
use tessera_arch::fake::Flavour;
use tessera_kernel::Kernel;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::{check, reap};

fn machine() -> Machine {
    let machine = Machine::boot(&Options::new(Flavour::Arm));
    // They say what one entry does.
    set_entry_units(ENTRY_UNITS);
    machine
}

fn objects(kernel: &Kernel) -> usize {
    let Kernel { accounts, spaces, subtrees, segments, threads, tables, .. } = kernel;
    accounts.len() + spaces.len() + subtrees.len() + segments.len() + threads.len() + tables.len()
}

/// Gives a capability up without registers; gives whether that was all.
fn give_up(machine: &mut Machine, handle: Handle) -> bool {
    machine.call_without_registers(Call::CapabilityDelete { handle }).expect("giving up is quick")
}

#[test]
fn what_nothing_refers_to_goes_within_the_call() {
    let mut machine = machine();
    let account = machine.account;
    let (table, space) = (machine.make(Call::TableCreate { account, slots: 8 }), machine.new_space());
    let handles = [
        machine.make(Call::ThreadCreate { account, table, space, priority: 1 }),
        machine.segment(PAGE_BYTES, 0),
        machine.make(Call::AccountCreate { account, bytes: PAGE_BYTES }),
        machine.make(Call::SubtreeCreate { account, level: 3 }),
        table,
        space,
    ];
    for handle in handles {
        let before = objects(&machine.kernel);
        assert!(give_up(&mut machine, handle), "nothing is left to do");
        assert_eq!(objects(&machine.kernel), before - 1);
        assert!(!reap::is_any_doomed(&machine.kernel));
        check::check(&machine.kernel);
    }
}

#[test]
fn the_calling_thread_goes_when_its_registers_are_saved() {
    let mut machine = machine();
    let (handle, id) = (machine.thread, machine.thread_id);
    assert!(!give_up(&mut machine, handle), "the thread is left");
    assert!(machine.kernel.threads.find(id).is_none(), "what is doomed is not found");
    assert!(machine.kernel.threads.ids().any(|there| there == id));
    trap::finish(&mut machine.kernel);
    assert!(machine.kernel.threads.ids().all(|there| there != id));
}

#[test]
fn the_space_that_the_calling_thread_is_in_goes_when_its_registers_are_saved() {
    let mut machine = machine();
    let (handle, id) = (machine.space, machine.space_id);
    assert!(!give_up(&mut machine, handle), "the space is left");
    assert!(machine.kernel.spaces.find(id).is_none(), "what is doomed is not found");
    assert!(machine.kernel.spaces.ids().any(|there| there == id));
    trap::finish(&mut machine.kernel);
    assert!(reap::has_to_go_on(&machine.kernel, 0), "its thread owes it");
    reap::go_on(&mut machine.kernel, 0);
    assert!(machine.kernel.spaces.ids().all(|there| there != id));
}
