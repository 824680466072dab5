//! Gates and several threads: they meet, wait and take from each other, on one CPU by turns and on several at once.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use conformance::{
    Call, Claim, Failure, STACK_BYTES, Service, Verdict, caller, caller_by, claim, ends_in_fault, ensure, ensure_eq,
    fresh_address, gate_into, lent, nap, needs_cpus, on_cpu, peek, poke, refused, run_on, serves,
    the_kernel_passes_its_own_checks, turns_of_each, wait_for_state, wait_until,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use libvas::gate::{Along, Answer, Called, GateWords, Request, Serve, Stacks};
use libvas::thread::{self, ThreadState};
use libvas::{
    Cap, CapTable, Error, Gate, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, View, counters, program, raw,
};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(calls_run_on_the_gates_stacks),
        claim!(only_the_callee_sees_its_space),
        claim!(thread_info_counts_calls),
        claim!(when_all_stacks_are_taken_a_call_is_busy),
        claim!(who_waits_goes_in_by_order_of_coming),
        claim!(the_gate_tells_what_it_is_and_how_many_wait),
        claim!(who_waits_for_a_stack_is_told),
        claim!(who_waits_for_a_stack_can_be_stopped),
        claim!(what_goes_along_with_who_waits_is_looked_at_when_its_turn_comes),
        claim!(registers_inside_survive_other_threads_turns),
        claim!(a_refused_call_changes_no_register),
        claim!(vector_registers_and_thread_pointer_go_along_in_trust),
        claim!(a_gate_leads_into_a_view),
        claim!(a_gate_leads_into_a_space_of_one_cpu),
        claim!(who_is_inside_moves_to_another_cpu),
        claim!(all_cpus_call_one_gate_at_once),
        claim!(who_computes_inside_on_another_cpu_comes_out),
        claim!(who_calls_all_the_time_on_other_cpus_is_told_once),
        claim!(who_is_stopped_inside_on_another_cpu_ends_when_it_comes_out),
        claim!(gates_come_and_go_on_all_cpus_at_once),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_gates", CLAIMS, 1)
}

/// A stack on the heap, which is in every space of the program.
fn stack_everywhere() -> Stacks {
    let stack: &'static [u128; 2048] = Box::leak(Box::new([0; 2048]));
    Stacks { start: (&raw const *stack).expose_provenance() as u64, stack_bytes: STACK_BYTES, count: 1 }
}

serves!(Turns, |called| called.words.map(|word| !word.rotate_left(8)));

/// A call runs on a stack of the gate, and two at the same time on two of them.
fn calls_run_on_the_gates_stacks() -> Verdict {
    static INSIDE: AtomicU64 = AtomicU64::new(0);
    serves!(Meets, |called| {
        let here = 0_u8;
        INSIDE.fetch_add(1, SeqCst);
        while INSIDE.load(SeqCst) < called.words[0] {
            nap();
        }
        [(&raw const here).addr() as u64, 0, 0, 0, 0, 0]
    });
    let service = Service::new::<Meets>(3)?;
    let callers = (0..3).map(|_| caller(service.bits(), Request::new([3; 6]))).collect::<Result<Vec<_>, _>>()?;
    let mut stacks = Vec::new();
    for caller in callers {
        let [address, ..] = caller.join()??;
        stacks.push(address.wrapping_sub(service.stacks.start) / STACK_BYTES);
    }
    stacks.sort_unstable();
    ensure_eq!(stacks, [0, 1, 2]);
    Ok(())
}

/// What only the callee's space has, the caller cannot read: not before, not while a call is under way, not afterwards.
fn only_the_callee_sees_its_space() -> Verdict {
    static INSIDE: AtomicBool = AtomicBool::new(false);
    static GO_ON: AtomicBool = AtomicBool::new(false);
    serves!(Reads, |called| {
        INSIDE.store(true, SeqCst);
        while !GO_ON.load(SeqCst) {
            nap();
        }
        [Place::<u64>::new(called.words[0]).map_or(0, Place::get), 0, 0, 0, 0, 0]
    });
    let (service, secret, address) =
        (Service::new::<Reads>(1)?, Segment::new(program().account(), PAGE)?, fresh_address());
    secret.write(0, &0x5ec2_e700_u64.to_le_bytes())?;
    service.space.map(address, &secret, 0..PAGE, Rights::READ)?;
    let is_hidden = || -> Verdict {
        ensure!(ends_in_fault(program().space(), move || peek(address))?, "the caller's space has the callee's memory");
        refused(program().space().read(address, &mut [0]), Error::BadAddress)
    };
    is_hidden()?;
    let call = caller(service.bits(), Request::new([address; 6]))?;
    wait_until(|| Ok(INSIDE.load(SeqCst)))?;
    is_hidden()?;
    GO_ON.store(true, SeqCst);
    ensure_eq!(call.join()??[0], 0x5ec2_e700);
    is_hidden()
}

