//! Gates that are taken away, callees that fail, and callers that are stopped: who is inside comes out, and learns why.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Call, Claim, Code, Failure, STACK_BYTES, Service, SpareStack, UNMAPPED, Verdict, caller, claim, ensure, ensure_eq,
    fresh_address, gate_into, leaves_nothing, lent, nap, peek, poke, refused, run, run_at, serves, set_fallback,
    start_at, the_kernel_passes_its_own_checks, wait_for_state, wait_until,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use libvas::gate::{Answer, Called, Request, Serve, Stacks};
use libvas::layout::FallbackReason;
use libvas::thread::{self, JoinHandle, ThreadState};
use libvas::{
    Account, Cap, CapTable, Error, Gate, Handle, Object, PAGE_BYTES as PAGE, Rights, Segment, Space, Thread, program,
    raw,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(faults_of_every_kind_are_the_callers_error),
        claim!(panics_and_exits_are_the_callers_error),
        claim!(a_fault_ends_the_innermost_call_only),
        claim!(who_is_stopped_inside_ends_when_it_comes_out),
        claim!(a_thread_that_nobody_names_any_more_leaves_its_calls),
        claim!(closing_lets_those_inside_finish),
        claim!(a_closed_gate_tells_who_is_inside),
        claim!(those_inside_come_out_when_space_or_table_go),
        claim!(those_inside_come_out_when_the_gate_goes),
        claim!(those_inside_come_out_when_the_gate_is_revoked_or_closed),
        claim!(those_inside_come_out_when_what_made_the_gate_is_revoked),
        claim!(those_inside_come_out_when_the_gates_account_ends),
        claim!(deleting_takes_nobody_out_and_revoking_above_does),
        claim!(a_badge_takes_one_borrower_out),
        claim!(a_callee_that_takes_itself_away_is_gone),
        claim!(a_caller_between_that_was_taken_away_is_passed_over),
        claim!(who_has_lost_its_home_lands_when_it_comes_out),
        claim!(an_exhausted_account_pays_for_no_first_call_and_no_gate),
        claim!(whatever_was_taken_away_comes_back_to_the_account),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("gates_taken", CLAIMS)
}

const LONG: Duration = Duration::from_secs(3600);

/// A gate into a space of its own, and the space.
fn service<S: Serve>(count: u64) -> Result<(Cap<Gate>, Cap<Space>), Error> {
    Service::new::<S>(count).map(|Service { gate, space, .. }| (gate, space))
}

/// The status of a result, as a word: 0 if it is no error.
fn status<T>(result: Result<T, Error>) -> u64 {
    result.err().map_or(0, Error::status)
}

/// Calls a gate by its handle in whatever table; exits with the answer's first word, or with the status and 1000.
extern "C" fn calls(gate: u64, _: u64) -> ! {
    let result = lent::<Gate>(gate).call([1; 6]);
    thread::exit(result.map_or_else(|error| 1000 + error.status(), |words| words[0]))
}

/// Waits until so many stacks of a gate are free.
#[track_caller]
fn wait_for_free(gate: &Cap<Gate>, free: u64) -> Verdict {
    wait_until(|| Ok(gate.info()?.free == free))
}

/// Whether those inside of [`Holds`] may go.
static MAY_GO: AtomicBool = AtomicBool::new(true);

serves!(Holds, |called| {
    while !MAY_GO.load(SeqCst) {
        nap();
    }
    called.words
});

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let words = core::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + words[7] }
}

serves!(Fails, |called| {
    let [how, address, ..] = called.words;
    raw::set_vector_registers([0x5ec2e7; 4]);
    match how {
        0 => drop(peek(UNMAPPED)),
        1 => poke(address, 1),
        2 => run_at(UNMAPPED),
        3..6 => run_at(address),
        6 => drop(recurse(0)),
        7 => panic!("as it should"),
        8 => thread::exit(77),
        _ => {}
    }
    called.words
});

/// The call ends with an error, and nothing of the callee's is in any register; the caller goes on.
fn fails(gate: &Cap<Gate>, how: u64, address: u64) -> Verdict {
    let words = [how, address, 0x5ec2e7, 4, 5, 6].map(AtomicU64::new);
    let (failed, value) = raw::gate_call_trusting([gate.handle().bits(), 0, 0, 0], &words);
    ensure_eq!((how, failed, value, words.map(AtomicU64::into_inner)), (how, Error::Faulted.status(), 0, [0; 6]));
    ensure_eq!(raw::vector_registers(), [0; 4]);
    ensure_eq!((gate.info()?.free, gate.call([99; 6])?), (1, [99; 6]));
    Ok(())
}

