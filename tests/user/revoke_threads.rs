//! Revocation under threads: who is in a space by what is revoked lands at its fallback, or is stopped, and nobody else is.

#![no_std]
#![no_main]

use conformance::{
    Claim, SpareStack, UNMAPPED, Verdict, attempt, claim, ensure, ensure_eq, refused, run, set_fallback,
    the_kernel_passes_its_own_checks, wait_for_state, wait_until,
};
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use libvas::layout::{FallbackReason, LentInfo, LentKind};
use libvas::thread::{self, JoinHandle, ThreadState};
use libvas::{Cap, Enterable, Error, Handle, ObjectKind, Rights, Segment, Space, Thread, View, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_sleeping_thread_lands_with_space_revoked),
        claim!(a_ready_thread_lands),
        claim!(a_thread_that_never_calls_lands),
        claim!(a_joining_thread_lands_and_who_it_waited_for_goes_on),
        claim!(a_thread_in_a_local_space_lands),
        claim!(a_thread_in_a_view_lands),
        claim!(a_thread_in_a_view_of_a_view_lands),
        claim!(a_thread_whose_capability_was_deleted_lands_by_revoking_above),
        claim!(a_thread_in_its_first_space_is_there_by_who_made_it),
        claim!(a_thread_that_was_not_started_goes),
        claim!(without_a_fallback_the_thread_is_stopped),
        claim!(who_is_there_by_the_capability_itself_stays),
        claim!(who_has_left_is_left_alone),
        claim!(who_went_on_from_there_stays_where_it_is),
        claim!(a_fallback_by_what_is_revoked_is_forgotten),
        claim!(a_fallback_into_the_revoked_space_does_not_count_for_those_inside_by_it),
        claim!(who_landed_is_there_by_the_capability_of_its_fallback),
        claim!(a_badge_throws_out_one_borrower_only),
        claim!(who_revokes_what_it_is_inside_by_lands_when_all_else_is_done),
        claim!(who_revokes_what_it_is_inside_by_without_a_fallback_stops_when_all_else_is_done),
        claim!(who_revokes_by_badge_what_it_is_inside_by_lands_last),
        claim!(threads_and_fallbacks_are_listed),
        claim!(a_revoked_way_in_is_refused_in_every_way),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("revoke_threads", CLAIMS)
}

const LONG: Duration = Duration::from_secs(3600);

/// The exit code of a thread that landed, less the reason.
const LANDED: u64 = 500;
const REVOKED: Result<u64, Error> = Ok(LANDED + FallbackReason::SpaceRevoked as u64);
const DESTROYED: Result<u64, Error> = Ok(LANDED + FallbackReason::SpaceDestroyed as u64);

extern "C" fn landing(reason: u64, _: u64) -> ! {
    thread::exit(LANDED + reason)
}

/// A capability to a space that lets in and look.
fn lend(space: &Cap<Space>, badge: u64) -> Result<Cap<Space>, Error> {
    space.derive(Rights::SWITCH | Rights::INSPECT, badge)
}

/// Starts a thread that falls back to the home space, enters a space or view by a capability that it does not own, and
/// goes on with `body` there.
fn thread_in<T: Enterable>(by: &Cap<T>, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let handle = by.handle();
    thread::spawn(move || {
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(program().space(), landing, SpareStack::new()).is_ok() && space.switch().is_ok() {
            body();
        }
    })
}

/// A thread that sleeps inside, when it does.
fn sleeper_in<T: Enterable>(by: &Cap<T>) -> Result<JoinHandle<()>, conformance::Failure> {
    let thread = thread_in(by, || thread::sleep(LONG))?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    Ok(thread)
}

/// A thread that sleeps in a space lands when what let it in is revoked, long before its time; the space lives on.
fn a_sleeping_thread_lands_with_space_revoked() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let thread = sleeper_in(&lent)?;
    ensure_eq!(space.info()?.threads, 1);
    space.revoke()?;
    ensure_eq!((space.info()?.threads, space.enter(|| 7)?), (0, 7));
    ensure_eq!(thread.thread().join(), REVOKED);
    refused(lent.info(), Error::BadHandle)
}

