//! Reading and writing the memory of another space, running or not.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use conformance::{
    Claim, KERNEL_ADDRESSES, Room, UNMAPPED, Verdict, attempt, claim, ensure, ensure_eq, fresh_address, refused, run,
    the_kernel_passes_its_own_checks,
};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, TOP_SLOT_BYTES, USER_END, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(what_is_written_from_outside_is_read_inside),
        claim!(copies_cross_pages_and_mappings),
        claim!(copies_of_nothing_are_allowed),
        claim!(holes_are_refused_and_nothing_is_copied),
        claim!(read_only_memory_is_not_written),
        claim!(bad_addresses_of_the_other_side_are_refused),
        claim!(impossible_lengths_are_refused),
        claim!(attached_memory_is_reached_too),
        claim!(large_copies_are_exact),
        claim!(copies_onto_themselves_are_exact),
        claim!(reading_needs_inspect_and_writing_needs_map),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("memory", CLAIMS)
}

const PAGE: u64 = PAGE_BYTES;

/// A space without the program, with two pages at an address.
fn bare_with_pages(rights: Rights) -> Result<(Cap<Space>, Cap<Segment>, u64), Error> {
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), 2 * PAGE)?);
    let address = fresh_address() + 8 * PAGE;
    space.map(address, &segment, 0..2 * PAGE, rights)?;
    Ok((space, segment, address))
}

/// Bytes go into a space nobody runs in, and out again, and a thread inside sees them.
fn what_is_written_from_outside_is_read_inside() -> Verdict {
    let (space, _segment, address) = bare_with_pages(Rights::READ_WRITE)?;
    space.write(address + 5, b"five bytes on")?;
    let mut bytes = [0; 13];
    space.read(address + 5, &mut bytes)?;
    ensure_eq!(&bytes, b"five bytes on");
    space.attach(0, program().subtree(), Rights::ACCESS)?;
    let place = Place::<u8>::new(address + 5)?;
    ensure_eq!(space.enter(|| place.get())?, b'f');
    space.enter(|| place.set(b'F'))?;
    space.read(address + 5, &mut bytes)?;
    ensure_eq!(&bytes, b"Five bytes on");
    Ok(())
}

/// One copy may run over a page's end, and over a mapping's end into the next.
fn copies_cross_pages_and_mappings() -> Verdict {
    let (space, _segment, address) = bare_with_pages(Rights::READ_WRITE)?;
    let other = Segment::new(program().account(), PAGE)?;
    space.map(address + 2 * PAGE, &other, 0..PAGE, Rights::READ_WRITE)?;
    for end in [PAGE, 2 * PAGE] {
        space.write(address + end - 3, b"across")?;
        let mut bytes = [0; 6];
        space.read(address + end - 3, &mut bytes)?;
        ensure_eq!(&bytes, b"across");
    }
    let mut bytes = [0; 3];
    other.read(0, &mut bytes)?;
    ensure_eq!(&bytes, b"oss");
    Ok(())
}

/// A copy of no bytes succeeds and changes nothing.
fn copies_of_nothing_are_allowed() -> Verdict {
    let (space, _segment, address) = bare_with_pages(Rights::READ_WRITE)?;
    space.write(address, b"")?;
    space.read(address, &mut [])?;
    Ok(())
}

/// A range with a hole is refused whole: nothing arrives on either side.
fn holes_are_refused_and_nothing_is_copied() -> Verdict {
    let (space, _segment, address) = bare_with_pages(Rights::READ_WRITE)?;
    let mut bytes = vec![0xaa; 2 * PAGE as usize];
    for start in [address + PAGE, address - PAGE, address + 1] {
        refused(space.read(start, &mut bytes), Error::BadAddress)?;
        ensure!(bytes.iter().all(|byte| *byte == 0xaa), "bytes arrived though {start:#x} has a hole");
        refused(space.write(start, &bytes), Error::BadAddress)?;
    }
    space.read(address, &mut bytes)?;
    ensure!(bytes.iter().all(|byte| *byte == 0), "a write with a hole left bytes");
    // The same with the hole on the caller's side.
    let room = Room::new(1)?;
    let words = [space.handle().bits(), address, room.end() - PAGE / 2, PAGE, 0, 0];
    refused(attempt(number::memory_read, words), Error::BadPointer)?;
    room.fill(u64::MAX)?;
    refused(attempt(number::memory_read, words), Error::BadPointer)?;
    ensure!(room.is_filled(u64::MAX)?, "a read into a hole left bytes");
    refused(attempt(number::memory_write, words), Error::BadPointer)?;
    space.read(address, &mut bytes)?;
    ensure!(bytes.iter().all(|byte| *byte == 0), "a write from a hole left bytes");
    Ok(())
}

/// Memory that is read-only in the space is not written through it, however strong the capability to the space.
fn read_only_memory_is_not_written() -> Verdict {
    for rights in [Rights::READ, Rights::READ_EXECUTE] {
        let (space, segment, address) = bare_with_pages(rights)?;
        refused(space.write(address, b"x"), Error::BadAddress)?;
        space.map(address + 2 * PAGE, &segment, 0..PAGE, Rights::READ_WRITE)?;
        // The range begins writable there, and ends in what is not.
        space.unmap(address..address + PAGE)?;
        space.map(address, &segment, 0..PAGE, Rights::READ_WRITE)?;
        refused(space.write(address + PAGE - 2, b"text"), Error::BadAddress)?;
        let mut bytes = [1; 4];
        space.read(address + PAGE - 2, &mut bytes)?;
        ensure_eq!(bytes, [0; 4]);
    }
    Ok(())
}