/// Reading, writing and executing what is not there or not for that, instructions that are none or not for programs, and a stack
/// that overflows: for the caller that is `Faulted`.
fn faults_of_every_kind_are_the_callers_error() -> Verdict {
    let (gate, space) = service::<Fails>(1)?;
    let at = fresh_address();
    for (page, code) in (0..).zip([Code::Return, Code::Undefined, Code::Privileged, Code::Breakpoint]) {
        let segment = Segment::new(program().account(), PAGE)?;
        segment.write(0, &code.bytes())?;
        let rights = if page == 0 { Rights::READ } else { Rights::READ_EXECUTE };
        space.map(at + page * PAGE, &segment, 0..PAGE, rights)?;
    }
    for _ in 0..2 {
        for (how, page) in [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (4, 2), (5, 3), (6, 0)] {
            fails(&gate, how, at + page * PAGE)?;
        }
    }
    Ok(())
}

/// A callee that panics or ends its thread ends its call; the caller's thread goes on.
fn panics_and_exits_are_the_callers_error() -> Verdict {
    let (gate, _space) = service::<Fails>(1)?;
    for how in [7, 8, 7, 8] {
        fails(&gate, how, 0)?;
    }
    refused(caller(gate.handle().bits(), Request::new([8; 6]))?.join()?, Error::Faulted)
}

serves!(Passes, |called| {
    let [how, gate, ..] = called.words;
    [status(lent::<Gate>(gate).call([how, UNMAPPED, 0, 0, 0, 0])), how, 0, 0, 0, 0]
});

/// Of calls within calls the innermost ends, and its caller, which is a callee itself, goes on.
fn a_fault_ends_the_innermost_call_only() -> Verdict {
    let ((outer, _outer), (inner, _inner)) = (service::<Passes>(1)?, service::<Fails>(1)?);
    for how in [0, 7, 8, 6] {
        ensure_eq!(outer.call([how, inner.handle().bits(), 0, 0, 0, 0])?[..2], [Error::Faulted.status(), how]);
    }
    ensure_eq!((outer.info()?.free, inner.info()?.free), (1, 1));
    Ok(())
}

/// A thread of a program with its own table, which is stopped in a call in this way.
fn stopped_inside(stop: impl FnOnce(&Cap<Thread>, &Cap<CapTable>) -> Result<(), Error>) -> Verdict {
    static KNOWS: AtomicU64 = AtomicU64::new(0);
    static LAST: AtomicU64 = AtomicU64::new(0);
    serves!(Looks, |called| {
        while Called::is_awaited() == Ok(true) {
            nap();
        }
        KNOWS.store(1 + status(Called::is_awaited()), SeqCst);
        while !MAY_GO.load(SeqCst) {
            nap();
        }
        LAST.store(called.badge, SeqCst);
        called.words
    });
    MAY_GO.store(false, SeqCst);
    let ((gate, _space), table) = (service::<Looks>(1)?, CapTable::new(program().account(), 4)?);
    let theirs = gate.copy_into(&table, Rights::CALL, 0xbad9e)?;
    let thread = Thread::new(program().account(), &table, program().space(), 1)?;
    start_at(&thread, calls, SpareStack::new(), theirs.bits())?;
    wait_for_free(&gate, 0)?;
    wait_for_state(&thread, ThreadState::Sleeping)?;
    ensure_eq!(KNOWS.load(SeqCst), 0);
    stop(&thread, &table)?;
    wait_until(|| Ok(KNOWS.load(SeqCst) != 0))?;
    let info = thread.info()?;
    let is_alive = [ThreadState::Ready, ThreadState::Sleeping].iter().any(|state| *state as u64 == info.state);
    ensure!(is_alive, "it is in state {} inside of a call", info.state);
    ensure_eq!((info.calls, KNOWS.load(SeqCst), LAST.load(SeqCst)), (1, 1, 0));
    MAY_GO.store(true, SeqCst);
    refused(thread.join(), Error::Gone)?;
    let last = LAST.swap(0, SeqCst);
    ensure_eq!((KNOWS.swap(0, SeqCst), last, gate.info()?.free), (1, 0xbad9e, 1));
    Ok(())
}

