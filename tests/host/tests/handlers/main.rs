//! Handlers: a thread is asked about on its own CPU, with its registers kept, and whatever is taken away finds it there.

mod fast;

use host_tests::machine::{BUFFER, CODE, STACK_END};
use host_tests::smp::Cpus;
use host_tests::{FLAVOURS, Machine, Options};
use proptest::prelude::*;
use tessera_abi::guest::GuestEnd;
use tessera_abi::layout::{AccountInfo, GateLayout, Words};
use tessera_abi::syscall::number;
use tessera_abi::upcall::{Answer, UpcallKind, asked_of};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::Flavour;
use tessera_arch::{Access, Fault, FaultKind, HandlerStart, Interrupt, Trap, UserPlace, VirtAddr};
use tessera_kernel::Kernel;
use tessera_kernel::base::mutants::{HANDLER_MUTANTS, Mutant, seed};
use tessera_kernel::cpu::gate_path;
use tessera_kernel::cpu::per_cpu::PerCpu;
use tessera_kernel::entry::answering;
use tessera_kernel::entry::{asking, trap};
use tessera_kernel::lifecycle::{check, reap};
use tessera_kernel::object::id::{ObjectRef, SpaceId, ThreadId};
use tessera_kernel::object::thread::Thread;
use tessera_kernel::sched::handler_path::{self, Answered};
use tessera_kernel::sched::{guests, running, upcall};

const ENTRY: u64 = CODE + 0x100;
const STACKS: u64 = 0x70_0000;
const MISSING: u64 = 7 << 40;
const RETURNS: Call = Call::GateReturn { capability: Handle::NONE, rights: Rights::empty(), flags: 0 };

/// A machine with a handler's gate in a space of its own, which is nobody's handler yet.
struct Scene {
    machine: Machine,
    gate: Handle,
    space: Handle,
    /// Whether the fast path is tried first, as the entry code does.
    is_fast: bool,
    /// What went that way: faults, calls, answers.
    fast: [u32; 3],
}

/// Has a handler begin, as the entry code does; gives whether one does.
fn begins(
    kernel: &mut Kernel,
    line: &PerCpu,
    ask: impl FnOnce(&mut Kernel, &PerCpu, &mut HandlerStart) -> Option<UserPlace>,
) -> bool {
    let mut start = HandlerStart::default();
    let Some(place) = ask(kernel, line, &mut start) else { return false };
    let id = running::current(kernel, line.index).expect("whoever is in a handler runs");
    let registers = kernel.threads[id].context.registers_mut();
    registers.set_entry(place.instruction_pointer, place.stack_pointer, [start.badge, 0]);
    registers.set_words(start.words);
    true
}

/// Asks of a call, as the entry code does.
fn ask_of_call(kernel: &mut Kernel, line: &PerCpu, start: &mut HandlerStart) -> Option<UserPlace> {
    handler_path::ask_of_call(kernel, kernel.shared, line, start)
}

/// Answers with this number, as the entry code does, and makes the call of which the handler was asked.
fn answer(kernel: &mut Kernel, line: &'static PerCpu, number: u64) -> Answered {
    let mut answered = Answered::Not;
    let _ = gate_path::go_back(line, |last| {
        answered = handler_path::answer(kernel, line, last, number);
        UserPlace::COMMON
    });
    if answered == Answered::Call {
        answering::make(kernel, line);
    }
    answered
}

impl Scene {
    fn new(flavour: Flavour, cpus: usize, stacks: u64) -> Scene {
        let mut machine = Machine::boot(&Options { cpus, ..Options::new(flavour).frames(4096).slots(64) });
        let account = machine.account;
        let (space, table) = (machine.new_space(), machine.make(Call::TableCreate { account, slots: 8 }));
        let mut words = [0; GateLayout::COUNT];
        GateLayout { entry: ENTRY, stacks: STACKS, stack_bytes: 0x1000, count: stacks }.write(&mut words);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        machine.write(BUFFER, &bytes);
        let gate = machine.make(Call::GateCreate { account, space, table, layout: BUFFER });
        Scene { machine, gate, space, is_fast: true, fast: [0; 3] }
    }

