//! Page sizes: large pages where alignment allows, small ones where it does not, and large ones split where needed.

#![no_std]
#![no_main]

use conformance::{
    Claim, Verdict, claim, ends_in_fault, ensure, ensure_eq, fresh_address, run, the_kernel_passes_its_own_checks,
};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(aligned_memory_is_mapped_with_large_pages),
        claim!(misaligned_memory_is_mapped_with_small_pages),
        claim!(the_ends_of_a_large_range_get_small_pages),
        claim!(a_large_page_is_split_by_unmapping_a_part),
        claim!(a_large_page_is_split_by_protecting_a_part),
        claim!(a_large_page_is_split_where_a_thread_runs),
        claim!(tables_go_when_the_last_page_goes),
        claim!(every_page_of_a_large_mapping_is_its_own),
        claim!(lazy_memory_gets_small_pages),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("pages", CLAIMS)
}

const LARGE: u64 = 2 << 20;

fn table_pages(space: &Cap<Space>) -> Result<u64, Error> {
    Ok(space.info()?.table_bytes / PAGE_BYTES)
}

/// A space with a segment of so many bytes mapped `off` bytes behind a multiple of 1 GiB.
fn mapped(length_bytes: u64, off: u64) -> Result<(Cap<Space>, Cap<Segment>, u64), Error> {
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), length_bytes)?);
    let address = fresh_address() + off;
    space.map(address, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    Ok((space, segment, address))
}

/// The word at the start of a page of a mapping.
fn word(address: u64, page: u64) -> Result<Place<u64>, Error> {
    Place::new(address + page * PAGE_BYTES)
}

/// Writes each page's number to its start, from inside.
fn number_pages(space: &Cap<Space>, address: u64, pages: u64) -> Result<(), Error> {
    space.enter(|| (0..pages).try_for_each(|page| word(address, page).map(|place| place.set(page))))?
}

/// Whether each page of a range still starts with its number, from inside.
fn are_numbered(space: &Cap<Space>, address: u64, mut pages: core::ops::Range<u64>) -> Result<bool, Error> {
    space.enter(|| pages.all(|page| word(address, page).is_ok_and(|place| place.get() == page)))
}

/// 2 MiB at a multiple of 2 MiB take no table of the lowest level.
fn aligned_memory_is_mapped_with_large_pages() -> Verdict {
    let bare = table_pages(&program().new_space()?)?;
    for count in [1, 4] {
        let (space, _segment, address) = mapped(count * LARGE, LARGE)?;
        ensure_eq!(table_pages(&space)? - bare, 2);
        number_pages(&space, address, 512)?;
        ensure!(are_numbered(&space, address, 0..512)?, "a large page mixes its pages up");
    }
    Ok(())
}

/// The same memory one page further takes tables of the lowest level, and works as well.
fn misaligned_memory_is_mapped_with_small_pages() -> Verdict {
    let bare = table_pages(&program().new_space()?)?;
    let (space, _segment, address) = mapped(LARGE, PAGE_BYTES)?;
    ensure_eq!(table_pages(&space)? - bare, 4);
    number_pages(&space, address, 512)?;
    ensure!(are_numbered(&space, address, 0..512)?, "small pages are mixed up");
    // An address that fits does not help when the offset does not.
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), 2 * LARGE)?);
    space.map(fresh_address(), &segment, PAGE_BYTES..PAGE_BYTES + LARGE, Rights::READ)?;
    ensure_eq!(table_pages(&space)? - bare, 3);
    Ok(())
}

/// A range that begins and ends off 2 MiB has large pages in its middle where address and offset agree.
fn the_ends_of_a_large_range_get_small_pages() -> Verdict {
    let bare = table_pages(&program().new_space()?)?;
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), 4 * LARGE)?);
    let address = fresh_address();
    let range = LARGE - PAGE_BYTES..3 * LARGE + PAGE_BYTES;
    space.map(address + LARGE - PAGE_BYTES, &segment, range, Rights::READ_WRITE)?;
    ensure_eq!(table_pages(&space)? - bare, 4);
    number_pages(&space, address + LARGE - PAGE_BYTES, 1026)?;
    ensure!(are_numbered(&space, address + LARGE - PAGE_BYTES, 0..1026)?, "pages are mixed up");
    Ok(())
}