/// A thread that is ready to run there lands.
fn a_ready_thread_lands() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let thread = thread_in(&lent, || {
        loop {
            thread::yield_now();
        }
    })?;
    wait_until(|| Ok(space.info()?.threads == 1))?;
    space.revoke()?;
    ensure_eq!(space.info()?.threads, 0);
    ensure_eq!(thread.thread().join(), REVOKED);
    Ok(())
}

/// A thread that computes there, and enters the kernel by interrupts only, lands.
fn a_thread_that_never_calls_lands() -> Verdict {
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let thread = thread_in(&lent, || {
        loop {
            TURNS.fetch_add(1, SeqCst);
        }
    })?;
    wait_until(|| Ok(TURNS.load(SeqCst) > 0))?;
    space.revoke()?;
    let turns = TURNS.load(SeqCst);
    ensure_eq!(thread.thread().join(), REVOKED);
    ensure_eq!(TURNS.load(SeqCst), turns);
    Ok(())
}

/// A thread that waits for another's end lands; the one it waited for is not disturbed.
fn a_joining_thread_lands_and_who_it_waited_for_goes_on() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let target = thread::spawn(|| thread::sleep(LONG))?;
    wait_for_state(target.thread(), ThreadState::Sleeping)?;
    let to_join = target.thread().derive(Rights::WAIT, 0)?;
    let thread = thread_in(&lent, move || assert!(to_join.join().is_ok()))?;
    wait_for_state(thread.thread(), ThreadState::Joining)?;
    space.revoke()?;
    ensure_eq!(thread.thread().join(), REVOKED);
    ensure_eq!(target.thread().info()?.state, ThreadState::Sleeping as u64);
    target.thread().stop()?;
    refused(target.join(), Error::Gone)
}

/// A thread in a space that is local to a CPU lands.
fn a_thread_in_a_local_space_lands() -> Verdict {
    let space = Space::new_local(program().account(), 0)?;
    space.attach(0, program().subtree(), Rights::ACCESS)?;
    let (lent, handle) = (lend(&space, 1)?, AtomicU64::new(0));
    handle.store(lent.handle().bits(), SeqCst);
    let handle = handle.into_inner();
    let thread = thread::Builder::new().cpus(1).spawn(move || {
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(Handle::from_bits(handle)));
        if set_fallback(program().space(), landing, SpareStack::new()).is_ok() && space.switch().is_ok() {
            thread::sleep(LONG);
        }
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    ensure_eq!(space.info()?.threads, 1);
    space.revoke()?;
    ensure_eq!(thread.thread().join(), REVOKED);
    Ok(())
}

/// A thread in a view that a borrower made of a space lands when the space is revoked.
fn a_thread_in_a_view_lands() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let view = View::new(program().account(), &lent, Rights::READ)?;
    let thread = sleeper_in(&view)?;
    ensure_eq!(view.info()?.threads, 1);
    space.revoke()?;
    ensure_eq!(thread.thread().join(), REVOKED);
    refused(view.info(), Error::BadHandle)?;
    ensure_eq!(space.info()?.views, 0);
    Ok(())
}

/// So does one in a view of that view, by a capability derived from the view's.
fn a_thread_in_a_view_of_a_view_lands() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let view = View::new(program().account(), &lent, Rights::READ_WRITE)?;
    let narrowed = view.narrowed(program().account(), Rights::READ)?;
    let derived = narrowed.derive(Rights::SWITCH, 2)?;
    let (thread, other) = (sleeper_in(&derived)?, sleeper_in(&narrowed)?);
    drop((view, lent));
    space.revoke()?;
    ensure_eq!((thread.thread().join(), other.thread().join()), (REVOKED, REVOKED));
    refused(narrowed.info(), Error::BadHandle)?;
    ensure_eq!(space.info()?.views, 0);
    Ok(())
}

/// Deleting the capability that let a thread in does not disturb it; revoking what that was derived from does.
fn a_thread_whose_capability_was_deleted_lands_by_revoking_above() -> Verdict {
    let space = program().new_space()?;
    let middle = lend(&space, 1)?;
    let lent = lend(&middle, 2)?;
    let thread = sleeper_in(&lent)?;
    lent.delete()?;
    middle.delete()?;
    ensure_eq!(thread.thread().info()?.state, ThreadState::Sleeping as u64);
    space.revoke()?;
    ensure_eq!(thread.thread().join(), REVOKED);
    Ok(())
}

