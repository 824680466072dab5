//! What the store refuses, by whichever way it is asked, and what the kernel does.

use crate::door::{Door, WAYS, Way};
use crate::heap;
use crate::premises::Premises;
use crate::request::{Answer, Fault, Request, Value, Words, answer_from_words};
use crate::table;
use core::mem::ManuallyDrop;
use demonstration::{Failure, chapter, check, refused};
use libvas::{Cap, Error, Place, Space, thread};
use rt::println;

/// Keys that nobody else uses begin here.
const FIRST_KEY: u64 = 1_000_000;

/// Shows it all.
pub(crate) fn show(premises: &Premises) -> Result<(), Failure> {
    bad_words(premises)?;
    full(premises)?;
    readers_only_read(premises)
}

/// Asks one way, while the server serves if it is the server's.
fn through<R>(premises: &Premises, way: Way, body: impl FnOnce(&Door) -> Result<R, Failure>) -> Result<R, Failure> {
    let door = premises.own_door();
    match way {
        Way::Mail => premises.with_server(|| body(&door)),
        _ => body(&door),
    }
}

/// Nothing that comes as words is believed.
fn bad_words(premises: &Premises) -> Result<(), Failure> {
    chapter("What is no request");
    const SET: u64 = 2;
    let cases: [(&str, Words, Fault); 8] = [
        ("request 0", [0, 1, 0, 0, 0, 0], Fault::BadRequest),
        ("request 4", [4, 1, 0, 0, 0, 0], Fault::BadRequest),
        ("GET with a length", [1 | 1 << 8, 1, 0, 0, 0, 0], Fault::BadRequest),
        ("GET of key 0", Request::Get { key: 0 }.to_words(), Fault::BadKey),
        ("SET of no words", [SET, 1, 0, 0, 0, 0], Fault::BadLength),
        ("SET of five words", [SET | 5 << 8, 1, 0, 0, 0, 0], Fault::BadLength),
        ("GET of a key that is not there", Request::Get { key: FIRST_KEY }.to_words(), Fault::NotFound),
        ("DELETE of it", Request::Delete { key: FIRST_KEY }.to_words(), Fault::NotFound),
    ];
    let before = premises.census()?;
    for way in WAYS {
        through(premises, way, |door| {
            cases.iter().try_for_each(|(_, words, fault)| {
                let answer = answer_from_words(&door.ask_in_words(way, words)?);
                check(answer == Err(*fault), "what is no request is refused, each way alike")
            })
        })?;
    }
    cases.iter().for_each(|(name, _, fault)| println!("   {name}: {fault:?}"));
    check(premises.census()? == before, "nothing has changed by it")
}

/// A store that is full says so, changes nothing, and has room again when something is deleted.
fn full(premises: &Premises) -> Result<(), Failure> {
    chapter("When it is full");
    let (empty, mut counts) = (premises.census()?, [0; WAYS.len()]);
    for (way, count) in WAYS.into_iter().zip(&mut counts) {
        *count = through(premises, way, |door| fill(door, way))?;
        let before = premises.census()?;
        check(before.entries == *count, "what fitted in is there")?;
        through(premises, way, |door| stays_full(door, way, *count))?;
        check(premises.census()? == before, "who was refused has changed nothing")?;
        through(premises, way, |door| {
            (0..*count).try_for_each(|number| {
                check(
                    door.ask(way, &Request::Delete { key: FIRST_KEY + number })? == Ok(value(number)),
                    "all of it comes out",
                )
            })
        })?;
        check(premises.census()? == empty, "the heap is one block again")?;
    }
    println!("   {} values of one word fit in, each way; one more: Full", counts[0]);
    check(counts[0] > 0 && counts.iter().all(|count| *count == counts[0]), "as much fits in each way")
}

fn value(number: u64) -> Value {
    Value::new(&[number * 3]).unwrap_or_default()
}

/// Fills the store; gives how many values were kept.
fn fill(door: &Door, way: Way) -> Result<u64, Failure> {
    let mut number = 0;
    loop {
        match door.ask(way, &Request::Set { key: FIRST_KEY + number, value: value(number) })? {
            Ok(_) => number += 1,
            Err(Fault::Full) => return Ok(number),
            Err(_) => return Err(Failure::NotAsTold("the store says that it is full")),
        }
    }
}

/// Neither a new value nor a longer one fits in; another of the same length does, and one in the place of what was deleted.
fn stays_full(door: &Door, way: Way, count: u64) -> Result<(), Failure> {
    let longer = Value::new(&[1, 2, 3, 4]).unwrap_or_default();
    let ask = |request: Request| -> Result<Answer, Error> { door.ask(way, &request) };
    let (first, last) = (FIRST_KEY, FIRST_KEY + count - 1);
    check(ask(Request::Set { key: first, value: longer })? == Err(Fault::Full), "a longer value does not fit in")?;
    check(ask(Request::Get { key: first })? == Ok(value(0)), "and the old one is still there")?;
    check(ask(Request::Set { key: first, value: value(9) })? == Ok(value(0)), "another of the same length fits in")?;
    check(ask(Request::Set { key: first, value: value(0) })? == Ok(value(9)), "and the first again")?;
    check(ask(Request::Delete { key: last })? == Ok(value(count - 1)), "something is deleted")?;
    check(ask(Request::Set { key: last, value: value(count - 1) })? == Ok(Value::default()), "and there is room for it")
}

/// Who is in the space for readers and writes is stopped, and leaves no lock behind.
fn readers_only_read(premises: &Premises) -> Result<(), Failure> {
    chapter("A reader that writes");
    let (readers, place) = (premises.readers.handle(), Place::<u64>::new(heap::START)?);
    let thread = thread::spawn(move || ManuallyDrop::new(Cap::<Space>::from_handle(readers)).enter(|| place.set(1)))?;
    refused("joining that thread", thread.join(), Error::Faulted)?;
    let census = premises.writers.try_enter(table::census)?;
    check(census.is_ok(), "the store is whole, and nobody has its lock")
}
