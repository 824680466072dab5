//! The console on a line as slow as a real one: nothing is lost, nobody waits in the kernel, everybody has a turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::running;

use host_tests::boot::Options;
use host_tests::machine::{BUFFER, CODE, Machine, STACK_END, UNFINISHED};
use tessera_abi::layout::ThreadState;
use tessera_abi::{Call, Error};
use tessera_arch::fake::{self, Flavour};
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr};
use tessera_kernel::base::console::{BYTE_NS, PROGRAM_BYTES, RING_BYTES, SEND_BYTES_MAX};
use tessera_kernel::object::id::ThreadId;

/// Where the second of two programs has its text.
const OTHER_BUFFER: u64 = BUFFER + 8192;
const LOOKS_MAX: usize = 100_000;

fn slow_machine() -> Machine {
    let machine = Machine::boot(&Options::new(Flavour::X86));
    fake::console::set_byte_ns(BYTE_NS);
    machine
}

/// Writes as the current thread, again and again if it has to wait.
fn write(machine: &mut Machine, text: &str) {
    machine.write(BUFFER, text.as_bytes());
    let call = Call::ConsoleWrite { text: BUFFER, length_bytes: text.len() as u64 };
    for _ in 0..LOOKS_MAX {
        match machine.call(call) {
            Ok(UNFINISHED) => {}
            other => return assert_eq!(other, Ok(0)),
        }
    }
    panic!("its turn never comes");
}

/// Lets time pass until all is on the line; gives what was on it since the last time.
fn drain(machine: &mut Machine) -> String {
    for _ in 0..LOOKS_MAX {
        machine.feed_line();
        if let Some(due_ns) = machine.kernel.shared.console.deadline_ns(0) {
            fake::timer::advance_ns(due_ns.saturating_sub(tessera_arch::now_ns()));
            trap::interrupt(&mut machine.kernel, 0, Interrupt::Timer);
        } else if !machine.kernel.shared.console.is_due() {
            return String::from_utf8(fake::console::take_sent()).expect("texts are whole");
        }
    }
    panic!("the line is never done");
}

fn state(machine: &Machine, id: ThreadId) -> ThreadState {
    machine.kernel.threads[id].state
}

#[test]
fn each_way_out_of_the_kernel_hands_on_a_little_and_the_timer_brings_the_rest() {
    let mut machine = slow_machine();
    let text = "0123456789abcdef".repeat(64);
    write(&mut machine, &text);
    assert_eq!(fake::console::take_sent(), text.as_bytes()[..16]);
    let due_ns = machine.kernel.shared.console.deadline_ns(0).expect("this CPU has to come back");
    assert_eq!(due_ns, tessera_arch::now_ns() + 16 * BYTE_NS);
    machine.call(Call::Clock {}).expect("clocks are read");
    assert_eq!(fake::console::take_sent(), b"", "a busy line is left alone until it is time");
    assert_eq!(drain(&mut machine), text[16..]);
    assert_eq!(machine.kernel.shared.console.deadline_ns(0), None, "who has nothing to hand on is not woken");
}

#[test]
fn a_fast_line_is_fed_in_bounded_pieces_too() {
    let mut machine = slow_machine();
    fake::console::set_byte_ns(0);
    let text = "x".repeat(4096);
    write(&mut machine, &text);
    assert_eq!(fake::console::take_sent().len(), SEND_BYTES_MAX);
    machine.call(Call::Clock {}).expect("clocks are read");
    assert_eq!(fake::console::take_sent().len(), SEND_BYTES_MAX, "any call goes on with it");
    assert_eq!(drain(&mut machine).len(), 4096 - 2 * SEND_BYTES_MAX);
}

#[test]
fn an_idle_cpu_comes_back_for_the_line() {
    let mut machine = slow_machine();
    write(&mut machine, &"z".repeat(100));
    let second_ns = 1_000_000_000;
    machine.call(Call::Sleep { nanoseconds: second_ns }).expect("nothing stands against sleeping");
    assert!(tessera_arch::now_ns() >= second_ns);
    assert_eq!(fake::console::take_sent(), [b'z'; 100], "nobody was awake to hand it on but the timer");
}