/// Null, unmapped, kernel and wrap-around addresses of the other space are refused.
fn bad_addresses_of_the_other_side_are_refused() -> Verdict {
    let (space, _segment, address) = bare_with_pages(Rights::READ_WRITE)?;
    let others = [0, 8, UNMAPPED, address - 1, address + 2 * PAGE, USER_END - 4, USER_END, 1 << 47, 1 << 63];
    let wrapping = [u64::MAX, u64::MAX - 3, 0_u64.wrapping_sub(8)];
    for bad in KERNEL_ADDRESSES.into_iter().chain(others).chain(wrapping) {
        let mut bytes = [7; 8];
        refused(space.read(bad, &mut bytes), Error::BadAddress)?;
        ensure_eq!(bytes, [7; 8]);
        refused(space.write(bad, &bytes), Error::BadAddress)?;
    }
    Ok(())
}

/// Lengths that reach beyond all memory are refused on both sides.
fn impossible_lengths_are_refused() -> Verdict {
    let (space, _segment, address) = bare_with_pages(Rights::READ_WRITE)?;
    let room = Room::new(1)?;
    for length in [2 * PAGE + 1, 1 << 32, 1 << 47, 1 << 63, u64::MAX - address, u64::MAX] {
        for call in [number::memory_read, number::memory_write] {
            let result = attempt(call, [space.handle().bits(), address, room.address(), length, 0, 0]);
            ensure!(result.is_err(), "call {call} copied {length:#x} bytes");
        }
    }
    ensure!(room.is_filled(0)?, "bytes arrived");
    Ok(())
}

/// Memory in an attached subtree is part of the space, as far as the attachment's bounds go.
fn attached_memory_is_reached_too() -> Verdict {
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), PAGE)?);
    let subtree = libvas::Subtree::new(program().account())?;
    subtree.map(16 * PAGE, &segment, 0..PAGE, Rights::READ_WRITE)?;
    space.attach(5 * TOP_SLOT_BYTES, &subtree, Rights::READ_WRITE)?;
    space.attach(6 * TOP_SLOT_BYTES, &subtree, Rights::READ)?;
    space.write(5 * TOP_SLOT_BYTES + 16 * PAGE, b"shared")?;
    let mut bytes = [0; 6];
    space.read(6 * TOP_SLOT_BYTES + 16 * PAGE, &mut bytes)?;
    ensure_eq!(&bytes, b"shared");
    refused(space.write(6 * TOP_SLOT_BYTES + 16 * PAGE, b"x"), Error::BadAddress)
}

/// Half a mebibyte arrives byte for byte, from any offset to any other.
fn large_copies_are_exact() -> Verdict {
    const LENGTH: usize = 512 << 10;
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), 1 << 20)?);
    let address = fresh_address();
    space.map(address, &segment, 0..1 << 20, Rights::READ_WRITE)?;
    let sent: vec::Vec<u8> = (0..LENGTH).map(|index| (index * 31 + (index >> 8)) as u8).collect();
    space.write(address + 4093, &sent)?;
    let mut received = vec![0; LENGTH];
    space.read(address + 4093, &mut received)?;
    ensure!(sent == received, "the bytes changed on the way");
    let mut around = [1; 2];
    space.read(address + 4092, &mut around[..1])?;
    space.read(address + 4093 + LENGTH as u64, &mut around[1..])?;
    ensure_eq!(around, [0; 2]);
    Ok(())
}

/// Where source and target overlap, in front or behind, by addresses or because memory is mapped twice, what arrives is
/// what was there before.
fn copies_onto_themselves_are_exact() -> Verdict {
    let room = Room::new(3)?;
    let again = Room::with(room.segment().derive(Rights::READ_WRITE, 0)?, 3, Rights::READ_WRITE)?;
    let space = program().space();
    for (from, to, length_bytes) in [(1000, 1256, 2048), (1256, 1000, 2048), (10, 11, 9000), (4000, 96, 8000)] {
        for (source, target) in [(&room, &room), (&room, &again), (&again, &room)] {
            for index in 0..3 * PAGE / 8 {
                room.word(index)?.set(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            }
            let mut before = vec![0_u8; 3 * PAGE as usize];
            space.read(room.address(), &mut before)?;
            let words = [space.handle().bits(), source.address() + from, target.address() + to, length_bytes, 0, 0];
            ensure_eq!(attempt(number::memory_read, words)?, length_bytes);
            let mut after = vec![0_u8; 3 * PAGE as usize];
            space.read(room.address(), &mut after)?;
            before.copy_within(from as usize..(from + length_bytes) as usize, to as usize);
            ensure!(after == before, "{length_bytes} bytes from {from} to {to} came otherwise");
        }
    }
    Ok(())
}

/// `INSPECT` lets read and no more, `MAP` lets write and no more.
fn reading_needs_inspect_and_writing_needs_map() -> Verdict {
    let (space, _segment, address) = bare_with_pages(Rights::READ_WRITE)?;
    let (reader, writer) = (space.derive(Rights::INSPECT, 0)?, space.derive(Rights::MAP, 0)?);
    let mut bytes = [0; 2];
    writer.write(address, b"ok")?;
    reader.read(address, &mut bytes)?;
    ensure_eq!(&bytes, b"ok");
    refused(reader.write(address, b"no"), Error::MissingRight)?;
    refused(writer.read(address, &mut bytes), Error::MissingRight)
}
