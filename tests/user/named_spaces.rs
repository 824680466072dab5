//! First-class address spaces by name: the rules of the RFC, and its refusals, with several processes.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::vec::Vec;
use conformance::{
    Census, Claim, Naming, Verdict, claim, ends_in_fault, ensure, ensure_eq, refused, run,
    the_kernel_passes_its_own_checks,
};
use libvas::names::Mode;
use libvas::vas::{ATTACHED_MAX, Access, END, Process, START, Vid};
use libvas::{Error, PAGE_BYTES as PAGE, Place, thread};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_one_process_makes_another_one_uses),
        claim!(a_space_keeps_what_it_holds_when_all_have_detached),
        claim!(a_process_has_several_spaces_and_switches_among_them),
        claim!(many_read_what_nobody_writes),
        claim!(attaching_again_succeeds),
        claim!(a_segment_is_seen_at_once_by_all_who_have_the_space),
        claim!(a_process_that_ends_has_detached),
        claim!(a_process_that_ends_in_a_space_has_left_it),
        claim!(attributes_can_be_changed),
        claim!(what_is_deleted_comes_back_to_the_account),
        claim!(threads_of_a_process_are_where_they_want),
        claim!(taken_names_are_refused),
        claim!(unknown_names_are_not_found),
        claim!(one_writer_or_many_readers),
        claim!(what_is_attached_is_not_deleted),
        claim!(the_active_space_is_not_detached),
        claim!(what_is_not_attached_is_neither_switched_to_nor_detached),
        claim!(who_reads_does_not_write),
        claim!(strangers_do_what_the_mode_says),
        claim!(segments_lie_where_spaces_have_room),
        claim!(segments_do_not_overlap),
        claim!(a_segment_has_one_writer_or_many_readers),
        claim!(segments_in_use_are_not_deleted),
        claim!(so_many_spaces_can_be_attached_and_no_more),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("named_spaces", CLAIMS)
}

const OWN: Mode = Mode::new(0o600);
const ALL: Mode = Mode::new(0o666);
const HERE: u64 = START + 0x20_0000;

/// A space with a segment of one page, which can be written.
fn furnished(process: &Process<'_>, name: &str, mode: Mode) -> Result<Vid, Error> {
    let vid = process.create(name, mode)?;
    let sid = process.create_segment(name, HERE..HERE + PAGE, mode)?;
    process.attach_segment(vid, sid, Access::ReadWrite)?;
    Ok(vid)
}

/// What is at a place in a space that is attached.
fn value_in(process: &Process<'_>, vid: Vid) -> Result<u64, Error> {
    let place = Place::<u64>::new(HERE)?;
    process.switch(Some(vid))?;
    let value = place.get();
    process.switch(None)?;
    Ok(value)
}

fn set_in(process: &Process<'_>, vid: Vid, value: u64) -> Result<(), Error> {
    let place = Place::<u64>::new(HERE)?;
    process.switch(Some(vid))?;
    place.set(value);
    process.switch(None)
}

/// SpaceJMP's example, with a client of the name service for each of the two.
fn what_one_process_makes_another_one_uses() -> Verdict {
    let naming = Naming::new()?;
    furnished(&Process::new(&naming.one), "v0", ALL)?;
    let mut user = Process::new(&naming.other);
    let vid = user.find("v0")?;
    user.attach(vid, Access::ReadWrite)?;
    set_in(&user, vid, 42)?;
    ensure_eq!(value_in(&user, vid)?, 42);
    ensure!(ends_in_fault(libvas::program().space(), || Place::<u64>::new(HERE).map(Place::get))?, "it is at home too");
    Ok(())
}

/// A name is enough to keep it.
fn a_space_keeps_what_it_holds_when_all_have_detached() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&process, "kept", OWN)?;
    for round in 0..10 {
        process.attach(vid, Access::ReadWrite)?;
        ensure_eq!(value_in(&process, vid)?, round);
        set_in(&process, vid, round + 1)?;
        process.detach(vid)?;
    }
    Ok(())
}

