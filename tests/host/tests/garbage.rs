//! Whatever a program asks for, the kernel never panics, and its state holds together.
//!
//! Random calls of three threads with two tables, with arguments out of valid handles, addresses and numbers that
//! are just right, just wrong, or nonsense.

use host_tests::machine::{BUFFER, CODE, STACK_END};
use host_tests::snapshot::Snapshot;
use host_tests::tlb::Tlb;
use host_tests::{FLAVOURS, Machine, Options, config};
use proptest::prelude::*;
use tessera_abi::syscall::DESCRIPTIONS;
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights, USER_END};
use tessera_arch::fake::{self, Flavour};
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr};
use tessera_kernel::lifecycle::{check, reap};
use tessera_kernel::sched::running;

/// One word of a call.
#[derive(Clone, Debug)]
enum Word {
    /// One of the handles that calls have given so far.
    Handle(usize),
    Number(u64),
}

#[derive(Clone, Debug)]
enum Operation {
    Call { number: u64, words: [Word; 6] },
    Fault { address: u64, access: Access, kind: FaultKind },
    Tick(u64),
}

/// Numbers that mean something somewhere: lengths, addresses, rights, priorities, slots.
fn number() -> impl Strategy<Value = u64> {
    let small = prop_oneof![0..40_u64, Just(u64::from(u32::MAX)), Just(u64::MAX), Just(1 << 63)];
    let lengths = (0..20_u64).prop_map(|pages| pages * PAGE_BYTES);
    let places = prop_oneof![
        (0..8_u64).prop_map(|slot| slot << 39),
        (0..30_u64).prop_map(|page| (1 << 39) + page * PAGE_BYTES),
        prop::sample::select(vec![CODE, STACK_END, BUFFER, BUFFER + 8, BUFFER - 8, USER_END, USER_END - 1, 1 << 47]),
        (0..64_u32).prop_map(|bit| 1 << bit),
    ];
    let rights = prop::sample::select(vec![1_u64, 3, 5, 7, u64::from(Rights::all().bits()), 1 << 7 | 1, 1 << 19]);
    prop_oneof![4 => small, 3 => lengths, 5 => places, 4 => rights, 1 => any::<u64>()]
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![any::<usize>().prop_map(Word::Handle), number().prop_map(Word::Number)]
}

