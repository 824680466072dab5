//! As many CPUs as the kernel knows run threads at one place, which is taken away: by steps, each of which asks some of them.

use std::cell::Cell;
use std::rc::Rc;

use host_tests::machine::{BUFFER, CODE, STACK_END};
use host_tests::smp::Cpus;
use host_tests::{Machine, Options};
use tessera_abi::layout::{CapabilityInfo, GateLayout, Words};
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_arch::fake::Flavour;
use tessera_arch::{CPUS_MAX, UserPlace};
use tessera_kernel::base::effort::{ENTRY_UNITS, Effort, set_entry_units};
use tessera_kernel::cpu::gate_path;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::{ObjectRef, SpaceId, ThreadId};
use tessera_kernel::object::thread::Thread;
use tessera_kernel::sched::{closing, running};
use tessera_kernel::state::kernel::Kernel;

/// So many CPUs are asked in one step, at most.
const MOST: u64 = 8;

/// What a step may do: as usual, or as little as can be.
const UNITS: [u32; 2] = [ENTRY_UNITS, 1];

/// A machine on which each CPU has a thread of its own.
struct Crowd {
    machine: Machine,
    cpus: Cpus,
    threads: Vec<ThreadId>,
    space: Handle,
}

impl Crowd {
    fn new(units: u32) -> Crowd {
        let machine = Machine::boot(&Options { cpus: CPUS_MAX, ..Options::new(Flavour::X86).frames(8192).slots(256) });
        let cpus = Cpus::new(machine.kernel.shared);
        let mut crowd = Crowd { machine, cpus, threads: Vec::new(), space: Handle::NONE };
        let first = crowd.machine.thread;
        crowd.machine.call(Call::ThreadSetAffinity { thread: first, cpus: 1 }).expect("CPU 0 runs");
        for cpu in 1..CPUS_MAX {
            let (account, table, space) = (crowd.machine.account, crowd.machine.table, crowd.machine.space);
            let call = Call::ThreadCreate { account, table, space, priority: 31 };
            let (thread, id) = crowd.machine.new_thread(call);
            crowd.machine.call(Call::ThreadSetAffinity { thread, cpus: 1 << cpu }).expect("the CPU runs");
            let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
            let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
            crowd.machine.call(start).expect("it is new");
            crowd.threads.push(id);
        }
        crowd.space = crowd.machine.new_space();
        let space = crowd.space;
        crowd.machine.attach_program(space);
        set_entry_units(units);
        ASKED.set(0);
        crowd
    }

    /// Each CPU but the first does this in its thread.
    fn each(&mut self, act: impl Fn(&mut Machine)) {
        for cpu in 1..CPUS_MAX {
            self.play(cpu);
            act(&mut self.machine);
        }
        self.play(0);
    }

    fn all_enter(&mut self, way: Handle) {
        self.each(|machine| {
            machine.switch_fast(way).expect("it shows the program");
        });
    }

    /// Plays a CPU, which first looks who is to run there.
    fn play(&mut self, cpu: usize) {
        self.cpus.play(cpu);
        trap::schedule(&mut self.machine.kernel, cpu);
    }

    fn derive(&mut self, handle: Handle) -> Handle {
        self.machine.make(Call::CapabilityDerive { handle, rights: Rights::all(), badge: 0 })
    }

    /// Makes a call as CPU 0; gives the most CPUs that a step of it has asked.
    fn most_asked(&mut self, call: Call) -> u64 {
        let most = Rc::new(Cell::new(0));
        let noted = Rc::clone(&most);
        note_step(&self.machine.kernel);
        self.machine.between_debts = Some(|kernel| {
            note_step(kernel);
        });
        MOST_IN_DEBTS.set(0);
        self.machine.between_steps(move |machine| {
            noted.set(noted.get().max(note_step(&machine.kernel)));
            check::check(&machine.kernel);
            true
        });
        assert_eq!(self.machine.call(call), Ok(0), "nothing stands against {call:?}");
        let last = note_step(&self.machine.kernel);
        check::check(&self.machine.kernel);
        most.get().max(last).max(MOST_IN_DEBTS.get())
    }

    fn are_all_gone_from(&self, space: SpaceId) -> bool {
        let kernel = &self.machine.kernel;
        let is_gone = |id: &ThreadId| {
            let thread = kernel.threads.find(*id);
            thread.is_none_or(|thread| thread.has_ended() || running::space_of(kernel, *id) != space)
        };
        self.threads.iter().all(is_gone)
    }
}

std::thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
    static MOST_IN_DEBTS: Cell<u64> = const { Cell::new(0) };
}

/// How many CPUs were asked since the last time.
fn note_step(kernel: &Kernel) -> u64 {
    let now = kernel.shared.cpus[0].counters.read().shootdowns_sent;
    let step = now - ASKED.replace(now);
    MOST_IN_DEBTS.set(MOST_IN_DEBTS.get().max(step));
    step
}

