//! `mshare` by name: what its letter says of regions, with a donor and a consumer.

#![no_std]
#![no_main]

extern crate alloc;

use conformance::{
    Census, Claim, Naming, Verdict, claim, ends_in_fault, ensure, ensure_eq, page, refused, run,
    the_kernel_passes_its_own_checks,
};
use core::ops::Range;
use libvas::mshare::{self, ALIGNMENT_BYTES, Info, Options, Region};
use libvas::names::Mode;
use libvas::{Cap, Error, Names, PAGE_BYTES as PAGE, Place, Rights, Space, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_consumer_finds_what_a_donor_shares),
        claim!(a_region_is_told_of_without_opening_it),
        claim!(what_is_mapped_later_is_shared_as_well),
        claim!(a_hole_faults),
        claim!(a_region_that_is_there_is_opened_and_not_made),
        claim!(a_region_without_a_name_stays_for_those_who_have_it),
        claim!(a_region_goes_with_the_last_who_maps_it),
        claim!(a_consumer_that_opened_it_to_write_maps_into_it),
        claim!(who_opened_it_to_read_neither_writes_nor_maps),
        claim!(what_is_there_is_not_made_exclusively),
        claim!(what_is_not_there_is_not_opened),
        claim!(addresses_are_multiples_of_an_entry),
        claim!(a_region_lies_at_one_address_for_all),
        claim!(strangers_open_what_the_mode_says),
        claim!(a_stranger_unlinks_nothing),
        claim!(a_region_is_mapped_once_in_a_space),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("named_regions", CLAIMS)
}

const HERE: u64 = 20 * ALIGNMENT_BYTES;
const REGION: Range<u64> = HERE..HERE + ALIGNMENT_BYTES;
const WORD: u64 = HERE + PAGE;

/// A region that a donor has made, with a page in it.
fn donated(names: &Names, mode: u16) -> Result<Region, Error> {
    let region = Options::new().write().create().exclusive().mode(Mode::new(mode)).open(names, "testregion", REGION)?;
    region.subtree().map(PAGE, &page()?, 0..PAGE, Rights::READ_WRITE)?;
    Ok(region)
}

/// A space of the program's that shows a region.
fn with(region: &Region) -> Result<Cap<Space>, Error> {
    let space = program().new_space()?;
    region.map(&space)?;
    Ok(space)
}

fn get(space: &Cap<Space>) -> Result<u64, Error> {
    let place = Place::<u64>::new(WORD)?;
    space.enter(|| place.get())
}

fn set(space: &Cap<Space>, value: u64) -> Result<(), Error> {
    let place = Place::<u64>::new(WORD)?;
    space.enter(|| place.set(value))
}

/// The letter's two listings.
fn a_consumer_finds_what_a_donor_shares() -> Verdict {
    let naming = Naming::new()?;
    let donor = with(&donated(&naming.one, 0o606)?)?;
    set(&donor, 1234)?;
    let Info { start, size_bytes, .. } = mshare::info(&naming.other, "testregion")?;
    let region = Options::new().write().open(&naming.other, "testregion", start..start + size_bytes)?;
    let consumer = with(&region)?;
    ensure_eq!(get(&consumer)?, 1234);
    set(&consumer, 5678)?;
    ensure_eq!(get(&donor)?, 5678);
    mshare::unlink(&naming.other, "testregion")?;
    Ok(())
}

/// Where it begins, how large it is, and what both are multiples of.
fn a_region_is_told_of_without_opening_it() -> Verdict {
    let naming = Naming::new()?;
    drop(donated(&naming.one, 0o600)?);
    let expected = Info { start: HERE, size_bytes: ALIGNMENT_BYTES, alignment_bytes: ALIGNMENT_BYTES };
    ensure_eq!(mshare::info(&naming.other, "testregion")?, expected);
    ensure_eq!(ALIGNMENT_BYTES, 512 << 30);
    Ok(())
}

