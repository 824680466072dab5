//! A machine with services behind gates, and what there is to be said of a thread in a call.

use host_tests::machine::{BUFFER, CODE, STACK_END};
use host_tests::{Machine, Options};
use tessera_abi::layout::{GateLayout, Words};
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_arch::fake::Flavour;
use tessera_arch::{CallResult, UserPlace};
use tessera_kernel::cpu::gate_path;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::{ObjectRef, SpaceId, TableId, ThreadId};
use tessera_kernel::sched::{along, calling, running};

/// Where calls begin.
pub(crate) const ENTRY: u64 = CODE + 0x100;
/// Where stacks begin, and bytes of each.
pub(crate) const STACKS: u64 = 0x70_0000;
pub(crate) const STACK_BYTES: u64 = 0x1000;

/// A service: a gate, with its space and its table, by handles in the program's table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) gate: Handle,
    pub(crate) space: Handle,
    pub(crate) table: Handle,
    pub(crate) space_id: SpaceId,
    pub(crate) table_id: TableId,
}

/// Where a thread is, as its CPU says if it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Here {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) space: SpaceId,
    pub(crate) table: u32,
    pub(crate) depth: usize,
}

pub(crate) fn boot(flavour: Flavour, cpus: usize) -> Machine {
    Machine::boot(&Options { cpus, ..Options::new(flavour).frames(4096).slots(64) })
}

/// A service with so many stacks.
pub(crate) fn service(machine: &mut Machine, stacks: u64) -> Service {
    let account = machine.account;
    let (space, table) = (machine.new_space(), machine.make(Call::TableCreate { account, slots: 8 }));
    machine.attach_program(space);
    let gate = gate(machine, (space, table), stacks).expect("a gate is made");
    let ObjectRef::CapTable(table_id) = machine.object(table) else { panic!("a table") };
    Service { gate, space, table, space_id: machine.space_id(space), table_id }
}

pub(crate) fn gate(machine: &mut Machine, (space, table): (Handle, Handle), stacks: u64) -> Result<Handle, Error> {
    gate_by(
        machine,
        (space, table),
        GateLayout { entry: ENTRY, stacks: STACKS, stack_bytes: STACK_BYTES, count: stacks },
    )
}

pub(crate) fn gate_by(
    machine: &mut Machine,
    (space, table): (Handle, Handle),
    layout: GateLayout,
) -> Result<Handle, Error> {
    let mut words = [0; GateLayout::COUNT];
    layout.write(&mut words);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    machine.write(BUFFER, &bytes);
    machine.call(Call::GateCreate { account: machine.account, space, table, layout: BUFFER }).map(Handle::from_bits)
}

/// A call without a capability, as it comes.
pub(crate) fn calls(gate: Handle, flags: u64) -> Call {
    Call::GateCall { gate, flags, capability: Handle::NONE, rights: Rights::empty() }
}

pub(crate) const RETURNS: Call = Call::GateReturn { capability: Handle::NONE, rights: Rights::empty(), flags: 0 };

/// What a thread finds of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Fast,
    Common,
}

/// Calls a gate as the entry code does: by the fast path if that serves. Gives by which path it went.
pub(crate) fn call_fast(machine: &mut Machine, gate: Handle) -> Path {
    let cpu = tessera_arch::cpu_index();
    let (id, place) = place_of(machine, cpu);
    let (shared, mut badge) = (machine.kernel.shared, 0);
    let place = gate_path::call(shared, &shared.cpus[cpu], gate, &mut badge, place);
    if place == UserPlace::COMMON {
        commonly(machine, calls(gate, 0));
        return Path::Common;
    }
    let registers = machine.kernel.threads[id].context.registers_mut();
    registers.enter_call((place.instruction_pointer, place.stack_pointer), [badge, 0]);
    Path::Fast
}

/// A capability that goes along: its handle, with which rights, and flags.
pub(crate) type Along = (Handle, Rights, u64);

/// The same with a capability.
pub(crate) fn call_along(machine: &mut Machine, gate: Handle, (capability, rights, flags): Along) -> Path {
    let cpu = tessera_arch::cpu_index();
    let (id, place) = place_of(machine, cpu);
    let shared = machine.kernel.shared;
    let mut words = [gate.bits(), flags, capability.bits(), u64::from(rights.bits())];
    let before = words;
    let place = along::call(&mut machine.kernel, &shared.cpus[cpu], &mut words, place);
    if place == UserPlace::COMMON {
        assert_eq!(words, before, "the common path finds the call as it came");
        commonly(machine, Call::GateCall { gate, flags, capability, rights });
        return Path::Common;
    }
    let registers = machine.kernel.threads[id].context.registers_mut();
    registers.enter_call((place.instruction_pointer, place.stack_pointer), [words[0], words[1]]);
    Path::Fast
}

