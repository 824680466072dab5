//! Changes address spaces from all CPUs at once, and checks whatever it reads.
//!
//! Two workers for each CPU, one that stays there and one that is sent about, map, unmap, protect, switch, and make
//! and destroy spaces, segments, subtrees, core windows and threads in random order. Each page of memory begins with
//! a word that names it, and each worker knows which page it has mapped where; so a translation that is no longer
//! true shows up as a wrong name. All workers share one space and one subtree, each with pages of its own in them. All the
//! time memory, subtrees and spaces are lent, used by mappings, attachments, views and threads inside, and revoked.
//! Spaces are cloned, and none may see what is written to another; and a segment with a lock is visited by all, and by threads that are
//! stopped, or whose space or way in goes. At the end the kernel checks itself, and what exists is compared with what existed before.
//!
//! Arguments: seconds (default 10) and a seed (default 1), as in `60 7`.

#![no_std]
#![no_main]

extern crate alloc;

mod guest;
mod loans;
mod locks;
mod memory;
mod report;
mod territory;
mod worker;
mod world;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use demonstration::Random;
use libvas::thread::{Builder, JoinHandle};
use libvas::{Error, clock, counters, program};
use rt::println;
use worker::{Commons, Worker};

rt::main!(main);

/// The most CPUs, and so half the most workers.
const CPUS_MAX: usize = 64;

/// What the workers have done so far; a worker that stands still is noticed by it.
static DONE: [AtomicU64; 2 * CPUS_MAX] = [const { AtomicU64::new(0) }; 2 * CPUS_MAX];

/// A worker that does nothing for so long hangs.
const HANG: Duration = Duration::from_secs(60);

fn main() -> Result<u8, Error> {
    let Some((seconds, seed)) = arguments(program().arguments()) else {
        println!("stress: usage: [SECONDS [SEED]], each from 1 on");
        return Ok(2);
    };
    let cpus = counters::cpus()?.min(CPUS_MAX as u64);
    println!("stress: {cpus} CPUs, {} workers, {seconds} s, seed {seed}", 2 * cpus);
    let before = report::Census::take()?;
    let wrong = run(cpus, seconds, seed)?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("stress: the kernel checked {facts} facts about itself");
    report::print_work();
    report::print_counters()?;
    let lost = before.compare()?;
    println!("stress: {} operations, {wrong} wrong, {lost} kinds of object left over", total());
    Ok(u8::from(wrong + lost != 0))
}

/// Seconds and seed; `None` if they are no numbers.
fn arguments(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_whitespace().map(|word| word.parse().ok().filter(|number| *number > 0));
    let (seconds, seed) = (numbers.next().unwrap_or(Some(10))?, numbers.next().unwrap_or(Some(1))?);
    numbers.next().is_none().then_some((seconds, seed))
}

/// Lets the workers work for so long; gives how many things were wrong.
fn run(cpus: u64, seconds: u64, seed: u64) -> Result<u64, Error> {
    let commons = Commons::new()?;
    let end = clock::now() + Duration::from_secs(seconds);
    let own = program().thread().info()?.priority;
    let mut workers = Vec::new();
    for number in 0..2 * cpus {
        let roams = number >= cpus;
        let cpu = (!roams).then_some(number);
        let mut worker = Worker::new(number, cpu, cpus, seed, &commons)?;
        let builder = Builder::new().priority(own.saturating_sub(1)).name("worker").stack_bytes(0x2_0000);
        let builder = cpu.map_or(builder, |cpu| builder.cpus(1 << cpu));
        workers.push(builder.spawn(move || worker.work(end, &DONE[number as usize]))?);
    }
    watch(&workers, cpus, seed, end)?;
    let mut wrong = 0;
    for (number, worker) in workers.into_iter().enumerate() {
        match worker.join() {
            Ok(Ok(found)) => wrong += found,
            Ok(Err((doing, error))) => {
                println!("stress: worker {number}, {doing}: {error}");
                wrong += 1;
            }
            Err(error) => {
                println!("stress: worker {number} ended: {error}");
                wrong += 1;
            }
        }
    }
    let lent = commons.lender.still_lent()?;
    if lent != 0 {
        println!("stress: {lent} things are lent at the end");
    }
    let held = commons.locks.still_held()?;
    if held != 0 {
        println!("stress: {held} have a lock at the end, or wait for it");
    }
    Ok(wrong + lent + held)
}

fn total() -> u64 {
    DONE.iter().map(|done| done.load(Ordering::Relaxed)).sum()
}

type Handle = JoinHandle<Result<u64, (&'static str, Error)>>;

/// Sends the roaming workers about and prints how far all are, until the time is up.
fn watch(workers: &[Handle], cpus: u64, seed: u64, end: Duration) -> Result<(), Error> {
    let (began, mut random) = (clock::now(), Random::new(seed + 1000));
    let (mut told, mut moved) = (began, [(0, began); 2 * CPUS_MAX]);
    while clock::now() < end {
        clock::sleep(Duration::from_millis(20));
        let roaming = &workers[cpus as usize..];
        let chosen = &roaming[random.below(cpus) as usize];
        chosen.thread().set_affinity(1 + random.below(u64::MAX >> (64 - cpus)))?;
        let now = clock::now();
        if now - told >= Duration::from_secs(1) {
            told = now;
            println!("stress: {} s, {} operations", (now - began).as_secs(), total());
        }
        for (number, (seen, since)) in moved.iter_mut().enumerate().take(workers.len()) {
            let done = DONE[number].load(Ordering::Relaxed);
            if done != *seen {
                (*seen, *since) = (done, now);
            } else if now - *since > HANG {
                println!("stress: worker {number} has done nothing for {HANG:?}, after {done} operations");
                return Err(Error::Gone);
            }
        }
    }
    Ok(())
}