/// Calls itself until it is in as many calls as the first word says, and stays in the last until it may go.
struct Nests;

impl Serve for Nests {
    fn serve(called: Called) -> Answer {
        let [left, gate, ..] = called.words;
        while left == 1 && !MAY_GO.load(SeqCst) {
            nap();
        }
        let deeper = if left == 1 { Ok([0; 6]) } else { lent::<Gate>(gate).call([left - 1, gate, 0, 0, 0, 0]) };
        let [depth, ..] = deeper.unwrap_or([u64::MAX / 2; 6]);
        Answer { words: [depth + 1, 0, 0, 0, 0, 0], given: None }
    }
}

/// `ThreadInfo` tells in how many calls a thread is, and in which space.
fn thread_info_counts_calls() -> Verdict {
    let service = Service::new::<Nests>(15)?;
    for depth in [1, 2, 15] {
        MAY_GO.store(false, SeqCst);
        let call = caller(service.bits(), Request::new([depth, service.bits(), 0, 0, 0, 0]))?;
        wait_until(|| Ok(service.gate.info()?.free == 15 - depth))?;
        wait_for_state(call.thread(), ThreadState::Sleeping)?;
        let info = call.thread().info()?;
        ensure_eq!((info.calls, info.space), (depth, service.gate.info()?.space));
        MAY_GO.store(true, SeqCst);
        ensure_eq!((call.join()??[0], service.gate.info()?.free), (depth, 15));
    }
    Ok(())
}

/// Whether those inside of [`Holds`] may go.
static MAY_GO: AtomicBool = AtomicBool::new(true);
/// Who was in there, a digit each, the first one foremost.
static ORDER: AtomicU64 = AtomicU64::new(0);

serves!(Holds, |called| {
    ORDER.store(ORDER.load(SeqCst) << 4 | called.words[0], SeqCst);
    while !MAY_GO.load(SeqCst) {
        nap();
    }
    called.words
});

/// A service with so many stacks, on each of which somebody is, and those.
fn taken(stacks: u64) -> Result<(Service, Vec<Call>), Failure> {
    let service = Service::new::<Holds>(stacks)?;
    MAY_GO.store(false, SeqCst);
    ORDER.store(0, SeqCst);
    let mut inside = Vec::new();
    for number in 1..=stacks {
        inside.push(caller(service.bits(), Request::new([number; 6]))?);
        wait_until(|| Ok(service.gate.info()?.free == stacks - number))?;
    }
    Ok((service, inside))
}

/// One more that waits.
fn line_up(service: &Service, calls: &mut Vec<Call>, number: u64) -> Verdict {
    calls.push(caller(service.bits(), Request::new([number; 6]).wait())?);
    calls.last().map_or(Ok(()), |call| wait_for_state(call.thread(), ThreadState::Calling))
}

/// As many calls go in as there are stacks; one more is `Busy` at once, and goes in when one is free.
fn when_all_stacks_are_taken_a_call_is_busy() -> Verdict {
    let (service, inside) = taken(3)?;
    for _ in 0..3 {
        refused(service.gate.call([9; 6]), Error::Busy)?;
    }
    MAY_GO.store(true, SeqCst);
    for (number, call) in (1..).zip(inside) {
        ensure_eq!(call.join()??, [number; 6]);
    }
    ensure_eq!((service.gate.call([9; 6])?, service.gate.info()?.free), ([9; 6], 3));
    Ok(())
}

/// Those who wait for a stack get it in the order of coming, before anybody who comes later; who does not wait is `Busy`.
fn who_waits_goes_in_by_order_of_coming() -> Verdict {
    let (service, mut calls) = taken(1)?;
    (2..=6).try_for_each(|number| line_up(&service, &mut calls, number))?;
    refused(service.gate.call([9; 6]), Error::Busy)?;
    MAY_GO.store(true, SeqCst);
    for (number, call) in (1..).zip(calls) {
        ensure_eq!(call.join()??, [number; 6]);
    }
    ensure_eq!((ORDER.load(SeqCst), service.gate.info()?.waiting), (0x12_3456, 0));
    Ok(())
}

