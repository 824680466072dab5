//! Gates and registers: neither side of a call sees what the other has in any register, or loses its own, unless it says that it
//! trusts the other.

#![no_std]
#![no_main]

use conformance::{
    Claim, STACK_BYTES, Verdict, claim, ensure, ensure_eq, fresh_address, lent, nap, run,
    the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use libvas::gate::{Answer, Called, GateWords, Request, Serve, ServeShort, Stacks};
use libvas::raw::{self, EXTRA_WORDS, EveryRegister, GENERAL_WORDS, KEPT_REGISTERS, Probe, probe_function};
use libvas::{Cap, Error, Gate, Space, program, thread};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_callee_sees_nothing_of_its_caller),
        claim!(a_caller_loses_nothing_and_sees_nothing_of_its_callee),
        claim!(a_callee_has_its_own_control_and_leaves_nothing),
        claim!(a_callee_that_fails_shows_nothing),
        claim!(a_callee_that_is_left_shows_nothing),
        claim!(each_side_keeps_its_own_where_calls_nest),
        claim!(a_caller_that_trusts_shares_its_registers),
        claim!(a_callee_that_trusts_shares_its_registers),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("gates_registers", CLAIMS)
}

/// What callers have in their registers, callees in theirs, and those between two others.
const CALLER: u64 = 0x0a11_ce00;
const CALLEE: u64 = 0x0ca1_1ee0;
const MIDDLE: u64 = 0x0d1d_d1e0;

/// Whether a word was put somewhere as one with this mark.
fn has_mark(word: u64, mark: u64) -> bool {
    word >> 16 == mark
}

/// What a callee has seen last.
static SEEN: [AtomicU64; GENERAL_WORDS + EXTRA_WORDS] = [const { AtomicU64::new(0) }; GENERAL_WORDS + EXTRA_WORDS];

fn note(words: impl Iterator<Item = u64>) {
    SEEN.iter().zip(words).for_each(|(place, word)| place.store(word, SeqCst));
}

fn seen() -> [u64; GENERAL_WORDS + EXTRA_WORDS] {
    core::array::from_fn(|index| SEEN[index].load(SeqCst))
}

fn words_of(every: &EveryRegister) -> impl Iterator<Item = u64> {
    every.general.into_iter().chain(every.extra.words())
}

/// The extra registers of a thread that has done nothing.
fn fresh() -> Result<[u64; EXTRA_WORDS], Error> {
    thread::spawn(|| raw::read_extra().words())?.join()
}

/// A gate, with its space.
type Served = (Cap<Gate>, Cap<Space>);

/// A gate of this program at an entry.
fn gate_at(entry: unsafe extern "C" fn()) -> Result<Served, Error> {
    let space = program().new_space()?;
    let stacks = Stacks::new_in(&space, fresh_address(), STACK_BYTES, 1)?;
    let entry = entry as *const () as usize as u64;
    // SAFETY: the entry code is made for calls, and the stacks were made for them.
    let gate = unsafe { Gate::new_at(program().account(), &space, program().table(), entry, stacks) }?;
    Ok((gate, space))
}

/// Notes all that it sees, and answers with all registers set.
struct Watches;

impl Probe for Watches {
    fn probe(seen: &EveryRegister) -> EveryRegister {
        note(words_of(seen));
        EveryRegister::marked(CALLEE).calling([number::gate_return, 0, 0, 0])
    }
}

/// A call, as its maker wants it.
struct Job {
    gate: u64,
    trusts: bool,
    answer: Result<GateWords, Error>,
}

const WORDS: GateWords = [1, 2, 3, 4, 5, 6];

extern "C" fn call(job: &mut Job) {
    let request = Request::new(WORDS);
    let request = if job.trusts { request.trusting() } else { request };
    job.answer = lent::<Gate>(job.gate).request(request).map(|(words, _)| words);
}

extern "C" fn call_short(job: &mut Job) {
    let answer = lent::<Gate>(job.gate).call_short([1, 2]);
    job.answer = answer.map(|[first, second]| [first, second, 0, 0, 0, 0]);
}

/// Calls a gate with all registers set; gives what they are then, and the answer.
fn call_with(mark: u64, function: extern "C" fn(&mut Job), job: &mut Job) -> EveryRegister {
    probe_function(function, job, EveryRegister::marked(mark))
}

/// What functions keep is kept, and nothing of a callee's is anywhere but the words of its answer.
fn ensure_kept(after: &EveryRegister, answer: GateWords) -> Verdict {
    let before = EveryRegister::marked(CALLER);
    ensure_eq!(KEPT_REGISTERS.map(|index| after.general[index]), KEPT_REGISTERS.map(|index| before.general[index]));
    for word in after.general {
        ensure!(!has_mark(word, CALLEE) || answer.contains(&word), "a register holds what the callee had");
    }
    Ok(())
}

