//! What one account pays for, no other can be denied: one takes all that its budget buys of one kind, and another with a
//! budget of its own makes what it wants.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Room, Verdict, claim, ensure, ensure_eq, fresh_address, refused, run, the_kernel_passes_its_own_checks,
};
use libvas::{
    Account, Cap, CapTable, Error, Handle, PAGE_BYTES, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, Thread, View,
    program,
};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(accounts_deny_nobody_anything),
        claim!(spaces_deny_nobody_anything),
        claim!(views_deny_nobody_anything),
        claim!(subtrees_deny_nobody_anything),
        claim!(segments_deny_nobody_anything),
        claim!(long_segments_deny_nobody_anything),
        claim!(large_tables_deny_nobody_anything),
        claim!(threads_deny_nobody_anything),
        claim!(mappings_deny_nobody_anything),
        claim!(attachments_deny_nobody_anything),
        claim!(what_was_given_back_denies_nobody_anything),
        claim!(readers_do_not_make_the_owner_pay),
        claim!(reading_from_outside_costs_nobody_anything),
        claim!(the_heap_takes_no_more_than_is_charged),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("neighbours", CLAIMS)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Handles that a shelf holds.
const SHELF: u64 = 4000;

/// Makes one object; gives its handle, which owns it.
type Maker = fn(&Cap<Account>) -> Result<Handle, Error>;

/// One of each kind, large ones among them.
const WANTED: [(&str, Maker); 8] = [
    ("an account", |account| account.split(0).map(Cap::into_handle)),
    ("a space", |account| Space::new(account).map(Cap::into_handle)),
    ("a view", |account| View::new(account, program().space(), Rights::READ).map(Cap::into_handle)),
    ("a subtree", |account| Subtree::new(account).map(Cap::into_handle)),
    ("a segment", |account| Segment::new(account, 64 * PAGE_BYTES).map(Cap::into_handle)),
    ("a long lazy segment", |account| Segment::new_lazy(account, 700 * MIB).map(Cap::into_handle)),
    ("a large table", |account| CapTable::new(account, 3000).map(Cap::into_handle)),
    ("a thread", |account| Thread::new(account, program().table(), program().space(), 0).map(Cap::into_handle)),
];

/// What the hog has made: capabilities in tables that the program pays for.
struct Hoard {
    shelves: Vec<Cap<CapTable>>,
    count: u64,
}

/// Makes objects until the account is exhausted: nothing else may be the reason.
fn hoard(account: &Cap<Account>, make: impl Fn(&Cap<Account>) -> Result<Handle, Error>) -> Result<Hoard, Error> {
    let mut hoard = Hoard { shelves: Vec::new(), count: 0 };
    loop {
        let handle = match make(account) {
            Ok(handle) => handle,
            Err(Error::AccountExhausted) => return Ok(hoard),
            Err(other) => return Err(other),
        };
        if hoard.count.is_multiple_of(SHELF) {
            hoard.shelves.push(CapTable::new(program().account(), SHELF)?);
        }
        hoard.count += 1;
        let cap: Cap<Space> = Cap::from_handle(handle);
        let shelf = &hoard.shelves[hoard.shelves.len() - 1];
        cap.copy_into(shelf, cap.rights()?, 0)?;
    }
}

/// Whoever has a budget makes one of each kind with it, and uses it.
fn all_can_be_made() -> Verdict {
    let account = program().account().split(8 * MIB)?;
    for (name, make) in WANTED {
        let made = make(&account).map(Cap::<Space>::from_handle);
        ensure!(made.is_ok(), "{name} was refused: {made:?}");
    }
    let (space, subtree) = (Space::new(&account)?, Subtree::new(&account)?);
    let segment = Segment::new(&account, 4 * PAGE_BYTES)?;
    space.map(fresh_address(), &segment, 0..4 * PAGE_BYTES, Rights::READ_WRITE)?;
    space.attach(TOP_SLOT_BYTES, &subtree, Rights::READ)?;
    Ok(())
}

