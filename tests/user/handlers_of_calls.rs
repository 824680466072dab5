//! Handlers of system calls: asked before they are made, told when they are over.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use conformance::locked::{Locked, Visitor, holders};
use conformance::{
    CALLS, Claim, GUEST_CALLS, GuestScene, Service, UNMAPPED, Verdict, attempt, claim, decides, ensure_eq, handler,
    lent, nap, peek, refused, run, serves, the_kernel_passes_its_own_checks, with_handler,
};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use libvas::gate::{Answer, Called, Serve};
use libvas::guest::End;
use libvas::handler::{Asks, Decide, Decision, Upcall};
use libvas::{Cap, Error, Gate, Rights, Segment, Space, Thread, program, raw, thread};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(calls_are_asked_of_before_and_told_of_afterwards),
        claim!(a_call_is_cancelled_with_a_result),
        claim!(a_handler_of_calls_that_faults_ends_the_thread),
        claim!(calls_that_wait_are_told_of_when_they_are_over),
        claim!(a_switch_that_waits_for_a_lock_is_told_of_when_it_is_over),
        claim!(a_guest_is_not_asked_about_by_its_supervisors_handler),
        claim!(a_callee_is_not_asked_about_by_its_callers_handler),
        claim!(who_waits_for_a_stack_is_told_of_returns_too),
        claim!(who_is_in_a_handler_when_its_space_is_revoked_lands_for_that_reason),
        claim!(a_long_call_is_asked_of_once),
        claim!(calls_made_when_their_handler_has_answered_are_whole),
        claim!(a_handler_that_has_lost_its_space_is_passed_over),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("handlers_of_calls", CLAIMS)
}

/// What a handler was asked and told of calls: `number + 1` in a byte, and 0x80 for the end.
static TRACE: AtomicU64 = AtomicU64::new(0);

decides!(Traces, |_, upcall| {
    let mark = match upcall {
        Upcall::Call { number, .. } => number + 1,
        Upcall::Return { number, .. } => 0x80 | (number + 1),
        _ => return Decision::Pass,
    };
    TRACE.store(TRACE.load(SeqCst) << 8 | mark, SeqCst);
    Decision::Resume
});

/// Makes calls with a handler that notes them, and gives what it has noted.
fn traced(gate: &Cap<Gate>, asks: Asks, calls: impl FnOnce() + Send + 'static) -> Result<u64, Error> {
    let body = move |own: u64| {
        TRACE.store(0, SeqCst);
        calls();
        lent::<Thread>(own).clear_handler()
    };
    with_handler(gate, asks, body)?.join()??;
    Ok(TRACE.swap(0, SeqCst))
}

/// Quick calls, calls of the fast path, the null call and unknown ones alike; and no call is made otherwise than without a handler.
fn calls_are_asked_of_before_and_told_of_afterwards() -> Verdict {
    let service = handler::<Traces>(1)?;
    let gate = &service.gate;
    let calls = || {
        assert_eq!(attempt(number::null, [0; 6]), Ok(0));
        assert!(attempt(number::clock, [0; 6]).is_ok());
        assert_eq!(attempt(100, [0; 6]), Err(Error::BadCall));
        assert_eq!(attempt(number::space_switch, [0; 6]), Err(Error::BadHandle));
    };
    let before = |number: u64| number + 1;
    let after = |number: u64| 0x80 | (number + 1);
    let numbers = [number::null, number::clock, 100, number::space_switch];
    // The last call is the one that ends it: it is asked of, and told of by nobody.
    let last = before(number::handler_set);
    let all = |of: fn(u64) -> [u64; 2], last: Option<u64>| {
        let marks = numbers.into_iter().flat_map(of).filter(|mark| *mark != 0).chain(last);
        marks.fold(0_u64, |all, mark| all << 8 | mark)
    };
    let both = Asks { faults: false, calls: true, returns: true };
    let seen = traced(gate, CALLS, calls)?;
    ensure_eq!(seen, all(|number| [number + 1, 0], Some(last)));
    let seen = traced(gate, Asks { faults: false, calls: false, returns: true }, calls)?;
    ensure_eq!(seen, all(|number| [0, 0x80 | (number + 1)], None));
    let seen = traced(gate, both, || {
        assert!(attempt(number::clock, [0; 6]).is_ok());
    })?;
    ensure_eq!(seen, before(number::clock) << 16 | after(number::clock) << 8 | last);
    Ok(())
}

