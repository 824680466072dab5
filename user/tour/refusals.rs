//! What the kernel refuses: unsafe switches, missing rights, stale handles.

use crate::worlds::{HERE, Worlds, bytes_here, text};
use demonstration::{Failure, chapter, check, refused};
use libvas::{Cap, Error, Rights, Space, program};
use rt::println;

/// Shows three refusals, and what a capability with one right alone is good for.
pub(crate) fn show(worlds: &Worlds) -> Result<(), Failure> {
    chapter("What is refused");
    println!("A switch must not pull the ground from under a thread; rights only shrink; old handles mean nothing.");
    bare_space()?;
    missing_right(worlds)?;
    stale_handle(worlds)
}

/// A space without the program has no code and no stack for the thread to go on with.
fn bare_space() -> Result<(), Failure> {
    let bare = Space::new(program().account())?;
    refused("switching into a space without this program", bare.enter(|| ()), Error::NotShared)
}

/// With `INSPECT` alone one can look into a space, but not enter it or write there.
fn missing_right(worlds: &Worlds) -> Result<(), Failure> {
    let green = &worlds.0[1];
    let onlooker = green.space.derive(Rights::INSPECT, 0)?;
    refused("entering green with the right to inspect alone", onlooker.enter(|| ()), Error::MissingRight)?;
    refused("writing to green with that right", onlooker.write(HERE, b"weeds"), Error::MissingRight)?;
    let mut bytes = [0; 8];
    onlooker.read(HERE, &mut bytes)?;
    println!("   reading green's memory with it, from outside: \"{}\"", text(bytes));
    check(bytes == green.bytes, "the right to inspect is enough to read")
}

/// A handle names a slot and the slot's generation, so that a deleted one never means the slot's next holder.
fn stale_handle(worlds: &Worlds) -> Result<(), Failure> {
    let blue = &worlds.0[2];
    let second = blue.space.derive(Rights::SWITCH, 0)?;
    let handle = second.handle();
    check(second.enter(bytes_here)?? == blue.bytes, "a derived capability works")?;
    second.delete()?;
    let next = blue.space.derive(Rights::INSPECT, 0)?;
    println!("   a deleted handle was {:#x}; the next capability made got {:#x}", handle.bits(), next.handle().bits());
    let stale = Cap::<Space>::from_handle(handle);
    refused("entering blue by the deleted handle", stale.enter(|| ()), Error::BadHandle)
}