/// Unmapping one page out of a large one leaves the others with what they hold.
fn a_large_page_is_split_by_unmapping_a_part() -> Verdict {
    for gone in [0, 255, 511] {
        let (space, segment, address) = mapped(LARGE, 0)?;
        number_pages(&space, address, 512)?;
        let before = table_pages(&space)?;
        space.unmap(address + gone * PAGE_BYTES..address + (gone + 1) * PAGE_BYTES)?;
        ensure_eq!(table_pages(&space)?, before + 1);
        ensure!(are_numbered(&space, address, 0..gone)?, "pages below page {gone} changed");
        ensure!(are_numbered(&space, address, gone + 1..512)?, "pages above page {gone} changed");
        let hole = word(address, gone)?;
        ensure!(ends_in_fault(&space, move || hole.get())?, "page {gone} is still there");
        ensure_eq!(segment.info()?.mappings, if gone == 255 { 2 } else { 1 });
    }
    Ok(())
}

/// Protecting one page out of a large one leaves the others writable.
fn a_large_page_is_split_by_protecting_a_part() -> Verdict {
    let (space, _segment, address) = mapped(LARGE, 0)?;
    number_pages(&space, address, 512)?;
    space.protect(address + 7 * PAGE_BYTES..address + 8 * PAGE_BYTES, Rights::READ)?;
    ensure!(are_numbered(&space, address, 0..512)?, "the contents changed");
    number_pages(&space, address, 7)?;
    space.enter(|| word(address, 8).map(|place| place.set(8)))??;
    let place = word(address, 7)?;
    ensure!(ends_in_fault(&space, move || place.set(0))?, "the page is still writable");
    ensure_eq!(space.enter(|| place.get())?, 7);
    space.protect(address..address + LARGE, Rights::READ_WRITE)?;
    number_pages(&space, address, 512)?;
    Ok(())
}

/// A thread whose large page is split under it goes on with the rest, and finds the part gone.
fn a_large_page_is_split_where_a_thread_runs() -> Verdict {
    let (space, _segment, address) = mapped(LARGE, 0)?;
    number_pages(&space, address, 512)?;
    let (whole, part) = (space.derive(Rights::MAP, 0)?, address + 3 * PAGE_BYTES..address + 4 * PAGE_BYTES);
    let (near, gone) = (word(address, 4)?, word(address, 3)?);
    let body = move || {
        let before = near.get() + gone.get();
        if before == 7 && whole.unmap(part).is_ok() && near.get() == 4 {
            gone.get();
        }
    };
    ensure!(ends_in_fault(&space, body)?, "the part is still there, or the rest is not");
    ensure!(are_numbered(&space, address, 4..512)?, "the rest changed");
    Ok(())
}

/// When everything is unmapped, the space has the tables it began with.
fn tables_go_when_the_last_page_goes() -> Verdict {
    let bare = table_pages(&program().new_space()?)?;
    for off in [0, PAGE_BYTES] {
        let (space, _segment, address) = mapped(2 * LARGE, off)?;
        space.unmap(address + LARGE..address + LARGE + PAGE_BYTES)?;
        ensure!(table_pages(&space)? > bare, "tables went too early");
        space.unmap(address..address + LARGE)?;
        space.unmap(address + LARGE + PAGE_BYTES..address + 2 * LARGE)?;
        ensure_eq!((table_pages(&space)?, space.info()?.mapped_bytes), (bare, 0));
    }
    Ok(())
}

/// What is written to each page of 8 MiB through one space is read there through another, mapped in other sizes.
fn every_page_of_a_large_mapping_is_its_own() -> Verdict {
    let (space, segment, address) = mapped(4 * LARGE, 0)?;
    number_pages(&space, address, 2048)?;
    let (other, there) = (program().new_space()?, fresh_address() + PAGE_BYTES);
    other.map(there, &segment, 0..4 * LARGE, Rights::READ)?;
    ensure!(are_numbered(&other, there, 0..2048)?, "the two spaces disagree");
    Ok(())
}

/// Memory that is made page by page is mapped page by page, and its tables come with the pages.
fn lazy_memory_gets_small_pages() -> Verdict {
    let bare = table_pages(&program().new_space()?)?;
    let (space, segment) = (program().new_space()?, Segment::new_lazy(program().account(), LARGE)?);
    let address = fresh_address();
    space.map(address, &segment, 0..LARGE, Rights::READ_WRITE)?;
    ensure_eq!(table_pages(&space)?, bare);
    space.enter(|| word(address, 9).map(|place| place.set(9)))??;
    ensure_eq!((table_pages(&space)? - bare, segment.info()?.populated_bytes), (3, PAGE_BYTES));
    Ok(())
}
