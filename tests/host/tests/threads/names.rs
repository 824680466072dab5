//! Names that outlive what they named: ids of spaces, handles. And what ends with a table's threads.

use host_tests::machine::{CODE, STACK_END};
use host_tests::{Machine, Options};
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_arch::fake::Flavour;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ObjectRef;
use tessera_kernel::sched::running;

use crate::started;

fn machine() -> Machine {
    Machine::boot(&Options::new(Flavour::X86))
}

/// The current thread's fallback is this space.
fn fall_back_to(machine: &mut Machine, space: Handle) {
    let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
    machine.call(Call::ThreadSetFallback { space, instruction_pointer, stack_pointer }).expect("it can be entered");
}

/// A thread in a space of its own whose fallback is another space.
fn thread_with_fallback(machine: &mut Machine) -> (Handle, Handle, tessera_kernel::object::id::ThreadId) {
    let (home, refuge) = (machine.new_space(), machine.new_space());
    machine.attach_program(home);
    let (_, id) = started(machine, home, 31, 1);
    machine.let_run(id);
    fall_back_to(machine, refuge);
    machine.let_run(machine.thread_id);
    (home, refuge, id)
}

/// A fallback's space is gone, and its number was given to a stranger's as many spaces later as 32 bits can count: the
/// thread is stopped, and does not come into the stranger's space.
#[test]
fn a_fallback_never_leads_into_a_stranger_s_space() {
    let mut machine = machine();
    let (home, refuge, id) = thread_with_fallback(&mut machine);
    let number = machine.space_id(refuge).index();
    machine.call(Call::CapabilityDelete { handle: refuge }).expect("it is a handle");
    machine.kernel.spaces.skip_generations((1 << 32) - 1);
    let stranger = machine.new_space();
    assert_eq!(machine.space_id(stranger).index(), number, "the number is used again");
    machine.call(Call::CapabilityDelete { handle: home }).expect("it is a handle");
    assert_eq!(machine.kernel.threads[id].state, ThreadState::Stopped);
    assert_eq!(running::threads_in(&machine.kernel, machine.space_id(stranger)), 0);
    check::check(&machine.kernel);
}

/// The same without a stranger: while the fallback's space exists, the thread lands there.
#[test]
fn a_fallback_leads_into_its_space_while_that_exists() {
    let mut machine = machine();
    let (home, refuge, id) = thread_with_fallback(&mut machine);
    machine.call(Call::CapabilityDelete { handle: home }).expect("it is a handle");
    assert_eq!(
        (machine.kernel.threads[id].state, machine.kernel.threads[id].space),
        (ThreadState::Ready, machine.space_id(refuge))
    );
    assert_eq!(running::threads_in(&machine.kernel, machine.space_id(refuge)), 1);
    check::check(&machine.kernel);
}

/// A slot that has held as many capabilities as its generations can count stays empty, so that no handle kept from it
/// ever names another one.
#[test]
fn a_slot_without_generations_left_stays_empty() {
    let mut machine = machine();
    let derive = Call::CapabilityDerive { handle: machine.space, rights: Rights::INSPECT, badge: 0 };
    let first = machine.make(derive);
    machine.call(Call::CapabilityDelete { handle: first }).expect("it is a handle");
    machine.kernel.tables[machine.table_id].skip_generations(u32::MAX);
    let last = machine.make(derive);
    assert_eq!((last.slot(), last.generation()), (first.slot(), u32::MAX));
    machine.call(Call::CapabilityDelete { handle: last }).expect("it is a handle");
    while let Ok(bits) = machine.call(derive) {
        assert_ne!(Handle::from_bits(bits).slot(), first.slot());
    }
    for handle in [first, last] {
        assert_eq!(machine.call(Call::CapabilityDelete { handle }), Err(Error::BadHandle));
    }
    check::check(&machine.kernel);
}

/// A thread that has ended is in no space, so the number of the one it was in says nothing about where it may run.
#[test]
fn an_ended_thread_s_space_is_not_asked() {
    let mut machine = Machine::boot(&Options { cpus: 2, ..Options::new(Flavour::X86) });
    let (account, home) = (machine.account, machine.new_space());
    let (thread, id) = started(&mut machine, home, 1, 1);
    machine.call(Call::CapabilityDelete { handle: home }).expect("it is a handle");
    assert_eq!(machine.kernel.threads[id].state, ThreadState::Stopped);
    let local = machine.make(Call::SpaceCreateLocal { account, cpu: 0 });
    assert_eq!(machine.space_id(local).index(), machine.kernel.threads[id].space.index(), "the number is used again");
    assert_eq!(machine.call(Call::ThreadSetAffinity { thread, cpus: 2 }), Ok(0));
}

/// A table that holds a capability, and a thread for it that was not started.
fn table_with_thread(machine: &mut Machine) -> (Handle, Handle) {
    let (account, space) = (machine.account, machine.space);
    let table = machine.make(Call::TableCreate { account, slots: 4 });
    machine
        .call(Call::CapabilityCopy { handle: space, table, rights: Rights::INSPECT, badge: 0 })
        .expect("a free slot");
    (table, machine.make(Call::ThreadCreate { account, table, space, priority: 1 }))
}

fn used(machine: &Machine, table: Handle) -> u32 {
    let ObjectRef::CapTable(id) = machine.object(table) else { panic!("it is a table") };
    machine.kernel.tables[id].used()
}

/// A thread that never ran takes nothing along when it goes, alone or with its space; one that is stopped, or ran, does.
#[test]
fn a_thread_that_never_ran_does_not_empty_its_table() {
    let mut machine = machine();
    let (table, thread) = table_with_thread(&mut machine);
    machine.call(Call::CapabilityDelete { handle: thread }).expect("it is a handle");
    assert_eq!(used(&machine, table), 1);
    let (account, home) = (machine.account, machine.new_space());
    let thread = machine.make(Call::ThreadCreate { account, table, space: home, priority: 1 });
    machine.call(Call::CapabilityDelete { handle: home }).expect("it is a handle");
    assert_eq!((machine.call(Call::ThreadJoin { thread }), used(&machine, table)), (Err(Error::Gone), 1));
    let (table, thread) = table_with_thread(&mut machine);
    machine.call(Call::ThreadStop { thread }).expect("the right is there");
    assert_eq!(used(&machine, table), 0);
    // Once one has run, the last that goes empties the table, whether it ran or not: the program is over.
    let (table, thread) = table_with_thread(&mut machine);
    let space = machine.space;
    let other = machine.make(Call::ThreadCreate { account, table, space, priority: 1 });
    let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
    machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("it is new");
    machine.call(Call::ThreadStop { thread }).expect("the right is there");
    assert_eq!(used(&machine, table), 1);
    machine.call(Call::CapabilityDelete { handle: other }).expect("it is a handle");
    assert_eq!(used(&machine, table), 0);
    check::check(&machine.kernel);
}

/// Running a thread with a table is control over what it holds; to put something in is not.
#[test]
fn a_thread_needs_control_over_its_table() {
    let mut machine = machine();
    let (account, space) = (machine.account, machine.space);
    let table = machine.make(Call::TableCreate { account, slots: 4 });
    for (rights, expected) in [(Rights::INSERT | Rights::GRANT, Err(Error::MissingRight)), (Rights::CONTROL, Ok(()))] {
        let table = machine.make(Call::CapabilityDerive { handle: table, rights, badge: 0 });
        let created = machine.call(Call::ThreadCreate { account, table, space, priority: 1 });
        assert_eq!(created.map(|_| ()), expected);
    }
}
