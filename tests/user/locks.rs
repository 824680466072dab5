//! Locks of segments: one writes or several read, whoever waits comes in when its turn has come, and nobody keeps a lock who has gone.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::locked::{Locked, Visitor, holders, lent_by, lockable, space_with};
use conformance::{
    Claim, Service, SpareStack, Verdict, claim, ensure, ensure_eq, fresh_address, jump_to, leaves_nothing, refused,
    run, serves, the_kernel_passes_its_own_checks, wait_until,
};
use core::time::Duration;
use libvas::gate::{Answer, Called, Request, Serve};
use libvas::thread;
use libvas::{Cap, Error, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, View, clock, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_segment_is_lockable_if_it_was_made_so),
        claim!(one_writer_is_inside_at_a_time),
        claim!(readers_are_inside_together),
        claim!(a_writer_waits_for_all_readers),
        claim!(readers_wait_for_a_writer),
        claim!(who_came_first_goes_first),
        claim!(a_reader_does_not_pass_a_writer_who_waits),
        claim!(trying_ends_at_once),
        claim!(trying_succeeds_where_nobody_is),
        claim!(waiting_ends_at_its_deadline),
        claim!(a_deadline_that_has_passed_lets_in_where_nobody_is),
        claim!(who_gave_up_is_in_nobodys_way),
        claim!(additions_are_never_lost),
        claim!(a_lock_goes_along_from_space_to_space),
        claim!(a_reader_becomes_the_writer_if_it_is_alone),
        claim!(a_reader_becomes_the_writer_when_the_others_have_gone),
        claim!(all_locks_of_a_space_are_taken_at_once),
        claim!(who_waits_for_one_of_two_locks_holds_neither),
        claim!(who_waits_keeps_what_it_has_where_it_is),
        claim!(views_that_only_read_are_readers),
        claim!(views_that_write_are_writers),
        claim!(a_jump_takes_the_lock),
        claim!(a_jump_waits_for_the_lock),
        claim!(a_lock_is_kept_in_a_gate_call),
        claim!(a_space_is_like_others_when_nothing_lockable_is_mapped_any_more),
        claim!(lazy_segments_are_lockable),
        claim!(segments_larger_than_a_step_are_lockable),
        claim!(memory_calls_take_no_locks),
        claim!(locks_leave_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("locks", CLAIMS)
}

const SHORT: Duration = Duration::from_millis(2);

fn a_segment_is_lockable_if_it_was_made_so() -> Verdict {
    ensure_eq!(lockable()?.info()?.is_lockable, 1);
    ensure_eq!(Segment::new(program().account(), PAGE)?.info()?.is_lockable, 0);
    ensure_eq!(Segment::new_lockable_lazy(program().account(), PAGE)?.info()?.populated_bytes, 0);
    Ok(())
}

