//! Threads beside many others, taken away with something in hand, and names that outlive what they named.

mod costs;
mod efforts;
mod ends;
mod leftovers;
mod names;
mod pending;
mod set_queue;

use host_tests::Machine;
use host_tests::machine::{CODE, STACK_END};
use tessera_abi::{Call, Handle};
use tessera_kernel::object::id::ThreadId;

/// A thread of the program that has started, in a space, for some CPUs.
fn started(machine: &mut Machine, space: Handle, priority: u64, cpus: u64) -> (Handle, ThreadId) {
    let (account, table) = (machine.account, machine.table);
    let (thread, id) = machine.new_thread(Call::ThreadCreate { account, table, space, priority });
    machine.call(Call::ThreadSetAffinity { thread, cpus }).expect("these CPUs run");
    let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
    let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
    machine.call(start).expect("a new thread can be started");
    (thread, id)
}
