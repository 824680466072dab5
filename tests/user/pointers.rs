//! User pointers: the kernel reads and writes only what the caller itself could.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Fixture, KERNEL_ADDRESSES, Room, UNMAPPED, Verdict, argument_named, attempt, claim, ensure, ensure_eq,
    refused, run, the_kernel_passes_its_own_checks,
};
use libvas::layout::{AccountInfo, CapabilityInfo, Counters, MachineInfo, MappingInfo, SegmentInfo, SpaceInfo, Words};
use libvas::layout::{SubtreeInfo, ThreadInfo};
use libvas::{Error, PAGE_BYTES, Rights, Segment, TOP_SLOT_BYTES, USER_END, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(results_are_not_written_where_nothing_may_be),
        claim!(results_are_not_written_to_read_only_memory),
        claim!(a_result_that_does_not_fit_is_not_begun),
        claim!(a_list_that_does_not_fit_is_not_begun),
        claim!(results_may_lie_at_any_address),
        claim!(results_may_cross_from_one_mapping_to_the_next),
        claim!(texts_are_read_only_from_readable_memory),
        claim!(texts_must_be_utf8_and_of_possible_length),
        claim!(pointers_mean_the_space_the_thread_is_in),
        claim!(bounds_of_an_attachment_hold_for_the_kernel_too),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("pointers", CLAIMS)
}

/// What is in a page before a call that must not change it.
const UNTOUCHED: u64 = 0x7777_7777_7777_7777;

/// Every call that writes a structure: its number and how many bytes it writes.
const WRITERS: [(u64, usize); 10] = [
    (number::thread_info, ThreadInfo::BYTES),
    (number::account_info, AccountInfo::BYTES),
    (number::capability_info, CapabilityInfo::BYTES),
    (number::segment_info, SegmentInfo::BYTES),
    (number::space_info, SpaceInfo::BYTES),
    (number::subtree_info, SubtreeInfo::BYTES),
    (number::mappings_list, MappingInfo::BYTES),
    (number::memory_read, 8),
    (number::counters, Counters::BYTES),
    (number::machine_info, MachineInfo::BYTES),
];

/// Makes a call that writes a structure to an address.
fn write_to(fixture: &Fixture, call: u64, address: u64) -> Result<u64, Error> {
    let mut words = fixture.words(call);
    let index = argument_named(call, "buffer").ok_or(Error::BadCall)?;
    words[index] = address;
    attempt(call, words)
}

/// Addresses at which nobody may write even one structure.
fn bad_addresses() -> Vec<u64> {
    let mut addresses = Vec::from(KERNEL_ADDRESSES);
    addresses.extend([0, 8, UNMAPPED, USER_END, 1 << 47, 1 << 48, 1 << 63]);
    addresses.extend([u64::MAX, u64::MAX - 7, 0_u64.wrapping_sub(8), 0_u64.wrapping_sub(64)]);
    addresses
}

/// Null, unmapped, kernel, non-canonical and wrap-around pointers are refused by every call that writes.
fn results_are_not_written_where_nothing_may_be() -> Verdict {
    let fixture = Fixture::new()?;
    for (call, _) in WRITERS {
        for address in bad_addresses() {
            let result = write_to(&fixture, call, address);
            ensure!(result == Err(Error::BadPointer), "call {call} to {address:#x}: {result:?}");
        }
    }
    Ok(())
}

/// Memory that the caller may only read, or execute, is not written to on its behalf.
fn results_are_not_written_to_read_only_memory() -> Verdict {
    let fixture = Fixture::new()?;
    for rights in [Rights::READ, Rights::READ_EXECUTE] {
        let room = Room::with(Segment::new(program().account(), PAGE_BYTES)?, 1, rights)?;
        for (call, _) in WRITERS {
            let result = write_to(&fixture, call, room.address() + 64);
            ensure!(result == Err(Error::BadPointer), "call {call} to read-only memory: {result:?}");
        }
        ensure!(room.is_filled(0)?, "a call wrote to read-only memory");
    }
    Ok(())
}

/// A structure that would reach into a page that is missing is not written in part.
fn a_result_that_does_not_fit_is_not_begun() -> Verdict {
    let (fixture, room) = (Fixture::new()?, Room::new(1)?);
    room.fill(UNTOUCHED)?;
    for (call, bytes) in WRITERS {
        for missing in [1, bytes as u64 / 2, bytes as u64 - 1] {
            let result = write_to(&fixture, call, room.end() - bytes as u64 + missing);
            ensure!(result == Err(Error::BadPointer), "call {call}, {missing} bytes missing: {result:?}");
            ensure!(room.is_filled(UNTOUCHED)?, "call {call} wrote though {missing} bytes were missing");
        }
    }
    Ok(())
}

/// A list whose second entry has no room is refused without writing the first.
fn a_list_that_does_not_fit_is_not_begun() -> Verdict {
    let (fixture, room) = (Fixture::new()?, Room::new(1)?);
    room.fill(UNTOUCHED)?;
    let words = [fixture.space.handle().bits(), 0, room.end() - MappingInfo::BYTES as u64, 2, 0, 0];
    refused(attempt(number::mappings_list, words), Error::BadPointer)?;
    ensure!(room.is_filled(UNTOUCHED)?, "the first entry was written");
    // Room for more than there is needs no memory behind what there is.
    let words = [fixture.space.handle().bits(), 0, room.end() - 2 * MappingInfo::BYTES as u64, u64::MAX, 0, 0];
    ensure_eq!(attempt(number::mappings_list, words), Ok(2));
    Ok(())
}