fn a_call_is_cancelled_with_a_result() -> Verdict {
    decides!(Denies, |_, upcall| match upcall {
        Upcall::Call { number: number::clock, .. } => Decision::Cancel(Ok(77)),
        Upcall::Call { number: number::null, .. } => Decision::Cancel(Err(Error::MissingRight)),
        _ => Decision::Pass,
    });
    let service = handler::<Denies>(1)?;
    let body = |own: u64| -> Result<[Result<u64, Error>; 3], Error> {
        let results = [number::clock, number::null, 101].map(|number| attempt(number, [0; 6]));
        lent::<Thread>(own).clear_handler()?;
        Ok(results)
    };
    let results = with_handler(&service.gate, CALLS, body)?.join()??;
    ensure_eq!(results, [Ok(77), Err(Error::MissingRight), Err(Error::BadCall)]);
    Ok(())
}

/// It might have forbidden the call.
fn a_handler_of_calls_that_faults_ends_the_thread() -> Verdict {
    decides!(Fails, |_, _upcall| {
        peek(UNMAPPED);
        Decision::Pass
    });
    let service = handler::<Fails>(1)?;
    static IS_PAST: AtomicU64 = AtomicU64::new(0);
    let body = |_| {
        let _ = attempt(number::clock, [0; 6]);
        IS_PAST.store(1, SeqCst);
    };
    refused(with_handler(&service.gate, CALLS, body)?.join(), Error::Faulted)?;
    ensure_eq!(IS_PAST.load(SeqCst), 0);
    Ok(())
}

/// Whether it came in, or its time was over.
fn a_switch_that_waits_for_a_lock_is_told_of_when_it_is_over() -> Verdict {
    let (service, locked) = (handler::<Traces>(1)?, Locked::new()?);
    let both = Asks { faults: false, calls: true, returns: true };
    let (there, home) = (locked.readers.handle().bits(), program().space().handle().bits());
    let visitor = Visitor::inside(&locked.writers)?;
    let segment = locked.segment.handle().bits();
    let leaves = thread::spawn(move || {
        while holders(&lent::<Segment>(segment)).is_ok_and(|(.., waiting)| waiting == 0) {
            nap();
        }
        visitor.leave()
    })?;
    let seen = traced(&service.gate, both, move || {
        assert!(attempt(number::space_switch, [there, 0, 0, 0, 0, 0]).is_ok());
        assert!(attempt(number::space_switch, [home, 0, 0, 0, 0, 0]).is_ok());
    })?;
    leaves.join()??;
    let pair = |number: u64| (number + 1) << 8 | 0x80 | (number + 1);
    let last = number::handler_set + 1;
    ensure_eq!(seen, (pair(number::space_switch) << 16 | pair(number::space_switch)) << 8 | last);
    let visitor = Visitor::inside(&locked.writers)?;
    let until_ns = (libvas::clock::now() + core::time::Duration::from_millis(3)).as_nanos() as u64;
    let seen = traced(&service.gate, both, move || {
        assert_eq!(attempt(number::space_switch_until, [there, until_ns, 0, 0, 0, 0]), Err(Error::TimedOut));
    })?;
    ensure_eq!(seen, pair(number::space_switch_until) << 8 | last);
    ensure_eq!(locked.holders()?, (1, 0, 0));
    Ok(visitor.leave()?)
}

/// A thread that sleeps in a call is told of when it wakes up; a call into a gate when it is back.
fn calls_that_wait_are_told_of_when_they_are_over() -> Verdict {
    serves!(Counts, |called| [called.words[0] + 1, 0, 0, 0, 0, 0]);
    let (service, counts) = (handler::<Traces>(1)?, Service::new::<Counts>(1)?);
    let (gate, callee) = (&service.gate, counts.bits());
    let both = Asks { faults: false, calls: true, returns: true };
    let seen = traced(gate, both, move || {
        libvas::clock::sleep(core::time::Duration::from_millis(1));
        assert_eq!(lent::<Gate>(callee).call_short([4, 0]).map(|words| words[0]), Ok(5));
    })?;
    let pairs = [number::sleep, number::gate_call].map(|number| (number + 1) << 8 | 0x80 | (number + 1));
    ensure_eq!(seen, pairs[0] << 24 | pairs[1] << 8 | (number::handler_set + 1));
    Ok(())
}

