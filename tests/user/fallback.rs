//! Fallbacks: where a thread lands when its space is destroyed under it, and that it stops without one.

#![no_std]
#![no_main]

use conformance::{
    Claim, KERNEL_ADDRESSES, SpareStack, UNMAPPED, Verdict, attempt, claim, ensure, ensure_eq, refused, run,
    set_fallback, the_kernel_passes_its_own_checks, wait_for_state, wait_until,
};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libvas::layout::FallbackReason;
use libvas::thread::{self, JoinHandle, ThreadState};
use libvas::{Cap, CapTable, Error, Rights, Space, Thread, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_sleeping_thread_lands_at_its_fallback),
        claim!(a_ready_thread_lands_at_its_fallback),
        claim!(a_joining_thread_lands_at_its_fallback),
        claim!(a_thread_that_destroys_its_own_space_lands),
        claim!(without_a_fallback_the_thread_stops),
        claim!(without_a_fallback_who_destroys_the_own_space_stops),
        claim!(a_fallback_that_was_taken_away_does_not_count),
        claim!(a_fallback_into_the_space_that_goes_does_not_count),
        claim!(a_fallback_is_not_used_while_its_space_lives),
        claim!(a_thread_that_has_not_started_goes_with_its_space),
        claim!(a_fallback_needs_a_right_and_user_addresses),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("fallback", CLAIMS)
}

const LONG: Duration = Duration::from_secs(3600);

/// The exit code of a thread that landed.
const LANDED: u64 = 55;

/// The reason code that the last landing got.
static REASON: AtomicU64 = AtomicU64::new(0);

extern "C" fn landing(reason: u64, _: u64) -> ! {
    REASON.store(reason, Ordering::Relaxed);
    thread::exit(LANDED)
}

/// Starts a thread that has the home space as fallback, enters `space` by a capability that it does not own, and
/// goes on with `body` there.
fn thread_in(space: &Cap<Space>, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    REASON.store(0, Ordering::Relaxed);
    let handle = space.handle();
    thread::spawn(move || {
        let space = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(program().space(), landing, SpareStack::new()).is_ok() && space.switch().is_ok() {
            body();
        }
    })
}

/// Fails unless the thread has landed at its fallback because its space was destroyed.
#[track_caller]
fn has_landed(thread: &JoinHandle<()>) -> Verdict {
    ensure_eq!(thread.thread().join(), Ok(LANDED));
    ensure_eq!(REASON.load(Ordering::Relaxed), FallbackReason::SpaceDestroyed as u64);
    Ok(())
}

/// A thread that sleeps in a space lands when the space goes, long before its time.
fn a_sleeping_thread_lands_at_its_fallback() -> Verdict {
    let space = program().new_space()?;
    let thread = thread_in(&space, || thread::sleep(LONG))?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    ensure_eq!(space.info()?.threads, 1);
    drop(space);
    has_landed(&thread)
}

/// A thread that is ready to run in a space lands when the space goes.
fn a_ready_thread_lands_at_its_fallback() -> Verdict {
    let space = program().new_space()?;
    let thread = thread_in(&space, || {
        loop {
            thread::yield_now();
        }
    })?;
    wait_until(|| Ok(space.info()?.threads == 1))?;
    drop(space);
    has_landed(&thread)
}

/// A thread that waits for another lands when its space goes; the one it waited for is not disturbed.
fn a_joining_thread_lands_at_its_fallback() -> Verdict {
    let space = program().new_space()?;
    let target = thread::spawn(|| thread::sleep(LONG))?;
    let to_join = target.thread().derive(Rights::WAIT, 0)?;
    let thread = thread_in(&space, move || assert!(to_join.join().is_ok()))?;
    wait_for_state(thread.thread(), ThreadState::Joining)?;
    drop(space);
    has_landed(&thread)?;
    ensure_eq!(target.thread().info()?.state, ThreadState::Sleeping as u64);
    target.thread().stop()?;
    refused(target.join(), Error::Gone)
}

/// A thread that gives up the last capability to the space it is in lands, instead of coming back.
fn a_thread_that_destroys_its_own_space_lands() -> Verdict {
    let space = program().new_space()?;
    let handle = space.handle();
    let thread = thread_in(&space, move || drop(Cap::<Space>::from_handle(handle)))?;
    has_landed(&thread)?;
    refused(space.delete(), Error::BadHandle)
}