/// Returns from a call with one.
pub(crate) fn return_along(machine: &mut Machine, (capability, rights, flags): Along) -> Path {
    let cpu = tessera_arch::cpu_index();
    let (id, _) = place_of(machine, cpu);
    let shared = machine.kernel.shared;
    let mut words = [capability.bits(), u64::from(rights.bits()), flags];
    let before = words;
    let place = along::go_back(&mut machine.kernel, &shared.cpus[cpu], &mut words);
    if place == UserPlace::COMMON {
        assert_eq!(words, before, "the common path finds the call as it came");
        commonly(machine, Call::GateReturn { capability, rights, flags });
        return Path::Common;
    }
    assert_eq!(place.instruction_pointer & CallResult::UNFINISHED, 0, "nobody waits");
    let registers = machine.kernel.threads[id].context.registers_mut();
    registers.leave_call((place.instruction_pointer, place.stack_pointer), Ok(words[0]));
    Path::Fast
}

/// Returns from a call, likewise.
pub(crate) fn return_fast(machine: &mut Machine) -> Path {
    let cpu = tessera_arch::cpu_index();
    let (id, _) = place_of(machine, cpu);
    let mut place = gate_path::go_back(&machine.kernel.shared.cpus[cpu], |_| UserPlace::COMMON);
    if place == UserPlace::COMMON {
        commonly(machine, RETURNS);
        return Path::Common;
    }
    let is_unfinished = place.instruction_pointer & CallResult::UNFINISHED != 0;
    place.instruction_pointer &= !CallResult::UNFINISHED;
    let registers = machine.kernel.threads[id].context.registers_mut();
    registers.leave_call((place.instruction_pointer, place.stack_pointer), Ok(0));
    if is_unfinished {
        calling::serve_due(&mut machine.kernel, cpu);
        machine.kernel.scheduler.cpus[cpu].need_resched.set(true);
    }
    Path::Fast
}

/// Makes a call by the common path, and looks whether everything is as it should be afterwards.
pub(crate) fn commonly(machine: &mut Machine, call: Call) {
    machine.call_commonly(call);
    check::check(&machine.kernel);
}

fn place_of(machine: &Machine, cpu: usize) -> (ThreadId, UserPlace) {
    let id = running::current(&machine.kernel, cpu).expect("some thread runs");
    let registers = machine.kernel.threads[id].context.registers();
    let (instruction_pointer, stack_pointer) = (registers.instruction_pointer(), registers.stack_pointer());
    (id, UserPlace { instruction_pointer, stack_pointer })
}

/// Where a thread is.
pub(crate) fn here(machine: &Machine, id: ThreadId) -> Here {
    let (kernel, thread) = (&machine.kernel, &machine.kernel.threads[id]);
    let registers = thread.context.registers();
    let runs = running::current(kernel, thread.cpu()) == Some(id);
    let line = &kernel.shared.cpus[thread.cpu()];
    let table = if runs { line.table_number() } else { thread.table_number() };
    Here {
        ip: registers.instruction_pointer(),
        sp: registers.stack_pointer(),
        space: running::space_of(kernel, id),
        table,
        depth: thread.depth(),
    }
}

/// Where a thread is in a service, on its stack with this number, in so many calls.
pub(crate) fn inside(service: &Service, stack: u64, depth: usize) -> Here {
    let sp = STACKS + (stack + 1) * STACK_BYTES;
    Here { ip: ENTRY, sp, space: service.space_id, table: service.table_id.index(), depth }
}

/// Where the program's thread is when it is in no call.
pub(crate) fn home(machine: &Machine) -> Here {
    Here { ip: CODE, sp: STACK_END, space: machine.space_id, table: machine.table_id.index(), depth: 0 }
}

/// What a thread's last call gave.
pub(crate) fn result(machine: &Machine, id: ThreadId) -> Result<u64, Error> {
    let (status, value) = machine.kernel.threads[id].context.registers().result();
    Error::from_status(status).map(|()| value)
}

/// Makes a thread the one that runs on CPU 0, by having all others wait for each other.
pub(crate) fn run(machine: &mut Machine, id: ThreadId) {
    for _ in 0..64 {
        if running::current(&machine.kernel, 0) == Some(id) {
            return;
        }
        machine.call_commonly(Call::YieldNow {});
    }
    panic!("{id:?} never runs");
}

/// The mark of a thread that has its own place among others of the program.
pub(crate) fn new_thread(machine: &mut Machine) -> (Handle, ThreadId) {
    let (account, table, space) = (machine.account, machine.table, machine.space);
    let create = Call::ThreadCreate { account, table, space, priority: tessera_abi::PRIORITY_MAX.into() };
    let (thread, id) = machine.new_thread(create);
    let start = Call::ThreadStart { thread, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
    machine.call(start).expect("a new thread can be started");
    (thread, id)
}