    fn commonly(self) -> Scene {
        Scene { is_fast: false, ..self }
    }

    /// Tries the fast path, if that is to be; gives whether it served.
    fn tries(&mut self, which: usize, act: impl FnOnce(&mut Kernel, &'static PerCpu) -> bool) -> bool {
        let line = &self.machine.kernel.shared.cpus[tessera_arch::cpu_index()];
        let is_served = self.is_fast && act(&mut self.machine.kernel, line);
        self.fast[which] += u32::from(is_served);
        is_served
    }

    fn set(&mut self, object: Handle, asks: u64) {
        let gate = self.gate;
        self.machine.call(Call::HandlerSet { object, gate, asks }).expect("it is its owner's");
        check::check(&self.machine.kernel);
    }

    fn current(&self) -> ThreadId {
        running::current(&self.machine.kernel, tessera_arch::cpu_index()).expect("some thread runs")
    }

    fn trap(&mut self, trap: Trap) {
        self.machine.trap(trap);
        check::check(&self.machine.kernel);
    }

    fn faults(&mut self) {
        self.faults_at(MISSING, Access::Write);
    }

    fn faults_at(&mut self, address: u64, access: Access) {
        let address = VirtAddr::new(address);
        let fault = Fault { kind: FaultKind::Page, address, access };
        let asks = |kernel: &mut Kernel, line: &PerCpu, start: &mut HandlerStart| {
            asking::ask(kernel, kernel.shared, line, (access, address), start)
        };
        if !self.tries(0, |kernel, line| begins(kernel, line, asks)) {
            self.machine.trap(Trap::Fault(fault));
        }
        check::check(&self.machine.kernel);
    }

    /// The current thread, which has a handler that is asked of calls, makes this one.
    fn calls(&mut self, call: Call) {
        let (id, (number, words)) = (self.current(), call.encode());
        self.machine.kernel.threads[id].context.registers_mut().set_call(number, words);
        if !self.tries(1, |kernel, line| begins(kernel, line, ask_of_call)) {
            self.machine.trap(Trap::GuestCall);
        }
        check::check(&self.machine.kernel);
    }

    /// The current thread, a handler, answers.
    fn answers(&mut self, answer: Answer, result: [u64; 2]) {
        self.answers_number(answer as u64, result);
    }

    fn answers_number(&mut self, number: u64, [status, value]: [u64; 2]) {
        let id = self.current();
        self.machine.kernel.threads[id].context.registers_mut().set_words([number, status, value, 0, 0, 0]);
        let mut answered = Answered::Not;
        let is_served = self.tries(2, |kernel, line| {
            answered = answer(kernel, line, number);
            answered != Answered::Not
        });
        if answered == Answered::Call {
            self.machine.go_on(tessera_arch::cpu_index());
        } else if !is_served {
            self.machine.call_commonly(RETURNS);
        }
        check::check(&self.machine.kernel);
    }

    fn is_asked(&self, id: ThreadId) -> bool {
        upcall::is_in_handler(&self.machine.kernel, id)
    }

    /// Where a thread is: instruction pointer, space, and in how many calls.
    fn place(&self, id: ThreadId) -> (u64, SpaceId, usize) {
        let kernel = &self.machine.kernel;
        let ip = kernel.threads[id].context.registers().instruction_pointer();
        (ip, running::space_of(kernel, id), kernel.threads[id].depth())
    }

    /// Takes the current thread off its CPU, so that all of it is noted, and has it go on.
    fn note(&mut self) {
        let cpu = tessera_arch::cpu_index();
        running::requeue_current(&mut self.machine.kernel, cpu);
        assert!(self.machine.go_on(cpu));
        check::check(&self.machine.kernel);
    }
}

/// At once, and after the thread was taken off its CPU in the handler: it is back where it was, with all that it had.
#[test]
fn a_fault_is_asked_of_and_the_thread_goes_on() {
    for flavour in FLAVOURS {
        for (is_noted, is_fast) in [(false, true), (true, true), (false, false), (true, false)] {
            let scene = Scene::new(flavour, 1, 1);
            let mut scene = if is_fast { scene } else { scene.commonly() };
            let (id, thread) = (scene.machine.thread_id, scene.machine.thread);
            scene.set(thread, asked_of::FAULTS);
            let home = scene.place(id);
            for value in 1..4 {
                scene.machine.kernel.threads[id].context.registers_mut().set_words([value; 6]);
                scene.machine.kernel.threads[id].context.floating_control = value;
                scene.faults();
                assert!(scene.is_asked(id));
                assert_eq!(scene.place(id), (ENTRY, scene.machine.space_id(scene.space), 1));
                let context = &scene.machine.kernel.threads[id].context;
                assert_eq!(context.floating_control, 0, "the handler has that of a new thread");
                let seen = home.0;
                assert_eq!(context.registers().words(), [UpcallKind::Fault as u64, 0, MISSING, 1, MISSING, seen]);
                if is_noted {
                    scene.note();
                }
                scene.answers(Answer::Resume, [0; 2]);
                assert_eq!(scene.place(id), home);
                let context = &scene.machine.kernel.threads[id].context;
                assert_eq!((context.registers().words(), context.floating_control), ([value; 6], value));
            }
            // The first leads where the CPU has never been. What was noted is gone back from by the common path.
            assert_eq!(scene.fast, if is_fast { [2, 0, if is_noted { 0 } else { 3 }] } else { [0; 3] });
        }
    }
}

#[test]
fn what_is_passed_on_or_not_answered_ends_the_thread() {
    for flavour in FLAVOURS {
        for how in 0..4 {
            let mut scene = Scene::new(flavour, 1, 1);
            let (thread, id) = {
                let (account, table, space) = (scene.machine.account, scene.machine.table, scene.machine.space);
                scene.machine.new_thread(Call::ThreadCreate { account, table, space, priority: 31 })
            };
            scene.set(thread, asked_of::FAULTS);
            let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
            let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
            scene.machine.call(start).expect("it is new");
            scene.note();
            assert_eq!(scene.current(), id, "it is more urgent or its turn has come");
            scene.faults();
            assert!(scene.is_asked(id));
            match how {
                0 => scene.answers(Answer::Pass, [0; 2]),
                1 => scene.answers(Answer::End, [0; 2]),
                // A mistake of the handler's.
                2 => scene.faults(),
                _ => {
                    scene.machine.call_commonly(Call::ThreadExit { code: 3 });
                }
            }
            check::check(&scene.machine.kernel);
            let has_ended = |scene: &Scene| scene.machine.kernel.threads.find(id).is_none_or(Thread::has_ended);
            for _ in 0..20 {
                if !has_ended(&scene) {
                    scene.note();
                }
            }
            assert_eq!(scene.machine.call(Call::ThreadJoin { thread }), Err(Error::Faulted), "{how}");
        }
    }
}

#[test]
fn a_call_is_asked_of_made_and_told_of() {
    for flavour in FLAVOURS {
        for (is_noted, is_fast) in [(false, true), (true, true), (false, false), (true, false)] {
            let scene = Scene::new(flavour, 1, 1);
            let mut scene = if is_fast { scene } else { scene.commonly() };
            let (id, thread) = (scene.machine.thread_id, scene.machine.thread);
            scene.set(thread, asked_of::CALLS | asked_of::RETURNS);
            assert!(scene.machine.kernel.threads[id].context.is_traced);
            scene.calls(Call::Clock {});
            let told = |scene: &Scene| scene.machine.kernel.threads[id].context.registers().words();
            assert_eq!(told(&scene)[..2], [UpcallKind::Call as u64, number::clock]);
            if is_noted {
                scene.note();
            }
            scene.answers(Answer::Resume, [0; 2]);
            assert_eq!(told(&scene)[..3], [UpcallKind::Return as u64, number::clock, 0]);
            scene.answers(Answer::Cancel, [Error::Busy.status(), 0]);
            assert!(!scene.is_asked(id));
            let result = scene.machine.kernel.threads[id].context.registers().result();
            assert_eq!(result.0, Error::Busy.status(), "another result than it had");
            // What is cancelled is not made.
            let used = |scene: &mut Scene| {
                let account = scene.machine.account;
                let info: AccountInfo =
                    scene.machine.info(|buffer| Call::AccountInfo { account, buffer }).expect("own");
                info.used_bytes
            };
            let before = used(&mut scene);
            scene.calls(Call::SpaceCreate { account: scene.machine.account });
            scene.answers(Answer::Cancel, [Error::MissingRight.status(), 0]);
            assert_eq!(used(&mut scene), before);
        }
    }
}

/// One thing that happens to some thread, or to what they are in.
#[derive(Clone, Copy, Debug)]
enum Act {
    Faults,
    Calls,
    Answers(u64),
    Yields,
    Ticks,
    Sets(usize, u64),
    Clears(usize),
    Stops(usize),
    Switches,
    Revokes,
    Closes,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Faults),
        4 => Just(Act::Calls),
        8 => (0..5_u64).prop_map(Act::Answers),
        3 => Just(Act::Yields),
        2 => Just(Act::Ticks),
        3 => (0..6_usize, 1..8_u64).prop_map(|(object, asks)| Act::Sets(object, asks)),
        1 => (0..6_usize).prop_map(Act::Clears),
        1 => (0..4_usize).prop_map(Act::Stops),
        2 => Just(Act::Switches),
        1 => Just(Act::Revokes),
        1 => Just(Act::Closes),
    ]
}

