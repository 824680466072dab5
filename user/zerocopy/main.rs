//! Application buffers in and out of one server's address space, from every CPU, without disturbing any other CPU.
//!
//! A file server that copies nothing maps the buffer of each request into its own space, works on it and unmaps it
//! again. With a thread per CPU, each of which uses only addresses of its own, every unmap would still interrupt all
//! CPUs that the server runs on. The patch that wanted to leave those interrupts out (VM_LOCAL_CPU, by Boaz Harrosh
//! for the ZUFS file system, 2018) was refused: nothing kept another CPU from using the old translation. A **core
//! window** does: the window's top-level entry exists in one CPU's root table only, so no other CPU can have a
//! translation of it, and leaving the interrupt out is sound.
//!
//! Three acts, each of which checks itself: core windows; a stray access; the same work in an ordinary slot.
//!
//! Arguments: `rounds=200 pages=4`.

#![no_std]
#![no_main]

extern crate alloc;

mod buffers;
mod gate;
mod report;
mod server;
mod stray;

use libvas::{Error, counters, program, raw};
use rt::println;
use server::{Server, Slot};

rt::main!(main);

/// What to do, from the arguments.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    /// How often each CPU maps and unmaps a buffer.
    pub(crate) rounds: u64,
    /// Pages of a buffer.
    pub(crate) pages: u64,
    /// CPUs, a worker each.
    pub(crate) cpus: u64,
}

fn main() -> Result<u8, Error> {
    let Some(task) = Task::from_arguments(program().arguments(), counters::cpus()?) else {
        println!("zerocopy: usage: rounds=N pages=N, each from 1 on, at most 32 pages");
        return Ok(2);
    };
    println!("zerocopy: {} CPUs, each {} times a buffer of {} pages", task.cpus, task.rounds, task.pages);
    let mut complaints = 0;
    complaints += windows_act(task)?;
    complaints += stray::act(task)?;
    complaints += ordinary_act(task)?;
    match complaints {
        0 => println!("zerocopy: all as it should be"),
        count => println!("zerocopy: {count} things were not as they should be"),
    }
    Ok(u8::from(complaints != 0))
}

/// Whether this processor needs interrupts to reach other CPUs' translations; aarch64 broadcasts.
fn interrupts() -> bool {
    const X86_64: u16 = 62;
    raw::ELF_MACHINE == X86_64
}

fn windows_act(task: Task) -> Result<u64, Error> {
    println!("== each CPU has a window of its own at the same address");
    let server = Server::new(task, Slot::CoreWindows)?;
    let traffic = server.work()?;
    traffic.print(task);
    let mut complaints = server.complaints()?;
    complaints += expect(traffic.sent() == 0, "no CPU sends a shootdown interrupt");
    complaints += expect(traffic.received() == 0, "no CPU receives one");
    complaints += expect(traffic.flushed_everywhere(task), "each CPU flushes its own pages");
    if !interrupts() {
        println!("   (here the kernel uses the forms of TLBI that stay on the CPU)");
    }
    Ok(complaints)
}

fn ordinary_act(task: Task) -> Result<u64, Error> {
    println!("== the same in a slot that all CPUs see, each at addresses of its own");
    let server = Server::new(task, Slot::Ordinary)?;
    let traffic = server.work()?;
    traffic.print(task);
    let mut complaints = server.complaints()?;
    complaints += expect(traffic.flushed_everywhere(task), "each CPU flushes its own pages");
    if !interrupts() {
        println!("   no interrupts here either: this hardware broadcasts each invalidation to all CPUs by itself");
        complaints += expect(traffic.sent() == 0, "no CPU sends a shootdown interrupt");
    } else if task.cpus == 1 {
        println!("   one CPU interrupts nobody; try --smp 4");
        complaints += expect(traffic.sent() == 0, "no CPU sends a shootdown interrupt");
    } else {
        let unmaps = task.rounds * task.cpus;
        let hundredths = traffic.sent() * 100 / unmaps;
        println!("   {}.{:02} interrupts for each unmap", hundredths / 100, hundredths % 100);
        complaints += expect(traffic.sent() > 0, "unmapping interrupts the other CPUs");
        complaints += expect(traffic.sent() <= unmaps * (task.cpus - 1), "at most once each");
    }
    Ok(complaints)
}

/// Says what should be, and counts a complaint if it is not so.
pub(crate) fn expect(holds: bool, what: &str) -> u64 {
    println!("   {} {what}", if holds { "yes:" } else { "NO: " });
    u64::from(!holds)
}

impl Task {
    /// Reads `key=number` words; `None` if a word is unknown or a number is out of range.
    fn from_arguments(arguments: &str, cpus: u64) -> Option<Task> {
        let mut task = Task { rounds: 200, pages: 4, cpus };
        for word in arguments.split_whitespace() {
            let (key, number) = word.split_once('=')?;
            let goal = match key {
                "rounds" => &mut task.rounds,
                "pages" => &mut task.pages,
                _ => return None,
            };
            *goal = number.parse().ok().filter(|number| *number > 0)?;
        }
        // Beyond this many pages the kernel flushes whole tags, and the counters would tell another story.
        (task.pages <= 32).then_some(task)
    }
}