/// By the donor, for a consumer that does nothing.
fn what_is_mapped_later_is_shared_as_well() -> Verdict {
    let naming = Naming::new()?;
    let region = donated(&naming.one, 0o604)?;
    let consumer = with(&Options::new().open(&naming.other, "testregion", REGION)?)?;
    let (later, memory) = (Place::<u64>::new(HERE + (1 << 30))?, page()?);
    memory.write(0, &7_u64.to_le_bytes())?;
    region.subtree().map(1 << 30, &memory, 0..PAGE, Rights::READ)?;
    ensure_eq!(consumer.enter(|| later.get())?, 7);
    region.subtree().unmap(1 << 30..(1 << 30) + PAGE)?;
    ensure!(ends_in_fault(&consumer, move || later.get())?, "the page is there still");
    Ok(())
}

/// The letter says `SIGBUS`.
fn a_hole_faults() -> Verdict {
    let naming = Naming::new()?;
    let space = with(&donated(&naming.one, 0o600)?)?;
    for offset in [2 * PAGE, 1 << 30, ALIGNMENT_BYTES - PAGE] {
        let hole = Place::<u64>::new(HERE + offset)?;
        ensure!(ends_in_fault(&space, move || hole.get())?, "something is there");
    }
    Ok(())
}

/// With `create` and without `exclusive`, whoever comes first.
fn a_region_that_is_there_is_opened_and_not_made() -> Verdict {
    let naming = Naming::new()?;
    let options = Options::new().write().create().mode(Mode::new(0o606));
    let first = options.open(&naming.one, "common", REGION)?;
    let second = options.open(&naming.other, "common", REGION)?;
    let objects = [first.subtree().capability_info()?.object, second.subtree().capability_info()?.object];
    ensure_eq!(objects[0], objects[1]);
    ensure!(naming.one.list().count() == 1, "two were made");
    Ok(())
}

/// And the name is free for another one.
fn a_region_without_a_name_stays_for_those_who_have_it() -> Verdict {
    let naming = Naming::new()?;
    let donor = with(&donated(&naming.one, 0o600)?)?;
    set(&donor, 11)?;
    mshare::unlink(&naming.one, "testregion")?;
    refused(mshare::info(&naming.one, "testregion").map(|_| ()), Error::NotFound)?;
    ensure_eq!(get(&donor)?, 11);
    let other = with(&donated(&naming.one, 0o600)?)?;
    set(&other, 22)?;
    ensure_eq!([get(&donor)?, get(&other)?], [11, 22]);
    Ok(())
}

/// Torn down at the last detach, with its tables and its memory.
fn a_region_goes_with_the_last_who_maps_it() -> Verdict {
    let naming = Naming::new()?;
    let subtrees = || Ok::<_, Error>(Census::take()?.machine.subtrees);
    let before = subtrees()?;
    for _ in 0..5 {
        let donor = with(&donated(&naming.one, 0o604)?)?;
        let consumer = with(&Options::new().open(&naming.other, "testregion", REGION)?)?;
        mshare::unlink(&naming.one, "testregion")?;
        ensure_eq!(subtrees()?, before + 1);
        donor.detach(HERE)?;
        ensure_eq!(subtrees()?, before + 1);
        ensure_eq!(get(&consumer)?, 0);
        consumer.detach(HERE)?;
        ensure_eq!(subtrees()?, before);
    }
    Ok(())
}

/// And pays for what it maps.
fn a_consumer_that_opened_it_to_write_maps_into_it() -> Verdict {
    let naming = Naming::new()?;
    let donor = with(&donated(&naming.one, 0o606)?)?;
    let region = Options::new().write().open(&naming.other, "testregion", REGION)?;
    let memory = page()?;
    memory.write(0, &9_u64.to_le_bytes())?;
    region.subtree().map(3 * PAGE, &memory, 0..PAGE, Rights::READ)?;
    let place = Place::<u64>::new(HERE + 3 * PAGE)?;
    ensure_eq!(donor.enter(|| place.get())?, 9);
    Ok(())
}

/// Its entry does not let it, whatever the donor's mapping does.
fn who_opened_it_to_read_neither_writes_nor_maps() -> Verdict {
    let naming = Naming::new()?;
    let _donor = donated(&naming.one, 0o604)?;
    for names in [&naming.one, &naming.other] {
        let region = Options::new().open(names, "testregion", REGION)?;
        let space = with(&region)?;
        let place = Place::<u64>::new(WORD)?;
        ensure!(ends_in_fault(&space, move || place.set(1))?, "it can be written");
        refused(region.subtree().map(4 * PAGE, &page()?, 0..PAGE, Rights::READ), Error::MissingRight)?;
        refused(region.subtree().unmap(PAGE..2 * PAGE), Error::MissingRight)?;
        refused(region.subtree().withdraw(), Error::MissingRight)?;
        refused(space.attach(HERE + ALIGNMENT_BYTES, region.subtree(), Rights::READ_WRITE), Error::MissingRight)?;
    }
    Ok(())
}