/// Of all registers a callee finds the words of the call, and besides nothing that its caller had: by a first call and by later
/// ones.
fn a_callee_sees_nothing_of_its_caller() -> Verdict {
    let ((gate, _space), fresh) = (gate_at(raw::probe_entry::<Watches>)?, fresh()?);
    for _ in 0..3 {
        let mut job = Job { gate: gate.handle().bits(), trusts: false, answer: Err(Error::Gone) };
        let _ = call_with(CALLER, call, &mut job);
        job.answer?;
        let seen = seen();
        let (general, extra) = seen.split_at(GENERAL_WORDS);
        let mut every = EveryRegister::marked(0);
        every.general.copy_from_slice(general);
        ensure_eq!(every.words(), WORDS);
        ensure!(every.others().all(|word| word == 0), "a register holds something");
        ensure!(every.has_plain_flags(), "flags say something");
        ensure!(!seen.iter().any(|word| has_mark(*word, CALLER)), "a register holds what the caller had");
        ensure_eq!(extra, fresh);
    }
    Ok(())
}

/// A callee that leaves something in all registers gives its caller the words of the answer; the caller's own registers are as
/// they were.
fn a_caller_loses_nothing_and_sees_nothing_of_its_callee() -> Verdict {
    let (gate, _space) = gate_at(raw::probe_entry::<Watches>)?;
    for _ in 0..3 {
        let mut job = Job { gate: gate.handle().bits(), trusts: false, answer: Err(Error::Gone) };
        let after = call_with(CALLER, call, &mut job);
        let answer = job.answer?;
        ensure_eq!(answer, EveryRegister::marked(CALLEE).words());
        ensure_kept(&after, answer)?;
        ensure_eq!(after.extra.words(), EveryRegister::marked(CALLER).extra.words());
    }
    Ok(())
}

/// A call by hand, with all registers set.
fn call_by_hand(gate: u64) -> EveryRegister {
    let before = EveryRegister::marked(CALLER).calling([number::gate_call, gate, 0, 0]);
    // SAFETY: the callees here change registers only, and memory of their own.
    unsafe { raw::probe_system_call(&before) }
}

extern "C" fn nothing(_: &mut u64) {}

/// Leaves something in all registers that compiled code does not use.
fn fill() {
    let _ = probe_function(nothing, &mut 0, EveryRegister::marked(CALLEE));
}

/// Notes what it finds in the extra registers, and leaves something in each.
struct Fills;

impl Serve for Fills {
    fn serve(_called: Called) -> Answer {
        let found = raw::read_extra();
        note(found.control().into_iter());
        fill();
        Answer { words: [9; 6], given: None }
    }
}

/// A callee begins with the control and the thread pointer of a new thread, whatever its caller has set, and what it leaves in
/// registers its caller does not find.
fn a_callee_has_its_own_control_and_leaves_nothing() -> Verdict {
    let ((gate, _space), fresh) = (gate_at(raw::gate_entry::<Fills>)?, fresh()?);
    let control = thread::spawn(|| raw::read_extra().control())?.join()?;
    for _ in 0..3 {
        let after = call_by_hand(gate.handle().bits());
        ensure_eq!((after.result(), after.words()), ((0, 0), [9; 6]));
        ensure_eq!(seen()[..4], control);
        ensure!(after.others().all(|word| word == 0), "a register holds something");
        ensure!(after.has_plain_flags(), "flags say something");
        ensure_eq!(after.extra.words(), fresh);
    }
    Ok(())
}

/// Exits with all registers set, which it may not do.
struct Exits;

impl Probe for Exits {
    fn probe(_seen: &EveryRegister) -> EveryRegister {
        EveryRegister::marked(CALLEE).calling([number::thread_exit, 0, 0, 0])
    }
}

/// Faults with all registers set, those apart that a call loses: there is no such call.
struct Faults;

impl Probe for Faults {
    fn probe(_seen: &EveryRegister) -> EveryRegister {
        EveryRegister::marked(CALLEE).calling([u64::MAX, 0, 0, 0])
    }
}

/// A call ended with an error, and no register says more.
fn ensure_ended(after: &EveryRegister, error: Error, fresh: [u64; EXTRA_WORDS]) -> Verdict {
    ensure_eq!((after.result(), after.words()), ((error.status(), 0), [0; 6]));
    ensure!(after.others().all(|word| word == 0), "a register holds something");
    ensure!(after.has_plain_flags(), "flags say something");
    ensure_eq!(after.extra.words(), fresh);
    Ok(())
}

/// A callee that exits or faults leaves nothing in any register, as it has come to no end at which it could clear them.
fn a_callee_that_fails_shows_nothing() -> Verdict {
    let fresh = fresh()?;
    for entry in [raw::probe_entry::<Exits> as unsafe extern "C" fn(), raw::probe_entry::<Faults>] {
        let (gate, _space) = gate_at(entry)?;
        for _ in 0..3 {
            ensure_ended(&call_by_hand(gate.handle().bits()), Error::Faulted, fresh)?;
        }
    }
    Ok(())
}