/// What a gate tells of itself, by whatever capability.
fn the_gate_tells_what_it_is_and_how_many_wait() -> Verdict {
    let (service, mut calls) = taken(2)?;
    let gate = service.gate.derive(Rights::empty(), 4)?;
    (1..=3).try_for_each(|number| line_up(&service, &mut calls, number))?;
    let info = gate.info()?;
    MAY_GO.store(true, SeqCst);
    for call in calls {
        call.join()??;
    }
    ensure_eq!((info.is_open, info.stacks, info.free, info.waiting), (1, 2, 0, 3));
    let info = gate.info()?;
    ensure_eq!((info.is_open, info.stacks, info.free, info.waiting), (1, 2, 2, 0));
    Ok(())
}

/// What a callee has in registers that calls keep is kept while others have their turns, whether these are in calls or not.
fn registers_inside_survive_other_threads_turns() -> Verdict {
    fn kept(seed: u64) -> u64 {
        let is_kept = |round: &u64| {
            let before = core::array::from_fn(|index| (seed << 32 | round) ^ (index as u64 + 1) << 56);
            let call = if round.is_multiple_of(3) { (number::sleep, 1000) } else { (number::yield_now, 0) };
            raw::call_with_registers(call.0, call.1, before) == before
        };
        (0..200).filter(is_kept).count() as u64
    }
    serves!(Keeps, |called| [kept(called.words[0]), called.words[0], 0, 0, 0, 0]);
    let service = Service::new::<Keeps>(2)?;
    let calls = [1, 2].map(|seed| caller(service.bits(), Request::new([seed; 6])));
    let outside = thread::spawn(|| kept(3))?;
    for (seed, call) in (1..).zip(calls) {
        ensure_eq!(call?.join()??[..2], [200, seed]);
    }
    ensure_eq!(outside.join()?, 200);
    Ok(())
}

/// A call that is refused leaves all registers as other calls do, and tells nothing of the kernel's in those that calls lose.
fn a_refused_call_changes_no_register() -> Verdict {
    const FILLER: u64 = 0x0074_6573_7365_7261;
    let service = Service::new::<Turns>(1)?;
    let bits = service.bits();
    for call in [number::gate_call, number::gate_caller, number::gate_call, number::gate_caller] {
        // The flags make no sense.
        let before = core::array::from_fn(|index| 0x1111 * (index as u64 + 1));
        ensure_eq!(raw::call_with_registers(call, bits, before), before);
        let lost = raw::lost_registers(call, bits, FILLER);
        ensure!(lost.iter().all(|word| [0, FILLER, bits, call].contains(word)), "call {call} leaves {lost:x?}");
        service.gate.call([0; 6])?;
    }
    Ok(())
}

/// Vector registers and the thread pointer are the thread's, also where others run meanwhile: where both sides trust each other, each
/// sees what the other left.
fn vector_registers_and_thread_pointer_go_along_in_trust() -> Verdict {
    const THERE: [u64; 4] = [1, 2, 3, 1 << 63];
    const BACK: [u64; 4] = [u64::MAX, 8, 7, 6];
    static WORDS: [u64; 2] = [111, 222];
    fn point_to(index: usize) -> Result<(), Error> {
        thread::set_pointer((&raw const WORDS[index]).expose_provenance() as u64).map(|_| ())
    }
    fn pointed_to() -> u64 {
        // SAFETY: whoever asks has a static word's address as its thread pointer.
        unsafe { raw::thread_pointer_word() }
    }
    struct Changes;
    impl Serve for Changes {
        const TRUSTS: bool = true;

        fn serve(called: Called) -> Answer {
            let found = (raw::vector_registers() == THERE, pointed_to());
            nap();
            raw::set_vector_registers(BACK);
            Answer {
                words: [u64::from(found.0), found.1, u64::from(point_to(1).is_err()), called.badge, 0, 0],
                given: None,
            }
        }
    }
    let service = Service::new::<Changes>(1)?;
    for _ in 0..3 {
        point_to(0)?;
        raw::set_vector_registers(THERE);
        ensure_eq!(service.gate.request(Request::new([0; 6]).trusting())?.0[..3], [1, 111, 0]);
        ensure_eq!((raw::vector_registers(), pointed_to()), (BACK, 222));
    }
    Ok(())
}

