//! The line about a fault names program, thread, space, address, access and instruction, says what was missing, and
//! the thread alone is stopped.
//! boot: expect-output="program=fault_line thread=reader space=library address=0x8000000000 access=read ip=0x"
//! boot: expect-output="nothing is mapped there [" expect-output="access=write ip=0x"
//! boot: expect-output="the mapping lacks the right to write; it allows to read ["
//! boot: expect-output="the subtree is attached here without the right to write"
//! boot: expect-output="thread=lodger space=library address=0x28040000000" expect-output="its bounds allow to read ["
//! boot: expect-output="the space is a view without the right to write; its bounds allow to read, execute ["
//! boot: expect-output="the account is exhausted ["

#![no_std]
#![no_main]

use libvas::thread::Builder;
use libvas::{
    Cap, Enterable, Error, Level, PAGE_BYTES, Place, Rights, Segment, Subtree, TOP_SLOT_BYTES, View, program,
};

rt::main!(main);

/// An address above the program, 512 GiB.
const HERE: u64 = TOP_SLOT_BYTES;

fn main() -> Result<(), Error> {
    let account = program().account();
    let space = program().new_space()?;
    space.set_name("library")?;
    stops("reader", &space, HERE, false)?;
    let page = Segment::new(account, PAGE_BYTES)?;
    space.map(HERE, &page, 0..PAGE_BYTES, Rights::READ)?;
    stops("writer", &space, HERE, true)?;
    let shelf = Subtree::new(account)?;
    shelf.map(PAGE_BYTES, &page, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    space.attach(2 * HERE, &shelf, Rights::READ)?;
    stops("borrower", &space, 2 * HERE + PAGE_BYTES, true)?;
    // In a subtree that is attached with all rights lies one that is not.
    let (house, room) = (Subtree::new(account)?, Subtree::with_level(account, Level::TwoMib)?);
    room.map(0, &page, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    house.attach(Level::OneGib.size_bytes(), &room, Rights::READ)?;
    space.attach(5 * HERE, &house, Rights::ACCESS)?;
    stops("lodger", &space, 5 * HERE + Level::OneGib.size_bytes(), true)?;
    let open = program().new_space()?;
    open.map(HERE, &page, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    stops("viewer", &View::new(account, &open, Rights::READ_EXECUTE)?, HERE, true)?;
    let poor = account.split(16 * PAGE_BYTES)?;
    let unpaid = Segment::new_lazy(&poor, PAGE_BYTES)?;
    let _rest = poor.split(poor.available_bytes()? - PAGE_BYTES)?;
    space.map(3 * HERE, &unpaid, 0..PAGE_BYTES, Rights::READ)?;
    stops("debtor", &space, 3 * HERE, false)
}

/// Fails unless a thread of this name that touches this address is stopped by a fault.
fn stops(name: &str, space: &Cap<impl Enterable>, address: u64, writes: bool) -> Result<(), Error> {
    let place = Place::<u64>::new(address)?;
    let touch = move || {
        if writes {
            place.set(1);
        }
        place.get()
    };
    match Builder::new().name(name).space(space).spawn(touch)?.join() {
        Err(Error::Faulted) => Ok(()),
        other => other.and(Err(Error::BadState)),
    }
}
