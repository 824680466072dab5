//! As many objects of each kind as there is room for end in errors, never in a panic; everything comes back with them.
//! boot: memory=128 timeout=240 options=leakcheck=1

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use boot_tests::comes_back;
use libvas::{Account, Cap, CapTable, Error, Handle, PAGE_BYTES, Rights, Segment, Space, Subtree, Thread, program};

rt::main!(main);

/// Makes one object; gives its handle, which owns it.
type Maker = fn(&Cap<Account>) -> Result<Handle, Error>;

const MAKERS: [(&str, Maker); 7] = [
    ("accounts", |account| account.split(0).map(Cap::into_handle)),
    ("spaces", |account| Space::new(account).map(Cap::into_handle)),
    ("subtrees", |account| Subtree::new(account).map(Cap::into_handle)),
    ("segments", |account| Segment::new(account, PAGE_BYTES).map(Cap::into_handle)),
    ("lazy segments", |account| Segment::new_lazy(account, PAGE_BYTES).map(Cap::into_handle)),
    ("tables", |account| CapTable::new(account, 200).map(Cap::into_handle)),
    ("threads", |account| thread(account).map(Cap::into_handle)),
];

fn thread(account: &Cap<Account>) -> Result<Cap<Thread>, Error> {
    Thread::new(account, program().table(), program().space(), 0)
}

fn main() -> Result<(), Error> {
    for (name, make) in MAKERS {
        comes_back(name, || make_all(make))?;
    }
    comes_back("mappings", make_all_mappings).map(drop)
}

fn is_expected(error: Error) -> Result<(), Error> {
    match error {
        Error::AccountExhausted | Error::OutOfMemory | Error::TableFull => Ok(()),
        other => Err(other),
    }
}

/// Makes objects until one is refused, while tables take up the handles that the program has no room for; gives all
/// up again and says how many there were.
fn make_all(make: Maker) -> Result<u64, Error> {
    let mut shelves: Vec<Cap<CapTable>> = Vec::with_capacity(64);
    let mut count = 0;
    'all: loop {
        let shelf = match CapTable::new(program().account(), 2000) {
            Ok(shelf) => shelf,
            Err(error) => break is_expected(error)?,
        };
        shelves.push(shelf);
        for _ in 0..2000 {
            match make(program().account()) {
                Ok(handle) => put_away(handle, &shelves[shelves.len() - 1])?,
                Err(error) => break 'all is_expected(error)?,
            }
            count += 1;
        }
        if shelves.len() == shelves.capacity() {
            break;
        }
    }
    Ok(count)
}

/// Moves a capability to another table.
fn put_away(handle: Handle, shelf: &Cap<CapTable>) -> Result<(), Error> {
    let cap: Cap<Space> = Cap::from_handle(handle);
    cap.copy_into(shelf, cap.rights()?, 0).map(drop)
}

/// Maps one page at so many places that no record for another mapping can be had.
fn make_all_mappings() -> Result<u64, Error> {
    let (space, segment) = (Space::new(program().account())?, Segment::new(program().account(), PAGE_BYTES)?);
    for count in 0..100_000 {
        let address = 0x100_0000_0000 + count * 2 * PAGE_BYTES;
        match space.map(address, &segment, 0..PAGE_BYTES, Rights::READ) {
            Ok(()) => {}
            Err(error) => return is_expected(error).map(|()| count),
        }
    }
    Ok(100_000)
}