/// A thread that never switched is in its space by the capability that it was made with.
fn a_thread_in_its_first_space_is_there_by_who_made_it() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let (by_lent, by_itself) =
        (thread::spawn_in(&lent, || thread::sleep(LONG))?, thread::spawn_in(&space, || thread::sleep(LONG))?);
    wait_for_state(by_lent.thread(), ThreadState::Sleeping)?;
    wait_for_state(by_itself.thread(), ThreadState::Sleeping)?;
    space.revoke()?;
    refused(by_lent.join(), Error::Gone)?;
    ensure_eq!(by_itself.thread().info()?.state, ThreadState::Sleeping as u64);
    by_itself.thread().stop()?;
    refused(by_itself.join(), Error::Gone)
}

/// A thread that was made for the space by what is revoked, and not started, never starts.
fn a_thread_that_was_not_started_goes() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let thread = Thread::new(program().account(), program().table(), &lent, 0)?;
    space.revoke()?;
    refused(thread.join(), Error::Gone)?;
    let words = [thread.handle().bits(), UNMAPPED, UNMAPPED, 0, 0, 0];
    refused(attempt(number::thread_start, words), Error::BadState)
}

/// Without a fallback, or with one that was taken away again, the thread is stopped wherever it is.
fn without_a_fallback_the_thread_is_stopped() -> Verdict {
    let sleeps = || thread::sleep(LONG);
    let yields = || loop {
        thread::yield_now();
    };
    for body in [sleeps as fn(), yields] {
        let space = program().new_space()?;
        let lent = lend(&space, 1)?;
        let thread = thread_in(&lent, move || {
            thread::clear_fallback();
            body();
        })?;
        wait_until(|| Ok(space.info()?.threads == 1))?;
        thread::sleep(Duration::from_millis(2));
        space.revoke()?;
        ensure_eq!(space.info()?.threads, 0);
        refused(thread.thread().join(), Error::Gone)?;
    }
    Ok(())
}

/// The lender's own thread inside, which entered by the capability that is revoked, sleeps on.
fn who_is_there_by_the_capability_itself_stays() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    let (own, borrower) = (sleeper_in(&space)?, sleeper_in(&lent)?);
    space.revoke()?;
    ensure_eq!(borrower.thread().join(), REVOKED);
    ensure_eq!((space.info()?.threads, own.thread().info()?.state), (1, ThreadState::Sleeping as u64));
    drop(space);
    ensure_eq!(own.thread().join(), DESTROYED);
    Ok(())
}

