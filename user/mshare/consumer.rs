//! The consumer's side. All it has is the letter; its threads use another capability table than the donor's, so
//! nothing here may use the donor's objects, `libvas::program()` and a heap that grows among them.

use crate::letter::{Item, LETTER};
use crate::region::{self, ADDRESS, BEFORE, LATER, TEXT_BEFORE, TEXT_LATER};
use core::mem::ManuallyDrop;
use demonstration::{Failure, Size, check, refused};
use libvas::{Cap, Error, Handle, Level, Object, Place, Rights, Space, Subtree};
use rt::println;

/// What a thread of the consumer does, and its name.
pub(crate) struct Errand {
    pub(crate) name: &'static str,
    pub(crate) run: fn() -> Result<(), Failure>,
}

/// Numbers of the errands.
pub(crate) const FIND_AND_READ: usize = 0;
/// See [`FIND_AND_READ`].
pub(crate) const STORE: usize = 1;
/// See [`FIND_AND_READ`].
pub(crate) const READ_AND_LEAVE: usize = 2;
/// See [`FIND_AND_READ`].
pub(crate) const COME_LATE: usize = 3;

/// The errands, by their numbers.
pub(crate) const ERRANDS: [Errand; 4] = [
    Errand { name: "find and read", run: find_and_read },
    Errand { name: "store", run: store },
    Errand { name: "read and leave", run: read_and_leave },
    Errand { name: "come late", run: come_late },
];

/// The capability that a number of the letter means, in the table of the thread that asks. It stays where it is.
fn named<T: Object>(item: Item) -> ManuallyDrop<Cap<T>> {
    ManuallyDrop::new(Cap::from_handle(Handle::from_bits(LETTER.read(item))))
}

/// Finds out what the region is, tries to get more than it may, attaches it and reads.
fn find_and_read() -> Result<(), Failure> {
    let (space, region) = (named::<Space>(Item::Space), named::<Subtree>(Item::Region));
    let info = region.info()?;
    println!("consumer: the region fills {}, to be attached at multiples of that", Size(info.size_bytes));
    check(info.size_bytes == Level::Top.size_bytes(), "the region fills an entry of a root table")?;
    check(ADDRESS.is_multiple_of(info.alignment_bytes), "the address is one where it can be attached")?;
    let donors = named::<Subtree>(Item::DonorsRegion);
    refused("using the donor's number of the region", donors.info(), Error::BadHandle)?;
    refused("attaching it to be written", space.attach(ADDRESS, &region, Rights::READ_WRITE), Error::MissingRight)?;
    refused("unmapping the donor's page in it", region.unmap(BEFORE..BEFORE + 0x1000), Error::MissingRight)?;
    refused("withdrawing it", region.withdraw(), Error::MissingRight)?;
    space.attach(ADDRESS, &region, Rights::READ)?;
    let mut bytes = [0; 64];
    let text = region::read(BEFORE, &mut bytes)?;
    println!("consumer: attached it to be read, at {ADDRESS:#x}, and reads: {text:?}");
    check(text == TEXT_BEFORE, "the consumer reads what the donor wrote")?;
    let own = space.info()?.table_bytes;
    println!("consumer: page tables of my own: {own} bytes; the region's, {} bytes, are the donor's", info.table_bytes);
    check(own == libvas::PAGE_BYTES, "attaching takes no table")
}

/// Is stopped.
fn store() -> Result<(), Failure> {
    Place::<u8>::new(ADDRESS + BEFORE)?.set(b'A');
    Err(Failure::NotAsTold("a store through an entry for reading stops the thread"))
}

/// Reads what was mapped since, takes the region out of its space, and attaches it again.
fn read_and_leave() -> Result<(), Failure> {
    let (space, region) = (named::<Space>(Item::Space), named::<Subtree>(Item::Region));
    let mut bytes = [0; 64];
    let text = region::read(LATER, &mut bytes)?;
    println!("consumer: reads there, without having done anything: {text:?}");
    check(text == TEXT_LATER, "what the donor maps later is shared as well")?;
    space.detach(ADDRESS)?;
    refused("reading its space there once the region is detached", read_first_byte(&space), Error::BadAddress)?;
    space.attach(ADDRESS, &region, Rights::READ)?;
    check(region::holds(BEFORE, TEXT_BEFORE)?, "it can be attached again")?;
    println!("consumer: attached it once more");
    Ok(())
}

/// Comes after the donor withdrew the region.
fn come_late() -> Result<(), Failure> {
    let (space, region) = (named::<Space>(Item::Space), named::<Subtree>(Item::Region));
    refused("reading its space where the region was", read_first_byte(&space), Error::BadAddress)?;
    ManuallyDrop::into_inner(region).delete()?;
    println!("consumer: gave its capability up; what it still has lets it look and no more");
    let look = named::<Subtree>(Item::LookOnly);
    check(look.info()?.sharers == 0, "it sees that nobody shares the region")?;
    refused("attaching it with that", space.attach(ADDRESS, &look, Rights::READ), Error::MissingRight)
}

/// Reads the space's memory without touching it, so that a refusal is an answer and not a fault.
fn read_first_byte(space: &Cap<Space>) -> Result<(), Error> {
    space.read(ADDRESS + BEFORE, &mut [0])
}