/// Sleeps for long with registers set.
struct Sleeps;

impl Probe for Sleeps {
    fn probe(_seen: &EveryRegister) -> EveryRegister {
        EveryRegister::marked(CALLEE).calling([number::sleep, u64::MAX >> 2, 0, 0])
    }
}

/// The same of one whose gate closes on it.
fn a_callee_that_is_left_shows_nothing() -> Verdict {
    let ((gate, _space), fresh) = (gate_at(raw::probe_entry::<Sleeps>)?, fresh()?);
    let bits = gate.handle().bits();
    let caller = thread::spawn(move || call_by_hand(bits))?;
    while gate.info()?.free != 0 {
        nap();
    }
    nap();
    gate.close_now()?;
    ensure_ended(&caller.join()?, Error::Gone, fresh)
}

/// Calls another gate, and says whether it lost anything.
struct GoesOn;

impl Serve for GoesOn {
    fn serve(called: Called) -> Answer {
        let mut job = Job { gate: called.words[0], trusts: false, answer: Err(Error::Gone) };
        let after = call_with(MIDDLE, call, &mut job);
        let is_kept = after.extra.words() == EveryRegister::marked(MIDDLE).extra.words();
        nap();
        let is_kept = is_kept && raw::read_extra().words() == EveryRegister::marked(MIDDLE).extra.words();
        Answer { words: [u64::from(is_kept && job.answer.is_ok()); 6], given: None }
    }
}

/// Where a callee calls another, and other threads run meanwhile, each of the three has its own.
fn each_side_keeps_its_own_where_calls_nest() -> Verdict {
    let (outer, _space) = gate_at(raw::gate_entry::<GoesOn>)?;
    let (inner, _space) = gate_at(raw::probe_entry::<Watches>)?;
    let inner = inner.handle().bits();
    extern "C" fn call_both((outer, inner, answer): &mut (u64, u64, Result<GateWords, Error>)) {
        *answer = lent::<Gate>(*outer).call([*inner; 6]);
    }
    for _ in 0..3 {
        let mut both = (outer.handle().bits(), inner, Err(Error::Gone));
        let after = probe_function(call_both, &mut both, EveryRegister::marked(CALLER));
        ensure_eq!(both.2?, [1; 6]);
        ensure!(
            !seen().iter().any(|word| has_mark(*word, CALLER) || has_mark(*word, MIDDLE)),
            "the last sees another's"
        );
        ensure_eq!(after.extra.words(), EveryRegister::marked(CALLER).extra.words());
    }
    Ok(())
}

/// What a caller that trusts has in the extra registers its callee finds, and what that leaves there it has afterwards; what
/// functions keep it keeps.
fn a_caller_that_trusts_shares_its_registers() -> Verdict {
    let (gate, _space) = gate_at(raw::probe_entry::<Watches>)?;
    for function in [call as extern "C" fn(&mut Job), call_short] {
        for _ in 0..3 {
            let mut job = Job { gate: gate.handle().bits(), trusts: true, answer: Err(Error::Gone) };
            let after = call_with(CALLER, function, &mut job);
            let answer = job.answer?;
            ensure_eq!(answer[..2], EveryRegister::marked(CALLEE).words()[..2]);
            ensure_eq!(seen()[GENERAL_WORDS..], EveryRegister::marked(CALLER).extra.words());
            ensure_eq!(after.extra.words(), EveryRegister::marked(CALLEE).extra.words());
            let kept = KEPT_REGISTERS.map(|index| after.general[index]);
            ensure_eq!(kept, KEPT_REGISTERS.map(|index| EveryRegister::marked(CALLER).general[index]));
        }
    }
    Ok(())
}

/// The same as [`Fills`], where callers are trusted.
struct FillsTrusting;

fn share() {
    note(raw::read_extra().words().into_iter());
    fill();
}

impl Serve for FillsTrusting {
    const TRUSTS: bool = true;

    fn serve(_called: Called) -> Answer {
        share();
        Answer { words: [9; 6], given: None }
    }
}

impl ServeShort for FillsTrusting {
    fn serve(_badge: u64, _words: [u64; 2]) -> [u64; 2] {
        share();
        [9; 2]
    }
}

/// What callers have in the extra registers a callee that trusts them finds, and what it leaves there they find.
fn a_callee_that_trusts_shares_its_registers() -> Verdict {
    let entries = [raw::gate_entry::<FillsTrusting> as unsafe extern "C" fn(), raw::gate_entry_short::<FillsTrusting>];
    for entry in entries {
        let (gate, _space) = gate_at(entry)?;
        for _ in 0..3 {
            let after = call_by_hand(gate.handle().bits());
            ensure_eq!((after.result().0, after.words()[..2] == [9; 2]), (0, true));
            ensure_eq!(seen()[..EXTRA_WORDS], EveryRegister::marked(CALLER).extra.words());
            ensure_eq!(after.extra.words(), EveryRegister::marked(CALLEE).extra.words());
        }
    }
    Ok(())
}