/// A thread without a fallback, asleep or ready, is stopped with its space.
fn without_a_fallback_the_thread_stops() -> Verdict {
    for asleep in [true, false] {
        let space = program().new_space()?;
        let wait = if asleep { || thread::sleep(LONG) } else { || thread::yield_now() };
        let thread = thread::spawn_in(&space, move || {
            loop {
                wait();
            }
        })?;
        wait_for_state(thread.thread(), if asleep { ThreadState::Sleeping } else { ThreadState::Ready })?;
        drop(space);
        ensure_eq!(thread.join(), Err::<(), _>(Error::Gone));
    }
    Ok(())
}

/// A thread without a fallback that destroys the space it is in is stopped at that moment.
fn without_a_fallback_who_destroys_the_own_space_stops() -> Verdict {
    static WENT_ON: AtomicU64 = AtomicU64::new(0);
    let handle = program().new_space()?.into_handle();
    let thread = thread::spawn(move || {
        let space = Cap::<Space>::from_handle(handle);
        if space.switch().is_ok() {
            drop(space);
            WENT_ON.store(1, Ordering::Relaxed);
        }
    })?;
    ensure_eq!(thread.join(), Err(Error::Gone));
    ensure_eq!(WENT_ON.load(Ordering::Relaxed), 0);
    Ok(())
}

/// After a thread has taken its fallback away, it is stopped with its space.
fn a_fallback_that_was_taken_away_does_not_count() -> Verdict {
    let space = program().new_space()?;
    let thread = thread_in(&space, || {
        thread::clear_fallback();
        thread::sleep(LONG);
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    drop(space);
    ensure_eq!(thread.join(), Err(Error::Gone));
    ensure_eq!(REASON.load(Ordering::Relaxed), 0);
    Ok(())
}

/// A fallback into the very space that goes is none.
fn a_fallback_into_the_space_that_goes_does_not_count() -> Verdict {
    let space = program().new_space()?;
    let handle = space.handle();
    let thread = thread_in(&space, move || {
        let space = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(&space, landing, SpareStack::new()).is_ok() {
            thread::sleep(LONG);
        }
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    drop(space);
    ensure_eq!(thread.join(), Err(Error::Gone));
    Ok(())
}

/// A space that a thread is not in can go without the thread noticing, even if it was there before.
fn a_fallback_is_not_used_while_its_space_lives() -> Verdict {
    let (space, other) = (program().new_space()?, program().new_space()?);
    let other_handle = other.handle();
    let thread = thread_in(&space, move || {
        let other = Cap::<Space>::from_handle(other_handle);
        let visited = other.enter(|| ()).is_ok();
        drop(other);
        thread::exit(u64::from(visited));
    })?;
    ensure_eq!(thread.thread().join(), Ok(1));
    ensure_eq!(REASON.load(Ordering::Relaxed), 0);
    refused(other.delete(), Error::BadHandle)
}

/// A thread made for a space that went before it was started can never be started.
fn a_thread_that_has_not_started_goes_with_its_space() -> Verdict {
    let space = program().new_space()?;
    let table = CapTable::new(program().account(), 1)?;
    let thread = Thread::new(program().account(), &table, &space, 0)?;
    drop(space);
    refused(thread.join(), Error::Gone)?;
    let words = [thread.handle().bits(), UNMAPPED, UNMAPPED, 0, 0, 0];
    refused(attempt(number::thread_start, words), Error::BadState)
}

/// A fallback is refused without the right to switch, and where no user code or stack can be.
fn a_fallback_needs_a_right_and_user_addresses() -> Verdict {
    let space = program().new_space()?;
    let inspect = space.derive(Rights::all() - Rights::SWITCH, 0)?;
    refused(set_fallback(&inspect, landing, SpareStack::new()), Error::MissingRight)?;
    for bad in KERNEL_ADDRESSES.into_iter().chain([1 << 47, 1 << 63]) {
        for (ip, sp) in [(bad, UNMAPPED), (UNMAPPED, bad + 16)] {
            let words = [space.handle().bits(), ip, sp, 0, 0, 0];
            let result = attempt(number::thread_set_fallback, words);
            ensure!(result == Err(Error::BadAddress), "fallback to {ip:#x}, {sp:#x}: {result:?}");
        }
    }
    Ok(())
}
