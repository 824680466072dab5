//! Changing spaces from outside, while nobody runs in them, and sharing page tables.

use crate::worlds::{HERE, Worlds, bytes_here};
use demonstration::{Failure, chapter, check, refused};
use libvas::{Error, PAGE_BYTES, Place, Rights, Segment, Subtree, TOP_SLOT_BYTES, program, thread};
use rt::println;

/// Where the shared subtree is attached: a top-level entry that nothing else uses.
const SHELF: u64 = 3 * TOP_SLOT_BYTES;

/// Where in the subtree its memory lies. The first page of a subtree stays free, to catch null pointers.
const BOOKS: u64 = 0x20_0000;

pub(crate) fn show(worlds: &Worlds) -> Result<(), Failure> {
    protect_and_unmap(worlds)?;
    share_tables(worlds)
}

/// `protect`, `unmap` and `map` work in a space nobody is in; threads that come later find it so.
fn protect_and_unmap(worlds: &Worlds) -> Result<(), Failure> {
    chapter("Changing a space from outside");
    let blue = &worlds.0[2];
    blue.space.protect(HERE..HERE + PAGE_BYTES, Rights::READ)?;
    println!("blue's page is read-only now. A thread that writes there anyway is stopped, it alone:");
    let writer = thread::Builder::new()
        .space(&blue.space)
        .name("vandal")
        .spawn(|| Place::<u64>::new(HERE).map(|place| place.set(0)))?;
    refused("joining that thread", writer.join(), Error::Faulted)?;
    check(blue.space.enter(bytes_here)?? == blue.bytes, "the stopped write changed nothing")?;
    blue.space.unmap(HERE..HERE + PAGE_BYTES)?;
    refused("reading blue's page once it is unmapped", blue.space.read(HERE, &mut [0; 8]), Error::BadAddress)?;
    blue.space.map(HERE, &blue.memory, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    check(blue.space.enter(bytes_here)?? == blue.bytes, "the memory outlived its mapping")?;
    println!("   mapped again, the page holds what it held: memory is an object too, a segment");
    Ok(())
}

/// One subtree, attached to three spaces: the tables exist once, and a change is seen by all.
fn share_tables(worlds: &Worlds) -> Result<(), Failure> {
    chapter("Sharing page tables");
    let shelf = Subtree::new(program().account())?;
    let length_bytes = 512 * PAGE_BYTES;
    let memory = Segment::new_lazy(program().account(), length_bytes)?;
    shelf.map(BOOKS, &memory, 0..length_bytes, Rights::READ_WRITE)?;
    let [red, green, blue] = &worlds.0;
    let before = red.space.info()?.table_bytes;
    red.space.attach(SHELF, &shelf, Rights::READ_WRITE)?;
    green.space.attach(SHELF, &shelf, Rights::READ)?;
    blue.space.attach(SHELF, &shelf, Rights::READ)?;
    let info = shelf.info()?;
    let grown = red.space.info()?.table_bytes - before;
    println!("   a subtree with {} KiB of memory has {} bytes of tables", length_bytes / 1024, info.table_bytes);
    println!("   attached to {} spaces, it cost each of them {grown} bytes of tables: one entry", info.sharers);
    check(info.sharers == 3 && grown == 0, "attaching needs no table")?;
    let place = Place::<u64>::new(SHELF + BOOKS)?;
    red.space.enter(|| place.set(2026))?;
    let seen = blue.space.enter(|| place.get())?;
    println!("   red writes {seen} there, blue reads {seen}; green and blue may only read: the entry itself says so");
    check(seen == 2026, "a subtree's memory is the same in all spaces")?;
    refused("writing there from outside through blue", blue.space.write(SHELF + BOOKS, &[1]), Error::BadAddress)?;
    for world in &worlds.0 {
        world.space.detach(SHELF)?;
    }
    Ok(())
}
