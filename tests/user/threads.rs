//! Threads: started once, joined by anybody, stopped wherever they are.

#![no_std]
#![no_main]

use conformance::{
    CLAIM_PRIORITY, Claim, KERNEL_ADDRESSES, SpareStack, UNMAPPED, Verdict, attempt, claim, ends_in_fault, ensure,
    ensure_eq, peek, refused, run, start_at, the_kernel_passes_its_own_checks, wait_for_state, wait_until,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use libvas::thread::{self, ThreadState};
use libvas::{Cap, CapTable, Error, Rights, Segment, Thread, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(joining_gives_the_exit_code),
        claim!(everybody_who_joins_is_told),
        claim!(joining_a_thread_that_faulted_says_so),
        claim!(a_thread_cannot_wait_for_itself),
        claim!(a_circle_of_waiting_threads_is_refused),
        claim!(a_ready_thread_can_be_stopped),
        claim!(a_sleeping_thread_can_be_stopped),
        claim!(a_joining_thread_can_be_stopped),
        claim!(a_thread_that_has_not_started_can_be_stopped),
        claim!(a_thread_can_stop_itself),
        claim!(stopping_what_has_ended_changes_nothing),
        claim!(a_thread_starts_once),
        claim!(a_thread_starts_at_user_addresses_only),
        claim!(giving_up_the_last_capability_stops_the_thread),
        claim!(info_tells_the_state_of_a_thread),
        claim!(a_table_is_emptied_when_its_last_thread_ends),
        claim!(a_thread_that_never_ran_leaves_its_table_as_it_is),
        claim!(a_thread_needs_control_over_its_table),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("threads", CLAIMS)
}

const LONG: Duration = Duration::from_secs(3600);

fn own_thread() -> Result<Cap<Thread>, Error> {
    let table = CapTable::new(program().account(), 1)?;
    Thread::new(program().account(), &table, program().space(), 1)
}

extern "C" fn exit_with(code: u64, _: u64) -> ! {
    thread::exit(code)
}

/// Whoever joins gets the exit code, all 64 bits of it, before or after the end.
fn joining_gives_the_exit_code() -> Verdict {
    for code in [0, 1, 255, 256, u64::MAX] {
        let thread = own_thread()?;
        start_at(&thread, exit_with, SpareStack::new(), code)?;
        ensure_eq!(thread.join(), Ok(code));
        ensure_eq!(thread.join(), Ok(code));
    }
    Ok(())
}

/// Several threads that wait for one all get its code.
fn everybody_who_joins_is_told() -> Verdict {
    let thread = own_thread()?;
    let mut waiting = [const { None }; 4];
    for waiter in &mut waiting {
        let target = thread.derive(Rights::WAIT, 0)?;
        let waiter = waiter.insert(thread::spawn(move || target.join())?);
        wait_for_state(waiter.thread(), ThreadState::Joining)?;
    }
    start_at(&thread, exit_with, SpareStack::new(), 3)?;
    for waiter in waiting.into_iter().flatten() {
        ensure_eq!(waiter.join()?, Ok(3));
    }
    Ok(())
}

/// A fault is told as `Faulted`, before and after, and is not an exit.
fn joining_a_thread_that_faulted_says_so() -> Verdict {
    let thread = thread::spawn(|| peek(UNMAPPED))?;
    refused(thread.thread().join(), Error::Faulted)?;
    ensure_eq!(thread.thread().info()?.state, ThreadState::Faulted as u64);
    refused(thread.join(), Error::Faulted)
}

/// Joining oneself is refused at once.
fn a_thread_cannot_wait_for_itself() -> Verdict {
    static OWN: AtomicU64 = AtomicU64::new(0);
    let thread = thread::spawn(|| {
        while OWN.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        attempt(number::thread_join, [OWN.load(Ordering::Acquire), 0, 0, 0, 0, 0])
    })?;
    OWN.store(thread.thread().handle().bits(), Ordering::Release);
    refused(thread.join()?, Error::Deadlock)
}

/// The thread whose waiting would close a circle is refused, for circles of two and of three.
fn a_circle_of_waiting_threads_is_refused() -> Verdict {
    for links in [1, 2] {
        static LAST: AtomicU64 = AtomicU64::new(0);
        LAST.store(0, Ordering::Release);
        // The first waits for `LAST`; each other waits for the one before it.
        let mut chain = thread::spawn(|| {
            while LAST.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
            attempt(number::thread_join, [LAST.load(Ordering::Acquire), 0, 0, 0, 0, 0])
        })?;
        let first = chain.thread().derive(Rights::WAIT | Rights::CONTROL, 0)?;
        for _ in 0..links {
            let before = chain;
            chain = thread::spawn(move || before.join()?)?;
            wait_for_state(chain.thread(), ThreadState::Joining)?;
        }
        LAST.store(chain.thread().handle().bits(), Ordering::Release);
        refused(chain.join()?, Error::Deadlock)?;
        ensure_eq!(first.info()?.state, ThreadState::Exited as u64);
    }
    Ok(())
}

/// Stops a thread that does this as soon as it is in this state; joining it must give `Gone`.
fn can_be_stopped(state: ThreadState, body: impl FnOnce() + Send + 'static) -> Verdict {
    let thread = thread::spawn(body)?;
    wait_for_state(thread.thread(), state)?;
    thread.thread().stop()?;
    refused(thread.join(), Error::Gone)
}

/// A thread that waits for its turn never gets another.
fn a_ready_thread_can_be_stopped() -> Verdict {
    static STEPS: AtomicU64 = AtomicU64::new(0);
    let thread = thread::spawn(|| {
        loop {
            STEPS.fetch_add(1, Ordering::Relaxed);
            thread::yield_now();
        }
    })?;
    wait_until(|| Ok(STEPS.load(Ordering::Relaxed) > 3))?;
    thread.thread().stop()?;
    let steps = STEPS.load(Ordering::Relaxed);
    refused::<()>(thread.join(), Error::Gone)?;
    thread::sleep(Duration::from_millis(5));
    ensure!(steps > 0 && STEPS.load(Ordering::Relaxed) == steps, "it went on after {steps} steps");
    Ok(())
}

/// A sleeping thread is stopped without waiting for its time.
fn a_sleeping_thread_can_be_stopped() -> Verdict {
    can_be_stopped(ThreadState::Sleeping, || thread::sleep(LONG))
}

/// A thread that waits for another can be stopped; the other ends as if nobody had waited.
fn a_joining_thread_can_be_stopped() -> Verdict {
    static GO: AtomicU64 = AtomicU64::new(0);
    let target = thread::spawn(|| {
        while GO.load(Ordering::Acquire) == 0 {
            thread::sleep(Duration::from_micros(300));
        }
    })?;
    let (first, second) = (target.thread().derive(Rights::WAIT, 0)?, target.thread().derive(Rights::WAIT, 0)?);
    let other_waiter = thread::spawn(move || first.join())?;
    wait_for_state(other_waiter.thread(), ThreadState::Joining)?;
    can_be_stopped(ThreadState::Joining, move || assert!(second.join().is_ok()))?;
    GO.store(1, Ordering::Release);
    ensure_eq!(other_waiter.join()?, Ok(0));
    target.join()?;
    Ok(())
}

/// A thread that is stopped before it was started never starts.
fn a_thread_that_has_not_started_can_be_stopped() -> Verdict {
    let thread = own_thread()?;
    thread.stop()?;
    refused(thread.join(), Error::Gone)?;
    refused(start_at(&thread, exit_with, SpareStack::new(), 0), Error::BadState)
}

/// A thread that stops itself does not come back from the call.
fn a_thread_can_stop_itself() -> Verdict {
    static OWN: AtomicU64 = AtomicU64::new(0);
    static WENT_ON: AtomicU64 = AtomicU64::new(0);
    let thread = thread::spawn(|| {
        while OWN.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        let result = attempt(number::thread_stop, [OWN.load(Ordering::Acquire), 0, 0, 0, 0, 0]);
        WENT_ON.store(1 + u64::from(result.is_err()), Ordering::Relaxed);
    })?;
    OWN.store(thread.thread().handle().bits(), Ordering::Release);
    refused(thread.join(), Error::Gone)?;
    ensure_eq!(WENT_ON.load(Ordering::Relaxed), 0);
    Ok(())
}

/// A thread that has exited or faulted stays what it is, however often it is stopped.
fn stopping_what_has_ended_changes_nothing() -> Verdict {
    let exited = thread::spawn(|| 5)?;
    exited.thread().join()?;
    exited.thread().stop()?;
    ensure_eq!(exited.join(), Ok(5));
    let faulted = thread::spawn(|| peek(UNMAPPED))?;
    refused(faulted.thread().join(), Error::Faulted)?;
    faulted.thread().stop()?;
    refused(faulted.join(), Error::Faulted)
}

/// Starting a thread again is refused, whether it runs or has ended.
fn a_thread_starts_once() -> Verdict {
    let thread = own_thread()?;
    start_at(&thread, exit_with, SpareStack::new(), 1)?;
    refused(start_at(&thread, exit_with, SpareStack::new(), 2), Error::BadState)?;
    ensure_eq!(thread.join(), Ok(1));
    refused(start_at(&thread, exit_with, SpareStack::new(), 3), Error::BadState)?;
    ensure_eq!(thread.join(), Ok(1));
    Ok(())
}

/// Kernel addresses are refused as instruction and as stack pointer, and the thread can still be started well.
fn a_thread_starts_at_user_addresses_only() -> Verdict {
    let thread = own_thread()?;
    let handle = thread.handle().bits();
    for bad in KERNEL_ADDRESSES.into_iter().chain([1 << 47, 1 << 63]) {
        for (ip, sp) in [(bad, UNMAPPED), (UNMAPPED, bad + 16)] {
            let result = attempt(number::thread_start, [handle, ip, sp, 0, 0, 0]);
            ensure!(result == Err(Error::BadAddress), "start at {ip:#x}, {sp:#x}: {result:?}");
        }
    }
    start_at(&thread, exit_with, SpareStack::new(), 0)?;
    ensure_eq!(thread.join(), Ok(0));
    Ok(())
}

/// A thread that nobody can name any more is stopped and gone.
fn giving_up_the_last_capability_stops_the_thread() -> Verdict {
    static STEPS: AtomicU64 = AtomicU64::new(0);
    extern "C" fn count(_: u64, _: u64) -> ! {
        loop {
            STEPS.fetch_add(1, Ordering::Relaxed);
            thread::yield_now();
        }
    }
    let table = CapTable::new(program().account(), 1)?;
    let thread = Thread::new(program().account(), &table, program().space(), CLAIM_PRIORITY)?;
    start_at(&thread, count, SpareStack::new(), 0)?;
    wait_until(|| Ok(STEPS.load(Ordering::Relaxed) > 3))?;
    drop(thread);
    let steps = STEPS.load(Ordering::Relaxed);
    thread::sleep(Duration::from_millis(5));
    ensure!(steps > 0 && STEPS.load(Ordering::Relaxed) == steps, "it went on after {steps} steps");
    Ok(())
}

/// A thread's state is told truly: made, ready, asleep, waiting, ended.
fn info_tells_the_state_of_a_thread() -> Verdict {
    let thread = own_thread()?;
    ensure_eq!(thread.info()?.state, ThreadState::Created as u64);
    ensure_eq!(thread.info()?.priority, 1);
    ensure_eq!(thread.info()?.space, program().space().capability_info()?.object);
    static FREE: AtomicBool = AtomicBool::new(false);
    let sleeper = thread::spawn(|| {
        while !FREE.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        thread::sleep(LONG);
    })?;
    let target = sleeper.thread().derive(Rights::WAIT, 0)?;
    let waiter = thread::spawn(move || target.join())?;
    ensure_eq!(sleeper.thread().info()?.state, ThreadState::Ready as u64);
    FREE.store(true, Ordering::Relaxed);
    wait_for_state(sleeper.thread(), ThreadState::Sleeping)?;
    wait_for_state(waiter.thread(), ThreadState::Joining)?;
    sleeper.thread().stop()?;
    ensure_eq!(sleeper.thread().info()?.state, ThreadState::Stopped as u64);
    refused(waiter.join()?, Error::Gone)?;
    start_at(&thread, exit_with, SpareStack::new(), 12)?;
    thread.join()?;
    ensure_eq!((thread.info()?.state, thread.info()?.exit_code), (ThreadState::Exited as u64, 12));
    Ok(())
}

/// What a table holds goes when the last thread that uses it has ended, so that no program outlives itself.
fn a_table_is_emptied_when_its_last_thread_ends() -> Verdict {
    let table = CapTable::new(program().account(), 4)?;
    let segment = Segment::new(program().account(), 4096)?;
    segment.copy_into(&table, Rights::READ, 0)?;
    table.copy_into(&table, Rights::INSERT, 0)?;
    let threads = [
        Thread::new(program().account(), &table, program().space(), 1)?,
        Thread::new(program().account(), &table, program().space(), 1)?,
    ];
    ensure_eq!(segment.capability_info()?.references, 2);
    for (thread, left) in threads.iter().zip([2, 1]) {
        start_at(thread, exit_with, SpareStack::new(), 0)?;
        thread.join()?;
        ensure_eq!(segment.capability_info()?.references, left);
    }
    ensure!(!ends_in_fault(program().space(), || ())?, "threads of other tables go on");
    Ok(())
}

/// A thread that is given up before it ever ran takes nothing along of what its table holds; one that is stopped does.
fn a_thread_that_never_ran_leaves_its_table_as_it_is() -> Verdict {
    let table = CapTable::new(program().account(), 4)?;
    let segment = Segment::new(program().account(), 4096)?;
    segment.copy_into(&table, Rights::READ, 0)?;
    drop(Thread::new(program().account(), &table, program().space(), 1)?);
    ensure_eq!(segment.capability_info()?.references, 2);
    // Nor does it when it loses its space.
    let space = program().new_space()?;
    let thread = Thread::new(program().account(), &table, &space, 1)?;
    drop(space);
    refused(thread.join(), Error::Gone)?;
    ensure_eq!(segment.capability_info()?.references, 2);
    Thread::new(program().account(), &table, program().space(), 1)?.stop()?;
    ensure_eq!(segment.capability_info()?.references, 1);
    Ok(())
}

/// Whoever may only insert into a table cannot run a thread with what it holds, nor empty it by a thread's end.
fn a_thread_needs_control_over_its_table() -> Verdict {
    let table = CapTable::new(program().account(), 4)?;
    let segment = Segment::new(program().account(), 4096)?;
    segment.copy_into(&table, Rights::READ, 0)?;
    let create = |rights| Thread::new(program().account(), &table.derive(rights, 0)?, program().space(), 1);
    refused(create(Rights::all() - Rights::CONTROL), Error::MissingRight)?;
    ensure_eq!(segment.capability_info()?.references, 2);
    start_at(&create(Rights::CONTROL)?, exit_with, SpareStack::new(), 7)?;
    wait_until(|| Ok(segment.capability_info()?.references == 1))?;
    Ok(())
}
