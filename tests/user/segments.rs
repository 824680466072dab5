//! Segments: memory that is zero at first, made at once or on first touch, and shared by all that map it.

#![no_std]
#![no_main]

use conformance::{
    Census, Claim, Room, Verdict, attempt, claim, ensure, ensure_eq, fresh_address, refused, run,
    the_kernel_passes_its_own_checks,
};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(new_memory_is_zero_whoever_had_it_before),
        claim!(touched_memory_is_zero_whoever_had_it_before),
        claim!(an_eager_segment_is_there_from_the_start),
        claim!(a_lazy_segment_is_made_page_by_page),
        claim!(a_first_touch_through_the_kernel_counts),
        claim!(a_lazy_page_is_one_page_in_every_space),
        claim!(bad_sizes_and_flags_are_refused),
        claim!(a_mapping_keeps_its_segment),
        claim!(mappings_are_counted),
        claim!(an_offset_shows_that_part_of_the_segment),
        claim!(two_mappings_show_the_same_memory),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("segments", CLAIMS)
}

const SECRET: u64 = 0x5ec2_e700_5ec2_e700;

/// Makes a room, fills it with a secret and gives it up, again and again; says whether any room began otherwise
/// than with zeros.
fn secrets_come_through(pages: u64, make: fn(u64) -> Result<Cap<Segment>, Error>) -> Result<bool, Error> {
    for _ in 0..8 {
        let room = Room::with(make(pages * PAGE_BYTES)?, pages, Rights::READ_WRITE)?;
        if !room.is_filled(0)? {
            return Ok(true);
        }
        room.fill(SECRET)?;
    }
    Ok(false)
}

/// A segment that is made at once holds zeros, also where another's data was before.
fn new_memory_is_zero_whoever_had_it_before() -> Verdict {
    for pages in [1, 3, 64, 512] {
        let seen = secrets_come_through(pages, |bytes| Segment::new(program().account(), bytes))?;
        ensure!(!seen, "{pages} pages of new memory held old data");
    }
    Ok(())
}

/// Pages that are made on first touch hold zeros, also where another's data was before.
fn touched_memory_is_zero_whoever_had_it_before() -> Verdict {
    for pages in [1, 3, 64] {
        let seen = secrets_come_through(pages, |bytes| Segment::new_lazy(program().account(), bytes))?;
        ensure!(!seen, "{pages} pages of touched memory held old data");
    }
    Ok(())
}

/// All memory of an eager segment exists and is paid before anybody touches it.
fn an_eager_segment_is_there_from_the_start() -> Verdict {
    let account = program().account().split(1 << 20)?;
    let segment = Segment::new(&account, 5 * PAGE_BYTES)?;
    let info = segment.info()?;
    ensure_eq!((info.length_bytes, info.populated_bytes, info.mappings), (5 * PAGE_BYTES, 5 * PAGE_BYTES, 0));
    let used_bytes = account.info()?.used_bytes;
    ensure!(used_bytes >= 5 * PAGE_BYTES, "5 pages cost {used_bytes} bytes");
    Ok(())
}

/// A lazy segment has no memory until a page is touched, then that page; each costs what a page costs.
fn a_lazy_segment_is_made_page_by_page() -> Verdict {
    let account = program().account().split(1 << 20)?;
    let segment = Segment::new_lazy(&account, 8 * PAGE_BYTES)?;
    ensure_eq!((segment.info()?.length_bytes, segment.info()?.populated_bytes), (8 * PAGE_BYTES, 0));
    let used_bytes = account.info()?.used_bytes;
    let room = Room::with(segment, 8, Rights::READ_WRITE)?;
    for (touched, page) in [5, 0, 7].into_iter().enumerate() {
        let word = room.word(page * PAGE_BYTES / 8)?;
        ensure_eq!(word.get(), 0);
        word.set(page);
        ensure_eq!(room.segment().info()?.populated_bytes, (touched as u64 + 1) * PAGE_BYTES);
        ensure_eq!(account.info()?.used_bytes, used_bytes + (touched as u64 + 1) * PAGE_BYTES);
    }
    ensure_eq!((room.word(5 * 512)?.get(), room.word(7 * 512)?.get()), (5, 7));
    Ok(())
}

/// The kernel itself, writing through a space or a pointer, makes the pages it meets; reading, it takes zeros for them.
fn a_first_touch_through_the_kernel_counts() -> Verdict {
    let room = Room::with(Segment::new_lazy(program().account(), 4 * PAGE_BYTES)?, 4, Rights::READ_WRITE)?;
    let space = program().space();
    space.write(room.address() + PAGE_BYTES - 2, b"text")?;
    ensure_eq!(room.segment().info()?.populated_bytes, 2 * PAGE_BYTES);
    let mut bytes = [0xff; 4];
    space.read(room.address() + 2 * PAGE_BYTES, &mut bytes)?;
    ensure_eq!((bytes, room.segment().info()?.populated_bytes), ([0; 4], 2 * PAGE_BYTES));
    attempt(number::counters, [0, room.address() + 3 * PAGE_BYTES, 0, 0, 0, 0])?;
    ensure_eq!(room.segment().info()?.populated_bytes, 3 * PAGE_BYTES);
    Ok(())
}