/// A structure need not be aligned.
fn results_may_lie_at_any_address() -> Verdict {
    let (fixture, room) = (Fixture::new()?, Room::new(1)?);
    for off in [1, 3, 7] {
        for (call, bytes) in WRITERS {
            write_to(&fixture, call, room.end() - bytes as u64 - off)?;
            write_to(&fixture, call, room.address() + off)?;
        }
    }
    Ok(())
}

/// A structure may begin in one mapping and end in the next, of other memory.
fn results_may_cross_from_one_mapping_to_the_next() -> Verdict {
    let (fixture, room) = (Fixture::new()?, Room::new(1)?);
    let next = Segment::new(program().account(), PAGE_BYTES)?;
    program().space().map(room.end(), &next, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    let words = [fixture.segment.handle().bits(), room.end() - 12, 0, 0, 0, 0];
    attempt(number::segment_info, words)?;
    let mut bytes = [0; SegmentInfo::BYTES];
    program().space().read(room.end() - 12, &mut bytes)?;
    ensure_eq!(bytes[..8], (2 * PAGE_BYTES).to_le_bytes());
    ensure_eq!(bytes[8..16], (2 * PAGE_BYTES).to_le_bytes());
    let mut start = [0; 4];
    next.read(0, &mut start)?;
    ensure_eq!(start, bytes[12..16]);
    program().space().unmap(room.end()..room.end() + PAGE_BYTES)?;
    Ok(())
}

/// Texts and bytes to write are taken only from memory that the caller can read.
fn texts_are_read_only_from_readable_memory() -> Verdict {
    let (fixture, room) = (Fixture::new()?, Room::new(1)?);
    let mut addresses = bad_addresses();
    addresses.extend([room.end() - 3, room.end(), room.address() - 4]);
    let (segment, space) = (fixture.segment.handle().bits(), fixture.space.handle().bits());
    for address in addresses {
        let results = [
            attempt(number::console_write, [address, 4, 0, 0, 0, 0]),
            attempt(number::object_set_name, [segment, address, 4, 0, 0, 0]),
            attempt(number::memory_write, [space, fixture.address, address, 4, 0, 0]),
        ];
        ensure!(results == [Err(Error::BadPointer); 3], "4 bytes from {address:#x}: {results:?}");
    }
    ensure_eq!(fixture.segment.name()?.as_str(), "");
    Ok(())
}

/// The console takes up to 4096 bytes of UTF-8.
fn texts_must_be_utf8_and_of_possible_length() -> Verdict {
    let room = Room::new(2)?;
    let write = |skip: u64, length| attempt(number::console_write, [room.address() + skip, length, 0, 0, 0, 0]);
    for length in [4097, 1 << 32, 1 << 63, u64::MAX] {
        refused(write(0, length), Error::BadText)?;
    }
    room.word(0)?.set(u64::from_le_bytes([b' ', 0xc3, 0x28, 0xff, 0xe2, 0x82, 0, 0]));
    for (skip, length) in [(1, 2), (3, 1), (4, 2), (0, 6)] {
        refused(write(skip, length), Error::BadText)?;
    }
    write(0, 0)?;
    Ok(())
}

/// A pointer is looked up in the space that the calling thread is in, not in the one it started in.
fn pointers_mean_the_space_the_thread_is_in() -> Verdict {
    let (fixture, room) = (Fixture::new()?, Room::new(1)?);
    let words = [fixture.account.handle().bits(), fixture.address, 0, 0, 0, 0];
    refused(attempt(number::account_info, words), Error::BadPointer)?;
    let inside = fixture.space.enter(|| {
        let own = attempt(number::account_info, words);
        (own, attempt(number::account_info, [words[0], room.address(), 0, 0, 0, 0]))
    })?;
    ensure_eq!(inside, (Ok(0), Err(Error::BadPointer)));
    let mut limit = [0; 8];
    fixture.space.read(fixture.address, &mut limit)?;
    ensure_eq!(u64::from_le_bytes(limit), 1 << 20);
    Ok(())
}

/// Where a subtree is attached without the right to write, the kernel does not write for the caller either.
fn bounds_of_an_attachment_hold_for_the_kernel_too() -> Verdict {
    let (fixture, room) = (Fixture::new()?, Room::new(1)?);
    fixture.subtree.map(16 * PAGE_BYTES, room.segment(), 0..PAGE_BYTES, Rights::READ_WRITE)?;
    let slot = 77 * TOP_SLOT_BYTES;
    let at = slot + 16 * PAGE_BYTES;
    program().space().attach(slot, &fixture.subtree, Rights::READ)?;
    for (call, _) in WRITERS {
        refused(write_to(&fixture, call, at), Error::BadPointer)?;
    }
    refused(program().space().write(at, b"x"), Error::BadAddress)?;
    ensure!(room.is_filled(0)?, "a call wrote through a read-only attachment");
    program().space().detach(slot)?;
    program().space().attach(slot, &fixture.subtree, Rights::READ_WRITE)?;
    for (call, _) in WRITERS {
        write_to(&fixture, call, at)?;
    }
    program().space().detach(slot)?;
    Ok(())
}