/// A thread that is stopped in a call, or whose program is ended, goes on until it returns; the callee can know that nobody waits.
fn who_is_stopped_inside_ends_when_it_comes_out() -> Verdict {
    stopped_inside(|thread, _| thread.stop())?;
    stopped_inside(|_, table| table.stop_threads().map(drop))
}

/// When the last capability to a thread goes it ends wherever it is: the stack that it was on is free, and its account has all back.
fn a_thread_that_nobody_names_any_more_leaves_its_calls() -> Verdict {
    let (gate, _space) = service::<Holds>(1)?;
    MAY_GO.store(true, SeqCst);
    gate.call([0; 6])?;
    MAY_GO.store(false, SeqCst);
    for _ in 0..3 {
        let stack = SpareStack::new();
        let used = program().account().info()?.used_bytes;
        let thread = Thread::new(program().account(), program().table(), program().space(), 1)?;
        start_at(&thread, calls, stack, gate.handle().bits())?;
        wait_for_free(&gate, 0)?;
        wait_for_state(&thread, ThreadState::Sleeping)?;
        drop(thread);
        ensure_eq!((gate.info()?.free, program().account().info()?.used_bytes), (1, used));
    }
    Ok(())
}

/// Closing lets nobody in any more, tells those who wait, and lets those inside finish.
fn closing_lets_those_inside_finish() -> Verdict {
    MAY_GO.store(false, SeqCst);
    let (gate, _space) = service::<Holds>(1)?;
    let inside = caller(gate.handle().bits(), Request::new([5; 6]))?;
    wait_for_free(&gate, 0)?;
    let waits = caller(gate.handle().bits(), Request::new([6; 6]).wait())?;
    wait_for_state(waits.thread(), ThreadState::Calling)?;
    gate.close()?;
    refused(waits.join()?, Error::Gone)?;
    for _ in 0..2 {
        refused(gate.call([0; 6]), Error::Gone)?;
        refused(gate.request(Request::new([0; 6]).wait()), Error::Gone)?;
        gate.close()?;
    }
    ensure_eq!(gate.info()?.is_open, 0);
    MAY_GO.store(true, SeqCst);
    ensure_eq!(inside.join()??, [5; 6]);
    gate.close_now()?;
    refused(gate.call([0; 6]), Error::Gone)
}

/// All that a gate is made of, and who may take it away.
struct Scene {
    account: Cap<Account>,
    space: Cap<Space>,
    table: Cap<CapTable>,
    of_space: Cap<Space>,
    of_table: Cap<CapTable>,
    gate: Cap<Gate>,
    lent: u64,
    target: JoinHandle<()>,
}

static TURNS: AtomicU64 = AtomicU64::new(0);

serves!(Stays, |called| {
    match called.words[0] {
        0 => thread::sleep(LONG),
        1 => loop {
            TURNS.fetch_add(1, SeqCst);
        },
        2 => drop(lent::<Thread>(called.words[1]).join()),
        _ => {}
    }
    called.words
});

impl Scene {
    fn new() -> Result<Scene, Error> {
        let account = program().account().split(64 * PAGE)?;
        let (space, table) = (program().new_space()?, CapTable::new(program().account(), 4)?);
        let of_space = space.derive(Rights::SWITCH, 0)?;
        let of_table = table.derive(Rights::CONTROL, 0)?;
        let stacks = Stacks::new_in(&space, fresh_address() + PAGE, STACK_BYTES, 1)?;
        let gate = gate_into::<Stays>(&account, &of_space, &of_table, stacks)?;
        let lent = gate.derive(Rights::CALL, 5)?.into_handle().bits();
        let target = thread::spawn(|| thread::sleep(LONG))?;
        Ok(Scene { account, space, table, of_space, of_table, gate, lent, target })
    }

    /// A thread inside, which sleeps, computes or joins.
    fn inside(&self, what: u64) -> Result<Call, Failure> {
        let target = self.target.thread().copy_into(&self.table, Rights::WAIT, 0)?;
        let turns = TURNS.load(SeqCst);
        let call = caller(self.lent, Request::new([what, target.bits(), 0, 0, 0, 0]))?;
        wait_for_free(&self.gate, 0)?;
        match what {
            0 => wait_for_state(call.thread(), ThreadState::Sleeping)?,
            1 => wait_until(|| Ok(TURNS.load(SeqCst) > turns))?,
            _ => wait_for_state(call.thread(), ThreadState::Joining)?,
        }
        Ok(call)
    }
}