/// A lazy page that is touched in one space is the same page in another, whoever touches first.
fn a_lazy_page_is_one_page_in_every_space() -> Verdict {
    let segment = Segment::new_lazy(program().account(), 2 * PAGE_BYTES)?;
    let (left, right) = (program().new_space()?, program().new_space()?);
    let (here, there) = (fresh_address(), fresh_address());
    left.map(here, &segment, 0..2 * PAGE_BYTES, Rights::READ_WRITE)?;
    right.map(there, &segment, 0..2 * PAGE_BYTES, Rights::READ_WRITE)?;
    let (ours, theirs) = (Place::<u64>::new(here)?, Place::<u64>::new(there)?);
    left.enter(|| ours.set(1))?;
    ensure_eq!(right.enter(|| theirs.get())?, 1);
    let (ours, theirs) = (ours.at(512)?, theirs.at(512)?);
    ensure_eq!(left.enter(|| ours.get())?, 0);
    right.enter(|| theirs.set(2))?;
    ensure_eq!(left.enter(|| ours.get())?, 2);
    ensure_eq!(segment.info()?.populated_bytes, 2 * PAGE_BYTES);
    Ok(())
}

/// A segment is whole pages, at least one, and its flags are the ones there are.
fn bad_sizes_and_flags_are_refused() -> Verdict {
    let (account, before) = (program().account(), Census::take()?);
    refused(Segment::new(account, 0), Error::BadArgument)?;
    refused(Segment::new_lazy(account, 0), Error::BadArgument)?;
    for length_bytes in [1, 8, PAGE_BYTES - 1, PAGE_BYTES + 1, u64::MAX] {
        refused(Segment::new(account, length_bytes), Error::Misaligned)?;
        refused(Segment::new_lazy(account, length_bytes), Error::Misaligned)?;
    }
    for flags in [8, 9, 1 << 32, 1 << 32 | 1, u64::MAX] {
        let words = [account.handle().bits(), PAGE_BYTES, flags, 0, 0, 0];
        refused(attempt(number::segment_create, words), Error::BadArgument)?;
    }
    ensure_eq!(Census::take()?, before);
    Ok(())
}

/// Memory that is mapped stays, though nobody holds a capability to it any more.
fn a_mapping_keeps_its_segment() -> Verdict {
    let space = program().new_space()?;
    let before = Census::take()?;
    let (segment, address) = (Segment::new(program().account(), PAGE_BYTES)?, fresh_address());
    space.map(address, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    space.write(address, b"kept")?;
    drop(segment);
    ensure_eq!(Census::take()?.machine.segments, before.machine.segments + 1);
    let mut bytes = [0; 4];
    space.read(address, &mut bytes)?;
    ensure_eq!(&bytes, b"kept");
    space.unmap(address..address + PAGE_BYTES)?;
    ensure_eq!(Census::take()?.machine.segments, before.machine.segments);
    Ok(())
}

/// A segment counts its mappings: made, split by unmapping their middle, and gone with their space.
fn mappings_are_counted() -> Verdict {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), 3 * PAGE_BYTES)?);
    let (first, second) = (fresh_address(), fresh_address());
    space.map(first, &segment, 0..3 * PAGE_BYTES, Rights::READ)?;
    space.map(second, &segment, 0..PAGE_BYTES, Rights::READ)?;
    ensure_eq!(segment.info()?.mappings, 2);
    space.unmap(first + PAGE_BYTES..first + 2 * PAGE_BYTES)?;
    ensure_eq!(segment.info()?.mappings, 3);
    space.unmap(second..second + PAGE_BYTES)?;
    ensure_eq!(segment.info()?.mappings, 2);
    drop(space);
    ensure_eq!(segment.info()?.mappings, 0);
    Ok(())
}

/// Mapping from an offset on shows the segment from there on.
fn an_offset_shows_that_part_of_the_segment() -> Verdict {
    let segment = Segment::new(program().account(), 600 * PAGE_BYTES)?;
    let space = program().new_space()?;
    for page in [0, 1, 511, 512, 599] {
        segment.write(page * PAGE_BYTES, &page.to_le_bytes())?;
    }
    for (from, to) in [(1, 2), (511, 513), (599, 600), (0, 600)] {
        let address = fresh_address();
        space.map(address, &segment, from * PAGE_BYTES..to * PAGE_BYTES, Rights::READ)?;
        let mut bytes = [0; 8];
        space.read(address, &mut bytes)?;
        ensure_eq!(u64::from_le_bytes(bytes), from);
        space.read(address + (to - 1 - from) * PAGE_BYTES, &mut bytes)?;
        let last = to - 1;
        ensure_eq!(u64::from_le_bytes(bytes), last);
    }
    Ok(())
}

/// One segment at two addresses of one space is the same memory at once.
fn two_mappings_show_the_same_memory() -> Verdict {
    let room = Room::new(1)?;
    let second = fresh_address();
    program().space().map(second, room.segment(), 0..PAGE_BYTES, Rights::READ)?;
    let mirror = Place::<u64>::new(second)?;
    for value in [1, u64::MAX, 0] {
        room.word(0)?.set(value);
        ensure_eq!(mirror.get(), value);
    }
    program().space().unmap(second..second + PAGE_BYTES)?;
    Ok(())
}