/// The threads of a random scene, the space that they go to and back from, and what can have a handler.
struct Crowd {
    scene: Scene,
    cpus: Cpus,
    objects: Vec<Handle>,
    threads: Vec<(Handle, ThreadId)>,
    lent: Handle,
}

impl Crowd {
    fn new(flavour: Flavour, stacks: u64) -> Crowd {
        let mut scene = Scene::new(flavour, 2, stacks);
        let cpus = Cpus::new(scene.machine.kernel.shared);
        let away = scene.machine.new_space();
        scene.machine.attach_program(away);
        let mut threads = Vec::new();
        for turn in 0..4_u64 {
            let (account, table, space) = (scene.machine.account, scene.machine.table, scene.machine.space);
            let (thread, id) = scene.machine.new_thread(Call::ThreadCreate { account, table, space, priority: 16 });
            scene.machine.call(Call::ThreadSetAffinity { thread, cpus: 1 << (turn % 2) }).expect("both run");
            let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
            let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: turn };
            scene.machine.call(start).expect("it is new");
            threads.push((thread, id));
        }
        let lent = scene.machine.make(Call::CapabilityDerive { handle: scene.gate, rights: Rights::all(), badge: 1 });
        let mut objects = vec![scene.machine.space, away];
        objects.extend(threads.iter().map(|(thread, _)| *thread));
        Crowd { scene, cpus, objects, threads, lent }
    }

    /// Has somebody run on a CPU, if anybody can; the machine's first thread does what none of the others does.
    fn play(&mut self, cpu: usize) -> Option<ThreadId> {
        self.cpus.play(cpu);
        self.scene.machine.feed_line();
        trap::schedule(&mut self.scene.machine.kernel, cpu);
        running::current(&self.scene.machine.kernel, cpu)
    }

    fn act(&mut self, cpu: usize, act: Act) {
        let Some(id) = self.play(cpu) else { return };
        let is_first = id == self.scene.machine.thread_id;
        match act {
            Act::Faults if is_first && !self.scene.is_asked(id) => {}
            Act::Faults => self.scene.faults(),
            Act::Calls => {
                if self.scene.machine.kernel.threads[id].context.is_traced {
                    self.scene.calls(Call::Clock {});
                } else {
                    self.scene.machine.call_commonly(Call::Clock {});
                }
            }
            Act::Answers(answer) => {
                let answers = [Answer::Pass, Answer::Resume, Answer::Cancel, Answer::End, Answer::Resume];
                if self.scene.is_asked(id) {
                    self.scene.answers(answers[answer as usize], [0, 5]);
                }
            }
            Act::Yields => {
                self.scene.machine.call_commonly(Call::YieldNow {});
            }
            Act::Ticks => self.scene.trap(Trap::Interrupt(Interrupt::Timer)),
            Act::Switches => {
                let space = self.objects[1];
                self.scene.machine.call_commonly(Call::SpaceSwitch { space });
            }
            _ => self.rule(id, act),
        }
        check::check(&self.scene.machine.kernel);
    }

    /// What only somebody does who has the program's table.
    fn rule(&mut self, id: ThreadId, act: Act) {
        if self.scene.machine.kernel.threads[id].depth() != 0 {
            return;
        }
        let call = match act {
            Act::Sets(object, asks) => {
                let is_thread = object > 1;
                let asks = if is_thread { asks } else { asked_of::FAULTS };
                Call::HandlerSet { object: self.objects[object], gate: self.lent, asks }
            }
            Act::Clears(object) => Call::HandlerSet { object: self.objects[object], gate: Handle::NONE, asks: 0 },
            Act::Stops(thread) => Call::ThreadStop { thread: self.threads[thread].0 },
            Act::Revokes => Call::CapabilityRevoke { handle: self.scene.gate },
            _ => Call::GateClose { gate: self.scene.gate, how: 1 },
        };
        if id == self.scene.machine.thread_id || !matches!(act, Act::Stops(_)) {
            self.scene.machine.call_commonly(call);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Every record is true after each, and when all threads were stopped nothing is left with them.
    #[test]
    fn whatever_happens_to_threads_that_are_asked_about(
        stacks in 1..3_u64,
        acts in prop::collection::vec((0..2_usize, any::<bool>(), act()), 1..120),
    ) {
        let mut crowd = Crowd::new(Flavour::X86, stacks);
        for (cpu, is_fast, act) in acts {
            crowd.scene.is_fast = is_fast;
            crowd.act(cpu, act);
        }
        let (kernel, threads) = (&mut crowd.scene.machine.kernel, crowd.threads.clone());
        for (_, id) in threads {
            if kernel.threads.find(id).is_some() {
                tessera_kernel::sched::ending::stop_thread(kernel, id, &mut tessera_kernel::base::effort::Effort::unlimited());
                check::check(kernel);
            }
        }
    }
}

/// Whoever was asked of a handler is found by who takes its gate away, on another CPU.
#[test]
fn a_handler_is_taken_out_on_another_cpu() {
    for flavour in FLAVOURS {
        for is_noted in [false, true] {
            let mut crowd = Crowd::new(flavour, 1);
            let thread = crowd.threads[1].0;
            crowd.scene.set(thread, asked_of::FAULTS);
            let id = crowd.play(1).expect("it was started there");
            assert_eq!(id, crowd.threads[1].1);
            crowd.scene.faults();
            assert!(crowd.scene.is_asked(id));
            if is_noted {
                crowd.scene.note();
            }
            crowd.cpus.play(0);
            let gate = crowd.scene.gate;
            crowd.scene.machine.call(Call::GateClose { gate, how: 1 }).expect("it is its owner's");
            check::check(&crowd.scene.machine.kernel);
            for _ in 0..4 {
                crowd.play(1);
                check::check(&crowd.scene.machine.kernel);
                running::requeue_current(&mut crowd.scene.machine.kernel, 1);
                trap::schedule(&mut crowd.scene.machine.kernel, 1);
            }
            assert!(crowd.scene.machine.kernel.threads.find(id).is_none_or(Thread::has_ended), "nobody answered");
        }
    }
}

/// A guest that is kicked while a handler is asked of its fault comes out when that has it try again, and not a run later.
#[test]
fn a_kick_finds_a_guest_whose_handler_is_asked() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1, 1);
        let (account, id) = (scene.machine.account, scene.machine.thread_id);
        let (space, segment) = (scene.machine.new_space(), scene.machine.segment(PAGE_BYTES, 0));
        let guest = scene.machine.make(Call::GuestCreate { account, segment, offset: 0 });
        let ObjectRef::Guest(number) = scene.machine.object(guest) else { panic!("a guest") };
        scene.set(space, asked_of::FAULTS);
        let home = scene.place(id);
        scene.machine.call_commonly(Call::GuestRun { guest, space, flags: 0, deadline_ns: u64::MAX });
        scene.faults();
        assert!(scene.is_asked(id), "before its supervisor");
        guests::kick(&mut scene.machine.kernel, number);
        check::check(&scene.machine.kernel);
        assert!(scene.is_asked(id), "what it is asked, it answers");
        scene.answers(Answer::Resume, [0; 2]);
        assert_eq!(scene.place(id), home);
        let result = scene.machine.kernel.threads[id].context.registers().result();
        assert_eq!(result, (0, GuestEnd::Kick as u64));
        scene.machine.call_commonly(Call::GuestRun { guest, space, flags: 0, deadline_ns: u64::MAX });
        assert!(guests::is_in_guest(&scene.machine.kernel.shared.cpus[0]), "the kick is over");
    }
}

