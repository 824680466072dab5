//! Protection: what a mapping does not allow stops the thread that tries it, and nobody else.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Code, KERNEL_ADDRESSES, Room, Snapshot, UNMAPPED, Verdict, claim, ends_in_fault, ensure, ensure_eq,
    fresh_address, peek, poke, refused, run, run_at, the_kernel_passes_its_own_checks,
};
use libvas::{Error, PAGE_BYTES, Place, Rights, Segment, counters, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(reading_where_nothing_is_mapped_stops_the_thread),
        claim!(writing_to_read_only_memory_stops_the_thread),
        claim!(executing_data_stops_the_thread),
        claim!(writing_to_code_stops_the_thread),
        claim!(memory_writable_there_can_be_read_only_here),
        claim!(writable_and_executable_is_refused),
        claim!(protect_narrows_what_is_in_use),
        claim!(protect_widens_up_to_the_capability_and_no_further),
        claim!(protect_reaches_a_part_of_a_mapping),
        claim!(protect_is_all_or_nothing),
        claim!(code_runs_where_it_may),
        claim!(user_threads_cannot_touch_the_kernel),
        claim!(bad_instructions_stop_the_thread),
        claim!(faults_are_counted),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("protection", CLAIMS)
}

const PAGE: u64 = PAGE_BYTES;

/// Fails unless a thread that does this in the home space is stopped by a fault.
#[track_caller]
fn stops<T: Send + 'static>(what: &str, body: impl FnOnce() -> T + Send + 'static) -> Verdict {
    ensure!(ends_in_fault(program().space(), body)?, "{what} was not stopped");
    Ok(())
}

/// Reads from the null page, from a hole and just beyond a mapping stop only the thread that reads.
fn reading_where_nothing_is_mapped_stops_the_thread() -> Verdict {
    let room = Room::new(1)?;
    for address in [0, 8, PAGE - 1, UNMAPPED, room.address() - 1, room.end(), 1 << 46] {
        stops("a read", move || peek(address))?;
        stops("a write", move || poke(address, 1))?;
    }
    ensure!(room.is_filled(0)?, "something was written");
    Ok(())
}

/// A write to read-only memory stops the thread and changes nothing.
fn writing_to_read_only_memory_stops_the_thread() -> Verdict {
    let room = Room::with(Segment::new(program().account(), PAGE)?, 1, Rights::READ)?;
    let address = room.address();
    stops("the write", move || poke(address + 9, 1))?;
    ensure!(room.is_filled(0)?, "the write came through");
    Ok(())
}

/// Memory that may be read and written may not be executed, though there is good code in it.
fn executing_data_stops_the_thread() -> Verdict {
    for rights in [Rights::READ, Rights::READ_WRITE] {
        let segment = Segment::new(program().account(), PAGE)?;
        segment.write(0, &Code::Return.bytes())?;
        let room = Room::with(segment, 1, rights)?;
        let address = room.address();
        stops("execution", move || run_at(address))?;
    }
    Ok(())
}

/// Code can be read and executed, and not written.
fn writing_to_code_stops_the_thread() -> Verdict {
    let segment = Segment::new(program().account(), PAGE)?;
    segment.write(0, &Code::Return.bytes())?;
    let room = Room::with(segment, 1, Rights::READ_EXECUTE)?;
    let address = room.address();
    stops("the write", move || poke(address, 0))?;
    run_at(address);
    ensure_eq!(peek(address), Code::Return.bytes()[0]);
    Ok(())
}

/// The same page is written through one space and only read through another, at one address.
fn memory_writable_there_can_be_read_only_here() -> Verdict {
    let (writer, reader) = (program().new_space()?, program().new_space()?);
    let (segment, address) = (Segment::new(program().account(), PAGE)?, fresh_address());
    writer.map(address, &segment, 0..PAGE, Rights::READ_WRITE)?;
    reader.map(address, &segment, 0..PAGE, Rights::READ)?;
    let place = Place::<u64>::new(address)?;
    for value in [3, 4] {
        writer.enter(|| place.set(value))?;
        ensure_eq!(reader.enter(|| place.get())?, value);
        ensure!(ends_in_fault(&reader, move || place.set(0))?, "the reader could write");
    }
    ensure!(!ends_in_fault(&writer, move || place.set(5))?, "the writer could not write");
    Ok(())
}

/// No mapping is ever writable and executable, be it made so or changed to it.
fn writable_and_executable_is_refused() -> Verdict {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), 2 * PAGE)?);
    let address = fresh_address();
    refused(space.map(address, &segment, 0..PAGE, Rights::ACCESS), Error::WriteExecute)?;
    refused(program().subtree().map(address, &segment, 0..PAGE, Rights::ACCESS), Error::WriteExecute)?;
    for rights in [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE] {
        space.map(address, &segment, 0..PAGE, rights)?;
        let before = Snapshot::of(&space)?;
        refused(space.protect(address..address + PAGE, Rights::ACCESS), Error::WriteExecute)?;
        ensure_eq!(Snapshot::of(&space)?, before);
        space.unmap(address..address + PAGE)?;
    }
    Ok(())
}