/// One address, and in each space something else.
fn a_process_has_several_spaces_and_switches_among_them() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let mut vids = Vec::new();
    for number in 0..8 {
        let vid = furnished(&process, &format!("space {number}"), OWN)?;
        process.attach(vid, Access::ReadWrite)?;
        set_in(&process, vid, number)?;
        vids.push(vid);
    }
    let place = Place::<u64>::new(HERE)?;
    for (vid, number) in vids.iter().zip(0..) {
        process.switch(Some(*vid))?;
        let (value, active) = (place.get(), process.active()?);
        ensure_eq!((value, active), (number, Some(*vid)));
    }
    process.switch(None)?;
    ensure_eq!(process.active()?, None);
    Ok(())
}

/// Each by its own client.
fn many_read_what_nobody_writes() -> Verdict {
    let naming = Naming::new()?;
    let clients = (0..6).map(|_| naming.client()).collect::<Result<Vec<_>, _>>()?;
    let mut maker = Process::new(&naming.one);
    let vid = furnished(&maker, "read", Mode::new(0o604))?;
    maker.attach(vid, Access::ReadWrite)?;
    set_in(&maker, vid, 7)?;
    maker.detach(vid)?;
    let mut readers: Vec<Process<'_>> = clients.iter().map(Process::new).collect();
    for reader in &mut readers {
        reader.attach(vid, Access::Read)?;
    }
    for reader in &readers {
        ensure_eq!(value_in(reader, vid)?, 7);
    }
    Ok(())
}

/// In whatever way: it stays as it was attached first.
fn attaching_again_succeeds() -> Verdict {
    let naming = Naming::new()?;
    let (mut process, mut other) = (Process::new(&naming.one), Process::new(&naming.one));
    let vid = furnished(&process, "again", OWN)?;
    for access in [Access::Read, Access::Read, Access::ReadWrite, Access::Write] {
        process.attach(vid, access)?;
    }
    // It reads still, or this would be busy.
    other.attach(vid, Access::Read)?;
    let sid = process.find_segment("again")?;
    process.attach_segment(vid, sid, Access::ReadWrite)?;
    process.attach_segment(vid, sid, Access::Read)?;
    process.detach(vid)?;
    refused(process.detach(vid), Error::BadArgument)
}

/// And gone at once for all, when it is detached.
fn a_segment_is_seen_at_once_by_all_who_have_the_space() -> Verdict {
    let naming = Naming::new()?;
    let (mut process, mut other) = (Process::new(&naming.one), Process::new(&naming.other));
    let vid = process.create("grows", ALL)?;
    process.attach(vid, Access::Read)?;
    other.attach(vid, Access::Read)?;
    let sid = process.create_segment("late", HERE..HERE + PAGE, OWN)?;
    process.attach_segment(vid, sid, Access::Read)?;
    ensure_eq!([value_in(&process, vid)?, value_in(&other, vid)?], [0; 2]);
    process.detach_segment(vid, sid)?;
    for reader in [&process, &other] {
        ensure!(ends_in_fault(reader.space(vid)?, || Place::<u64>::new(HERE).map(Place::get))?, "it is there still");
    }
    process.delete_segment(sid)?;
    Ok(())
}

/// Nobody has to say so: what it had attached is not in use any more.
fn a_process_that_ends_has_detached() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&process, "left", ALL)?;
    for _ in 0..5 {
        let mut other = Process::new(&naming.other);
        other.attach(vid, Access::ReadWrite)?;
        refused(process.attach(vid, Access::Read), Error::Busy)?;
        drop(other);
        process.attach(vid, Access::ReadWrite)?;
        process.detach(vid)?;
    }
    Ok(())
}

/// The thread goes on where it began.
fn a_process_that_ends_in_a_space_has_left_it() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&process, "left", OWN)?;
    process.attach(vid, Access::ReadWrite)?;
    process.switch(Some(vid))?;
    drop(process);
    let process = Process::new(&naming.one);
    ensure_eq!(process.active()?, None);
    process.delete(vid)?;
    Ok(())
}