/// A gate that is closed counts stacks that nobody is on any more as free, however they left.
fn a_closed_gate_tells_who_is_inside() -> Verdict {
    for is_now in [false, true] {
        MAY_GO.store(false, SeqCst);
        let (gate, _space) = service::<Holds>(1)?;
        let call = caller(gate.handle().bits(), Request::new([5; 6]))?;
        wait_for_free(&gate, 0)?;
        if is_now {
            gate.close_now()?
        } else {
            gate.close()?
        }
        MAY_GO.store(true, SeqCst);
        ensure_eq!(call.join()?, if is_now { Err(Error::Gone) } else { Ok([5; 6]) });
        ensure_eq!((is_now, gate.info()?.free), (is_now, 1));
    }
    Ok(())
}

/// Takes something from a scene.
type Take = fn(&Scene) -> Result<(), Error>;

/// Gives a capability up by its number.
fn delete<T: Object>(cap: &Cap<T>) -> Result<(), Error> {
    Cap::<T>::from_handle(cap.handle()).delete()
}

/// Whoever is inside, whatever they do, comes out with `Gone` when this is taken from the scene; nobody comes in afterwards.
fn comes_out(error: Error, take: Take) -> Verdict {
    (0..3).try_for_each(|what| comes_out_of(what, error, take))
}

fn comes_out_of(what: u64, error: Error, take: Take) -> Verdict {
    let scene = Scene::new()?;
    let call = scene.inside(what)?;
    take(&scene)?;
    let turns = TURNS.load(SeqCst);
    refused(call.join()?, Error::Gone)?;
    ensure_eq!(TURNS.load(SeqCst), turns);
    refused(lent::<Gate>(scene.lent).call([9; 6]), error)?;
    // Who was joined was not disturbed.
    wait_for_state(scene.target.thread(), ThreadState::Sleeping)?;
    scene.target.thread().stop()?;
    let _ = Cap::<Gate>::from_handle(Handle::from_bits(scene.lent)).delete();
    refused(scene.target.join(), Error::Gone)
}

const BY_CLOSING: Take = |scene| scene.gate.close_now();
const BY_SPACE: Take = |scene| delete(&scene.of_space).and_then(|()| delete(&scene.space));
const BY_TABLE: Take = |scene| delete(&scene.of_table).and_then(|()| delete(&scene.table));
const BY_GATE: Take =
    |scene| delete(&scene.gate).and_then(|()| Cap::<Gate>::from_handle(Handle::from_bits(scene.lent)).delete());
const BY_REVOKING: Take = |scene| scene.gate.revoke();
const BY_REVOKING_SPACE: Take = |scene| scene.space.revoke();
const BY_REVOKING_TABLE: Take = |scene| scene.table.revoke();
const BY_ACCOUNT: Take = |scene| Cap::<Account>::from_handle(scene.account.handle()).end();

/// A gate keeps neither space nor table: when the last capability to one of them goes, callers come out.
fn those_inside_come_out_when_space_or_table_go() -> Verdict {
    comes_out(Error::Gone, BY_SPACE)?;
    comes_out(Error::Gone, BY_TABLE)
}

/// When the last capability to the gate goes, the one that was called by among them, callers come out.
fn those_inside_come_out_when_the_gate_goes() -> Verdict {
    comes_out(Error::BadHandle, BY_GATE)
}

/// Who came in by what is revoked comes out, and so does everybody when the gate is closed now.
fn those_inside_come_out_when_the_gate_is_revoked_or_closed() -> Verdict {
    comes_out(Error::BadHandle, BY_REVOKING)?;
    comes_out(Error::Gone, BY_CLOSING)
}

/// A gate that was made by what is revoked, to the space or to the table, closes.
fn those_inside_come_out_when_what_made_the_gate_is_revoked() -> Verdict {
    comes_out(Error::Gone, BY_REVOKING_SPACE)?;
    comes_out(Error::Gone, BY_REVOKING_TABLE)
}

/// When the account that pays for a gate is ended, the gate goes.
fn those_inside_come_out_when_the_gates_account_ends() -> Verdict {
    comes_out(Error::BadHandle, BY_ACCOUNT)
}

