//! Clones of first-class address spaces: what they begin with, what they do not share, and who is refused one.

#![no_std]
#![no_main]

extern crate alloc;

use conformance::{
    Claim, Naming, Verdict, claim, ends_in_fault, ensure, ensure_eq, leaves_nothing, refused, run,
    the_kernel_passes_its_own_checks,
};
use libvas::names::{Class, Mode, Operation};
use libvas::vas::{Access, Process, START, Vid};
use libvas::{Error, PAGE_BYTES as PAGE, Place, Rights, Subtree, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_clone_begins_with_what_the_space_holds),
        claim!(what_is_written_in_one_is_not_seen_in_the_other),
        claim!(a_clone_of_a_clone_copies_what_is_written),
        claim!(a_clone_lets_no_more_than_the_space_did),
        claim!(a_clone_outlives_what_it_was_made_of),
        claim!(a_clone_uses_no_segment_of_the_space),
        claim!(a_stranger_who_may_read_makes_a_clone_of_its_own),
        claim!(a_space_that_is_written_is_not_cloned),
        claim!(names_of_clones_are_names),
        claim!(a_space_that_must_not_be_read_is_not_cloned),
        claim!(a_space_with_something_attached_is_not_cloned),
        claim!(clones_that_are_refused_leave_nothing),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("named_clones", CLAIMS)
}

const OWN: Mode = Mode::new(0o600);
const HERE: u64 = START + 0x20_0000;
const PAGES: u64 = 32;

/// A space with a segment of many pages, of which the first words are 10, 11 and so on.
fn furnished(process: &mut Process<'_>, name: &str, mode: Mode) -> Result<Vid, Error> {
    let vid = process.create(name, mode)?;
    let sid = process.create_segment(name, HERE..HERE + PAGES * PAGE, mode)?;
    process.attach_segment(vid, sid, Access::ReadWrite)?;
    process.attach(vid, Access::ReadWrite)?;
    process.switch(Some(vid))?;
    for page in 0..PAGES {
        Place::<u64>::new(HERE + page * PAGE)?.set(10 + page);
    }
    process.switch(None)?;
    process.detach(vid)?;
    Ok(vid)
}

/// The first word of a page, in a space that is attached for that.
fn value_in(process: &mut Process<'_>, vid: Vid, page: u64) -> Result<u64, Error> {
    let place = Place::<u64>::new(HERE + page * PAGE)?;
    process.attach(vid, Access::Read)?;
    process.switch(Some(vid))?;
    let value = place.get();
    process.switch(None)?;
    process.detach(vid)?;
    Ok(value)
}

fn set_in(process: &mut Process<'_>, vid: Vid, page: u64, value: u64) -> Result<(), Error> {
    let place = Place::<u64>::new(HERE + page * PAGE)?;
    process.attach(vid, Access::ReadWrite)?;
    process.switch(Some(vid))?;
    place.set(value);
    process.switch(None)?;
    process.detach(vid)
}

/// Every page, at the same addresses.
fn a_clone_begins_with_what_the_space_holds() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&mut process, "source", OWN)?;
    let clone = process.clone_of(vid, "clone", OWN)?;
    ensure_eq!(process.find("clone")?, clone);
    for page in 0..PAGES {
        ensure_eq!((page, value_in(&mut process, clone, page)?), (page, 10 + page));
    }
    Ok(())
}

/// Either way.
fn what_is_written_in_one_is_not_seen_in_the_other() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let first = furnished(&mut process, "source", OWN)?;
    let second = process.clone_of(first, "second", OWN)?;
    let third = process.clone_of(second, "third", OWN)?;
    for (page, vid) in [(0, first), (1, second), (2, third)] {
        set_in(&mut process, vid, page, 100)?;
    }
    for (own, vid) in [(0, first), (1, second), (2, third)] {
        for page in 0..4 {
            let expected = if page == own { 100 } else { 10 + page };
            ensure_eq!((own, page, value_in(&mut process, vid, page)?), (own, page, expected));
        }
    }
    Ok(())
}

/// Segments with names are copied at once; a clone has none, so what is made of it takes less than its pages.
fn a_clone_of_a_clone_copies_what_is_written() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&mut process, "source", OWN)?;
    let used = || program().account().info().map(|info| info.used_bytes);
    let before = used()?;
    let first = process.clone_of(vid, "first", OWN)?;
    let between = used()?;
    process.clone_of(first, "second", OWN)?;
    let (at_once, later) = (between - before, used()? - between);
    ensure!(at_once >= PAGES * PAGE, "the first takes all pages at once, and not {at_once} bytes");
    ensure!(later < PAGES * PAGE / 2, "the second takes none before they are written, and not {later} bytes");
    Ok(())
}

/// What could only be read in the space can only be read in the clone, however that is attached.
fn a_clone_lets_no_more_than_the_space_did() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = process.create("source", OWN)?;
    let sid = process.create_segment("read", HERE..HERE + PAGE, OWN)?;
    process.attach_segment(vid, sid, Access::Read)?;
    let first = process.clone_of(vid, "first", OWN)?;
    let second = process.clone_of(first, "second", OWN)?;
    let place = Place::<u64>::new(HERE)?;
    for clone in [first, second] {
        process.attach(clone, Access::ReadWrite)?;
        ensure!(!ends_in_fault(process.space(clone)?, move || place.get())?, "it can be read");
        ensure!(ends_in_fault(process.space(clone)?, move || place.set(1))?, "it cannot be written");
    }
    Ok(())
}

