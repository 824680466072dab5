//! pager: fills memory on demand from another space, and takes pages back.
//!
//! Clients, each in a space of its own, have a subtree attached in which nothing is. Its handler is a gate into the space of a pager,
//! which has a capability table and an account of its own. A client that reads a page that is not there calls the pager by that,
//! without a word: the pager computes what the page holds, maps it in the subtree, so for all clients at once, and has the read done
//! again. It has memory for a part of the pages only, and takes the oldest back when it needs some; who reads that one calls again.
//!
//! A frame is written anew for another page as soon as it was taken back: a client that could still see it at the old place, by
//! whatever translation its CPU held, would read what is wrong there, and every word that is read is compared.

#![no_std]
#![no_main]

extern crate alloc;

mod clients;
mod contents;
mod office;
mod paging;

use clients::Client;
use demonstration::{Failure, chapter, check, counted, refused};
use libvas::{Error, PAGE_BYTES, program};
use office::Pager;
use paging::{Done, FRAMES, PAGES};
use rt::println;

rt::main!(main);

/// How often a client goes round.
const ROUNDS: u64 = 4;

/// How far a client goes from one page to the next: each has a step of its own, that meets all pages.
const STEPS: [u64; 3] = [1, 5, 7];

fn main() -> Result<(), Failure> {
    let before = what_exists()?;
    story()?;
    chapter("Afterwards");
    println!("   accounts, spaces, subtrees, tables and threads: as many as before");
    check(what_exists()? == before, "nothing is left of pager and clients")?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("pager: all as told");
    Ok(())
}

fn story() -> Result<(), Failure> {
    println!("{PAGES} pages that are made when somebody reads them, in memory for {FRAMES}.");
    let pager = Pager::new()?;
    one_goes_round(&pager)?;
    several_go_round(&pager)?;
    strays(&pager)?;
    without_pager(&pager)?;
    let info = pager.close()?;
    println!("   the pager's account uses {} of {} bytes", info.used_bytes, info.limit_bytes);
    check(info.used_bytes == 0, "the pager's account is whole")
}

/// With one client that goes round, the page that it comes to was always taken back before: all of it can be foretold.
fn one_goes_round(pager: &Pager) -> Result<(), Failure> {
    chapter("One client goes round");
    let client = Client::new(pager.region())?;
    let (counters, wrong) = counted(|| client.goes_round(STEPS[0], ROUNDS)?.join()?)?;
    let Done { filled, taken_back, .. } = pager.done();
    println!("   {ROUNDS} times {PAGES} pages: {filled} filled, {taken_back} taken back");
    check(wrong == 0, "each page holds what it should")?;
    check(filled == ROUNDS * PAGES, "each read of a page was the pager's to see to")?;
    check(taken_back == filled - FRAMES, "and each page was taken back, but for those that are left")?;
    check(counters.faults >= filled, "the kernel counts a fault for each")?;
    pager_keeps_to_its_frames(pager)
}

/// Several clients at the same pages, each in its own order.
fn several_go_round(pager: &Pager) -> Result<(), Failure> {
    chapter("Several clients at once");
    let before = pager.done();
    let clients = [Client::new(pager.region())?, Client::new(pager.region())?, Client::new(pager.region())?];
    let mut threads = alloc::vec::Vec::new();
    for (client, step) in clients.iter().zip(STEPS) {
        threads.push(client.goes_round(step, ROUNDS)?);
    }
    let mut wrong = 0;
    for thread in threads {
        wrong += thread.join()??;
    }
    let (filled, taken_back) = (pager.done().filled - before.filled, pager.done().taken_back - before.taken_back);
    println!("   {} clients: {filled} filled, {taken_back} taken back", clients.len());
    check(wrong == 0, "each page holds what it should, whoever looks")?;
    check(filled == taken_back, "for each page that comes one goes")?;
    check(filled >= PAGES - FRAMES, "pages that were not there have come")?;
    pager_keeps_to_its_frames(pager)
}

fn pager_keeps_to_its_frames(pager: &Pager) -> Result<(), Failure> {
    let mapped = pager.region().info()?.mapped_bytes;
    check(mapped == FRAMES * PAGE_BYTES, "as many pages are mapped as there is memory for")?;
    check(pager.done().failed == 0, "nothing was refused to the pager")
}

/// What the pager passes on ends its thread, as without a pager; nobody else notices.
fn strays(pager: &Pager) -> Result<(), Failure> {
    chapter("Strays");
    let (client, before) = (Client::new(pager.region())?, pager.done());
    println!("   a client reads behind the last page, and one writes to the first; the pager passes both on:");
    refused("joining the first", client.reads(PAGES)?.join(), Error::Faulted)?;
    refused("joining the second", client.writes(0)?.join(), Error::Faulted)?;
    check(pager.done().passed_on == before.passed_on + 2, "the pager was asked, and had nothing to do with it")?;
    check(client.goes_round(STEPS[1], 1)?.join()?? == 0, "the next client is served as before")?;
    pager_keeps_to_its_frames(pager)
}

/// A client finds the pages that are there, and no others.
fn without_pager(pager: &Pager) -> Result<(), Failure> {
    chapter("Without the pager");
    let (client, before) = (Client::new(pager.region())?, pager.done());
    pager.region().clear_handler()?;
    println!("   the subtree has no handler any more, and a client goes round:");
    refused("joining it", client.goes_round(1, 1)?.join(), Error::Faulted)?;
    check(pager.done() == before, "nobody has asked the pager")
}

/// How many objects of each kind there are, but for those that the program's heap grows by.
fn what_exists() -> Result<[u64; 5], Error> {
    let info = program().machine().ok_or(Error::MissingRight)?.info()?;
    Ok([info.accounts, info.spaces, info.subtrees, info.tables, info.threads])
}