/// Giving up the capability that was called by disturbs nobody inside; revoking what that came of takes them out.
fn deleting_takes_nobody_out_and_revoking_above_does() -> Verdict {
    MAY_GO.store(false, SeqCst);
    let (gate, _space) = service::<Holds>(1)?;
    for is_revoked in [true, false] {
        let by = gate.derive(Rights::CALL, 1)?;
        let call = caller(by.handle().bits(), Request::new([3; 6]))?;
        wait_for_free(&gate, 0)?;
        by.delete()?;
        wait_for_state(call.thread(), ThreadState::Sleeping)?;
        ensure_eq!(gate.info()?.free, 0);
        if is_revoked {
            gate.revoke()?;
            refused(call.join()?, Error::Gone)?;
        } else {
            MAY_GO.store(true, SeqCst);
            ensure_eq!(call.join()??, [3; 6]);
        }
    }
    Ok(())
}

/// Revoking by badge takes out who came in with it, and lets the others finish and come again.
fn a_badge_takes_one_borrower_out() -> Verdict {
    MAY_GO.store(false, SeqCst);
    let (gate, _space) = service::<Holds>(2)?;
    let lenders = [gate.derive(Rights::CALL, 1)?, gate.derive(Rights::CALL, 2)?];
    let [one, two] = lenders.each_ref().map(|lent| caller(lent.handle().bits(), Request::new([4; 6])));
    wait_for_free(&gate, 0)?;
    gate.revoke_badge(1)?;
    refused(one?.join()?, Error::Gone)?;
    refused(lenders[0].call([0; 6]), Error::BadHandle)?;
    ensure_eq!(gate.info()?.free, 1);
    MAY_GO.store(true, SeqCst);
    ensure_eq!((two?.join()??, lenders[1].call([6; 6])?), ([4; 6], [6; 6]));
    Ok(())
}

/// A callee that closes its gate now, or gives up its space, its gate or its caller's capability, does not come back.
fn a_callee_that_takes_itself_away_is_gone() -> Verdict {
    static AFTERWARDS: AtomicU64 = AtomicU64::new(0);
    serves!(Saws, |called| {
        let [how, handle, ..] = called.words;
        let _ = match how {
            0 => lent::<Gate>(handle).close_now(),
            1 => lent::<Gate>(handle).revoke(),
            _ => Cap::<Space>::from_handle(Handle::from_bits(handle)).delete(),
        };
        AFTERWARDS.fetch_add(1, SeqCst);
        called.words
    });
    for how in 0..3 {
        let (gate, space) = service::<Saws>(1)?;
        let by = gate.derive(Rights::CALL, 1)?;
        by.call([0, 0, 0, 0, 0, 0])?;
        let handle = if how == 2 { space.handle().bits() } else { gate.handle().bits() };
        ensure_eq!((how, by.call([how, handle, 0, 0, 0, 0])), (how, Err(Error::Gone)));
        ensure_eq!(AFTERWARDS.swap(0, SeqCst), 1);
    }
    Ok(())
}

/// When what a thread has on its way back goes while it is in a call further on, it finishes that, and its way leads past: to the
/// caller before, as `Gone`.
fn a_caller_between_that_was_taken_away_is_passed_over() -> Verdict {
    serves!(Onward, |called| lent::<Gate>(called.words[0]).call(called.words).unwrap_or([0; 6]));
    for how in 0..3 {
        MAY_GO.store(false, SeqCst);
        let ((outer, of_outer), (inner, _of_inner)) = (service::<Onward>(1)?, service::<Holds>(1)?);
        let by = outer.derive(Rights::CALL, 1)?;
        let call = caller(by.handle().bits(), Request::new([inner.handle().bits(); 6]))?;
        wait_for_free(&inner, 0)?;
        match how {
            0 => outer.close_now()?,
            1 => outer.revoke()?,
            _ => of_outer.delete()?,
        }
        wait_for_state(call.thread(), ThreadState::Sleeping)?;
        ensure_eq!((how, call.thread().info()?.calls, inner.info()?.free), (how, 2, 0));
        MAY_GO.store(true, SeqCst);
        refused(call.join()?, Error::Gone)?;
        ensure_eq!(inner.info()?.free, 1);
    }
    Ok(())
}