/// The space, its segment, and who made them may go.
fn a_clone_outlives_what_it_was_made_of() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&mut process, "source", OWN)?;
    let first = process.clone_of(vid, "first", OWN)?;
    let second = process.clone_of(first, "second", OWN)?;
    process.delete(vid)?;
    process.delete_segment(process.find_segment("source")?)?;
    process.delete(first)?;
    ensure_eq!(value_in(&mut process, second, 3)?, 13);
    set_in(&mut process, second, 3, 5)?;
    ensure_eq!(value_in(&mut process, second, 3)?, 5);
    process.delete(second)?;
    refused(process.find("second"), Error::NotFound)?;
    Ok(())
}

/// So the segment has its one writer as before, and is not attached to the clone.
fn a_clone_uses_no_segment_of_the_space() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&mut process, "source", OWN)?;
    let clone = process.clone_of(vid, "clone", OWN)?;
    let sid = process.find_segment("source")?;
    refused(process.detach_segment(clone, sid), Error::BadArgument)?;
    refused(process.attach_segment(clone, sid, Access::Read), Error::Busy)?;
    process.detach_segment(vid, sid)?;
    refused(process.attach_segment(clone, sid, Access::Read), Error::Overlap)?;
    process.delete_segment(sid)?;
    ensure_eq!(value_in(&mut process, clone, 1)?, 11);
    Ok(())
}

/// Another client, whose clone is its own, whatever the mode lets it do with the space.
fn a_stranger_who_may_read_makes_a_clone_of_its_own() -> Verdict {
    let naming = Naming::new()?;
    let (mut process, mut other) = (Process::new(&naming.one), Process::new(&naming.other));
    let vid = furnished(&mut process, "source", OWN)?;
    let source = process.clone_of(vid, "shown", Mode::new(0o604))?;
    refused(other.attach(source, Access::ReadWrite), Error::MissingRight)?;
    let clone = other.clone_of(source, "stranger's", OWN)?;
    set_in(&mut other, clone, 0, 77)?;
    ensure_eq!(value_in(&mut other, clone, 1)?, 11);
    ensure_eq!(value_in(&mut process, source, 0)?, 10);
    refused(process.attach(clone, Access::Read), Error::MissingRight)?;
    Ok(())
}

/// By whomever; while it is only read it is.
fn a_space_that_is_written_is_not_cloned() -> Verdict {
    let naming = Naming::new()?;
    let (mut process, mut other) = (Process::new(&naming.one), Process::new(&naming.one));
    let vid = furnished(&mut process, "source", OWN)?;
    other.attach(vid, Access::ReadWrite)?;
    refused(process.clone_of(vid, "clone", OWN), Error::Busy)?;
    refused(other.clone_of(vid, "clone", OWN), Error::Busy)?;
    other.detach(vid)?;
    other.attach(vid, Access::Read)?;
    let clone = process.clone_of(vid, "clone", OWN)?;
    ensure_eq!(value_in(&mut process, clone, 2)?, 12);
    Ok(())
}

/// As those of spaces are.
fn names_of_clones_are_names() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&mut process, "source", OWN)?;
    process.create("taken", OWN)?;
    refused(process.clone_of(vid, "taken", OWN), Error::Exists)?;
    refused(process.clone_of(vid, "source", OWN), Error::Exists)?;
    refused(process.clone_of(vid, "", OWN), Error::BadText)?;
    refused(process.clone_of(vid, "a name that has more than 32 bytes", OWN), Error::BadText)?;
    process.delete(vid)?;
    refused(process.clone_of(vid, "late", OWN), Error::NotFound)?;
    refused(process.find("late"), Error::NotFound)?;
    Ok(())
}

/// Its mode says so.
fn a_space_that_must_not_be_read_is_not_cloned() -> Verdict {
    let naming = Naming::new()?;
    let (mut process, other) = (Process::new(&naming.one), Process::new(&naming.other));
    let vid = furnished(&mut process, "source", OWN)?;
    refused(other.clone_of(vid, "clone", OWN), Error::MissingRight)?;
    process.set_attributes(vid, Mode::new(0o604))?;
    other.clone_of(vid, "clone", OWN)?;
    Ok(())
}

/// Who has a space's name may attach subtrees to it, which libvas does not: what is in those is not the clone's.
fn a_space_with_something_attached_is_not_cloned() -> Verdict {
    let naming = Naming::new()?;
    let process = Process::new(&naming.one);
    let vid = process.create("source", OWN)?;
    let rights = Rights::MAP | Rights::INSPECT;
    let (vas, _) = naming.one.find_in::<Subtree>(Operation::Find, Class::Space, "source", rights)?;
    let part = Subtree::with_level(program().account(), libvas::Level::TwoMib)?;
    vas.attach(0x20_0000, &part, Rights::READ)?;
    refused(process.clone_of(vid, "clone", OWN), Error::BadState)?;
    vas.detach(0x20_0000)?;
    process.clone_of(vid, "clone", OWN)?;
    Ok(())
}

/// Nobody's account has anything of them, and the space is not claimed.
fn clones_that_are_refused_leave_nothing() -> Verdict {
    let naming = Naming::new()?;
    let mut process = Process::new(&naming.one);
    let vid = furnished(&mut process, "source", OWN)?;
    let first = process.clone_of(vid, "first", OWN)?;
    leaves_nothing(5, |_| -> Verdict {
        for source in [vid, first] {
            refused(process.clone_of(source, "first", OWN), Error::Exists)?;
            refused(process.clone_of(source, "", OWN), Error::BadText)?;
        }
        Ok(())
    })?;
    process.attach(vid, Access::ReadWrite)?;
    process.attach(first, Access::ReadWrite)?;
    Ok(())
}