/// A guest's calls end its run, and are its supervisor's: the handler is asked of and told of `guest_run`.
fn a_guest_is_not_asked_about_by_its_supervisors_handler() -> Verdict {
    let (service, scene) = (handler::<Traces>(1)?, Arc::new(GuestScene::new(GUEST_CALLS.0, GUEST_CALLS.1)?));
    let runs = scene.clone();
    let both = Asks { faults: false, calls: true, returns: true };
    let seen = traced(&service.gate, both, move || {
        for number in [number::null, 500] {
            runs.context.set_general(if raw::ELF_MACHINE == 62 { 0 } else { 8 }, number);
            assert_eq!(runs.run(), Ok(End::Call(number)));
        }
        assert!(attempt(number::clock, [0; 6]).is_ok());
    })?;
    let pairs =
        [number::guest_run, number::guest_run, number::clock].map(|number| (number + 1) << 8 | 0x80 | (number + 1));
    ensure_eq!(seen, (pairs[0] << 32 | pairs[1] << 16 | pairs[2]) << 8 | (number::handler_set + 1));
    ensure_eq!(scene.run()?, End::Call(500));
    Ok(())
}

/// What a callee does in a gate is none of its callers' handlers' business: neither its calls nor its mistakes.
fn a_callee_is_not_asked_about_by_its_callers_handler() -> Verdict {
    serves!(Errs, |called| {
        let now = attempt(number::clock, [0; 6]).unwrap_or(0);
        if called.words[0] == 1 {
            peek(UNMAPPED);
        }
        [now, 0, 0, 0, 0, 0]
    });
    let (service, errs) = (handler::<Traces>(1)?, Service::new::<Errs>(1)?);
    let (gate, callee) = (&service.gate, errs.bits());
    let all = Asks { faults: true, calls: true, returns: true };
    let seen = traced(gate, all, move || {
        assert!(lent::<Gate>(callee).call_short([0, 0]).is_ok_and(|words| words[0] != 0));
        assert_eq!(lent::<Gate>(callee).call_short([1, 0]), Err(Error::Faulted));
    })?;
    let pair = (number::gate_call + 1) << 8 | 0x80 | (number::gate_call + 1);
    ensure_eq!(seen, pair << 24 | pair << 8 | (number::handler_set + 1));
    Ok(())
}

/// What they make is there, what they take away is gone and paid back when they are over, and each is asked of once.
fn calls_made_when_their_handler_has_answered_are_whole() -> Verdict {
    static CALLS_ASKED: AtomicU64 = AtomicU64::new(0);
    decides!(CountsCalls, |_, _upcall| {
        CALLS_ASKED.fetch_add(1, SeqCst);
        Decision::Resume
    });
    let service = handler::<CountsCalls>(1)?;
    let body = |own: u64| -> Result<[u64; 4], Error> {
        let account = program().account();
        let (before, asked) = (account.info()?.used_bytes, CALLS_ASKED.load(SeqCst));
        let space = Space::new(account)?;
        let between = account.info()?.used_bytes;
        drop(space);
        let after = account.info()?.used_bytes;
        let asked = CALLS_ASKED.load(SeqCst) - asked;
        assert_eq!(attempt(number::capability_delete, [0; 6]), Err(Error::BadHandle));
        lent::<Thread>(own).clear_handler()?;
        Ok([before, between, after, asked])
    };
    for _ in 0..20 {
        let [before, between, after, asked] = with_handler(&service.gate, CALLS, body)?.join()??;
        ensure_eq!((before < between, after), (true, before));
        ensure_eq!(asked, 4);
    }
    Ok(())
}

static BEFORE: AtomicU64 = AtomicU64::new(0);
static AFTER: AtomicU64 = AtomicU64::new(0);

