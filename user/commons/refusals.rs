//! What is refused: writing to what is public, taking its slot, making things public without the right.

use crate::commons::{self, CARVED, SLOT};
use crate::crowd::Crowd;
use demonstration::{Failure, chapter, check, refused};
use libvas::thread::Builder;
use libvas::{Cap, Error, Machine, PAGE_BYTES, Place, Rights, Segment, Subtree, TOP_SLOT_BYTES, program};
use rt::println;

/// Shows the refusals.
pub(crate) fn show(machine: &Cap<Machine>, crowd: &Crowd) -> Result<(), Failure> {
    chapter("What is refused");
    let (space, account) = (crowd.last()?, program().account());
    println!("   a thread that stores to what is public is stopped:");
    let thread = Builder::new().space(space).name("vandal").spawn(|| commons::carved().map(|place| place.set(0)))?;
    refused("joining that thread", thread.join(), Error::Faulted)?;
    check(space.enter(|| commons::carved().map(Place::get))?? == CARVED, "nothing was written")?;
    let (other, page) = (Subtree::new(account)?, Segment::new(account, PAGE_BYTES)?);
    refused("attaching to the slot", space.attach(SLOT, &other, Rights::READ), Error::Overlap)?;
    let there = SLOT + (1 << 30);
    refused("mapping there", space.map(there, &page, 0..PAGE_BYTES, Rights::READ), Error::Overlap)?;
    let free_slot = SLOT + TOP_SLOT_BYTES;
    refused("making it writable for all", machine.publish(&other, free_slot, Rights::READ_WRITE), Error::BadArgument)?;
    let onlooker = machine.derive(Rights::INSPECT, 0)?;
    let attempt = onlooker.publish(&other, free_slot, Rights::READ);
    refused("publishing with the right to inspect the machine", attempt, Error::MissingRight)
}