/// Very many wait for the stack of a handler when its gate closes: nobody answers, and each is seen to by itself, with a break in
/// which the CPU is in no space and takes interrupts.
#[test]
fn who_waits_for_a_handler_is_seen_to_one_at_a_time() {
    const CROWD: usize = 40;
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1, 1);
        scene.set(scene.machine.space, asked_of::FAULTS);
        let (account, table, space) = (scene.machine.account, scene.machine.table, scene.machine.space);
        let create = Call::ThreadCreate { account, table, space, priority: 31 };
        let threads: Vec<_> = (0..CROWD).map(|_| scene.machine.new_thread(create)).collect();
        let (thread, priority) = (scene.machine.thread, 1);
        scene.machine.call(Call::ThreadSetPriority { thread, priority }).expect("it is its own");
        for (thread, id) in &threads {
            let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
            let start = Call::ThreadStart { thread: *thread, instruction_pointer, stack_pointer, argument: 0 };
            scene.machine.call_commonly(start);
            assert_eq!(scene.current(), *id, "it is more urgent");
            scene.faults();
            // The first is asked about and would run on; it sleeps in the handler.
            if scene.current() == *id {
                assert!(scene.is_asked(*id));
                scene.machine.call_commonly(Call::Sleep { nanoseconds: 1 << 62 });
            }
            assert_eq!(scene.current(), scene.machine.thread_id);
        }
        let (number, words) = Call::GateClose { gate: scene.gate, how: 1 }.encode();
        let id = scene.machine.thread_id;
        scene.machine.kernel.threads[id].context.registers_mut().set_call(number, words);
        let ended = |scene: &Scene| {
            let has_ended =
                |(_, id): &&(Handle, ThreadId)| scene.machine.kernel.threads.find(*id).is_none_or(Thread::has_ended);
            threads.iter().filter(has_ended).count()
        };
        let (mut before, mut breaks) = (ended(&scene), 0);
        while before < CROWD {
            scene.machine.feed_line();
            if running::current(&scene.machine.kernel, 0) == Some(id) {
                // Closing goes by steps, too.
                trap::handle(&mut scene.machine.kernel, 0, Trap::Call);
            }
            let runs = trap::schedule(&mut scene.machine.kernel, 0);
            let now = ended(&scene);
            assert!(now <= before + 1, "{} at once", now - before);
            before = now;
            check::check(&scene.machine.kernel);
            if reap::has_to_go_on(&scene.machine.kernel, 0) {
                breaks += 1;
                reap::go_on(&mut scene.machine.kernel, 0);
            } else {
                assert!(runs);
            }
        }
        assert!(breaks >= CROWD, "{breaks} breaks");
    }
}

#[test]
fn seeded_bugs_are_caught() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let is_caught = |mutant, claim: fn()| {
        seed(Some(mutant));
        let result = std::panic::catch_unwind(claim);
        seed(None);
        result.is_err()
    };
    let caught = [
        is_caught(Mutant::QuestionLost, what_is_passed_on_or_not_answered_ends_the_thread),
        is_caught(Mutant::HandlersRegistersKept, a_fault_is_asked_of_and_the_thread_goes_on),
    ];
    std::panic::set_hook(hook);
    assert_eq!(caught, [true; HANDLER_MUTANTS.len()]);
}