/// A thread that was inside and has gone home notices nothing, but that it cannot come in again.
fn who_has_left_is_left_alone() -> Verdict {
    let space = program().new_space()?;
    let lent = lend(&space, 1)?;
    ensure_eq!(lent.enter(|| 3)?, 3);
    let handle = lent.handle();
    let thread = thread::spawn(move || {
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        assert!(space.enter(|| ()).is_ok());
        thread::sleep(LONG);
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    space.revoke()?;
    ensure_eq!(thread.thread().info()?.state, ThreadState::Sleeping as u64);
    thread.thread().stop()?;
    refused(thread.join(), Error::Gone)?;
    refused(lent.enter(|| ()), Error::BadHandle)
}

/// A thread that went from the borrowed space into another one stays there; only its way back is gone.
fn who_went_on_from_there_stays_where_it_is() -> Verdict {
    let (space, next) = (program().new_space()?, program().new_space()?);
    let (lent, handle) = (lend(&space, 1)?, next.handle());
    let thread = thread_in(&lent, move || {
        let next = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        let Ok(back) = next.switch() else { return };
        thread::sleep(Duration::from_millis(50));
        let back = ManuallyDrop::new(Cap::<Space>::from_handle(back));
        while back.switch().is_ok() {
            // Not revoked yet on a busy machine.
            if next.switch().is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread::exit(1);
    })?;
    wait_until(|| Ok(next.info()?.threads == 1))?;
    space.revoke()?;
    let end = thread.thread().join();
    ensure!(end == Ok(1) || end == REVOKED, "it ended otherwise: {end:?}");
    Ok(())
}

/// A fallback to a space by a capability that is revoked leads nowhere any more.
fn a_fallback_by_what_is_revoked_is_forgotten() -> Verdict {
    let (space, refuge) = (program().new_space()?, program().new_space()?);
    let (to_refuge, handle) = (lend(&refuge, 1)?, space.handle());
    let thread = thread::spawn(move || {
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(&to_refuge, landing, SpareStack::new()).is_ok() && space.switch().is_ok() {
            thread::sleep(LONG);
        }
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    refuge.revoke()?;
    ensure_eq!(thread.thread().info()?.state, ThreadState::Sleeping as u64);
    drop(space);
    refused(thread.thread().join(), Error::Gone)
}

/// Whoever is in a space by what is revoked, and falls back to the same space, is stopped.
fn a_fallback_into_the_revoked_space_does_not_count_for_those_inside_by_it() -> Verdict {
    let space = program().new_space()?;
    let (lent, handle) = (lend(&space, 1)?, space.handle());
    let thread = thread_in(&lent, move || {
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(&*space, landing, SpareStack::new()).is_ok() {
            thread::sleep(LONG);
        }
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    space.revoke()?;
    refused(thread.thread().join(), Error::Gone)
}

extern "C" fn landing_that_sleeps(_: u64, _: u64) -> ! {
    thread::sleep(LONG);
    thread::exit(1)
}

/// A thread that has landed is in its new space by the capability that its fallback was given, and is thrown out there too.
fn who_landed_is_there_by_the_capability_of_its_fallback() -> Verdict {
    let (space, refuge) = (program().new_space()?, program().new_space()?);
    let (lent, to_refuge) = (lend(&space, 1)?.into_handle(), lend(&refuge, 2)?.into_handle());
    let thread = thread::spawn(move || {
        let [space, refuge] = [lent, to_refuge].map(|handle| ManuallyDrop::new(Cap::<Space>::from_handle(handle)));
        if set_fallback(&*refuge, landing_that_sleeps, SpareStack::new()).is_ok() && space.switch().is_ok() {
            thread::sleep(LONG);
        }
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    space.revoke()?;
    wait_until(|| Ok(refuge.info()?.threads == 1))?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    refuge.revoke()?;
    ensure_eq!(refuge.info()?.threads, 0);
    refused(thread.thread().join(), Error::Gone)
}

/// Taking back by badge throws out the borrower of this badge; others sleep on.
fn a_badge_throws_out_one_borrower_only() -> Verdict {
    let space = program().new_space()?;
    let (one, other) = (lend(&space, 1)?, lend(&space, 2)?);
    let (of_one, of_other) = (sleeper_in(&one)?, sleeper_in(&other)?);
    space.revoke_badge(1)?;
    ensure_eq!(of_one.thread().join(), REVOKED);
    ensure_eq!((space.info()?.threads, of_other.thread().info()?.state), (1, ThreadState::Sleeping as u64));
    refused(one.info(), Error::BadHandle)?;
    ensure_eq!(other.enter(|| 4)?, 4);
    space.revoke_badge(3)?;
    ensure_eq!(space.info()?.threads, 1);
    space.revoke_badge(2)?;
    ensure_eq!(of_other.thread().join(), REVOKED);
    Ok(())
}

/// Lends a space thrice, and lets the second borrower, which is inside, revoke it by what it was derived from; gives how that
/// thread ended. All that was lent has gone then.
fn revoke_from_inside(by_badge: bool, with_fallback: bool) -> Result<Result<u64, Error>, conformance::Failure> {
    let space = program().new_space()?;
    let (first, own, last) = (lend(&space, 5)?, lend(&space, 5)?, lend(&space, 5)?);
    let (before, after) = (sleeper_in(&first)?, sleeper_in(&last)?);
    let (handle, view) = (space.handle(), View::new(program().account(), &last, Rights::READ)?);
    let thread = thread_in(&own, move || {
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if !with_fallback {
            thread::clear_fallback();
        }
        let result = if by_badge { space.revoke_badge(5) } else { space.revoke() };
        thread::exit(u64::from(result.is_ok()));
    })?;
    let end = thread.thread().join();
    ensure_eq!((before.thread().join(), after.thread().join()), (REVOKED, REVOKED));
    for cap in [first, own, last] {
        refused(cap.delete(), Error::BadHandle)?;
    }
    refused(view.info(), Error::BadHandle)?;
    let (info, list) = (space.info()?, space.lent().count());
    ensure_eq!((info.threads, info.views, list, space.capability_info()?.children), (0, 0, 0, 0));
    Ok(end)
}

/// A thread that revokes what it is inside by lands at its fallback, instead of coming back, when all else is gone.
fn who_revokes_what_it_is_inside_by_lands_when_all_else_is_done() -> Verdict {
    ensure_eq!(revoke_from_inside(false, true)?, REVOKED);
    Ok(())
}

/// Without a fallback it is stopped then.
fn who_revokes_what_it_is_inside_by_without_a_fallback_stops_when_all_else_is_done() -> Verdict {
    ensure_eq!(revoke_from_inside(false, false)?, Err(Error::Gone));
    Ok(())
}

/// The same for who revokes by badge.
fn who_revokes_by_badge_what_it_is_inside_by_lands_last() -> Verdict {
    ensure_eq!(revoke_from_inside(true, true)?, REVOKED);
    ensure_eq!(revoke_from_inside(true, false)?, Err(Error::Gone));
    Ok(())
}

/// The list tells of threads inside and of fallbacks, with the badge of what they used.
fn threads_and_fallbacks_are_listed() -> Verdict {
    let (space, refuge) = (program().new_space()?, program().new_space()?);
    let (lent, to_refuge) = (lend(&space, 41)?.into_handle(), lend(&refuge, 42)?.into_handle());
    let thread = thread::spawn(move || {
        let [space, refuge] = [lent, to_refuge].map(|handle| ManuallyDrop::new(Cap::<Space>::from_handle(handle)));
        if set_fallback(&*refuge, landing, SpareStack::new()).is_ok() && space.switch().is_ok() {
            thread::sleep(LONG);
        }
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    let one = |space: &Cap<Space>, kind: LentKind| -> Result<LentInfo, Error> {
        let found = space.lent().find(|info| info.is_ok_and(|info| info.kind == kind as u64));
        found.unwrap_or(Err(Error::NotMapped))
    };
    let (inside, fallback) = (one(&space, LentKind::Thread)?, one(&refuge, LentKind::Fallback)?);
    ensure_eq!((inside.badge, inside.holder_kind), (41, ObjectKind::Thread as u64));
    ensure_eq!((fallback.badge, fallback.holder_kind), (42, ObjectKind::Thread as u64));
    ensure_eq!(inside.holder, fallback.holder);
    ensure_eq!(thread.thread().capability_info()?.object, inside.holder);
    space.revoke()?;
    ensure_eq!(thread.thread().join(), REVOKED);
    ensure_eq!(
        (space.lent().count(), refuge.lent().filter(|info| info.is_ok_and(|info| info.badge == 42)).count()),
        (0, 1)
    );
    Ok(())
}

/// By a handle that was revoked nobody switches, jumps, starts threads, falls back, looks or makes views.
fn a_revoked_way_in_is_refused_in_every_way() -> Verdict {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), libvas::PAGE_BYTES)?);
    let lent = space.derive(Rights::all(), 1)?;
    ensure_eq!(lent.enter(|| 1)?, 1);
    space.revoke()?;
    refused(lent.switch(), Error::BadHandle)?;
    let words = [lent.handle().bits(), UNMAPPED, UNMAPPED, 0, 0, 0];
    refused(attempt(number::space_jump, words), Error::BadHandle)?;
    refused(attempt(number::thread_set_fallback, words), Error::BadHandle)?;
    refused(Thread::new(program().account(), program().table(), &lent, 0).map(drop), Error::BadHandle)?;
    refused(View::new(program().account(), &lent, Rights::READ).map(drop), Error::BadHandle)?;
    refused(lent.info(), Error::BadHandle)?;
    refused(lent.map(conformance::fresh_address(), &segment, 0..libvas::PAGE_BYTES, Rights::READ), Error::BadHandle)?;
    refused(lent.derive(Rights::empty(), 0).map(drop), Error::BadHandle)?;
    ensure_eq!(space.enter(|| 2)?, 2);
    Ok(())
}
