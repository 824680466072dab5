//! What reviews found: each was wrong once.

use std::cell::Cell;
use std::rc::Rc;
use tessera_kernel::base::effort::Effort;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::lifecycle::reap;
use tessera_kernel::sched::deletion;
use tessera_kernel::sched::running;

use host_tests::machine::{CODE, STACK_END};
use host_tests::{Machine, Options};
use tessera_abi::layout::Counters;
use tessera_abi::{Call, PAGE_BYTES, Rights};
use tessera_arch::Interrupt;
use tessera_arch::fake::{self, Flavour};

/// A machine without pages of 1 GiB never sees one: there the bit is reserved, and the kernel would stop at the fault.
#[test]
fn pages_of_1_gib_are_used_only_where_they_exist() {
    const GIB: u64 = 1 << 30;
    for (level, tables) in [(2, 1), (1, 2)] {
        let mut machine = Machine::boot(&Options::new(Flavour::X86));
        fake::tlb::set_largest_leaf_level(level);
        let segment = machine.borrow_frames(1 << 28, GIB / PAGE_BYTES);
        let space = machine.new_space();
        machine.map(space, segment, 0, 1 << 39, GIB, Rights::READ_WRITE).expect("nothing is there");
        let tree = &machine.kernel.spaces[machine.space_id(space)].map.tree;
        assert_eq!(tree.tables - 1, tables, "tables below the root with leaves up to level {level}");
        check::check(&machine.kernel);
    }
}

/// Interrupts that cannot be masked and have no known cause are counted with the next interrupt, each once.
#[test]
fn interrupts_without_a_cause_are_counted() {
    let mut machine = Machine::boot(&Options::new(Flavour::X86));
    let mut count = |arrived: u64| {
        fake::cpu::interrupt_without_cause(arrived);
        trap::interrupt(&mut machine.kernel, 0, Interrupt::Timer);
        machine
            .info::<Counters>(|buffer| Call::Counters { cpu: 0, buffer })
            .expect("CPU 0 is there")
            .spurious_interrupts
    };
    assert_eq!([0, 3, 0, 1].map(&mut count), [0, 3, 3, 4]);
}

/// A thread that runs elsewhere and becomes less urgent than one that waits there makes way.
#[test]
fn a_priority_lowered_from_afar_makes_way() {
    let mut machine = Machine::boot(&Options { cpus: 2, ..Options::new(Flavour::X86) });
    let (account, table, space) = (machine.account, machine.table, machine.space);
    let mut threads = Vec::new();
    for priority in [30, 20] {
        let (thread, id) = machine.new_thread(Call::ThreadCreate { account, table, space, priority });
        machine.call(Call::ThreadSetAffinity { thread, cpus: 2 }).expect("CPU 1 runs");
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("it is new");
        threads.push((thread, id));
    }
    fake::cpu::set_cpu_index(1);
    assert!(trap::schedule(&mut machine.kernel, 1));
    assert_eq!(running::current(&machine.kernel, 1), Some(threads[0].1));
    fake::cpu::set_cpu_index(0);
    let interrupted = Rc::new(Cell::new(false));
    let note = interrupted.clone();
    fake::smp::on_interrupt(move |cpu, interrupt| note.set(cpu == 1 && interrupt == Interrupt::Reschedule));
    machine.call(Call::ThreadSetPriority { thread: threads[0].0, priority: 5 }).expect("less than ours");
    assert!(interrupted.get(), "CPU 1 goes on with the less urgent thread");
}

/// A table that is emptied gives up parents before children. A chain whose last link has many children is where the
/// other order handed every child on along the whole chain: 10 million steps here, under the lock.
#[test]
fn a_table_full_of_chains_is_emptied_from_the_top() {
    let mut machine = Machine::boot(&Options::new(Flavour::X86).slots(20_000).frames(16384));
    let derived = |handle| Call::CapabilityDerive { handle, rights: Rights::all(), badge: 0 };
    let mut last = machine.account;
    for _ in 0..3000 {
        last = machine.make(derived(last));
    }
    for _ in 0..3000 {
        machine.make(derived(last));
    }
    let table = machine.kernel.tables.ids().next().expect("the machine has a table");
    assert!(machine.kernel.tables[table].used() > 6000);
    while !deletion::empty_table(&mut machine.kernel, table, &mut Effort::of_entry()) {}
    while machine.kernel.tables.find(table).is_some() || reap::is_any_doomed(&machine.kernel) {
        reap::reap(&mut machine.kernel);
    }
    assert!(machine.kernel.tables.find(table).is_none(), "nothing but itself held the table");
    check::check(&machine.kernel);
}
