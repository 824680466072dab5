//! What the series has its kernel refuse, one after the other.

use crate::HERE;
use demonstration::{Failure, chapter, check, refused};
use libvas::names::Mode;
use libvas::thread::Builder;
use libvas::vas::{Access, Process, Vid};
use libvas::{Error, Names, PAGE_BYTES, Place};
use rt::println;

/// Rules for spaces.
pub(crate) fn of_spaces(names: &Names) -> Result<(), Failure> {
    chapter("What is refused of spaces");
    let (mut one, mut other) = (Process::new(names), Process::new(names));
    let vid = one.create("shared", Mode::new(0o660))?;
    refused("making another one of that name (EEXIST)", one.create("shared", Mode::new(0o660)), Error::Exists)?;
    refused("finding one of another name (ESRCH)", one.find("private"), Error::NotFound)?;
    refused("switching to one that is not attached (EINVAL)", one.switch(Some(vid)), Error::BadArgument)?;
    one.attach(vid, Access::ReadWrite)?;
    one.attach(vid, Access::ReadWrite)?;
    println!("   attaching it twice succeeds");
    refused("reading it while another one writes (EBUSY)", other.attach(vid, Access::Read), Error::Busy)?;
    one.detach(vid)?;
    one.attach(vid, Access::Read)?;
    other.attach(vid, Access::Read)?;
    let mut third = Process::new(names);
    refused("writing it while others read (EBUSY)", third.attach(vid, Access::Write), Error::Busy)?;
    refused("deleting it while it is attached (EBUSY)", other.delete(vid), Error::Busy)?;
    one.switch(Some(vid))?;
    let detached = one.detach(vid);
    one.switch(None)?;
    refused("detaching the one that a thread is in (EBUSY)", detached, Error::Busy)?;
    one.detach(vid)?;
    refused("detaching it once more (EINVAL)", one.detach(vid), Error::BadArgument)?;
    // Whoever ends has detached: it goes by what the kernel has lent, and nobody counts.
    drop(other);
    one.set_attributes(vid, Mode::new(0o400))?;
    refused("writing what the mode lets only read (EACCES)", one.attach(vid, Access::Write), Error::MissingRight)?;
    check(one.attributes(vid)?.mode == Mode::new(0o400), "the mode is what it was set to")?;
    one.delete(vid)?;
    refused("attaching what was deleted (ESRCH)", one.attach(vid, Access::Read), Error::NotFound)
}

/// Rules for segments, and for who only reads.
pub(crate) fn of_segments(names: &Names) -> Result<(), Failure> {
    chapter("What is refused of segments");
    let (mut process, mode) = (Process::new(names), Mode::new(0o660));
    let (first, second) = (process.create("first", mode)?, process.create("second", mode)?);
    let sid = process.create_segment("data", HERE..HERE + PAGE_BYTES, mode)?;
    let low = 0x1000..0x2000;
    refused("a segment where no space has any", process.create_segment("low", low, mode), Error::BadAddress)?;
    process.attach_segment(first, sid, Access::ReadWrite)?;
    process.attach_segment(first, sid, Access::ReadWrite)?;
    println!("   attaching it twice succeeds");
    let again = process.attach_segment(second, sid, Access::Read);
    refused("attaching it elsewhere, while it can be written (EBUSY)", again, Error::Busy)?;
    let over = process.create_segment("over", HERE..HERE + PAGE_BYTES, mode)?;
    refused("another one at its place", process.attach_segment(first, over, Access::Read), Error::Overlap)?;
    refused("deleting it while it is attached (EBUSY)", process.delete_segment(sid), Error::Busy)?;
    refused("detaching it where it is not (EINVAL)", process.detach_segment(second, sid), Error::BadArgument)?;
    process.attach(first, Access::Read)?;
    strips_writing(&process, first)?;
    process.detach(first)?;
    process.detach_segment(first, sid)?;
    [sid, over].into_iter().try_for_each(|sid| process.delete_segment(sid))?;
    [first, second].into_iter().try_for_each(|vid| process.delete(vid))?;
    Ok(())
}

/// The segment can be written, and whoever has the space attached to be read cannot.
fn strips_writing(process: &Process<'_>, vid: Vid) -> Result<(), Failure> {
    let place = Place::<u64>::new(HERE)?;
    process.switch(Some(vid))?;
    let value = place.get();
    process.switch(None)?;
    check(value == 0, "it can be read")?;
    println!("   a thread that writes to it, where the space is attached to be read, is stopped:");
    let writer = Builder::new().name("writer").space(process.space(vid)?).spawn(move || place.set(1))?;
    refused("joining that thread", writer.join(), Error::Faulted)
}