/// Memory that was just written is read-only for the next instruction, in the running space and in others.
fn protect_narrows_what_is_in_use() -> Verdict {
    let room = Room::new(1)?;
    let (word, range) = (room.word(0)?, room.address()..room.end());
    stops("a write after protect", move || {
        word.set(1);
        if program().space().protect(range, Rights::READ).is_ok() && word.get() == 1 {
            word.set(2);
        }
    })?;
    ensure_eq!(word.get(), 1);
    let (space, address) = (program().new_space()?, fresh_address());
    space.map(address, room.segment(), 0..PAGE, Rights::READ_WRITE)?;
    let place = Place::<u64>::new(address)?;
    space.enter(|| place.set(7))?;
    space.protect(address..address + PAGE, Rights::READ)?;
    ensure!(ends_in_fault(&space, move || place.set(8))?, "another space kept the right to write");
    ensure_eq!(word.get(), 7);
    Ok(())
}

/// Rights taken away come back, up to those of the segment capability that was mapped; beyond is refused.
fn protect_widens_up_to_the_capability_and_no_further() -> Verdict {
    let segment = Segment::new(program().account(), PAGE)?;
    let space = program().new_space()?;
    for (held, allowed, beyond) in [
        (Rights::READ, Rights::READ, Rights::READ_WRITE),
        (Rights::READ, Rights::READ, Rights::READ_EXECUTE),
        (Rights::READ_WRITE, Rights::READ_WRITE, Rights::READ_EXECUTE),
        (Rights::READ_EXECUTE, Rights::READ_EXECUTE, Rights::READ_WRITE),
    ] {
        let address = fresh_address();
        let range = address..address + PAGE;
        space.map(address, &segment.derive(held, 0)?, 0..PAGE, Rights::READ)?;
        let before = Snapshot::of(&space)?;
        refused(space.protect(range.clone(), beyond), Error::MissingRight)?;
        ensure_eq!(Snapshot::of(&space)?, before);
        space.protect(range.clone(), allowed)?;
        space.protect(range, Rights::READ)?;
        ensure_eq!(Snapshot::of(&space)?, before);
    }
    Ok(())
}

/// Protecting the middle of a mapping leaves its ends as they were.
fn protect_reaches_a_part_of_a_mapping() -> Verdict {
    let room = Room::new(4)?;
    let middle = room.address() + PAGE..room.address() + 3 * PAGE;
    program().space().protect(middle.clone(), Rights::READ)?;
    room.word(0)?.set(1);
    room.word(4 * 512 - 1)?.set(1);
    for address in [middle.start, middle.end - 1] {
        stops("a write to the middle", move || poke(address, 1))?;
    }
    let found: Result<Vec<_>, Error> = program().space().mappings(room.address()).take(3).collect();
    let lengths: Vec<_> = found?.iter().map(|mapping| mapping.length_bytes / PAGE).collect();
    ensure_eq!(lengths, [1, 2, 1]);
    Ok(())
}

/// A range of which one part may not get the rights, or is not mapped, keeps those it has everywhere.
fn protect_is_all_or_nothing() -> Verdict {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), PAGE)?);
    let (address, reader) = (fresh_address(), segment.derive(Rights::READ, 0)?);
    space.map(address, &segment, 0..PAGE, Rights::READ)?;
    space.map(address + PAGE, &reader, 0..PAGE, Rights::READ)?;
    let before = Snapshot::of(&space)?;
    refused(space.protect(address..address + 2 * PAGE, Rights::READ_WRITE), Error::MissingRight)?;
    ensure_eq!(Snapshot::of(&space)?, before);
    refused(space.protect(address..address + 3 * PAGE, Rights::READ), Error::NotMapped)?;
    ensure_eq!(Snapshot::of(&space)?, before);
    refused(space.write(address, b"x"), Error::BadAddress)?;
    Ok(())
}

/// Code that was written as data runs once it is made executable, and is data again afterwards.
fn code_runs_where_it_may() -> Verdict {
    let room = Room::new(1)?;
    room.segment().write(64, &Code::Return.bytes())?;
    let (address, range) = (room.address() + 64, room.address()..room.end());
    program().space().protect(range.clone(), Rights::READ_EXECUTE)?;
    run_at(address);
    program().space().protect(range, Rights::READ_WRITE)?;
    stops("execution of data that was code", move || run_at(address))
}

/// Reading, writing and executing the kernel's addresses stop the thread, whatever is there.
fn user_threads_cannot_touch_the_kernel() -> Verdict {
    for address in KERNEL_ADDRESSES {
        stops("a read of the kernel", move || peek(address))?;
        stops("a write to the kernel", move || poke(address, 0))?;
        stops("a jump into the kernel", move || run_at(address))?;
    }
    for address in [1 << 47, 1 << 48, 1 << 55, 0x7fff_ffff_ffff_f000] {
        stops("a read outside of every half", move || peek(address))?;
    }
    Ok(())
}

/// Instructions that do not exist, are the kernel's, or call a debugger, stop the thread that meets them.
fn bad_instructions_stop_the_thread() -> Verdict {
    for code in [Code::Undefined, Code::Privileged, Code::Breakpoint] {
        let segment = Segment::new(program().account(), PAGE)?;
        segment.write(0, &code.bytes())?;
        let room = Room::with(segment, 1, Rights::READ_EXECUTE)?;
        let address = room.address();
        ensure!(ends_in_fault(program().space(), move || run_at(address))?, "{code:?} was not stopped");
    }
    Ok(())
}

/// Each fault is counted.
fn faults_are_counted() -> Verdict {
    let before = counters::total()?.faults;
    for _ in 0..3 {
        stops("a read", || peek(UNMAPPED))?;
    }
    let faults = counters::total()?.faults - before;
    // The threads' stacks are made on first touch, which are faults as well.
    ensure!(faults >= 3, "three faults were counted as {faults}");
    Ok(())
}