#[test]
fn who_finds_no_room_sleeps_and_all_texts_come_whole_and_in_order() {
    let mut machine = slow_machine();
    let texts: Vec<String> = (0..40).map(|number| format!("{number:4}").repeat(1000) + "\n").collect();
    let mut slept = 0;
    for text in &texts {
        let before_ns = tessera_arch::now_ns();
        write(&mut machine, text);
        slept += usize::from(tessera_arch::now_ns() > before_ns);
    }
    assert!(slept > 20, "{slept}");
    let took_ns = tessera_arch::now_ns();
    let sent = fake::console::take_sent();
    assert!(took_ns >= (sent.len() as u64 - 16) * BYTE_NS, "the line was never faster than it is");
    assert_eq!(String::from_utf8_lossy(&sent).into_owned() + &drain(&mut machine), texts.concat());
}

#[test]
fn refused_texts_leave_no_trace_and_need_no_turn() {
    let mut machine = slow_machine();
    for _ in 0..9 {
        write(&mut machine, &"y".repeat(4000));
    }
    for (address, length_bytes, error) in
        [(BUFFER, 4097, Error::BadText), (BUFFER, u64::MAX, Error::BadText), (u64::MAX, 4, Error::BadPointer)]
    {
        let call = Call::ConsoleWrite { text: address, length_bytes };
        let result = (0..LOOKS_MAX).map(|_| machine.call(call)).find(|result| *result != Ok(UNFINISHED));
        assert_eq!(result, Some(Err(error)));
    }
    drain(&mut machine);
}

/// One writes short texts and the other long ones; both as fast as they can.
#[test]
fn two_floods_have_their_turns() {
    let mut machine = slow_machine();
    let first = machine.thread_id;
    let (_, second) = machine.new_program(4, u64::from(tessera_abi::PRIORITY_MAX));
    machine.write(BUFFER, &[b'a'; 100]);
    machine.write(OTHER_BUFFER, &[b'b'; 4096]);
    let mut written = [0_u64; 2];
    for _ in 0..20_000 {
        let current = running::current(&machine.kernel, 0).expect("somebody runs");
        let is_second = current == second;
        assert!(is_second || current == first);
        let (text, length_bytes) = if is_second { (OTHER_BUFFER, 4096) } else { (BUFFER, 100) };
        if machine.call(Call::ConsoleWrite { text, length_bytes }) == Ok(0) {
            written[usize::from(is_second)] += length_bytes;
        }
        fake::timer::advance_ns(20_000);
    }
    // One may have filled the console before the other had begun, but then they alternate, text by text.
    let texts = [(written[0] - PROGRAM_BYTES) / 100, written[1] / 4096];
    assert!(texts[0] > 50 && texts[1] > 50, "{written:?}");
    assert!(texts[0].abs_diff(texts[1]) < texts[1], "{written:?}");
}

#[test]
fn turns_come_in_the_order_of_asking_and_nobody_goes_in_front() {
    let machine = slow_machine();
    fake::console::set_byte_ns(0);
    let console = &machine.kernel.shared.console;
    while console.ensure_turn(None, 4096).is_ok() {
        assert!(console.program_text(&"x".repeat(4096)));
    }
    let turns = [0; 3].map(|_| console.ensure_turn(None, 4096).expect_err("too much waits").turn);
    // The first who was refused has a turn as well, in front of these.
    assert_eq!(turns[1..], [turns[0] + 4096, turns[1] + 4096]);
    assert!(console.ensure_turn(Some(turns[0]), 4096).is_err(), "nothing was sent yet");
    for (at, turn) in turns.into_iter().enumerate() {
        while console.ensure_turn(Some(turn), 4096).is_err() {
            console.send(0);
        }
        assert!(console.ensure_turn(None, 1).is_err() || at == 2, "others asked before");
        let later = turns.get(at + 1).map(|later| console.ensure_turn(Some(*later), 4096));
        assert!(later.is_none_or(|later| later.is_err()), "one after the other");
    }
}

