//! A client: a program of its own, this one's image with an account, a table and a space of its own, and the ways to the store.
//!
//! It goes to the store in spaces that it makes itself, as a process attaches an address space in SpaceJMP: they show the store's
//! segment and, in the place of everybody's own, its own image, heap and stacks. In a space of another program it could not go on: that
//! shows the other one's there, and the kernel refuses the switch.

use crate::desk::{Desk, Item, may_begin};
use crate::door::{Door, Way};
use crate::heap;
use crate::work::{Phase, add, request};
use core::mem::ManuallyDrop;
use demonstration::{Failure, check};
use libvas::{Cap, Error, Handle, Rights, Segment, Space, clock, program, thread};

/// The argument of a client, before its number.
pub(crate) const CLIENT: &str = "client";

/// The spaces in which a client is at the store.
struct Attached {
    writers: Cap<Space>,
    readers: Cap<Space>,
}

impl Attached {
    fn new(segment: &Cap<Segment>) -> Result<Attached, Error> {
        let attach = |rights| -> Result<Cap<Space>, Error> {
            let space = program().new_space()?;
            space.map(heap::START, segment, 0..heap::BYTES, rights)?;
            Ok(space)
        };
        Ok(Attached { writers: attach(Rights::READ_WRITE)?, readers: attach(Rights::READ)? })
    }
}

/// Does what the desk says.
pub(crate) fn work(number: u64) -> Result<(), Failure> {
    let desk = Desk::of(number);
    let read = |item| desk.read(item);
    let handle = |item| read(item).map(Handle::from_bits);
    let foreign = ManuallyDrop::new(Cap::<Space>::from_handle(handle(Item::Foreign)?));
    check(foreign.switch() == Err(Error::NotShared), "nobody goes on in a space of another program")?;
    let segment = Cap::<Segment>::from_handle(handle(Item::Segment)?);
    let attached = Attached::new(&segment)?;
    let door = Door {
        home: program().space().handle(),
        writers: attached.writers.handle(),
        readers: attached.readers.handle(),
        gate: handle(Item::Gate)?,
        number,
    };
    let (way, phase) = (Way::from_number(read(Item::Way)?), Phase::from_number(read(Item::Phase)?));
    let (clients, requests) = (read(Item::Clients)?, phase.requests(read(Item::Requests)?));
    // Once, so that what is made once is not counted; it does not matter what is asked.
    let _ = door.ask(way, &request(Phase::Get, 1, number, 0))?;
    desk.write(Item::IsReady, 1)?;
    while !may_begin()? {
        thread::yield_now();
    }
    let mut sum = 0;
    for step in 0..requests {
        sum = add(sum, &door.ask(way, &request(phase, clients, number, step))?);
    }
    desk.write(Item::Ended, clock::now().as_nanos() as u64)?;
    desk.write(Item::Sum, sum)?;
    Ok(())
}