extern "C" fn landing(reason: u64, _: u64) -> ! {
    thread::exit(500 + reason)
}

/// How a thread ends whose first space goes while it is in a call, which it finishes.
fn homeless(has_fallback: bool) -> Result<Result<u64, Error>, Failure> {
    MAY_GO.store(false, SeqCst);
    let ((gate, _space), own) = (service::<Holds>(1)?, program().new_space()?);
    let bits = gate.handle().bits();
    let thread = thread::spawn_in(&own, move || {
        if !has_fallback || set_fallback(program().space(), landing, SpareStack::new()).is_ok() {
            let _ = lent::<Gate>(bits).call([1; 6]);
        }
    })?;
    wait_for_free(&gate, 0)?;
    own.delete()?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    ensure_eq!((gate.info()?.free, thread.thread().info()?.calls), (0, 1));
    MAY_GO.store(true, SeqCst);
    Ok(thread.thread().join())
}

/// A thread whose own space went meanwhile lands at its fallback when it comes out, not before; without one it stops then.
fn who_has_lost_its_home_lands_when_it_comes_out() -> Verdict {
    ensure_eq!(homeless(true)?, Ok(500 + FallbackReason::SpaceDestroyed as u64));
    ensure_eq!(homeless(false)?, Err(Error::Gone));
    Ok(())
}

/// What an account was spent on.
type Spent = (Vec<Cap<Segment>>, Vec<Cap<CapTable>>);

/// Takes all that an account has left.
fn drain(account: &Cap<Account>) -> Result<Spent, Error> {
    let (mut pages, mut tables) = (Vec::new(), Vec::new());
    while let Ok(page) = Segment::new(account, PAGE) {
        pages.push(page);
    }
    while let Ok(table) = CapTable::new(account, 1) {
        tables.push(table);
    }
    Ok((pages, tables))
}

/// Who cannot pay for what the kernel keeps of calls, or of a gate, is refused, and is not when it can.
fn an_exhausted_account_pays_for_no_first_call_and_no_gate() -> Verdict {
    static MAY_TRY: AtomicU64 = AtomicU64::new(0);
    extern "C" fn tries(gate: u64, _: u64) -> ! {
        let mut code = 0;
        for turn in 1..=2 {
            while MAY_TRY.load(SeqCst) != turn {
                nap();
            }
            code = code * 100 + status(lent::<Gate>(gate).call([0; 6])) + 1;
            MAY_TRY.store(10 * turn, SeqCst);
        }
        thread::exit(code)
    }
    let ((gate, _space), account) = (service::<Holds>(1)?, program().account().split(64 * PAGE)?);
    MAY_GO.store(true, SeqCst);
    let thread = Thread::new(&account, program().table(), program().space(), 1)?;
    start_at(&thread, tries, SpareStack::new(), gate.handle().bits())?;
    let spent = drain(&account)?;
    let (used, stacks) = (account.info()?.used_bytes, Stacks { start: UNMAPPED, stack_bytes: PAGE, count: 63 });
    let make = || gate_into::<Holds>(&account, program().space(), program().table(), stacks);
    refused(make(), Error::AccountExhausted)?;
    MAY_TRY.store(1, SeqCst);
    wait_until(|| Ok(MAY_TRY.load(SeqCst) >= 10))?;
    ensure_eq!(account.info()?.used_bytes, used);
    drop(spent);
    drop(make()?);
    MAY_TRY.store(2, SeqCst);
    ensure_eq!(thread.join()?, (Error::AccountExhausted.status() + 1) * 100 + 1);
    Ok(())
}

/// However calls end: the account has what it had.
fn whatever_was_taken_away_comes_back_to_the_account() -> Verdict {
    const TAKES: [(Error, Take); 8] = [
        (Error::Gone, BY_CLOSING),
        (Error::Gone, BY_SPACE),
        (Error::Gone, BY_TABLE),
        (Error::BadHandle, BY_GATE),
        (Error::BadHandle, BY_REVOKING),
        (Error::Gone, BY_REVOKING_SPACE),
        (Error::Gone, BY_REVOKING_TABLE),
        (Error::BadHandle, BY_ACCOUNT),
    ];
    leaves_nothing(24, |turn| {
        let (error, take) = TAKES[turn as usize % TAKES.len()];
        comes_out_of(turn % 3, error, take)
    })
}
