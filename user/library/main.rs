//! library: code and data in one subtree, used by many spaces.
//!
//! A library maps its code and its data once, into a subtree. Its owner attaches that with all rights; every user
//! attaches it with the right to read and execute. The difference is in the attaching entry alone, one for the whole
//! library, while all share the same tables below it. So when the owner makes the code's page writable to put in a new
//! version, it is writable for the owner and for nobody else.
//!
//! The library has one function, `price(amount)`, which multiplies by a rate that stands in its data.

#![no_std]
#![no_main]

extern crate alloc;

mod call;
mod code;
mod shelf;
mod update;
mod users;

use demonstration::{Failure, chapter, check, counted, refused};
use libvas::{Cap, Error, Rights, Space, program};
use rt::println;
use shelf::{DATA, Library};
use users::Users;

rt::main!(main);

/// What is asked of the library again and again.
const AMOUNT: u64 = 6;

/// The rates that the owner sets, one after the other.
const RATES: [u64; 3] = [7, 70, 700];

fn main() -> Result<(), Failure> {
    println!("One library, one set of page tables: its owner may write, its users may read and call.");
    let library = Library::new()?;
    let owner = owners_space(&library)?;
    let users = Users::new(&library)?;
    call_from_everywhere(&library, &owner, &users)?;
    store_to_data(&users)?;
    no_page_is_both(&library, &owner)?;
    update::show(&library, &owner, &users)?;
    read_only_guest(&library)?;
    seal(&library, &owner, &users)?;
    println!("library: all as told");
    Ok(())
}

fn owners_space(library: &Library) -> Result<Cap<Space>, Failure> {
    let space = program().new_space()?;
    space.set_name("owner")?;
    library.attach_to(&space, Rights::ACCESS)?;
    Ok(space)
}

/// Sets the rate, as only the owner can: with a store to the library's data.
fn set_rate(owner: &Cap<Space>, rate: u64) -> Result<(), Failure> {
    Ok(owner.enter(|| shelf::rate().map(|place| place.set(rate)))??)
}

/// Every user calls the one function, and a new rate counts for all at once.
fn call_from_everywhere(library: &Library, owner: &Cap<Space>, users: &Users) -> Result<(), Failure> {
    chapter("Many spaces, one library");
    let info = library.subtree().info()?;
    println!("   {} spaces share its {} bytes of page tables", info.sharers, info.table_bytes);
    check(info.sharers == users.count() + 1, "the owner and each user share the library")?;
    for rate in [RATES[0], RATES[1]] {
        set_rate(owner, rate)?;
        let answers = users.call_all(AMOUNT, AMOUNT * rate)?;
        println!(
            "   the owner sets the rate to {rate}: price({AMOUNT}) is {} for each of {answers} users",
            AMOUNT * rate
        );
    }
    Ok(())
}

/// The data's leaf is writable, since the owner writes there; a user's entry is not.
fn store_to_data(users: &Users) -> Result<(), Failure> {
    chapter("A user stores to the library's data");
    println!("   the mapping there is writable, and the kernel says why this thread is stopped all the same:");
    refused("joining that thread", users.store_from_first(DATA, 1), Error::Faulted)?;
    users.call_all(AMOUNT, AMOUNT * RATES[1])?;
    println!("   nothing has changed: price({AMOUNT}) is {} as before", AMOUNT * RATES[1]);
    Ok(())
}

/// The owner's entry allows everything, and still no page can be written and executed.
fn no_page_is_both(library: &Library, owner: &Cap<Space>) -> Result<(), Failure> {
    chapter("Writable or executable, never both");
    refused("making the code's page both", library.protect_code(Rights::ACCESS), Error::WriteExecute)?;
    println!("   a store to the code stops even the owner's thread; here it is the mapping that forbids it:");
    let (cost, end) = counted(|| Ok::<_, Error>(users::store(owner, "owner", shelf::CODE, 0)))?;
    refused("joining that thread", end, Error::Faulted)?;
    check(cost.faults >= 1, "the fault was counted")
}

/// Bounds without execute: the same code can be looked at and not run.
fn read_only_guest(library: &Library) -> Result<(), Failure> {
    chapter("A guest that may only read");
    let space = program().new_space()?;
    space.set_name("guest")?;
    library.attach_to(&space, Rights::READ)?;
    let mut bytes = [0; 4];
    space.read(shelf::address_of(shelf::CODE), &mut bytes)?;
    println!("   it reads the first bytes of the code, {bytes:02x?}, and a thread of it that calls it is stopped:");
    refused("joining that thread", users::call(&space, "guest", AMOUNT), Error::Faulted)
}

/// After `seal`, the owner itself cannot change what is mapped; what the data holds still can change.
fn seal(library: &Library, owner: &Cap<Space>, users: &Users) -> Result<(), Failure> {
    chapter("Sealed");
    library.subtree().seal()?;
    let attempt = library.protect_code(Rights::READ_WRITE);
    refused("making the code writable once more", attempt, Error::Sealed)?;
    set_rate(owner, RATES[2])?;
    let expected = AMOUNT * RATES[2] + AMOUNT;
    let answers = users.call_all(AMOUNT, expected)?;
    println!("   the rate is data: set to {}, price({AMOUNT}) is {expected} for each of {answers} users", RATES[2]);
    check(library.subtree().info()?.sealed == 1, "it says that it is sealed")
}
