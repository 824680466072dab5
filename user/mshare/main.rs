//! mshare: a donor and a consumer of a shared region, as in the letter that proposed mshare for Linux in 2022.
//!
//! There, a donor gives a region of its memory a name; a consumer opens the name, reads where the region begins and how
//! large it is, attaches it there, and uses the donor's page tables from then on. That is `libvas::mshare`, and the letter's own
//! listings come first.
//!
//! Below it the region is a subtree, and no name is needed: the donor hands the consumer a capability, and what the consumer may do
//! with the region is what that capability allows. So the chapters after that have it. In them both sides are threads of this
//! program, but with a capability table each: the number by which the donor names the region means nothing to the consumer. What the
//! consumer gets is a letter with its own handles, as numbers.

#![no_std]
#![no_main]

extern crate alloc;

mod consumer;
mod hire;
mod letter;
mod named;
mod region;

use demonstration::{Failure, chapter, check, refused};
use hire::Consumer;
use libvas::{Error, program};
use region::{Region, TEXT_BEFORE, TEXT_LATER};
use rt::println;

rt::main!(main);

fn main() -> Result<(), Failure> {
    named::listings()?;
    chapter("The donor makes a region");
    let region = Region::new()?;
    region.attach_to(program().space())?;
    region::write(region::BEFORE, TEXT_BEFORE)?;
    println!("donor: attached it at {:#x} and wrote: {TEXT_BEFORE:?}", region::ADDRESS);
    let consumer = Consumer::hire(&region)?;
    attach_and_read(&consumer)?;
    store(&consumer)?;
    change(&region, &consumer)?;
    withdraw(&region, &consumer)?;
    nothing_is_left(&region)?;
    println!("mshare: all as told");
    Ok(())
}

fn attach_and_read(consumer: &Consumer) -> Result<(), Failure> {
    chapter("The consumer opens its letter");
    check(consumer.send_on(consumer::FIND_AND_READ)? == Ok(0), "the consumer could attach and read")
}

/// The consumer's capability allows it to attach for reading, so that is what its entry allows.
fn store(consumer: &Consumer) -> Result<(), Failure> {
    chapter("The consumer stores to the region");
    println!("   its mapping is writable, for the donor; the kernel says why this thread is stopped all the same:");
    refused("joining the consumer's thread", consumer.send_on(consumer::STORE)?, Error::Faulted)?;
    check(region::holds(region::BEFORE, TEXT_BEFORE)?, "the donor's text is what it was")
}

/// What the donor maps later, the consumer sees without doing anything.
fn change(region: &Region, consumer: &Consumer) -> Result<(), Failure> {
    chapter("The donor maps more");
    region.map(region::LATER)?;
    region::write(region::LATER, TEXT_LATER)?;
    println!("donor: mapped another page there, and wrote: {TEXT_LATER:?}");
    check(consumer.send_on(consumer::READ_AND_LEAVE)? == Ok(0), "the consumer saw it, left and came again")
}

fn withdraw(region: &Region, consumer: &Consumer) -> Result<(), Failure> {
    chapter("The donor withdraws the region");
    let places = region.subtree().withdraw()?;
    println!("donor: withdrew it from {places} spaces, its own among them");
    check(places == 2, "donor and consumer shared it")?;
    check(consumer.send_on(consumer::COME_LATE)? == Ok(0), "the consumer finds nothing any more")
}

/// The consumer's table was emptied when its last thread ended, and with it went its capabilities.
fn nothing_is_left(region: &Region) -> Result<(), Failure> {
    let holders = region.subtree().capability_info()?.references;
    println!("donor: the consumer is gone; capabilities to the region that exist: {holders}, the donor's own");
    check(holders == 1, "a consumer that is gone holds nothing")?;
    check(region.subtree().info()?.sharers == 0, "nobody shares the region")
}