/// A call of which the words that should be handles mostly are.
fn call() -> impl Strategy<Value = Operation> {
    let words = || [word(), word(), word(), word(), word(), word()];
    let plain = (0..55_u64, words(), prop::collection::vec(any::<usize>(), 6), any::<u64>());
    plain.prop_map(|(number, mut words, handles, stray)| {
        let arguments = DESCRIPTIONS.get(number as usize).map_or(&[][..], |call| call.arguments);
        for (index, (_, kind)) in arguments.iter().enumerate() {
            if *kind == "Handle" && stray >> (index * 3) & 7 != 0 {
                words[index] = Word::Handle(handles[index]);
            }
        }
        Operation::Call { number, words }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let access = prop::sample::select(vec![Access::Read, Access::Write, Access::Execute]);
    let kind = prop_oneof![6 => Just(FaultKind::Page), 1 => Just(FaultKind::Instruction), 1 => any::<u32>().prop_map(FaultKind::Other)];
    prop_oneof![
        30 => call(),
        1 => (number(), access, kind)
            .prop_map(|(address, access, kind)| Operation::Fault { address, access, kind }),
        2 => (0..30_000_000_u64).prop_map(Operation::Tick),
    ]
}

struct Scene {
    machine: Machine,
    handles: Vec<u64>,
    tlb: Tlb,
}

impl Scene {
    /// A program with one object of each kind, and two more threads, of which one has a table of its own.
    fn new(flavour: Flavour, tag_bits: u32) -> Scene {
        // The machine may be looked at, but neither switched off nor provoked.
        let options = Options { machine_rights: Rights::INSPECT, ..Options::new(flavour).tag_bits(tag_bits) };
        let mut machine = Machine::boot(&options);
        let (account, main) = (machine.account, machine.thread_id);
        let space = machine.new_space();
        machine.attach_program(space);
        let subtree = machine.make(Call::SubtreeCreate { account, level: 3 });
        let present = machine.segment(20 * PAGE_BYTES, 0);
        let lazy = machine.segment(700 * PAGE_BYTES, 1);
        let purse = machine.make(Call::AccountCreate { account, bytes: 40_000 });
        let (table, _) = machine.new_program(16, 31);
        for handle in [account, machine.space, table, present, machine.machine] {
            machine.call(Call::CapabilityCopy { handle, table, rights: Rights::empty(), badge: 0 }).ok();
            machine.call(Call::CapabilityCopy { handle, table, rights: Rights::all(), badge: 0 }).ok();
        }
        let third = machine.make(Call::ThreadCreate { account, table: machine.table, space, priority: 31 });
        let start =
            Call::ThreadStart { thread: third, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
        machine.call(start).expect("a new thread can be started");
        machine.let_run(main);
        let known = [machine.account, machine.table, machine.space, machine.program, machine.thread, machine.machine];
        let made = [space, subtree, present, lazy, purse, table, third];
        let handles = known.iter().chain(&made).map(|handle| handle.bits()).collect();
        Scene { machine, handles, tlb: Tlb::new() }
    }

    /// Gives whether anybody can go on.
    fn step(&mut self, operation: &Operation) -> Result<bool, TestCaseError> {
        let goes_on = match operation {
            Operation::Call { number, words } => self.call(*number, words)?,
            Operation::Fault { address, access, kind } => {
                let fault = Fault { kind: *kind, address: VirtAddr::new(*address), access: *access };
                self.machine.trap(Trap::Fault(fault))
            }
            Operation::Tick(time_ns) => {
                fake::timer::advance_ns(*time_ns);
                self.machine.trap(Trap::Interrupt(Interrupt::Timer))
            }
        };
        check::check(&self.machine.kernel);
        self.tlb.follow(fake::tlb::take_events()).map_err(TestCaseError::fail)?;
        Ok(goes_on && running::current(&self.machine.kernel, 0).is_some())
    }

    fn call(&mut self, number: u64, words: &[Word; 6]) -> Result<bool, TestCaseError> {
        let words = words.clone().map(|word| match word {
            Word::Handle(which) => self.handles[which % self.handles.len()],
            Word::Number(number) => number,
        });
        // What nobody owes goes on by a step at each entry, whatever for.
        while !self.machine.kernel.unowed.is_none() {
            reap::reap(&mut self.machine.kernel);
        }
        if running::current(&self.machine.kernel, 0).is_none() {
            return Ok(false);
        }
        let before = Snapshot::of(&self.machine.kernel);
        let result = self.machine.call_words(number, words);
        let call = Call::decode(number, words);
        match result {
            Err(error) if is_clean(call) => {
                // A join ends with the other's end, and a thread that is gone has no result.
                let after = Snapshot::of(&self.machine.kernel);
                prop_assert_eq!(before, after, "{:?}: {:?} changed something", call, error);
            }
            Ok(bits) if makes_object(call) => self.handles.push(bits),
            _ => {}
        }
        Ok(running::current(&self.machine.kernel, 0).is_some())
    }
}

/// Whether a refusal must leave everything as it was. Where user memory is concerned, a page before the one that
/// was refused may have been populated.
fn is_clean(call: Result<Call, tessera_abi::Error>) -> bool {
    !matches!(
        call,
        Ok(Call::ThreadJoin { .. }
            | Call::ThreadStop { .. }
            | Call::ThreadExit { .. }
            | Call::TableStopThreads { .. }
            | Call::CapabilityDelete { .. }
            | Call::MemoryRead { .. }
            | Call::MemoryWrite { .. }
            | Call::ConsoleWrite { .. }
            | Call::ObjectSetName { .. }
            | Call::MappingsList { .. }
            | Call::Sleep { .. })
    )
}

fn makes_object(call: Result<Call, tessera_abi::Error>) -> bool {
    matches!(
        call,
        Ok(Call::ThreadCreate { .. }
            | Call::AccountCreate { .. }
            | Call::CapabilityDerive { .. }
            | Call::CapabilityCopy { .. }
            | Call::TableCreate { .. }
            | Call::SegmentCreate { .. }
            | Call::SpaceCreate { .. }
            | Call::SpaceCreateLocal { .. }
            | Call::SubtreeCreate { .. })
    )
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn nothing_a_program_asks_for_breaks_the_kernel(
        operations in prop::collection::vec(operation(), 1..150),
        flavour in prop::sample::select(FLAVOURS.to_vec()),
        tag_bits in 0_u32..4,
    ) {
        let mut scene = Scene::new(flavour, tag_bits);
        for operation in &operations {
            if !scene.step(operation)? {
                break;
            }
        }
    }
}

/// Every call, and numbers behind the last one, with every kind of capability and none in each place.
#[test]
fn every_call_refuses_what_is_not_meant_for_it() {
    for flavour in FLAVOURS {
        for number in 0..60 {
            let mut scene = Scene::new(flavour, 8);
            for handle in scene.handles.clone().into_iter().chain([0, u64::MAX, Handle::new(3, 77).bits()]) {
                for filler in [0, 1, 7, PAGE_BYTES, BUFFER, 1 << 39, u64::MAX - 0xfff, u64::MAX] {
                    if running::current(&scene.machine.kernel, 0).is_none() {
                        break;
                    }
                    let _ = scene.machine.call_words(number, [handle, filler, filler, filler, filler, filler]);
                    if running::current(&scene.machine.kernel, 0).is_some() {
                        let words = [handle, handle, filler, filler, PAGE_BYTES, 1];
                        let _ = scene.machine.call_words(number, words);
                    }
                }
                check::check(&scene.machine.kernel);
            }
        }
    }
}