#[test]
fn nobody_else_sends_when_the_console_is_seized() {
    let mut machine = slow_machine();
    drain(&mut machine);
    fake::console::set_byte_ns(0);
    let console = &machine.kernel.shared.console;
    console.seize();
    console.line(format_args!("the last"));
    assert!(!console.send(1));
    assert_eq!(fake::console::take_sent(), b"");
    console.flush();
    assert_eq!(String::from_utf8_lossy(&fake::console::take_sent()), "\n[kernel] the last\n");
}

#[test]
fn the_turn_of_one_that_is_stopped_passes() {
    let mut machine = slow_machine();
    let (handles, waiting): (Vec<_>, Vec<_>) = (0..5)
        .map(|_| {
            let priority = u64::from(tessera_abi::PRIORITY_MAX);
            let call =
                Call::ThreadCreate { account: machine.account, table: machine.table, space: machine.space, priority };
            let (thread, id) = machine.new_thread(call);
            let start = Call::ThreadStart { thread, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
            machine.call(start).expect("it can be started");
            (thread, id)
        })
        .unzip();
    machine.write(BUFFER, &[b'x'; 4096]);
    let call = Call::ConsoleWrite { text: BUFFER, length_bytes: 4096 };
    // Whoever runs writes, until only the first thread has not been told to wait.
    while waiting.iter().any(|id| state(&machine, *id) != ThreadState::Sleeping) {
        if running::current(&machine.kernel, 0) == Some(machine.thread_id) {
            machine.call(Call::YieldNow {}).expect("nothing stands against yielding");
        } else {
            machine.call(call).expect("the text is good");
        }
    }
    machine.let_run(machine.thread_id);
    for thread in handles {
        machine.call(Call::ThreadStop { thread }).expect("they may be stopped");
    }
    check::check(&machine.kernel);
    write(&mut machine, "after all\n");
    assert!(drain(&mut machine).ends_with("after all\n"));
}

#[test]
fn kernel_lines_stand_alone_and_what_follows_them_cannot_look_like_one() {
    let mut machine = slow_machine();
    drain(&mut machine);
    write(&mut machine, "unfinished");
    machine.kernel.shared.console.line(format_args!("two\nlines"));
    write(&mut machine, "[kernel] PANIC: false\n[kern");
    write(&mut machine, "el] exit code 3\n");
    let expected = "unfinished\n[kernel] two\n[kernel]   lines\n[kernel?] PANIC: false\n[kernel?] exit code 3\n";
    assert_eq!(drain(&mut machine), expected);
}

#[test]
fn kernel_lines_have_room_of_their_own_and_lost_ones_are_counted() {
    let mut machine = slow_machine();
    let console = &machine.kernel.shared.console;
    while console.program_text("a program's line\n") {}
    console.line(format_args!("still heard"));
    let lines = RING_BYTES / 20;
    (0..lines).for_each(|number| console.line(format_args!("line {number:06}")));
    drain(&mut machine);
    machine.kernel.shared.console.line(format_args!("heard again"));
    let after = drain(&mut machine);
    assert!(after.starts_with("[kernel] ") && after.ends_with(" lines lost\n[kernel] heard again\n"), "{after}");
    machine.kernel.shared.console.line(format_args!("and that is all"));
    assert_eq!(drain(&mut machine), "[kernel] and that is all\n");
}

#[test]
fn every_line_of_a_flood_of_faults_is_said() {
    let mut machine = slow_machine();
    let mut threads = Vec::new();
    for _ in 0..6 {
        while machine.kernel.shared.console.program_text("noise\n") {}
        let priority = u64::from(tessera_abi::PRIORITY_MAX);
        let call =
            Call::ThreadCreate { account: machine.account, table: machine.table, space: machine.space, priority };
        let (thread, id) = machine.new_thread(call);
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("it starts");
        threads.push(id);
    }
    let fault = Fault { kind: FaultKind::Page, address: VirtAddr::new(0x6000_0000_0000), access: Access::Read };
    let mut waited = false;
    for _ in 0..LOOKS_MAX {
        match running::current(&machine.kernel, 0).expect("somebody runs") {
            id if id == machine.thread_id => {
                machine.call(Call::YieldNow {}).expect("nothing stands against yielding");
                fake::timer::advance_ns(1_000_000);
                machine.trap(Trap::Interrupt(Interrupt::Timer));
            }
            _ => {
                machine.trap(Trap::Fault(fault));
            }
        }
        waited |= threads.iter().any(|id| state(&machine, *id) == ThreadState::Sleeping);
        if threads.iter().all(|id| state(&machine, *id) == ThreadState::Faulted) {
            break;
        }
    }
    assert!(waited, "a thread that faults while the line is full waits");
    assert!(threads.iter().all(|id| state(&machine, *id) == ThreadState::Faulted));
    let said = String::from_utf8(fake::console::take_sent()).expect("texts are whole") + &drain(&mut machine);
    assert_eq!(said.matches("[kernel] fault: ").count(), threads.len());
    assert!(!said.contains("lost"));
}

/// A breakpoint would not happen again if the thread went on, so it is kept.
#[test]
fn a_breakpoint_waits_for_its_line_and_is_not_forgotten() {
    let mut machine = slow_machine();
    let (_, id) = machine.new_program(4, u64::from(tessera_abi::PRIORITY_MAX));
    machine.let_run(id);
    while machine.kernel.shared.console.program_text("noise\n") {}
    let fault = Fault { kind: FaultKind::Breakpoint, address: VirtAddr::new(CODE), access: Access::Execute };
    machine.trap(Trap::Fault(fault));
    assert_eq!(state(&machine, id), ThreadState::Sleeping);
    for _ in 0..LOOKS_MAX {
        if state(&machine, id) == ThreadState::Faulted {
            break;
        }
        machine.call(Call::Sleep { nanoseconds: 20_000_000 }).expect("nothing stands against sleeping");
        assert_eq!(running::current(&machine.kernel, 0), Some(machine.thread_id), "it never goes on");
    }
    let said = String::from_utf8(fake::console::take_sent()).expect("texts are whole") + &drain(&mut machine);
    assert_eq!(said.matches("a breakpoint, and no debugger to tell").count(), 1);
}

/// As when the kernel panics while it writes a line: that one is lost, what was written before is not.
#[test]
fn who_seizes_the_console_writes_out_all_of_it() {
    let mut machine = slow_machine();
    drain(&mut machine);
    write(&mut machine, &"w".repeat(2000));
    fake::console::set_byte_ns(0);
    let console = &machine.kernel.shared.console;
    struct Panics;
    impl core::fmt::Display for Panics {
        fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            panic!("as it should")
        }
    }
    struct Ends<'a>(&'a tessera_kernel::base::console::Console);
    impl core::fmt::Display for Ends<'_> {
        fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            self.0.seize();
            tessera_kernel::base::log::last_line(self.0, format_args!("PANIC: in the middle of a line"));
            panic!("the machine has ended")
        }
    }
    let result = catch_unwind(AssertUnwindSafe(|| console.line(format_args!("torn {}", Panics))));
    assert!(result.is_err());
    let result = catch_unwind(AssertUnwindSafe(|| console.line(format_args!("torn {}", Ends(console)))));
    assert!(result.is_err());
    let sent = String::from_utf8(fake::console::take_sent()).expect("texts are whole");
    assert_eq!(sent, "w".repeat(2000) + "\n[kernel] PANIC: in the middle of a line\n");
}