/// By whoever made it, or whom the mode lets write.
fn attributes_can_be_changed() -> Verdict {
    let naming = Naming::new()?;
    let (process, other) = (Process::new(&naming.one), Process::new(&naming.other));
    let (vid, sid) = (process.create("vas", OWN)?, process.create_segment("seg", HERE..HERE + PAGE, OWN)?);
    process.set_attributes(vid, ALL)?;
    process.set_segment_attributes(sid, ALL)?;
    other.set_attributes(vid, Mode::new(0o644))?;
    other.set_segment_attributes(sid, Mode::new(0o640))?;
    ensure_eq!(other.attributes(vid)?.mode, Mode::new(0o644));
    let info = other.segment_attributes(sid)?;
    ensure_eq!((info.mode, info.value, info.is_own), (Mode::new(0o640), HERE, false));
    refused(other.set_attributes(vid, ALL), Error::MissingRight)?;
    refused(other.set_segment_attributes(sid, ALL), Error::MissingRight)
}

/// Tables, memory, records: all of it.
fn what_is_deleted_comes_back_to_the_account() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let mut used = Vec::new();
    for _ in 0..12 {
        let vid = furnished(&process, "short", OWN)?;
        process.attach(vid, Access::ReadWrite)?;
        set_in(&process, vid, 1)?;
        process.detach(vid)?;
        let sid = process.find_segment("short")?;
        process.delete(vid)?;
        process.delete_segment(sid)?;
        used.push(Census::take()?.settled());
    }
    ensure_eq!(used[11], used[10]);
    Ok(())
}

/// Each switches for itself, and one that begins in a space finds what that has.
fn threads_of_a_process_are_where_they_want() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let (first, second) = (furnished(&process, "first", OWN)?, furnished(&process, "second", OWN)?);
    for (vid, value) in [(first, 10), (second, 20)] {
        process.attach(vid, Access::ReadWrite)?;
        set_in(&process, vid, value)?;
    }
    let place = Place::<u64>::new(HERE)?;
    process.switch(Some(first))?;
    let there = thread::spawn_in(process.space(second)?, move || place.get())?.join();
    let here = place.get();
    process.switch(None)?;
    ensure_eq!((here, there), (10, Ok(20)));
    Ok(())
}

/// `EEXIST`, of spaces and of segments; the two do not meet.
fn taken_names_are_refused() -> Verdict {
    let naming = Naming::new()?;
    let (process, other) = (Process::new(&naming.one), Process::new(&naming.other));
    process.create("taken", OWN)?;
    process.create_segment("taken", HERE..HERE + PAGE, OWN)?;
    for process in [&process, &other] {
        refused(process.create("taken", ALL), Error::Exists)?;
        refused(process.create_segment("taken", HERE..HERE + PAGE, ALL), Error::Exists)?;
    }
    refused(process.create("a name that has more than 32 bytes", OWN), Error::BadText)?;
    refused(process.create("", OWN), Error::BadText)
}

/// `ESRCH`, also of what was deleted.
fn unknown_names_are_not_found() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    refused(process.find("nobody's"), Error::NotFound)?;
    refused(process.find_segment("nobody's"), Error::NotFound)?;
    let (vid, sid) = (process.create("short", OWN)?, process.create_segment("short", HERE..HERE + PAGE, OWN)?);
    process.delete(vid)?;
    refused(process.attach_segment(vid, sid, Access::Read), Error::NotFound)?;
    process.delete_segment(sid)?;
    refused(process.attach(vid, Access::Read), Error::NotFound)?;
    refused(process.delete(vid), Error::NotFound)?;
    refused(process.delete_segment(sid), Error::NotFound)?;
    refused(process.attributes(vid).map(|_| ()), Error::NotFound)?;
    refused(process.set_attributes(vid, ALL), Error::NotFound)
}

/// `EBUSY`, whoever asks, of the same client and of another.
fn one_writer_or_many_readers() -> Verdict {
    let naming = Naming::new()?;
    let mut writer = Process::new(&naming.one);
    let vid = writer.create("shared", ALL)?;
    for names in [&naming.one, &naming.other] {
        let mut other = Process::new(names);
        for access in [Access::Write, Access::ReadWrite] {
            writer.attach(vid, access)?;
            for wanted in [Access::Read, Access::Write, Access::ReadWrite] {
                refused(other.attach(vid, wanted), Error::Busy)?;
            }
            writer.detach(vid)?;
        }
        other.attach(vid, Access::Read)?;
        refused(writer.attach(vid, Access::Write), Error::Busy)?;
        writer.attach(vid, Access::Read)?;
        writer.detach(vid)?;
    }
    Ok(())
}

