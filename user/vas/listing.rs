//! SpaceJMP's example: one program makes a space and ends; another one finds it, and uses it.

use crate::HERE;
use demonstration::{Failure, chapter, check, refused};
use executable::Executable;
use init::archive::Archive;
use init::loader::{Gifts, IMAGES, Loaded};
use libvas::names::Mode;
use libvas::vas::{Access, Process};
use libvas::{Error, Names, PAGE_BYTES, Place, program, raw};
use rt::println;

/// The argument of the program that makes the space.
pub(crate) const MAKER: &str = "maker";

const LENGTH_BYTES: u64 = 16 * PAGE_BYTES;

/// What the maker leaves there.
const LEFT: u64 = 42;

/// Has the one program run to its end, and is the other one.
pub(crate) fn of_two_programs(names: &Names) -> Result<(), Failure> {
    chapter("A program makes a space, and ends");
    let code = run_maker(names)?;
    println!("   it ended with exit code {code}; its space has a name, and that is enough to keep it");
    check(code == 0, "the maker was not refused anything")?;
    chapter("Another one finds it, and switches into it");
    let mut process = Process::new(names);
    let vid = process.find("v0")?;
    process.attach(vid, Access::ReadWrite)?;
    process.switch(Some(vid))?;
    let t = Place::<u64>::new(HERE)?;
    let found = t.get();
    t.set(found + 1);
    let (active, again) = (process.active()?, t.get());
    process.switch(None)?;
    println!("   vh = vas_attach(vas_find(\"v0\")); vas_switch(vh); *t was {found}, and is {again} now");
    check((found, again) == (LEFT, LEFT + 1), "what the maker has written is there, and can be written")?;
    check((active, process.active()?) == (Some(vid), None), "a thread knows where it is")?;
    process.detach(vid)?;
    let sid = process.find_segment("s0")?;
    process.detach_segment(vid, sid)?;
    process.delete_segment(sid)?;
    process.delete(vid)?;
    refused("finding it when it was deleted", process.find("v0"), Error::NotFound)
}

/// Starts this program once more, with an account, a table and a space of its own; gives its exit code.
fn run_maker(names: &Names) -> Result<u64, Failure> {
    let archive = Archive::open()?;
    let file = archive.find("vas").ok_or(Failure::NotAsTold("the boot archive has this program"))?;
    let image =
        Executable::parse(file, raw::ELF_MACHINE, &IMAGES).map_err(|_| Failure::NotAsTold("it is a program"))?;
    let machine = program().machine().ok_or(Error::MissingRight)?;
    let gifts = Gifts {
        name: "vas",
        arguments: MAKER,
        machine,
        machine_rights: libvas::Rights::empty(),
        archive: None,
        names: Some(names.ways()),
        budget_bytes: None,
    };
    let loaded = Loaded::new(&image, &gifts)?;
    Ok(loaded.run()?)
}

/// The maker.
pub(crate) fn make(names: &Names) -> Result<(), Failure> {
    let (mut process, mode) = (Process::new(names), Mode::new(0o660));
    let vid = process.create("v0", mode)?;
    let sid = process.create_segment("s0", HERE..HERE + LENGTH_BYTES, mode)?;
    process.attach_segment(vid, sid, Access::ReadWrite)?;
    println!("   vas_create(\"v0\", 660), seg_alloc(\"s0\", {HERE:#x}, {LENGTH_BYTES}, 660), seg_attach(v0, s0)");
    process.attach(vid, Access::ReadWrite)?;
    process.switch(Some(vid))?;
    Place::<u64>::new(HERE)?.set(LEFT);
    println!("   vas_switch(v0); t = {HERE:#x}; *t = {LEFT}");
    // What ends has left the space first, and detached it.
    Ok(())
}
