//! library_gate: a library in a space of its own, which its callers call and cannot see.
//!
//! The library of the program `library` lies in a subtree, and who calls it can read it. This one has a space, with its code, its
//! data and its stacks, and a capability table; nothing of any program is there. Others have a gate: a call takes their own
//! thread in, with six words, and back. The badge of the capability by which they call says who they are.
//!
//! It has one function, `price(amount)`, which multiplies by a rate that stands in its data, and counts who asks.

#![no_std]
#![no_main]

extern crate alloc;

mod code;
mod customers;
mod shelf;

use alloc::vec::Vec;
use customers::{CUSTOMERS, Customer};
use demonstration::{Failure, chapter, check, counted, refused};
use libvas::thread::Builder;
use libvas::{Error, Place, program};
use rt::println;
use shelf::{CODE, DATA, Library};

rt::main!(main);

/// The rates that the owner sets, one after the other.
const RATES: [u64; 2] = [7, 70];

/// How often the program itself asks, to see what that costs.
const CALLS: u64 = 100;

fn main() -> Result<(), Failure> {
    println!("A library in its own space: its callers bring words and take words, and see nothing of it.");
    let library = Library::new()?;
    library.set_rate(RATES[0])?;
    let mut customers =
        (0..CUSTOMERS).map(|number| Customer::new(number, library.gate())).collect::<Result<Vec<_>, _>>()?;
    nobody_sees_it(&library)?;
    call(&library, &mut customers)?;
    count(&library)?;
    trust_no_pointer(&library, &mut customers)?;
    take_back(&library, &mut customers)?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("library_gate: all as told");
    Ok(())
}

/// Its code and its data are in no space but its own.
fn nobody_sees_it(library: &Library) -> Result<(), Failure> {
    chapter("Nobody sees it");
    println!("   a thread that reads where the library has its code is stopped, and so is one that reads its data:");
    for address in [CODE, DATA] {
        let place = Place::<u64>::new(address)?;
        refused("joining that thread", Builder::new().name("spy").spawn(move || place.get())?.join(), Error::Faulted)?;
    }
    let mut bytes = [0; 4];
    refused("asking the kernel for it", program().space().read(CODE, &mut bytes), Error::BadAddress)?;
    library.space().read(CODE, &mut bytes)?;
    println!("   its owner, who holds its space, can look: the code begins with {bytes:02x?}");
    refused("looking there for the program", library.space().read(customer_memory(), &mut bytes), Error::BadAddress)
}

/// Everybody calls, and is known by a badge.
fn call(library: &Library, customers: &mut [Customer]) -> Result<(), Failure> {
    chapter("Customers call");
    println!("   {} customers, each with a space, and a table that holds one capability: the way in", customers.len());
    for (customer, amount) in customers.iter_mut().zip(1..) {
        let (price, visits) = customer.visit(amount, 0)?;
        println!(
            "   customer {} asks for {amount}: the price is {price}, and it was here {visits} times",
            customer.badge()
        );
        check(
            (price, visits) == (amount * RATES[0], 1),
            "the price is the amount times the rate, and it is the first visit",
        )?;
        check(library.calls_of(customer.badge())? == 1, "the library has written down who asked")?;
    }
    library.set_rate(RATES[1])?;
    let [price, ..] = library.gate().call([2, 0, 0, 0, 0, 0])?;
    println!("   the owner sets the rate to {}, and asks for 2 itself: the price is {price}", RATES[1]);
    check(price == 2 * RATES[1], "a new rate counts at once")
}

/// What a call costs: a change of space there and one back, and no other thread.
fn count(library: &Library) -> Result<(), Failure> {
    chapter("What it takes");
    let (counters, sum) = counted(|| {
        (0..CALLS)
            .try_fold(0, |sum, amount| library.gate().call([amount, 0, 0, 0, 0, 0]).map(|[price, ..]| sum + price))
    })?;
    println!("   {CALLS} calls: {} changes of space, {} of threads", counters.space_switches, counters.thread_switches);
    check(sum == RATES[1] * CALLS * (CALLS - 1) / 2, "each call has its own answer")?;
    check(counters.space_switches >= 2 * CALLS, "each call changes the space there and back")?;
    check(counters.thread_switches < CALLS, "no call changes the thread")
}

/// An address in the memory of customers: that of a static of the program, which is in every space that has the program.
fn customer_memory() -> u64 {
    static MEMORY: u64 = 0x1234;
    (&raw const MEMORY).expose_provenance() as u64
}

/// A pointer of the caller's leads nowhere in the library's space.
fn trust_no_pointer(library: &Library, customers: &mut [Customer]) -> Result<(), Failure> {
    chapter("A pointer is none");
    println!("   a customer names an address of its own, and the library, which trusts it, reads what is not there:");
    let (customer, calls) = (&mut customers[2], library.calls_of(3)?);
    refused("that call", customer.visit(5, customer_memory()), Error::Faulted)?;
    check(library.calls_of(3)? == calls, "the library had not got as far as to count it")?;
    let (price, visits) = customer.visit(5, 0)?;
    println!("   nobody else has noticed; the next call gives {price}, on visit {visits}");
    check((price, visits) == (5 * RATES[1], 2), "the library is as good as before")
}

/// One customer is turned away by its badge; then the library closes.
fn take_back(library: &Library, customers: &mut [Customer]) -> Result<(), Failure> {
    chapter("Closing time");
    library.gate().revoke_badge(2)?;
    refused("customer 2, whose capability was taken back", customers[1].visit(1, 0), Error::BadHandle)?;
    let (price, _) = customers[0].visit(1, 0)?;
    check(price == RATES[1], "customer 1 is served still")?;
    library.gate().close()?;
    refused("customer 1, after the owner has closed the gate", customers[0].visit(1, 0), Error::Gone)?;
    let info = library.gate().info()?;
    check((info.is_open, info.free) == (0, info.stacks), "nobody is inside any more")
}