#[test]
fn a_way_in_by_which_all_came_is_deleted_by_steps() {
    for units in UNITS {
        let mut crowd = Crowd::new(units);
        let (space, id) = (crowd.space, crowd.machine.space_id(crowd.space));
        let lent = crowd.derive(space);
        let way = crowd.derive(lent);
        crowd.all_enter(way);
        let most = crowd.most_asked(Call::CapabilityDelete { handle: way });
        assert!((1..=MOST).contains(&most), "{most} CPUs are asked at once");
        assert_eq!(crowd.machine.call(Call::CapabilityDelete { handle: way }), Err(Error::BadHandle));
        // They stay, and are known to be there by what it was derived from.
        assert!(!crowd.are_all_gone_from(id));
        let most = crowd.most_asked(Call::CapabilityRevoke { handle: space });
        assert!(most <= MOST, "{most} CPUs are asked at once");
        assert!(crowd.are_all_gone_from(id), "who came in by it is sent out");
    }
}

#[test]
fn a_way_in_by_which_all_came_is_taken_back_by_steps() {
    for units in UNITS {
        let mut crowd = Crowd::new(units);
        let (space, id) = (crowd.space, crowd.machine.space_id(crowd.space));
        let way = crowd.derive(space);
        crowd.all_enter(way);
        let most = crowd.most_asked(Call::CapabilityRevoke { handle: space });
        assert!((1..=MOST).contains(&most), "{most} CPUs are asked at once");
        assert!(crowd.are_all_gone_from(id));
    }
}

/// What is said of each is most of what that takes.
#[test]
fn of_those_who_have_nowhere_to_go_one_is_told_at_a_time() {
    let mut crowd = Crowd::new(ENTRY_UNITS);
    let way = crowd.derive(crowd.space);
    crowd.all_enter(way);
    let (threads, before) = (crowd.threads.clone(), Cell::new(0));
    crowd.machine.between_steps(move |machine| {
        let has_ended = |id: &&ThreadId| machine.kernel.threads.find(**id).is_none_or(Thread::has_ended);
        let now = threads.iter().filter(has_ended).count();
        assert!(now - before.replace(now) <= 1, "{now} have ended");
        true
    });
    let handle = crowd.space;
    assert_eq!(crowd.machine.call(Call::CapabilityRevoke { handle }), Ok(0));
}

#[test]
fn a_view_in_which_all_are_is_taken_back_by_steps() {
    for units in UNITS {
        let mut crowd = Crowd::new(units);
        let (account, space) = (crowd.machine.account, crowd.space);
        let lent = crowd.derive(space);
        let view = crowd.machine.make(Call::ViewCreate { account, space: lent, bounds: Rights::ACCESS });
        let id = crowd.machine.space_id(view);
        crowd.all_enter(view);
        let most = crowd.most_asked(Call::CapabilityRevoke { handle: space });
        assert!((1..=MOST).contains(&most), "{most} CPUs are asked at once");
        assert!(crowd.are_all_gone_from(id) && crowd.machine.kernel.spaces.find(id).is_none());
    }
}

#[test]
fn a_space_in_which_all_are_is_destroyed_by_steps() {
    for units in UNITS {
        let mut crowd = Crowd::new(units);
        let (space, id) = (crowd.space, crowd.machine.space_id(crowd.space));
        crowd.all_enter(space);
        let most = crowd.most_asked(Call::CapabilityDelete { handle: space });
        assert!((1..=MOST).contains(&most), "{most} CPUs are asked at once");
        assert!(crowd.are_all_gone_from(id) && crowd.machine.kernel.spaces.find(id).is_none());
    }
}

/// Whoever deletes it goes on where another has come to.
#[test]
fn a_way_in_of_which_the_deletion_is_given_up_has_no_rights_and_is_deleted_once_more() {
    let mut crowd = Crowd::new(ENTRY_UNITS);
    let way = crowd.derive(crowd.space);
    crowd.all_enter(way);
    note_step(&crowd.machine.kernel);
    let (number, words) = Call::CapabilityDelete { handle: way }.encode();
    crowd.machine.step_words(number, words);
    let first = note_step(&crowd.machine.kernel);
    check::check(&crowd.machine.kernel);
    // Another call takes its place.
    let info: CapabilityInfo =
        crowd.machine.info(|buffer| Call::CapabilityInfo { handle: way, buffer }).expect("it is there");
    assert_eq!((info.rights, info.badge), (0, 0));
    assert_eq!(crowd.machine.call(Call::SpaceSwitch { space: way }), Err(Error::MissingRight));
    crowd.most_asked(Call::CapabilityDelete { handle: way });
    let all = crowd.machine.kernel.shared.cpus[0].counters.read().shootdowns_sent;
    assert!(first >= 2 && all >= CPUS_MAX as u64 - 1, "{first} CPUs, then the others");
}