#[test]
fn power_off_writes_out_what_waits() {
    let mut machine = slow_machine();
    drain(&mut machine);
    write(&mut machine, &"v".repeat(4000));
    fake::console::set_byte_ns(0);
    let off = Call::MachinePowerOff { machine: machine.machine, code: 7 };
    assert!(catch_unwind(AssertUnwindSafe(|| machine.call(off))).is_err(), "the fake machine ends by a panic");
    let sent = String::from_utf8(fake::console::take_sent()).expect("texts are whole");
    assert_eq!(sent, "v".repeat(4000) + "\n[kernel] exit code 7\n");
}

#[test]
fn the_end_is_seen_when_nothing_can_run_any_more_and_not_before() {
    let mut machine = slow_machine();
    assert!(!running::is_at_end(&machine.kernel), "a thread runs");
    let (account, table, space) = (machine.account, machine.table, machine.space);
    let (target, _) = machine.new_thread(Call::ThreadCreate { account, table, space, priority: 0 });
    let (_, other) = machine.new_program(4, 0);
    assert_eq!(machine.call(Call::ThreadJoin { thread: target }), Ok(UNFINISHED));
    assert_eq!(running::current(&machine.kernel, 0), Some(other));
    assert!(!running::is_at_end(&machine.kernel), "the other one runs now");
    let set_call = |machine: &mut Machine, call: Call| {
        let (number, words) = call.encode();
        machine.kernel.threads[other].context.registers_mut().set_call(number, words);
    };
    set_call(&mut machine, Call::Sleep { nanoseconds: 1_000 });
    trap::handle(&mut machine.kernel, 0, Trap::Call);
    assert!(!trap::schedule(&mut machine.kernel, 0) && !running::is_at_end(&machine.kernel), "a thread sleeps");
    fake::timer::advance_ns(1_000);
    trap::interrupt(&mut machine.kernel, 0, Interrupt::Timer);
    assert!(trap::schedule(&mut machine.kernel, 0), "it woke up");
    set_call(&mut machine, Call::ThreadExit { code: 0 });
    trap::handle(&mut machine.kernel, 0, Trap::Call);
    assert!(
        !trap::schedule(&mut machine.kernel, 0) && running::is_at_end(&machine.kernel),
        "one waits for one that was never started"
    );
}