/// A gate with one stack that is taken, who is on it, and one who waits.
fn waited_for(request: Request) -> Result<(Cap<Gate>, Cap<Space>, Call, Call), Failure> {
    let (Service { gate, space, .. }, mut inside) = taken(1)?;
    let waits = caller(gate.handle().bits(), request.wait())?;
    wait_for_state(waits.thread(), ThreadState::Calling)?;
    Ok((gate, space, inside.remove(0), waits))
}

/// When gate, space or capability go, who waits for a stack is told.
fn who_waits_for_a_stack_is_told() -> Verdict {
    for how in 0..3 {
        let (gate, space, inside, waits) = waited_for(Request::new([2; 6]))?;
        match how {
            0 => gate.close_now()?,
            1 => space.delete()?,
            _ => gate.delete()?,
        }
        ensure_eq!((how, inside.join()?, waits.join()?), (how, Err(Error::Gone), Err(Error::Gone)));
    }
    Ok(())
}

/// One who waits can be stopped at once; whoever comes behind gets the stack.
fn who_waits_for_a_stack_can_be_stopped() -> Verdict {
    let (gate, _space, inside, waits) = waited_for(Request::new([2; 6]))?;
    let last = caller(gate.handle().bits(), Request::new([3; 6]).wait())?;
    wait_for_state(last.thread(), ThreadState::Calling)?;
    waits.thread().stop()?;
    refused(waits.join(), Error::Gone)?;
    MAY_GO.store(true, SeqCst);
    ensure_eq!((inside.join()??, last.join()??, gate.info()?.waiting), ([1; 6], [3; 6], 0));
    Ok(())
}

/// A capability that has gone by the time that its turn comes does not go along: the call is refused then.
fn what_goes_along_with_who_waits_is_looked_at_when_its_turn_comes() -> Verdict {
    let segment = Segment::new(program().account(), PAGE)?;
    for is_there in [true, false] {
        let own = segment.derive(Rights::READ | Rights::GRANT, 0)?;
        let (gate, _space, inside, waits) = waited_for(Request::new([2; 6]).along(Along::derived(&own, Rights::READ)))?;
        let own = if is_there { Some(own) } else { own.delete().map(|()| None)? };
        ensure_eq!(segment.capability_info()?.children, u64::from(is_there));
        MAY_GO.store(true, SeqCst);
        ensure_eq!(inside.join()??, [1; 6]);
        ensure_eq!(waits.join()?, if is_there { Ok([2; 6]) } else { Err(Error::BadHandle) });
        ensure_eq!((own.map(|own| own.revoke()).transpose()?, gate.call([4; 6])?), (is_there.then_some(()), [4; 6]));
    }
    Ok(())
}

/// A gate into a view shows its callee what the view shows, and lets it do no more.
fn a_gate_leads_into_a_view() -> Verdict {
    serves!(Touches, |called| {
        let [address, is_to_write, ..] = called.words;
        if is_to_write == 1 {
            poke(address, 1);
        }
        [u64::from(peek(address)), 0, 0, 0, 0, 0]
    });
    let (space, page, address) = (program().new_space()?, Segment::new(program().account(), PAGE)?, fresh_address());
    page.write(0, &[0x55])?;
    space.map(address, &page, 0..PAGE, Rights::READ_WRITE)?;
    let view = View::new(program().account(), &space, Rights::READ)?;
    // The program is a window there: its heap can be written.
    let gate =
        gate_into::<Touches>(program().account(), &lent(view.handle().bits()), program().table(), stack_everywhere())?;
    for _ in 0..2 {
        ensure_eq!(gate.call([address, 0, 0, 0, 0, 0])?[0], 0x55);
        refused(gate.call([address, 1, 0, 0, 0, 0]), Error::Faulted)?;
    }
    drop(view);
    refused(gate.call([address, 0, 0, 0, 0, 0]), Error::Gone)
}