/// `EBUSY`, until the last has detached.
fn what_is_attached_is_not_deleted() -> Verdict {
    let naming = Naming::new()?;
    let (mut one, mut other) = (Process::new(&naming.one), Process::new(&naming.other));
    let vid = one.create("attached", ALL)?;
    one.attach(vid, Access::Read)?;
    other.attach(vid, Access::Read)?;
    refused(one.delete(vid), Error::Busy)?;
    one.detach(vid)?;
    refused(one.delete(vid), Error::Busy)?;
    refused(other.delete(vid), Error::Busy)?;
    other.detach(vid)?;
    other.delete(vid)?;
    Ok(())
}

/// `EBUSY`, by whatever thread it is active.
fn the_active_space_is_not_detached() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&process, "active", OWN)?;
    process.attach(vid, Access::ReadWrite)?;
    process.switch(Some(vid))?;
    let detached = process.detach(vid);
    process.switch(None)?;
    refused(detached, Error::Busy)?;
    let sleeper = thread::spawn_in(process.space(vid)?, || {
        loop {
            thread::sleep(core::time::Duration::from_secs(100));
        }
    })?;
    refused(process.detach(vid), Error::Busy)?;
    sleeper.thread().stop()?;
    refused(sleeper.join(), Error::Gone)?;
    process.detach(vid)?;
    Ok(())
}

/// `EINVAL`; that another process has it attached is of no use.
fn what_is_not_attached_is_neither_switched_to_nor_detached() -> Verdict {
    let naming = Naming::new()?;
    let (mut one, mut other) = (Process::new(&naming.one), Process::new(&naming.one));
    let vid = one.create("elsewhere", OWN)?;
    other.attach(vid, Access::Read)?;
    refused(one.switch(Some(vid)), Error::BadArgument)?;
    refused(one.detach(vid), Error::BadArgument)?;
    refused(one.space(vid).map(|_| ()), Error::BadArgument)?;
    one.attach(vid, Access::Read)?;
    one.detach(vid)?;
    refused(one.switch(Some(vid)), Error::BadArgument)?;
    ensure_eq!(one.active()?, None);
    Ok(())
}

/// The segment can be written by all who have the space to write; who has it to read is stopped.
fn who_reads_does_not_write() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&process, "read only", OWN)?;
    for (access, faults) in [(Access::Read, true), (Access::Write, false), (Access::ReadWrite, false)] {
        process.attach(vid, access)?;
        let place = Place::<u64>::new(HERE)?;
        ensure_eq!(ends_in_fault(process.space(vid)?, move || place.set(1))?, faults);
        process.detach(vid)?;
    }
    Ok(())
}

/// `EACCES`: attaching, changing and deleting go by the last three bits, and whoever made it may delete it.
fn strangers_do_what_the_mode_says() -> Verdict {
    let naming = Naming::new()?;
    let (process, mut other) = (Process::new(&naming.one), Process::new(&naming.other));
    let sid = other.create_segment("strange", HERE..HERE + PAGE, OWN)?;
    for (mode, reads, writes) in [(0o660, false, false), (0o604, true, false), (0o606, true, true)] {
        let vid = process.create("mine", Mode::new(mode))?;
        for (access, may) in [(Access::Read, reads), (Access::ReadWrite, writes)] {
            let expected = if may { Ok(()) } else { Err(Error::MissingRight) };
            ensure_eq!(other.attach(vid, access), expected);
            if may {
                other.detach(vid)?;
            }
        }
        let changed = if writes { Ok(()) } else { Err(Error::MissingRight) };
        ensure_eq!(other.attach_segment(vid, sid, Access::Read), changed);
        ensure_eq!(other.set_attributes(vid, Mode::new(mode)), changed);
        ensure_eq!(other.delete(vid), changed);
        if !writes {
            process.delete(vid)?;
        }
    }
    Ok(())
}