/// `O_CREAT` and `O_EXCL`: what is there stays what it is.
fn what_is_there_is_not_made_exclusively() -> Verdict {
    let naming = Naming::new()?;
    let first = donated(&naming.one, 0o606)?;
    for names in [&naming.one, &naming.other] {
        refused(donated(names, 0o606).map(|_| ()), Error::Exists)?;
    }
    ensure_eq!(first.subtree().info()?.mappings, 1);
    Ok(())
}

/// Nor told of, nor unlinked.
fn what_is_not_there_is_not_opened() -> Verdict {
    let naming = Naming::new()?;
    for options in [Options::new(), Options::new().write(), Options::new().exclusive()] {
        refused(options.open(&naming.one, "nothing", REGION).map(|_| ()), Error::NotFound)?;
    }
    refused(mshare::info(&naming.one, "nothing").map(|_| ()), Error::NotFound)?;
    refused(mshare::unlink(&naming.one, "nothing"), Error::NotFound)
}

/// And exactly one of them is filled.
fn addresses_are_multiples_of_an_entry() -> Verdict {
    let naming = Naming::new()?;
    let open = |addresses| Options::new().write().create().open(&naming.one, "odd", addresses).map(|_| ());
    for addresses in [HERE + PAGE..HERE + ALIGNMENT_BYTES, HERE..HERE + PAGE, HERE + 1..HERE + ALIGNMENT_BYTES + 1] {
        refused(open(addresses), Error::Misaligned)?;
    }
    let (start, end) = (HERE + ALIGNMENT_BYTES, HERE);
    for addresses in [HERE..HERE, HERE..HERE + 2 * ALIGNMENT_BYTES, start..end] {
        refused(open(addresses), Error::BadArgument)?;
    }
    ensure_eq!(naming.one.list().count(), 0);
    Ok(())
}

/// Pointers in it mean the same to all.
fn a_region_lies_at_one_address_for_all() -> Verdict {
    let naming = Naming::new()?;
    let region = donated(&naming.one, 0o606)?;
    let elsewhere = HERE + ALIGNMENT_BYTES..HERE + 2 * ALIGNMENT_BYTES;
    for options in [Options::new(), Options::new().write().create()] {
        refused(options.open(&naming.other, "testregion", elsewhere.clone()).map(|_| ()), Error::BadAddress)?;
    }
    ensure_eq!(region.start(), HERE);
    Ok(())
}

/// To read, to write, or not at all.
fn strangers_open_what_the_mode_says() -> Verdict {
    let naming = Naming::new()?;
    for (mode, reads, writes) in [(0o600, false, false), (0o604, true, false), (0o606, true, true)] {
        drop(donated(&naming.one, mode)?);
        for (options, may) in [(Options::new(), reads), (Options::new().write(), writes)] {
            let opened = options.open(&naming.other, "testregion", REGION).map(drop);
            ensure_eq!(opened, if may { Ok(()) } else { Err(Error::MissingRight) });
        }
        mshare::unlink(&naming.one, "testregion")?;
    }
    Ok(())
}

/// Unless the mode lets it write.
fn a_stranger_unlinks_nothing() -> Verdict {
    let naming = Naming::new()?;
    let _region = donated(&naming.one, 0o664)?;
    refused(mshare::unlink(&naming.other, "testregion"), Error::MissingRight)?;
    mshare::info(&naming.other, "testregion").map(|_| ())?;
    mshare::unlink(&naming.one, "testregion")?;
    Ok(())
}

/// And where something else is, not at all.
fn a_region_is_mapped_once_in_a_space() -> Verdict {
    let naming = Naming::new()?;
    let region = donated(&naming.one, 0o600)?;
    let space = with(&region)?;
    refused(region.map(&space), Error::Overlap)?;
    region.unmap(&space)?;
    refused(region.unmap(&space), Error::NotMapped)?;
    space.map(HERE + PAGE, &page()?, 0..PAGE, Rights::READ)?;
    refused(region.map(&space), Error::Overlap)
}