#[test]
fn a_gate_in_which_all_are_is_closed_by_steps() {
    for (deletes, units) in [(false, UNITS[0]), (true, UNITS[0]), (false, UNITS[1]), (true, UNITS[1])] {
        let mut crowd = Crowd::new(units);
        let id = crowd.machine.space_id(crowd.space);
        let gate = gate_into(&mut crowd);
        // The first call makes room; the second takes no lock.
        crowd.each(|machine| machine.call_commonly(calls(gate)).then_some(()).expect("it goes in"));
        crowd.each(|machine| {
            let line = &machine.kernel.shared.cpus[tessera_arch::cpu_index()];
            machine.call_commonly(Call::GateReturn { capability: Handle::NONE, rights: Rights::empty(), flags: 0 });
            let place = UserPlace { instruction_pointer: CODE, stack_pointer: STACK_END };
            let place = gate_path::call(machine.kernel.shared, line, gate, &mut 0, place);
            assert_ne!(place, UserPlace::COMMON, "it goes in without the lock");
        });
        let most = match deletes {
            true => crowd.most_asked(Call::CapabilityDelete { handle: gate }),
            false => crowd.most_asked(Call::GateClose { gate, how: 1 }),
        };
        assert!((1..=MOST).contains(&most), "{most} CPUs are asked at once");
        assert!(crowd.are_all_gone_from(id), "who is inside comes out");
    }
}

fn calls(gate: Handle) -> Call {
    Call::GateCall { gate, flags: 0, capability: Handle::NONE, rights: Rights::empty() }
}

/// A gate into the space, with a stack for each CPU but the first.
fn gate_into(crowd: &mut Crowd) -> Handle {
    let (machine, space) = (&mut crowd.machine, crowd.space);
    let account = machine.account;
    let table = machine.make(Call::TableCreate { account, slots: 8 });
    let mut words = [0; GateLayout::COUNT];
    GateLayout { entry: CODE + 0x100, stacks: 0x70_0000, stack_bytes: 0x1000, count: CPUS_MAX as u64 - 1 }
        .write(&mut words);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    machine.write(BUFFER, &bytes);
    machine.make(Call::GateCreate { account, space, table, layout: BUFFER })
}

/// A gate call that moves a capability along, with these rights.
fn moves(gate: Handle, capability: Handle) -> Call {
    Call::GateCall { gate, flags: 2, capability, rights: Rights::SWITCH | Rights::GRANT }
}

/// Makes a call as CPU 0 that is done by steps; gives its thread's first words after it, and the most CPUs that a step has asked.
fn stepped(crowd: &mut Crowd, call: Call) -> (u64, u64) {
    let most = Rc::new(Cell::new(0));
    let noted = Rc::clone(&most);
    note_step(&crowd.machine.kernel);
    crowd.machine.between_steps(move |machine| {
        noted.set(noted.get().max(note_step(&machine.kernel)));
        check::check(&machine.kernel);
        true
    });
    let (number, words) = call.encode();
    // Where the call leads to is not where its result is found.
    let _ = crowd.machine.call_words(number, words);
    let last = note_step(&crowd.machine.kernel);
    check::check(&crowd.machine.kernel);
    crowd.machine.between_steps = None;
    let id = crowd.machine.thread_id;
    (crowd.machine.kernel.threads[id].context.registers().call_arguments()[1], most.get().max(last))
}

#[test]
fn a_way_in_by_which_all_came_goes_along_with_a_call_and_its_return_by_steps() {
    for units in UNITS {
        let mut crowd = Crowd::new(units);
        let (space, id) = (crowd.space, crowd.machine.space_id(crowd.space));
        let gate = gate_into(&mut crowd);
        let (lent, home) = (crowd.derive(space), crowd.machine.kernel.threads[crowd.machine.thread_id].space);
        let way = crowd.derive(lent);
        crowd.all_enter(way);
        let (given, most) = stepped(&mut crowd, moves(gate, way));
        assert!((1..=MOST).contains(&most), "{most} CPUs are asked at once");
        let here = running::space_of(&crowd.machine.kernel, crowd.machine.thread_id);
        assert_eq!(here, id, "it is in the gate");
        let table = crowd.machine.kernel.shared.cpus[0].table_number();
        assert_ne!(table, crowd.machine.table_id.index(), "with its table");
        let rights = crowd.machine.kernel.tables.at(table).rights(Handle::from_bits(given).slot());
        assert_eq!(rights, Rights::SWITCH | Rights::GRANT, "as it was to be given");
        // And back.
        let capability = Handle::from_bits(given);
        let (_, most) = stepped(&mut crowd, Call::GateReturn { capability, rights: Rights::SWITCH, flags: 2 });
        assert!(most <= MOST, "{most} CPUs are asked at once");
        assert_eq!(running::space_of(&crowd.machine.kernel, crowd.machine.thread_id), home, "it is back");
        assert_eq!(crowd.machine.call(Call::CapabilityDelete { handle: way }), Err(Error::BadHandle));
        // Those who came in by what was moved are known to be there by what that was derived from.
        assert!(!crowd.are_all_gone_from(id));
        crowd.most_asked(Call::CapabilityRevoke { handle: lent });
        assert!(crowd.are_all_gone_from(id));
    }
}