/// Real threads play CPUs; one of them feeds the line.
#[test]
fn lines_of_several_cpus_come_whole_and_each_ones_in_order() {
    let machine = slow_machine();
    fake::console::set_byte_ns(0);
    let (shared, lines) = (machine.kernel.shared, 2000);
    let sent = std::thread::scope(|scope| {
        for cpu in 1..4 {
            scope.spawn(move || {
                fake::cpu::set_cpu_index(cpu);
                for number in 0..lines {
                    while !shared.console.program_text(&format!("cpu {cpu} line {number}\n")) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut sent = Vec::new();
        while sent.iter().filter(|byte| **byte == b'\n').count() < 3 * lines {
            shared.console.send(0);
            sent.extend(fake::console::take_sent());
            std::thread::yield_now();
        }
        String::from_utf8(sent).expect("texts are whole")
    });
    for cpu in 1..4 {
        let own: Vec<&str> = sent.lines().filter(|line| line.starts_with(&format!("cpu {cpu} "))).collect();
        let expected: Vec<String> = (0..lines).map(|number| format!("cpu {cpu} line {number}")).collect();
        assert_eq!(own, expected);
    }
}

/// Each CPU writes and feeds the line when it leaves the kernel; whoever fails to become the sender goes on.
#[test]
fn nothing_is_left_behind_that_nobody_knows_of() {
    for _ in 0..200 {
        let machine = slow_machine();
        let shared = machine.kernel.shared;
        std::thread::scope(|scope| {
            for cpu in 0..3 {
                scope.spawn(move || {
                    fake::cpu::set_cpu_index(cpu);
                    for number in 0..20 {
                        shared.console.line(format_args!("{cpu} {number}"));
                        if shared.console.is_due() {
                            shared.console.send(cpu);
                        }
                    }
                });
            }
        });
        let is_known = shared.console.is_due() || (0..3).any(|cpu| shared.console.deadline_ns(cpu).is_some());
        assert!(is_known || shared.console.is_empty());
    }
}
