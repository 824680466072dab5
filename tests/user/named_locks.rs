//! First-class address spaces with a lock: any number have them attached, and who is inside has them for itself, or to read with others.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use conformance::{
    Claim, Naming, Verdict, claim, ensure_eq, refused, run, the_kernel_passes_its_own_checks, wait_for_state,
};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use libvas::names::Mode;
use libvas::thread::{self, Builder, JoinHandle, ThreadState};
use libvas::vas::{Access, Process, START, Vid};
use libvas::{Error, Names, PAGE_BYTES as PAGE, Place, Rights};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(any_number_have_it_attached),
        claim!(one_writes_at_a_time),
        claim!(who_writes_keeps_everybody_out),
        claim!(those_who_read_are_in_it_together),
        claim!(who_waits_comes_in_when_it_is_free),
        claim!(a_thread_that_ends_inside_has_left),
        claim!(who_has_written_goes_on_to_read),
        claim!(no_thread_begins_in_it),
        claim!(without_a_lock_nobody_waits),
        claim!(a_clone_has_a_lock_of_its_own),
        claim!(what_is_cloned_is_entered),
        claim!(names_of_locks_come_and_go_with_their_spaces),
        claim!(strangers_do_what_the_mode_says),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("named_locks", CLAIMS)
}

const OWN: Mode = Mode::new(0o600);
const HERE: u64 = START + 0x20_0000;
const LONG: Duration = Duration::from_secs(3000);

/// A space with a lock and a page.
fn furnished(process: &Process<'_>, name: &str) -> Result<Vid, Error> {
    let vid = process.create_locked(name, OWN)?;
    let sid = process.create_segment(name, HERE..HERE + PAGE, OWN)?;
    process.attach_segment(vid, sid, Access::ReadWrite)?;
    Ok(vid)
}

/// A service for threads, and a space with a lock.
fn scene() -> Result<(Naming, Vid), Error> {
    let naming = Naming::new()?;
    let vid = furnished(&Process::new(&naming.one), "locked")?;
    Ok((naming, vid))
}

/// The same client's way to the service, for a thread of its own, which may be stopped.
fn again(naming: &Naming) -> Result<Names, Error> {
    naming.one.gate().derive(Rights::CALL | Rights::GRANT, 0).map(Names::new)
}

/// A process that has it attached.
fn attached(names: &Names, vid: Vid, access: Access) -> Result<Process<'_>, Error> {
    let mut process = Process::new(names);
    process.attach(vid, access)?;
    Ok(process)
}

/// What a thread has been told, and tells: 1 when it is inside, 2 when it may leave.
type Signal = Arc<AtomicU64>;

/// A thread that is inside, until it is told to leave.
fn holder(naming: &Naming, vid: Vid, access: Access) -> Result<(Signal, JoinHandle<Result<(), Error>>), Error> {
    let signal = Signal::default();
    let (names, told) = (again(naming)?, Arc::clone(&signal));
    let thread = thread::spawn(move || {
        let process = attached(&names, vid, access)?;
        process.switch(Some(vid))?;
        told.store(1, SeqCst);
        while told.load(SeqCst) != 2 {
            thread::sleep(Duration::from_micros(200));
        }
        process.switch(None)
    })?;
    while signal.load(SeqCst) != 1 {
        thread::sleep(Duration::from_micros(200));
    }
    Ok((signal, thread))
}

fn let_go((signal, thread): (Signal, JoinHandle<Result<(), Error>>)) -> Verdict {
    signal.store(2, SeqCst);
    thread.join()??;
    Ok(())
}

/// To write as well; one without a lock has one writer.
fn any_number_have_it_attached() -> Verdict {
    let (naming, vid) = scene()?;
    let plain = Process::new(&naming.one).create("plain", OWN)?;
    let mut processes = Vec::new();
    for number in 0..6 {
        let mut process = Process::new(&naming.one);
        process.attach(vid, if number < 4 { Access::ReadWrite } else { Access::Read })?;
        ensure_eq!(process.attach(plain, Access::ReadWrite), if number == 0 { Ok(()) } else { Err(Error::Busy) });
        processes.push(process);
    }
    refused(Process::new(&naming.one).delete(vid), Error::Busy)
}

