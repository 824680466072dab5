//! Calls that take long: made in steps, they do what they would do at once, and others run meanwhile.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use conformance::{
    Claim, Verdict, claim, ensure, ensure_eq, fresh_address, refused, run, the_kernel_passes_its_own_checks,
};
use libvas::{Cap, CapTable, Error, PAGE_BYTES, Place, Rights, Segment, Space, program, thread};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(memory_made_in_steps_is_all_there_and_clear),
        claim!(a_long_range_changes_as_a_whole),
        claim!(a_hole_at_the_end_of_a_long_range_is_found_first),
        claim!(copies_of_a_mebibyte_and_more_are_exact),
        claim!(a_tebibyte_costs_what_is_touched_of_it),
        claim!(two_threads_change_one_range_at_a_time),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("long_calls", CLAIMS)
}

/// More than any call does at one entry into the kernel.
const LONG: u64 = 4 << 20;

/// Every page of a segment of several megabytes is there from the start, and holds zeros.
fn memory_made_in_steps_is_all_there_and_clear() -> Verdict {
    let segment = Segment::new(program().account(), LONG)?;
    ensure_eq!(segment.info()?.populated_bytes, LONG);
    let address = fresh_address();
    program().space().map(address, &segment, 0..LONG, Rights::READ_WRITE)?;
    for page in (address..address + LONG).step_by(PAGE_BYTES as usize) {
        ensure_eq!(Place::<u64>::new(page)?.get(), 0);
        Place::<u64>::new(page + PAGE_BYTES - 8)?.set(page);
    }
    program().space().unmap(address..address + LONG)?;
    let table = CapTable::new(program().account(), 60_000)?;
    program().space().copy_into(&table, Rights::INSPECT, 0)?;
    Ok(())
}

/// A thousand mappings and memory of several megabytes, given new rights and unmapped by one call each.
fn a_long_range_changes_as_a_whole() -> Verdict {
    const COUNT: u64 = 1000;
    let (space, address) = (Space::new(program().account())?, fresh_address());
    let (small, large) = (Segment::new(program().account(), PAGE_BYTES)?, Segment::new(program().account(), LONG)?);
    for number in 0..COUNT {
        space.map(address + number * PAGE_BYTES, &small, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    }
    let end = address + COUNT * PAGE_BYTES + LONG;
    space.map(end - LONG, &large, 0..LONG, Rights::READ_WRITE)?;
    let before = space.info()?;
    space.protect(address + PAGE_BYTES..end - PAGE_BYTES, Rights::READ)?;
    ensure_eq!(space.info()?.mappings, before.mappings + 1);
    for page in [1, COUNT - 1, COUNT, COUNT + LONG / PAGE_BYTES - 2] {
        refused(space.write(address + page * PAGE_BYTES, &[1]), Error::BadAddress)?;
    }
    space.write(address, &[1])?;
    space.write(end - PAGE_BYTES, &[1])?;
    space.protect(address..end, Rights::READ_EXECUTE)?;
    space.unmap(address..end)?;
    let after = space.info()?;
    ensure_eq!((after.mappings, after.mapped_bytes), (0, 0));
    Ok(())
}

/// What is refused for its last page has not changed the first.
fn a_hole_at_the_end_of_a_long_range_is_found_first() -> Verdict {
    const COUNT: u64 = 600;
    let (space, address) = (Space::new(program().account())?, fresh_address());
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    for number in 0..COUNT {
        space.map(address + number * PAGE_BYTES, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    }
    let (before, range) = (space.info()?, address..address + (COUNT + 1) * PAGE_BYTES);
    refused(space.unmap(range.clone()), Error::NotMapped)?;
    refused(space.protect(range, Rights::READ), Error::NotMapped)?;
    ensure_eq!(space.info()?.mappings, before.mappings);
    space.write(address, &[1])?;
    Ok(())
}

/// Bytes go into another space and come back.
fn copies_of_a_mebibyte_and_more_are_exact() -> Verdict {
    const LENGTH: usize = 1_300_000;
    let (space, address) = (Space::new(program().account())?, fresh_address());
    let segment = Segment::new_lazy(program().account(), 2 << 20)?;
    space.map(address, &segment, 0..2 << 20, Rights::READ_WRITE)?;
    let sent: Vec<u8> = (0..LENGTH).map(|index| (index * 7 + (index >> 9)) as u8).collect();
    space.write(address + 3, &sent)?;
    let mut received = vec![0; LENGTH];
    space.read(address + 3, &mut received)?;
    ensure!(sent == received, "the bytes changed on the way");
    Ok(())
}

/// The longest segment is made, mapped, touched at its ends and unmapped, for the memory of a few pages.
fn a_tebibyte_costs_what_is_touched_of_it() -> Verdict {
    const TEBIBYTE: u64 = 1 << 40;
    let before = program().account().info()?.used_bytes;
    let (space, segment) = (Space::new(program().account())?, Segment::new_lazy(program().account(), TEBIBYTE)?);
    let address = fresh_address();
    space.map(address, &segment, 0..TEBIBYTE, Rights::READ_WRITE)?;
    space.write(address, &[1])?;
    space.write(address + TEBIBYTE - 1, &[1])?;
    ensure_eq!(segment.info()?.populated_bytes, 2 * PAGE_BYTES);
    ensure!(program().account().info()?.used_bytes - before < 200 << 10, "it costs more than what is touched");
    space.protect(address..address + TEBIBYTE, Rights::READ)?;
    space.unmap(address..address + TEBIBYTE)?;
    drop((space, segment));
    ensure_eq!(program().account().info()?.used_bytes, before);
    Ok(())
}

/// A space, where two threads change it, and what they map there.
struct Common {
    space: Cap<Space>,
    segment: Cap<Segment>,
    address: u64,
}

impl Common {
    /// Maps, protects and unmaps again and again; gives how often that was not refused.
    fn change(&self, rights: Rights) -> Result<u64, Error> {
        let (mut done, range) = (0, self.address..self.address + LONG);
        for _ in 0..40 {
            let results = [
                self.space.map(self.address, &self.segment, 0..LONG, Rights::READ_WRITE),
                self.space.protect(range.clone(), rights),
                self.space.unmap(range.clone()),
            ];
            for result in results {
                match result {
                    Ok(()) => done += 1,
                    Err(Error::Overlap | Error::NotMapped) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(done)
    }
}

/// Two threads map, protect and unmap the same range, by turns or at once: each call does its own or is refused.
fn two_threads_change_one_range_at_a_time() -> Verdict {
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), LONG)?);
    let common = Arc::new(Common { space, segment, address: fresh_address() });
    let theirs = common.clone();
    let other = thread::spawn(move || theirs.change(Rights::READ))?;
    let ours = common.change(Rights::READ_EXECUTE)?;
    ensure!(ours + other.join()?? >= 3, "nobody has changed anything");
    // What is left is whole mappings of the segment, or parts of it, which go one by one.
    let left: Vec<_> = common.space.mappings(0).collect::<Result<_, _>>()?;
    for info in left {
        common.space.unmap(info.address..info.address + info.length_bytes)?;
    }
    ensure_eq!(common.space.info()?.mapped_bytes, 0);
    Ok(())
}