/// A gate leads into a space that is local to a CPU for threads on that CPU, which have to stay there until they are out.
fn a_gate_leads_into_a_space_of_one_cpu() -> Verdict {
    MAY_GO.store(true, SeqCst);
    let space = Space::new_local(program().account(), 0)?;
    space.attach_window(0, program().subtree(), Rights::ACCESS)?;
    let gate = gate_into::<Holds>(program().account(), &space, program().table(), stack_everywhere())?;
    ensure_eq!(caller_by(on_cpu(0), gate.handle().bits(), Request::new([7; 6]))?.join()??, [7; 6]);
    needs_cpus(2)?;
    refused(caller_by(on_cpu(1), gate.handle().bits(), Request::new([7; 6]).wait())?.join()?, Error::WrongCpu)?;
    MAY_GO.store(false, SeqCst);
    let call = caller_by(on_cpu(0), gate.handle().bits(), Request::new([8; 6]))?;
    wait_until(|| Ok(gate.info()?.free == 0))?;
    wait_for_state(call.thread(), ThreadState::Sleeping)?;
    refused(call.thread().set_affinity(0b10), Error::WrongCpu)?;
    MAY_GO.store(true, SeqCst);
    ensure_eq!(call.join()??, [8; 6]);
    Ok(())
}

static TURNS: AtomicU64 = AtomicU64::new(0);

serves!(Computes, |called| {
    while !MAY_GO.load(SeqCst) {
        TURNS.fetch_add(1, SeqCst);
    }
    called.words
});

/// A thread that is sent to another CPU in the middle of a call finishes it there, and comes back to its caller there.
fn who_is_inside_moves_to_another_cpu() -> Verdict {
    needs_cpus(2)?;
    let service = Service::new::<Computes>(1)?;
    for turn in 0..8 {
        MAY_GO.store(false, SeqCst);
        let call = caller_by(on_cpu(turn % 2), service.bits(), Request::new([turn; 6]))?;
        wait_until(|| Ok(service.gate.info()?.free == 0))?;
        call.thread().set_affinity(1 << ((turn + 1) % 2))?;
        wait_until(|| Ok(call.thread().info()?.cpu == (turn + 1) % 2))?;
        let before = TURNS.load(SeqCst);
        wait_until(|| Ok(TURNS.load(SeqCst) > before))?;
        MAY_GO.store(true, SeqCst);
        ensure_eq!(call.join()??, [turn; 6]);
    }
    Ok(())
}

/// All CPUs call one gate with two stacks at once: every call gets its own answer, and never more than two are inside.
fn all_cpus_call_one_gate_at_once() -> Verdict {
    static INSIDE: AtomicU64 = AtomicU64::new(0);
    static CALLS: AtomicU64 = AtomicU64::new(0);
    serves!(Counts, |called| {
        let inside = INSIDE.fetch_add(1, SeqCst) + 1;
        if called.words[0].is_multiple_of(16) {
            thread::yield_now();
        }
        CALLS.fetch_add(1, SeqCst);
        INSIDE.fetch_sub(1, SeqCst);
        [!called.words[0], called.words[1] + called.badge, inside, 0, 0, 0]
    });
    let (service, turns, cpus) = (Service::new::<Counts>(2)?, turns_of_each(200)?, counters::cpus()?);
    let (mut threads, mut lenders) = (Vec::new(), Vec::new());
    for cpu in 0..cpus {
        let by = service.gate.derive(Rights::CALL, cpu)?;
        let bits = by.handle().bits();
        lenders.push(by);
        let calls = move |turn: u64| {
            let answer = lent::<Gate>(bits).request(Request::new([turn, turn, 0, 0, 0, 0]).wait());
            answer.is_ok_and(|(words, _)| words[..2] == [!turn, turn + cpu] && words[2] <= 2)
        };
        threads.push(on_cpu(cpu).spawn(move || (0..turns).filter(|turn| calls(*turn)).count() as u64)?);
    }
    for thread in threads {
        ensure_eq!(thread.join()?, turns);
    }
    ensure_eq!((CALLS.swap(0, SeqCst), INSIDE.load(SeqCst), service.gate.info()?.free), (turns * cpus, 0, 2));
    Ok(())
}

/// Takes a service away: by closing, by its space, by its table, by revoking the gate.
fn take_away(how: u64, service: &Service, table: &Cap<CapTable>) -> Result<(), Error> {
    match how {
        0 => service.gate.close_now(),
        1 => Cap::<Space>::from_handle(service.space.handle()).delete(),
        2 => Cap::<CapTable>::from_handle(table.handle()).delete(),
        _ => service.gate.revoke(),
    }
}