/// Between the first step and the next the gate closes: the capability stays where it was, with all its rights.
#[test]
fn a_call_that_is_refused_in_the_middle_of_moving_leaves_the_capability_as_it_was() {
    for units in UNITS {
        let mut crowd = Crowd::new(units);
        let gate = gate_into(&mut crowd);
        let way = crowd.derive(crowd.space);
        crowd.all_enter(way);
        let info = |machine: &mut Machine| -> CapabilityInfo {
            machine.info(|buffer| Call::CapabilityInfo { handle: way, buffer }).expect("it is there")
        };
        let before = info(&mut crowd.machine);
        let mut is_first = true;
        crowd.machine.between_steps(move |machine| {
            if core::mem::take(&mut is_first) {
                assert_eq!(machine.kernel.tables[machine.table_id].rights(way.slot()), Rights::empty(), "it is closed");
                let ObjectRef::Gate(id) = machine.object(gate) else { panic!("a gate") };
                closing::close_to_new(&mut machine.kernel, id.index(), &mut Effort::unlimited());
            }
            true
        });
        assert_eq!(crowd.machine.call(moves(gate, way)), Err(Error::Gone));
        assert_eq!(info(&mut crowd.machine), before);
        check::check(&crowd.machine.kernel);
        crowd.all_enter(way);
    }
}

/// Who gives it up with the call that was under way finds it without rights, and moves it with another.
#[test]
fn what_is_being_moved_can_be_moved_by_another_call() {
    let mut crowd = Crowd::new(ENTRY_UNITS);
    let gate = gate_into(&mut crowd);
    let way = crowd.derive(crowd.space);
    crowd.all_enter(way);
    let (number, words) = moves(gate, way).encode();
    crowd.machine.step_words(number, words);
    // Another call takes its place.
    let info: CapabilityInfo =
        crowd.machine.info(|buffer| Call::CapabilityInfo { handle: way, buffer }).expect("it is there");
    assert_eq!(info.rights, 0);
    assert_eq!(crowd.machine.call(Call::SpaceSwitch { space: way }), Err(Error::MissingRight));
    assert_eq!(
        crowd.machine.call(Call::GateCall { gate, flags: 0, capability: way, rights: Rights::SWITCH }),
        Err(Error::MissingRight),
        "without being moved it does not go along"
    );
    let (_, most) = stepped(&mut crowd, moves(gate, way));
    assert!(most <= MOST && crowd.machine.kernel.shared.cpus[0].table_number() != crowd.machine.table_id.index());
}

/// A gate can be called by the very capability that goes along, which is closed before the call is made.
#[test]
fn the_capability_of_a_call_goes_along_with_it_by_steps() {
    for units in UNITS {
        let mut crowd = Crowd::new(units);
        let gate = gate_into(&mut crowd);
        let way = crowd.derive(gate);
        crowd.each(|machine| machine.call_commonly(calls(way)).then_some(()).expect("it goes in"));
        crowd.each(|machine| {
            let line = &machine.kernel.shared.cpus[tessera_arch::cpu_index()];
            machine.call_commonly(Call::GateReturn { capability: Handle::NONE, rights: Rights::empty(), flags: 0 });
            let place = UserPlace { instruction_pointer: CODE, stack_pointer: STACK_END };
            let place = gate_path::call(machine.kernel.shared, line, way, &mut 0, place);
            assert_ne!(place, UserPlace::COMMON, "it goes in without the lock");
        });
        // A stack is free for the mover.
        crowd.play(1);
        crowd.machine.call_commonly(Call::GateReturn { capability: Handle::NONE, rights: Rights::empty(), flags: 0 });
        crowd.play(0);
        let call = Call::GateCall { gate: way, flags: 2, capability: way, rights: Rights::CALL };
        let (_, most) = stepped(&mut crowd, call);
        assert!((1..=MOST).contains(&most), "{most} CPUs are asked at once");
        let table = crowd.machine.kernel.shared.cpus[0].table_number();
        assert_ne!(table, crowd.machine.table_id.index(), "it is in the gate");
        assert_eq!(crowd.machine.kernel.tables.at(table).used(), 1);
    }
}
