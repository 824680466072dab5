//! vas: address spaces with names, as two documents have them.
//!
//! Till Smejkal's series for Linux of March 2017 gives processes more than one address space: made, found, attached and switched to by
//! system calls. The paper on SpaceJMP of 2016, from which that comes, has one process make a space and a segment and put the one
//! into the other; another process finds the space by its name, switches into it, and uses it. Here is that in its words, and what the
//! series has its kernel refuse.

#![no_std]
#![no_main]

mod rules;

use demonstration::{Failure, chapter, check};
use libvas::names::{self, Mode};
use libvas::vas::{self, Access, Process};
use libvas::{Error, Names, PAGE_BYTES, Place, program};
use rt::println;

rt::main!(main);

/// Where the listing's segment lies, and how long it is.
const HERE: u64 = vas::START + 0xC0DE000;
const LENGTH_BYTES: u64 = 16 * PAGE_BYTES;

fn main() -> Result<(), Failure> {
    let names = names::service()?;
    listing(names)?;
    rules::of_spaces(names)?;
    rules::of_segments(names)?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("vas: all as told");
    Ok(())
}

/// SpaceJMP's example.
fn listing(names: &Names) -> Result<(), Failure> {
    chapter("One process makes a space");
    let maker = Process::new(names);
    let mode = Mode::new(0o660);
    let vid = maker.create("v0", mode)?;
    let sid = maker.create_segment("s0", HERE..HERE + LENGTH_BYTES, mode)?;
    maker.attach_segment(vid, sid, Access::ReadWrite)?;
    println!("   vas_create(\"v0\", 660), seg_alloc(\"s0\", {HERE:#x}, {LENGTH_BYTES}, 660), seg_attach(v0, s0)");
    chapter("One finds it, and switches into it");
    let mut user = Process::new(names);
    let vid = user.find("v0")?;
    user.attach(vid, Access::ReadWrite)?;
    user.switch(Some(vid))?;
    let t = Place::<u64>::new(HERE)?;
    t.set(42);
    let active = user.active()?;
    user.switch(None)?;
    println!("   vh = vas_attach(vas_find(\"v0\")); vas_switch(vh); t = {HERE:#x}; *t = 42");
    check(active == Some(vid), "a thread knows where it is")?;
    check(user.active()?.is_none(), "and that it is back")?;
    user.detach(vid)?;
    chapter("It is there when it comes back");
    user.attach(vid, Access::Read)?;
    user.switch(Some(vid))?;
    let found = t.get();
    user.switch(None)?;
    println!("   vas_switch(vh); *t is {found}");
    check(found == 42, "a space keeps what it holds, though nobody has it attached")?;
    user.detach(vid)?;
    user.detach_segment(vid, sid)?;
    user.delete_segment(sid)?;
    user.delete(vid)?;
    Ok(())
}