/// One stack, and several threads that make calls at once: for each call that is asked of one is told of.
fn who_waits_for_a_stack_is_told_of_returns_too() -> Verdict {
    decides!(CountsSlowly, |_, upcall| {
        match upcall {
            Upcall::Call { number: number::null, .. } => BEFORE.fetch_add(1, SeqCst),
            Upcall::Return { number: number::null, .. } => AFTER.fetch_add(1, SeqCst),
            _ => 0,
        };
        nap();
        Decision::Resume
    });
    let service = handler::<CountsSlowly>(1)?;
    let both = Asks { faults: false, calls: true, returns: true };
    let mut threads = alloc::vec::Vec::new();
    for _ in 0..4 {
        threads.push(with_handler(&service.gate, both, |_| {
            for _ in 0..10 {
                assert_eq!(attempt(number::null, [0; 6]), Ok(0));
            }
        })?);
    }
    for thread in threads {
        thread.join()?;
    }
    ensure_eq!((BEFORE.load(SeqCst), AFTER.load(SeqCst)), (40, 40));
    Ok(())
}

/// The thread is thrown out of the space when the handler has answered, and told why.
fn who_is_in_a_handler_when_its_space_is_revoked_lands_for_that_reason() -> Verdict {
    static IS_IN: AtomicU64 = AtomicU64::new(0);
    extern "C" fn lands(reason: u64, _: u64) -> ! {
        thread::exit(100 + reason)
    }
    decides!(Stays, |_, upcall| {
        if let Upcall::Call { number: number::null, .. } = upcall {
            IS_IN.store(1, SeqCst);
            while IS_IN.load(SeqCst) == 1 {
                nap();
            }
        }
        Decision::Resume
    });
    let (service, space) = (handler::<Stays>(1)?, program().new_space()?);
    let borrowed = space.derive(Rights::SWITCH, 0)?.into_handle().bits();
    let stack = alloc::boxed::Box::leak(alloc::boxed::Box::new([0_u128; 1024]));
    let top = (&raw const *stack).expose_provenance() as u64 + 16 * 1024 - raw::STACK_ENTRY_BIAS_BYTES;
    let thread = with_handler(&service.gate, CALLS, move |_| -> Result<(), Error> {
        // SAFETY: the landing never returns, and the stack is its own.
        unsafe { thread::set_fallback(program().space(), lands as *const () as usize as u64, top) }?;
        lent::<Space>(borrowed).switch()?;
        let _ = attempt(number::null, [0; 6]);
        Ok(())
    })?;
    while IS_IN.load(SeqCst) == 0 {
        nap();
    }
    space.revoke()?;
    IS_IN.store(2, SeqCst);
    ensure_eq!(thread.thread().join()?, 100 + libvas::layout::FallbackReason::SpaceRevoked as u64);
    let _ = thread.join();
    Ok(())
}

/// A call that is made step by step is asked of once, and told of once.
fn a_long_call_is_asked_of_once() -> Verdict {
    let service = handler::<Traces>(1)?;
    let account = program().account().handle().bits();
    let (create, mark) = (number::segment_create, number::segment_create + 1);
    for (asks, marks) in [(CALLS, mark), (Asks { faults: false, calls: true, returns: true }, mark << 8 | 0x80 | mark)]
    {
        let seen = traced(&service.gate, asks, move || {
            let made = attempt(create, [account, 8 << 20, 0, 0, 0, 0]);
            assert!(made.is_ok(), "{made:?}");
        })?;
        ensure_eq!(seen, marks << 8 | (number::handler_set + 1));
    }
    Ok(())
}

/// A handler calls on, and has lost its space when that returns: the thread is back in its own registers, and nobody has answered.
fn a_handler_that_has_lost_its_space_is_passed_over() -> Verdict {
    static STEP: AtomicU64 = AtomicU64::new(0);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    decides!(CallsOn, |_, _upcall| {
        let _ = lent::<Gate>(NEXT.load(SeqCst)).call([0; 6]);
        Decision::Resume
    });
    serves!(Waits, |called| {
        STEP.store(1, SeqCst);
        while STEP.load(SeqCst) == 1 {
            nap();
        }
        called.words
    });
    let waits = Service::new::<Waits>(1)?;
    NEXT.store(waits.bits(), SeqCst);
    let Service { gate, space, .. } = handler::<CallsOn>(1)?;
    let thread = with_handler(&gate, CALLS, |_| attempt(number::clock, [0; 6]))?;
    while STEP.load(SeqCst) == 0 {
        nap();
    }
    space.delete()?;
    STEP.store(2, SeqCst);
    refused(thread.join(), Error::Faulted)
}