/// A callee that computes on another CPU stops at once when gate, space, table or capability go, and its caller goes on.
fn who_computes_inside_on_another_cpu_comes_out() -> Verdict {
    needs_cpus(2)?;
    MAY_GO.store(false, SeqCst);
    for how in 0..4 {
        let table = CapTable::new(program().account(), 2)?;
        let service = Service::with_table::<Computes>(1, &table)?;
        let by = service.gate.derive(Rights::CALL, 0)?;
        let before = TURNS.load(SeqCst);
        let call = caller_by(on_cpu(1), by.handle().bits(), Request::new([0; 6]))?;
        wait_until(|| Ok(TURNS.load(SeqCst) > before))?;
        take_away(how, &service, &table)?;
        let turns = TURNS.load(SeqCst);
        ensure_eq!((how, call.join()?), (how, Err(Error::Gone)));
        ensure_eq!((how, TURNS.load(SeqCst)), (how, turns));
    }
    Ok(())
}

/// Threads on other CPUs that call over and over get right answers until the gate is taken away, and then an error, by which they
/// know that.
fn who_calls_all_the_time_on_other_cpus_is_told_once() -> Verdict {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    needs_cpus(2)?;
    for how in (0..4 * turns_of_each(6)?).map(|turn| turn % 4) {
        let table = CapTable::new(program().account(), 2)?;
        let service = Service::with_table::<Turns>(counters::cpus()?, &table)?;
        let by = service.gate.derive(Rights::CALL, 0)?;
        let bits = by.handle().bits();
        let calls = move || -> Result<GateWords, Error> {
            loop {
                let words = lent::<Gate>(bits).call([CALLS.fetch_add(1, SeqCst); 6])?;
                if words.iter().any(|word| *word != words[0]) {
                    return Ok(words);
                }
            }
        };
        let threads = (1..counters::cpus()?).map(|cpu| on_cpu(cpu).spawn(calls)).collect::<Result<Vec<_>, _>>()?;
        let before = CALLS.load(SeqCst);
        wait_until(|| Ok(CALLS.load(SeqCst) > before + 20))?;
        take_away(how, &service, &table)?;
        for thread in threads {
            let end = thread.join()?;
            let is_told = end == Err(Error::Gone) || how == 3 && end == Err(Error::BadHandle);
            ensure!(is_told, "when it was taken away in way {how}, a caller got {end:x?}");
        }
    }
    Ok(())
}

/// A thread that is stopped while it computes in a call on another CPU goes on until it returns.
fn who_is_stopped_inside_on_another_cpu_ends_when_it_comes_out() -> Verdict {
    static STEPS: AtomicU64 = AtomicU64::new(0);
    serves!(Asks, |called| {
        while Called::is_awaited() == Ok(true) {
            STEPS.fetch_add(1, SeqCst);
        }
        STEPS.store(u64::MAX, SeqCst);
        called.words
    });
    needs_cpus(2)?;
    let service = Service::new::<Asks>(1)?;
    for _ in 0..5 {
        STEPS.store(0, SeqCst);
        let call = caller_by(on_cpu(1), service.bits(), Request::new([0; 6]))?;
        wait_until(|| Ok(STEPS.load(SeqCst) > 0))?;
        call.thread().stop()?;
        refused(call.join(), Error::Gone)?;
        ensure_eq!((STEPS.load(SeqCst), service.gate.info()?.free), (u64::MAX, 1));
    }
    Ok(())
}

/// Gates are made, called, faulted in and closed on all CPUs at once.
fn gates_come_and_go_on_all_cpus_at_once() -> Verdict {
    serves!(Faults, |called| if called.words[0] == 1 {
        [u64::from(peek(conformance::UNMAPPED)); 6]
    } else {
        called.words
    });
    fn lives() -> Result<(), Error> {
        let service = Service::new::<Faults>(2)?;
        let by = service.gate.derive(Rights::CALL, 0)?;
        for (word, expected) in [(0, Ok([0; 6])), (1, Err(Error::Faulted)), (2, Ok([2; 6]))] {
            if by.call([word; 6]) != expected {
                return Err(Error::BadState);
            }
        }
        service.gate.close()?;
        if by.call([0; 6]) == Err(Error::Gone) { Ok(()) } else { Err(Error::BadState) }
    }
    let turns = turns_of_each(20)?;
    let work = move || (0..turns).try_for_each(|_| lives());
    let threads = (0..counters::cpus()?).map(|cpu| on_cpu(cpu).spawn(work)).collect::<Result<Vec<_>, _>>()?;
    threads.into_iter().try_for_each(|thread| Ok(thread.join()??))
}