fn one_writer_is_inside_at_a_time() -> Verdict {
    let locked = Locked::new()?;
    let first = Visitor::inside(&locked.writers)?;
    ensure_eq!(locked.holders()?, (1, 0, 0));
    let second = Visitor::waiting(&locked.writers)?;
    ensure_eq!(locked.holders()?, (1, 0, 1));
    first.leave()?;
    second.is_in()?;
    second.leave()?;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn readers_are_inside_together() -> Verdict {
    let locked = Locked::new()?;
    let readers = [Visitor::inside(&locked.readers)?, Visitor::inside(&locked.readers)?];
    let other = space_with(&locked.segment, locked.address, Rights::READ)?;
    let third = Visitor::inside(&other)?;
    ensure_eq!(locked.holders()?, (0, 3, 0));
    third.leave()?;
    ensure_eq!(locked.holders()?, (0, 2, 0));
    Ok(readers.into_iter().try_for_each(Visitor::leave)?)
}

fn a_writer_waits_for_all_readers() -> Verdict {
    let locked = Locked::new()?;
    let readers = [Visitor::inside(&locked.readers)?, Visitor::inside(&locked.readers)?];
    let writer = Visitor::waiting(&locked.writers)?;
    let [first, second] = readers;
    first.leave()?;
    ensure!(!writer.has_come(), "a writer comes in while somebody reads");
    second.leave()?;
    writer.is_in()?;
    Ok(writer.leave()?)
}

fn readers_wait_for_a_writer() -> Verdict {
    let locked = Locked::new()?;
    let writer = Visitor::inside(&locked.writers)?;
    let readers = [Visitor::waiting(&locked.readers)?, Visitor::waiting(&locked.readers)?];
    ensure_eq!(locked.holders()?, (1, 0, 2));
    writer.leave()?;
    readers.iter().try_for_each(Visitor::is_in)?;
    ensure_eq!(locked.holders()?, (0, 2, 0));
    Ok(readers.into_iter().try_for_each(Visitor::leave)?)
}

fn who_came_first_goes_first() -> Verdict {
    let locked = Locked::new()?;
    let first = Visitor::inside(&locked.writers)?;
    let writer = Visitor::waiting(&locked.writers)?;
    let reader = Visitor::waiting(&locked.readers)?;
    let last = Visitor::waiting(&locked.writers)?;
    first.leave()?;
    writer.is_in()?;
    ensure!(!reader.has_come() && !last.has_come(), "others come in before their turn");
    writer.leave()?;
    reader.is_in()?;
    ensure!(!last.has_come(), "a writer comes in beside a reader");
    reader.leave()?;
    last.is_in()?;
    Ok(last.leave()?)
}

fn a_reader_does_not_pass_a_writer_who_waits() -> Verdict {
    let locked = Locked::new()?;
    let reader = Visitor::inside(&locked.readers)?;
    let writer = Visitor::waiting(&locked.writers)?;
    refused(locked.readers.try_enter(|| ()), Error::Busy)?;
    let late = Visitor::waiting(&locked.readers)?;
    reader.leave()?;
    writer.is_in()?;
    ensure!(!late.has_come(), "a reader passed a writer");
    writer.leave()?;
    late.is_in()?;
    Ok(late.leave()?)
}

fn trying_ends_at_once() -> Verdict {
    let locked = Locked::new()?;
    let writer = Visitor::inside(&locked.writers)?;
    refused(locked.writers.try_enter(|| ()), Error::Busy)?;
    refused(locked.readers.try_enter(|| ()), Error::Busy)?;
    ensure_eq!(locked.holders()?, (1, 0, 0));
    writer.leave()?;
    let reader = Visitor::inside(&locked.readers)?;
    refused(locked.writers.try_enter(|| ()), Error::Busy)?;
    locked.readers.try_enter(|| ())?;
    Ok(reader.leave()?)
}

fn trying_succeeds_where_nobody_is() -> Verdict {
    let locked = Locked::new()?;
    let word = locked.word()?;
    locked.writers.try_enter(|| word.set(9))?;
    ensure_eq!(locked.readers.try_enter(|| word.get())?, 9);
    program().new_space()?.try_enter(|| ())?;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn waiting_ends_at_its_deadline() -> Verdict {
    let locked = Locked::new()?;
    let writer = Visitor::inside(&locked.writers)?;
    let before = clock::now();
    refused(locked.writers.enter_within(SHORT, || ()), Error::TimedOut)?;
    ensure!(clock::now() - before >= SHORT, "a wait ends before its time");
    ensure_eq!(locked.holders()?, (1, 0, 0));
    writer.leave()?;
    locked.writers.enter_within(SHORT, || ())?;
    Ok(())
}

fn a_deadline_that_has_passed_lets_in_where_nobody_is() -> Verdict {
    let (locked, past) = (Locked::new()?, Duration::from_nanos(1));
    let back = lent_by(program().space());
    locked.writers.switch_until(past)?;
    back.switch()?;
    let writer = Visitor::inside(&locked.writers)?;
    refused(locked.writers.switch_until(past), Error::TimedOut)?;
    Ok(writer.leave()?)
}

fn who_gave_up_is_in_nobodys_way() -> Verdict {
    let locked = Locked::new()?;
    let reader = Visitor::inside(&locked.readers)?;
    let (space, address) = (lent_by(&locked.writers), locked.address);
    let impatient =
        thread::spawn(move || space.enter_within(Duration::from_millis(20), || Place::<u64>::new(address)))?;
    wait_until(|| Ok(locked.holders()?.2 == 1))?;
    let behind = Visitor::waiting(&locked.readers)?;
    ensure_eq!(impatient.join()?.err(), Some(Error::TimedOut));
    // A reader may go where a reader is, as nobody waits in front of it any more.
    behind.is_in()?;
    behind.leave()?;
    Ok(reader.leave()?)
}

fn additions_are_never_lost() -> Verdict {
    let locked = Locked::new()?;
    let word = locked.word()?;
    let add = || {
        let space = lent_by(&locked.writers);
        thread::spawn(move || {
            (0..50).try_for_each(|_| {
                space.enter(|| {
                    let value = word.get();
                    thread::yield_now();
                    word.set(value + 1);
                })
            })
        })
    };
    let threads = (0..4).map(|_| add()).collect::<Result<Vec<_>, _>>()?;
    for thread in threads {
        thread.join()??;
    }
    ensure_eq!(locked.readers.enter(|| word.get())?, 200);
    Ok(())
}

fn a_lock_goes_along_from_space_to_space() -> Verdict {
    let locked = Locked::new()?;
    let other = space_with(&locked.segment, locked.address, Rights::READ_WRITE)?;
    let word = locked.word()?;
    locked.writers.enter(|| {
        word.set(1);
        // Nobody else can have been there in between.
        other.enter(|| word.set(word.get() + 1))?;
        locked.readers.enter(|| word.get())
    })??;
    ensure_eq!(locked.readers.enter(|| word.get())?, 2);
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn a_reader_becomes_the_writer_if_it_is_alone() -> Verdict {
    let locked = Locked::new()?;
    let word = locked.word()?;
    locked.readers.enter(|| locked.writers.enter(|| word.set(5)))??;
    ensure_eq!(locked.readers.enter(|| word.get())?, 5);
    Ok(())
}

fn a_reader_becomes_the_writer_when_the_others_have_gone() -> Verdict {
    let locked = Locked::new()?;
    let other = Visitor::inside(&locked.readers)?;
    let (from, to) = (lent_by(&locked.readers), lent_by(&locked.writers));
    let thread = thread::spawn(move || from.enter(|| to.enter(|| ()))?)?;
    wait_until(|| Ok(locked.holders()? == (0, 2, 1)))?;
    other.leave()?;
    thread.join()??;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

/// Two lockable segments, and a space in which both may be written.
fn two() -> Result<([Cap<Segment>; 2], Cap<Space>), Error> {
    let (segments, space) = ([lockable()?, lockable()?], program().new_space()?);
    for segment in &segments {
        space.map(fresh_address(), segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    }
    Ok((segments, space))
}

fn all_locks_of_a_space_are_taken_at_once() -> Verdict {
    let ([first, second], both) = two()?;
    let inside = Visitor::inside(&both)?;
    ensure_eq!((holders(&first)?.0, holders(&second)?.0), (1, 1));
    let one = space_with(&second, fresh_address(), Rights::READ)?;
    refused(one.try_enter(|| ()), Error::Busy)?;
    inside.leave()?;
    ensure_eq!((holders(&first)?.0, holders(&second)?.0), (0, 0));
    Ok(one.try_enter(|| ())?)
}

fn who_waits_for_one_of_two_locks_holds_neither() -> Verdict {
    let ([first, second], both) = two()?;
    let one = space_with(&second, fresh_address(), Rights::READ_WRITE)?;
    let other = space_with(&first, fresh_address(), Rights::READ_WRITE)?;
    let inside = Visitor::inside(&one)?;
    let waits = Visitor::waiting(&both)?;
    ensure_eq!(holders(&first)?, (0, 0, 0));
    let meanwhile = Visitor::inside(&other)?;
    inside.leave()?;
    ensure!(!waits.has_come(), "somebody comes in with one of two locks");
    waits.waits()?;
    meanwhile.leave()?;
    waits.is_in()?;
    Ok(waits.leave()?)
}

fn who_waits_keeps_what_it_has_where_it_is() -> Verdict {
    let (mine, theirs) = (Locked::new()?, Locked::new()?);
    let inside = Visitor::inside(&theirs.writers)?;
    let (from, to) = (lent_by(&mine.writers), lent_by(&theirs.writers));
    let thread = thread::spawn(move || from.enter(|| to.enter(|| ()))?)?;
    wait_until(|| Ok(theirs.holders()?.2 == 1))?;
    ensure_eq!(mine.holders()?, (1, 0, 0));
    inside.leave()?;
    thread.join()??;
    ensure_eq!(mine.holders()?, (0, 0, 0));
    Ok(())
}

fn views_that_only_read_are_readers() -> Verdict {
    let locked = Locked::new()?;
    let view = View::new(program().account(), &locked.writers, Rights::READ)?;
    let readers = [Visitor::inside(&view)?, Visitor::inside(&view)?];
    ensure_eq!(locked.holders()?, (0, 2, 0));
    let writer = Visitor::waiting(&locked.writers)?;
    readers.into_iter().try_for_each(Visitor::leave)?;
    writer.is_in()?;
    refused(view.try_enter(|| ()), Error::Busy)?;
    writer.leave()?;
    // Without anything lockable, it is like others, also with a view.
    locked.writers.unmap(locked.address..locked.address + 2 * PAGE)?;
    Ok(thread::Builder::new().space(&locked.writers).spawn(|| ())?.join()?)
}

fn views_that_write_are_writers() -> Verdict {
    let locked = Locked::new()?;
    let view = View::new(program().account(), &locked.writers, Rights::READ_WRITE)?;
    let writer = Visitor::inside(&view)?;
    ensure_eq!(locked.holders()?, (1, 0, 0));
    refused(locked.writers.try_enter(|| ()), Error::Busy)?;
    refused(locked.readers.try_enter(|| ()), Error::Busy)?;
    Ok(writer.leave()?)
}

extern "C" fn stays(_: u64, _: u64) -> ! {
    thread::sleep(SHORT);
    thread::exit(77)
}

fn a_jump_takes_the_lock() -> Verdict {
    let locked = Locked::new()?;
    let space = lent_by(&locked.writers);
    let thread = thread::spawn(move || jump_to(&*space, stays, SpareStack::new(), 0))?;
    wait_until(|| Ok(locked.holders()?.0 == 1 || thread.thread().info()?.exit_code == 77))?;
    wait_until(|| Ok(thread.thread().info()?.exit_code == 77))?;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

fn a_jump_waits_for_the_lock() -> Verdict {
    let locked = Locked::new()?;
    let inside = Visitor::inside(&locked.readers)?;
    let space = lent_by(&locked.writers);
    let thread = thread::spawn(move || jump_to(&*space, stays, SpareStack::new(), 0))?;
    wait_until(|| Ok(locked.holders()?.2 == 1))?;
    inside.leave()?;
    wait_until(|| Ok(thread.thread().info()?.exit_code == 77))?;
    ensure_eq!(locked.holders()?, (0, 0, 0));
    Ok(())
}

serves!(Looks, |called| {
    let segment = conformance::lent::<Segment>(called.words[0]);
    let (writers, readers, _) = holders(&segment).unwrap_or((9, 9, 9));
    [writers, readers, 0, 0, 0, 0]
});

fn a_lock_is_kept_in_a_gate_call() -> Verdict {
    let (locked, service) = (Locked::new()?, Service::new::<Looks>(2)?);
    let request = || Request::new([locked.segment.handle().bits(), 0, 0, 0, 0, 0]);
    for turn in 0..3 {
        let (words, _) = locked.writers.enter(|| service.gate.request(request()))??;
        ensure_eq!((turn, words[..2].to_vec()), (turn, alloc::vec![1, 0]));
        let (words, _) = locked.readers.enter(|| service.gate.request(request()))??;
        ensure_eq!((turn, words[..2].to_vec()), (turn, alloc::vec![0, 1]));
        ensure_eq!(locked.holders()?, (0, 0, 0));
    }
    Ok(())
}

fn a_space_is_like_others_when_nothing_lockable_is_mapped_any_more() -> Verdict {
    let locked = Locked::new()?;
    let (writers, service) = (&locked.writers, Service::new::<Looks>(1)?);
    refused(thread::Builder::new().space(writers).spawn(|| ()).map(|_| ()), Error::BadState)?;
    writers.unmap(locked.address..locked.address + 2 * PAGE)?;
    thread::Builder::new().space(writers).spawn(|| ())?.join()?;
    let both = [Visitor::inside(writers)?, Visitor::inside(writers)?];
    both.into_iter().try_for_each(Visitor::leave)?;
    writers.map(locked.address, &locked.segment, 0..2 * PAGE, Rights::READ_WRITE)?;
    let inside = Visitor::inside(writers)?;
    refused(writers.try_enter(|| ()), Error::Busy)?;
    drop(service);
    Ok(inside.leave()?)
}

fn lazy_segments_are_lockable() -> Verdict {
    let segment = Segment::new_lockable_lazy(program().account(), 2 * PAGE)?;
    let address = fresh_address();
    let space = space_with(&segment, address, Rights::READ_WRITE)?;
    let word = Place::<u64>::new(address + PAGE)?;
    ensure_eq!(space.enter(|| (word.get(), word.set(4), word.get()))?, (0, (), 4));
    ensure_eq!(segment.info()?.populated_bytes, PAGE);
    Ok(())
}

fn segments_larger_than_a_step_are_lockable() -> Verdict {
    const BYTES: u64 = 48 << 20;
    let segment = Segment::new_lockable(program().account(), BYTES)?;
    let (space, address) = (program().new_space()?, fresh_address() + PAGE);
    space.map(address, &segment, 0..BYTES, Rights::READ_WRITE)?;
    let inside = Visitor::inside(&space)?;
    ensure_eq!(holders(&segment)?, (1, 0, 0));
    refused(space.try_enter(|| ()), Error::Busy)?;
    space.unmap(address..address + BYTES)?;
    ensure_eq!(holders(&segment)?, (0, 0, 0));
    inside.leave()?;
    Ok(space.try_enter(|| ())?)
}

fn memory_calls_take_no_locks() -> Verdict {
    let locked = Locked::new()?;
    let inside = Visitor::inside(&locked.writers)?;
    locked.writers.write(locked.address, &[1, 2, 3])?;
    let mut bytes = [0; 3];
    locked.readers.read(locked.address, &mut bytes)?;
    ensure_eq!(bytes, [1, 2, 3]);
    Ok(inside.leave()?)
}

fn locks_leave_nothing() -> Verdict {
    leaves_nothing(12, |_| -> Verdict {
        let locked = Locked::new()?;
        let visitor = Visitor::inside(&locked.writers)?;
        let waits = Visitor::waiting(&locked.readers)?;
        visitor.thread().stop()?;
        waits.is_in()?;
        ensure_eq!(visitor.leave(), Err(Error::Gone));
        Ok(waits.leave()?)
    })
}