/// A hog takes all that so many bytes buy; its neighbour makes what it wants, before and after.
fn deny(budget_bytes: u64, least: u64, make: Maker) -> Verdict {
    let hog = program().account().split(budget_bytes)?;
    let hoard = hoard(&hog, make)?;
    ensure!(hoard.count >= least, "{} were made only", hoard.count);
    all_can_be_made()?;
    drop(hoard);
    all_can_be_made()?;
    ensure_eq!(hog.info()?.used_bytes, 0);
    Ok(())
}

/// More accounts than any fixed number of 16 bits.
fn accounts_deny_nobody_anything() -> Verdict {
    deny(18 * MIB, 70_000, |account| account.split(0).map(Cap::into_handle))
}

/// As many spaces as once were all that there were numbers for.
fn spaces_deny_nobody_anything() -> Verdict {
    deny(46 * MIB, 8000, |account| Space::new(account).map(Cap::into_handle))
}

/// The same for views, which are spaces.
fn views_deny_nobody_anything() -> Verdict {
    deny(8 * MIB, 1000, |account| View::new(account, program().space(), Rights::READ).map(Cap::into_handle))
}

/// Many subtrees.
fn subtrees_deny_nobody_anything() -> Verdict {
    deny(16 * MIB, 2000, |account| Subtree::new(account).map(Cap::into_handle))
}

/// Many segments of a page.
fn segments_deny_nobody_anything() -> Verdict {
    deny(16 * MIB, 1500, |account| Segment::new(account, PAGE_BYTES).map(Cap::into_handle))
}

/// Segments whose lists of regions are blocks of several pages.
fn long_segments_deny_nobody_anything() -> Verdict {
    deny(24 * MIB, 10, |account| Segment::new_lazy(account, 800 * MIB).map(Cap::into_handle))
}

/// Tables that are blocks of many pages.
fn large_tables_deny_nobody_anything() -> Verdict {
    deny(32 * MIB, 150, |account| CapTable::new(account, 1000).map(Cap::into_handle))
}

/// Many threads that never start.
fn threads_deny_nobody_anything() -> Verdict {
    deny(8 * MIB, 2000, |account| Thread::new(account, program().table(), program().space(), 0).map(Cap::into_handle))
}