/// Threads of four processes count without an atomic, and miss nothing.
fn one_writes_at_a_time() -> Verdict {
    const TURNS: u64 = 200;
    let (naming, vid) = scene()?;
    let mut threads = Vec::new();
    for _ in 0..4 {
        let names = again(&naming)?;
        threads.push(thread::spawn(move || {
            let process = attached(&names, vid, Access::ReadWrite)?;
            let place = Place::<u64>::new(HERE)?;
            for turn in 0..TURNS {
                process.switch(Some(vid))?;
                let value = place.get();
                if turn % 8 == 0 {
                    thread::yield_now();
                }
                place.set(value + 1);
                process.switch(None)?;
            }
            Ok::<(), Error>(())
        })?);
    }
    for thread in threads {
        thread.join()??;
    }
    let process = attached(&naming.one, vid, Access::Read)?;
    process.switch(Some(vid))?;
    let counted = Place::<u64>::new(HERE)?.get();
    process.switch(None)?;
    ensure_eq!(counted, 4 * TURNS);
    Ok(())
}

/// Whether to read or to write; who does not wait is told so, and has not moved.
fn who_writes_keeps_everybody_out() -> Verdict {
    let (naming, vid) = scene()?;
    let inside = holder(&naming, vid, Access::ReadWrite)?;
    for access in [Access::Read, Access::ReadWrite] {
        let process = attached(&naming.one, vid, access)?;
        refused(process.switch_within(vid, Duration::ZERO), Error::Busy)?;
        refused(process.switch_within(vid, Duration::from_millis(2)), Error::TimedOut)?;
        ensure_eq!(process.active()?, None);
    }
    let_go(inside)?;
    let process = attached(&naming.one, vid, Access::ReadWrite)?;
    process.switch_within(vid, Duration::ZERO)?;
    let active = process.active()?;
    process.switch(None)?;
    ensure_eq!(active, Some(vid));
    Ok(())
}

/// And a writer is not among them.
fn those_who_read_are_in_it_together() -> Verdict {
    let (naming, vid) = scene()?;
    let inside = [holder(&naming, vid, Access::Read)?, holder(&naming, vid, Access::Read)?];
    let (reader, writer) = (attached(&naming.one, vid, Access::Read)?, attached(&naming.one, vid, Access::ReadWrite)?);
    reader.switch_within(vid, Duration::ZERO)?;
    reader.switch(None)?;
    refused(writer.switch_within(vid, Duration::ZERO), Error::Busy)?;
    inside.into_iter().try_for_each(let_go)?;
    writer.switch_within(vid, Duration::ZERO)?;
    Ok(writer.switch(None)?)
}

/// A thread is asleep at the door, and comes in when the one inside leaves.
fn who_waits_comes_in_when_it_is_free() -> Verdict {
    let (naming, vid) = scene()?;
    let inside = holder(&naming, vid, Access::ReadWrite)?;
    let own = again(&naming)?;
    let waits = thread::spawn(move || {
        let process = attached(&own, vid, Access::ReadWrite)?;
        process.switch_within(vid, LONG)?;
        let active = process.active();
        process.switch(None)?;
        active
    })?;
    wait_for_state(waits.thread(), ThreadState::Entering)?;
    let_go(inside)?;
    ensure_eq!(waits.join()?, Ok(Some(vid)));
    Ok(())
}

/// By itself, or because it was stopped; what it has written stays.
fn a_thread_that_ends_inside_has_left() -> Verdict {
    let (naming, vid) = scene()?;
    let own = again(&naming)?;
    let ends = thread::spawn(move || {
        let process = attached(&own, vid, Access::ReadWrite)?;
        process.switch(Some(vid))?;
        Place::<u64>::new(HERE)?.set(6);
        core::mem::forget(process);
        Ok::<(), Error>(())
    })?;
    ends.join()??;
    let process = attached(&naming.one, vid, Access::ReadWrite)?;
    process.switch_within(vid, Duration::ZERO)?;
    let found = Place::<u64>::new(HERE)?.get();
    process.switch(None)?;
    ensure_eq!(found, 6);
    let (_signal, thread) = holder(&naming, vid, Access::ReadWrite)?;
    refused(process.switch_within(vid, Duration::ZERO), Error::Busy)?;
    thread.thread().stop()?;
    refused(thread.join(), Error::Gone)?;
    process.switch_within(vid, Duration::ZERO)?;
    Ok(process.switch(None)?)
}

/// Without letting anybody in between; the way back is free when nobody else reads any more.
fn who_has_written_goes_on_to_read() -> Verdict {
    let (naming, vid) = scene()?;
    let (reader, writer) = (attached(&naming.one, vid, Access::Read)?, attached(&naming.one, vid, Access::ReadWrite)?);
    writer.switch(Some(vid))?;
    reader.switch_within(vid, Duration::ZERO)?;
    let inside = holder(&naming, vid, Access::Read)?;
    let result = writer.switch_within(vid, Duration::ZERO);
    let_go(inside)?;
    writer.switch_within(vid, Duration::ZERO)?;
    writer.switch(None)?;
    refused(result, Error::Busy)
}