/// Behind the first page, within one entry of a root table, in whole pages.
fn segments_lie_where_spaces_have_room() -> Verdict {
    let naming = Naming::new()?;
    let process = Process::new(&naming.one);
    let create = |addresses| process.create_segment("odd", addresses, OWN).map(|_| ());
    for addresses in [0..PAGE, START..START + PAGE, START - PAGE..START, END..END + PAGE, HERE..HERE] {
        refused(create(addresses), Error::BadAddress)?;
    }
    refused(create(HERE + 8..HERE + PAGE), Error::Misaligned)?;
    refused(create(HERE..HERE + 100), Error::Misaligned)?;
    let (start, end) = (HERE + PAGE, HERE);
    refused(create(start..end), Error::BadAddress)?;
    create(END - PAGE..END)?;
    Ok(())
}

/// Another one at the same place; in another space it goes.
fn segments_do_not_overlap() -> Verdict {
    let naming = Naming::new()?;
    let process = Process::new(&naming.one);
    let (first, second) = (process.create("first", OWN)?, process.create("second", OWN)?);
    let below = process.create_segment("below", HERE..HERE + 2 * PAGE, OWN)?;
    let over = process.create_segment("over", HERE + PAGE..HERE + 3 * PAGE, OWN)?;
    process.attach_segment(first, below, Access::Read)?;
    refused(process.attach_segment(first, over, Access::Read), Error::Overlap)?;
    process.attach_segment(second, over, Access::ReadWrite)?;
    refused(process.detach_segment(first, over), Error::BadArgument)?;
    process.detach_segment(second, over)?;
    process.detach_segment(first, below)?;
    process.attach_segment(first, over, Access::ReadWrite)?;
    Ok(())
}

/// As spaces have; it is in use where it is attached, though nobody has that space attached.
fn a_segment_has_one_writer_or_many_readers() -> Verdict {
    let naming = Naming::new()?;
    let process = Process::new(&naming.one);
    let vids = [process.create("a", OWN)?, process.create("b", OWN)?, process.create("c", OWN)?];
    let sid = process.create_segment("data", HERE..HERE + PAGE, OWN)?;
    process.attach_segment(vids[0], sid, Access::ReadWrite)?;
    refused(process.attach_segment(vids[1], sid, Access::Read), Error::Busy)?;
    refused(process.attach_segment(vids[1], sid, Access::ReadWrite), Error::Busy)?;
    process.detach_segment(vids[0], sid)?;
    for vid in vids {
        process.attach_segment(vid, sid, Access::Read)?;
    }
    for vid in vids {
        process.detach_segment(vid, sid)?;
    }
    process.attach_segment(vids[2], sid, Access::Write)?;
    Ok(())
}

/// `EBUSY`; a space that goes has detached them.
fn segments_in_use_are_not_deleted() -> Verdict {
    let naming = Naming::new()?;
    let process = Process::new(&naming.one);
    for access in [Access::Read, Access::ReadWrite] {
        let vid = process.create("uses", OWN)?;
        let sid = process.create_segment("used", HERE..HERE + PAGE, OWN)?;
        process.attach_segment(vid, sid, access)?;
        refused(process.delete_segment(sid), Error::Busy)?;
        process.delete(vid)?;
        process.delete_segment(sid)?;
    }
    Ok(())
}

/// By one process; another one has room of its own.
fn so_many_spaces_can_be_attached_and_no_more() -> Verdict {
    let naming = Naming::new()?;
    let (mut process, mut other) = (Process::new(&naming.one), Process::new(&naming.one));
    let mut vids = Vec::new();
    for number in 0..=ATTACHED_MAX {
        vids.push(process.create(&format!("many {number}"), OWN)?);
    }
    for vid in &vids[1..] {
        process.attach(*vid, Access::Read)?;
    }
    refused(process.attach(vids[0], Access::Read), Error::LimitReached)?;
    other.attach(vids[0], Access::Read)?;
    process.detach(vids[5])?;
    process.attach(vids[0], Access::Read)?;
    Ok(())
}