/// A space full of mappings.
fn mappings_deny_nobody_anything() -> Verdict {
    let hog = program().account().split(2 * MIB)?;
    let (space, segment) = (Space::new(&hog)?, Segment::new_lazy(&hog, PAGE_BYTES)?);
    let start = fresh_address();
    let mut count = 0;
    let refusal = loop {
        match space.map(start + count * 2 * PAGE_BYTES, &segment, 0..PAGE_BYTES, Rights::READ) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    ensure_eq!(refusal, Error::AccountExhausted);
    ensure!(count > 5000, "{count} were made only");
    all_can_be_made()
}

/// A subtree at as many places as can be paid for, in another's subtree too.
fn attachments_deny_nobody_anything() -> Verdict {
    let hog = program().account().split(4 * MIB)?;
    let inner = Subtree::with_level(program().account(), libvas::Level::TwoMib)?;
    let outer = Subtree::new(&hog)?;
    let mut count = 0;
    let refusal = loop {
        match outer.attach((1 + count) * 2 * MIB, &inner, Rights::READ) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    ensure_eq!(refusal, Error::AccountExhausted);
    ensure!(count > 5000, "{count} were made only");
    all_can_be_made()
}

/// A budget that buys one kind after the other, each time all of it, holds nothing when it is given back.
fn what_was_given_back_denies_nobody_anything() -> Verdict {
    let hog = program().account().split(6 * MIB)?;
    for (name, make) in WANTED {
        let count = hoard(&hog, make)?.count;
        ensure!(count > 0, "not {name} was made");
        ensure_eq!(hog.info()?.used_bytes, 0);
    }
    all_can_be_made()
}

/// A lazy segment, mapped by one who may only read: the reader's space pays for what it touches, and faults when it
/// cannot; the owner pays for nothing.
fn readers_do_not_make_the_owner_pay() -> Verdict {
    let (owner, reader) = (program().account().split(MIB)?, program().account().split(256 * KIB)?);
    let segment = Segment::new_lazy(&owner, 512 * PAGE_BYTES)?;
    let shown = segment.derive(Rights::READ, 0)?;
    let address = fresh_address();
    let space = Space::new(&reader)?;
    space.attach(0, program().subtree(), Rights::ACCESS)?;
    space.map(address, &shown, 0..512 * PAGE_BYTES, Rights::READ)?;
    let (ours, theirs) = (owner.info()?.used_bytes, reader.info()?.used_bytes);
    let touch = |page: u64| libvas::Place::<u64>::new(address + page * PAGE_BYTES);
    for page in 0..8 {
        let place = touch(page)?;
        ensure_eq!(space.enter(|| place.get())?, 0);
    }
    ensure_eq!(owner.info()?.used_bytes, ours);
    let paid = reader.info()?.used_bytes - theirs;
    ensure!((8 * PAGE_BYTES..13 * PAGE_BYTES).contains(&paid), "the reader paid {paid} bytes");
    let rest = reader.split(reader.available_bytes()? - PAGE_BYTES)?;
    let place = touch(100)?;
    ensure!(conformance::ends_in_fault(&space, move || place.get())?, "somebody paid for what the reader could not");
    drop(rest);
    ensure_eq!(owner.info()?.used_bytes, ours);
    // The owner, who may write, pays, and the reader sees the page for nothing.
    let room = Room::with(segment, 512, Rights::READ_WRITE)?;
    let before = reader.info()?.used_bytes;
    room.word(200 * PAGE_BYTES / 8)?.set(7);
    ensure_eq!(owner.info()?.used_bytes, ours + PAGE_BYTES);
    let place = touch(200)?;
    ensure_eq!((space.enter(|| place.get())?, reader.info()?.used_bytes), (7, before));
    Ok(())
}

/// `memory_read` of pages without memory gives zeros, and they have none afterwards.
fn reading_from_outside_costs_nobody_anything() -> Verdict {
    let owner = program().account().split(MIB)?;
    let segment = Segment::new_lazy(&owner, 16 * PAGE_BYTES)?;
    let (space, address) = (Space::new(&owner)?, fresh_address());
    space.map(address, &segment, 0..16 * PAGE_BYTES, Rights::READ_WRITE)?;
    let before = owner.info()?.used_bytes;
    let mut bytes = alloc::vec![7; 3 * PAGE_BYTES as usize];
    space.read(address + 100, &mut bytes)?;
    ensure!(bytes.iter().all(|byte| *byte == 0), "memory that is not there is not zero");
    ensure_eq!((segment.info()?.populated_bytes, owner.info()?.used_bytes), (0, before));
    refused(space.read(address + 15 * PAGE_BYTES, &mut bytes), Error::BadAddress)?;
    Ok(())
}

/// What objects of each kind take of the kernel's heap is charged, with what belongs to the machine: registers that a
/// host's tests have not.
fn the_heap_takes_no_more_than_is_charged() -> Verdict {
    let machine = program().machine().ok_or(Error::MissingRight)?;
    for (name, make) in WANTED {
        let hog = program().account().split(72 * MIB)?;
        // The tables that hold the handles are there before, and some of each kind were.
        let shelf = CapTable::new(program().account(), 64)?;
        let fill = || -> Result<(), Error> {
            for _ in 0..20 {
                let cap: Cap<Space> = Cap::from_handle(make(&hog)?);
                cap.copy_into(&shelf, cap.rights()?, 0)?;
            }
            Ok(())
        };
        fill()?;
        let (before, charged_before) = (machine.info()?, hog.info()?.used_bytes);
        fill()?;
        let (after, charged_after) = (machine.info()?, hog.info()?.used_bytes);
        let heap = after.heap_bytes - before.heap_bytes;
        let (charged, chunk) = (charged_after - charged_before, 2 * KIB);
        ensure!(heap <= charged + chunk, "twenty times {name}: {heap} bytes of heap for {charged} bytes");
    }
    Ok(())
}