/// It would have no lock.
fn no_thread_begins_in_it() -> Verdict {
    let (naming, vid) = scene()?;
    let process = attached(&naming.one, vid, Access::Read)?;
    refused(Builder::new().space(process.space(vid)?).spawn(|| ()).map(|_| ()), Error::BadState)
}

/// Both ways of switching are the same then.
fn without_a_lock_nobody_waits() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = process.create("plain", OWN)?;
    refused(process.switch_within(vid, LONG), Error::BadArgument)?;
    process.attach(vid, Access::ReadWrite)?;
    process.switch_within(vid, Duration::ZERO)?;
    let active = process.active()?;
    process.switch(None)?;
    ensure_eq!(active, Some(vid));
    Ok(())
}

/// Who is in the space is not in the clone.
fn a_clone_has_a_lock_of_its_own() -> Verdict {
    let (naming, vid) = scene()?;
    let mut process = Process::new(&naming.one);
    let clone = process.clone_of(vid, "clone", OWN)?;
    process.attach(clone, Access::ReadWrite)?;
    let inside = holder(&naming, vid, Access::ReadWrite)?;
    process.switch_within(clone, Duration::ZERO)?;
    process.switch(None)?;
    let_go(inside)?;
    let inside = holder(&naming, clone, Access::ReadWrite)?;
    refused(process.switch_within(clone, Duration::ZERO), Error::Busy)?;
    let_go(inside)
}

/// So nobody writes meanwhile; whoever is inside has it cloned from there, and is still inside.
fn what_is_cloned_is_entered() -> Verdict {
    let (naming, vid) = scene()?;
    let process = attached(&naming.one, vid, Access::ReadWrite)?;
    process.switch(Some(vid))?;
    let result = process.clone_of(vid, "from inside", OWN);
    let active = process.active();
    Place::<u64>::new(HERE)?.set(1);
    process.switch(None)?;
    ensure_eq!((result.is_ok(), active), (true, Ok(Some(vid))));
    let inside = holder(&naming, vid, Access::ReadWrite)?;
    let own = again(&naming)?;
    let clones = thread::spawn(move || Process::new(&own).clone_of(vid, "clone", OWN).map(|_| ()))?;
    wait_for_state(clones.thread(), ThreadState::Entering)?;
    refused(process.find("clone"), Error::NotFound)?;
    let_go(inside)?;
    clones.join()??;
    process.find("clone")?;
    Ok(())
}

/// One that was refused has left no lock; one that was deleted neither.
fn names_of_locks_come_and_go_with_their_spaces() -> Verdict {
    let naming = Naming::new()?;
    let process = Process::new(&naming.one);
    process.create("plain", OWN)?;
    refused(process.create_locked("plain", OWN), Error::Exists)?;
    ensure_eq!(naming.one.list().count(), 1);
    let vid = process.create_locked("locked", OWN)?;
    ensure_eq!(naming.one.list().count(), 3);
    refused(process.create_locked("locked", OWN), Error::Exists)?;
    refused(process.create("locked", OWN), Error::Exists)?;
    process.delete(vid)?;
    ensure_eq!(naming.one.list().count(), 1);
    refused(process.create_locked("", OWN), Error::BadText)?;
    refused(process.create_locked("a name that has more than 32 bytes", OWN), Error::BadText)?;
    process.create_locked("locked", OWN)?;
    Ok(())
}

/// Of the lock as of the space.
fn strangers_do_what_the_mode_says() -> Verdict {
    let (naming, vid) = scene()?;
    let (owner, mut other) = (Process::new(&naming.one), Process::new(&naming.other));
    refused(other.attach(vid, Access::Read), Error::MissingRight)?;
    owner.set_attributes(vid, Mode::new(0o604))?;
    refused(other.attach(vid, Access::ReadWrite), Error::MissingRight)?;
    other.attach(vid, Access::Read)?;
    other.switch_within(vid, Duration::ZERO)?;
    other.switch(None)?;
    other.detach(vid)?;
    refused(other.delete(vid), Error::MissingRight)?;
    owner.set_attributes(vid, Mode::new(0o606))?;
    other.attach(vid, Access::ReadWrite)?;
    other.detach(vid)?;
    Ok(other.delete(vid)?)
}
