//! calls: one service three ways, and what a request costs each way.
//!
//! The service answers a number with three times the number plus one. It runs *behind a gate*, in a space of its own that the
//! caller's thread enters; *as a guest*, machine code in a space with nothing else in it, whose next system call brings the answer
//! out; and *in a thread* of its own, to which the caller yields the CPU. All three must give the same answers.
//!
//! What is counted is what the kernel counts: switches and calls. Time means something under `--icount` only, where a nanosecond is
//! an instruction: `./x.py run calls --icount`.
//!
//! Argument: how many requests, such as `1000`.

#![no_std]
#![no_main]

mod by_gate;
mod by_guest;
mod by_thread;
mod count;

use by_gate::Gated;
use by_guest::Computing;
use by_thread::Worker;
use count::{Cost, cost};
use demonstration::{Failure, chapter, check};
use libvas::{Error, program};
use rt::println;

rt::main!(main);

/// How many requests there are unless the arguments say otherwise.
const REQUESTS: u64 = 1000;

fn main() -> Result<u8, Failure> {
    let Some(requests) = requests_from(program().arguments()) else {
        println!("calls: usage: calls [REQUESTS], from 1 on");
        return Ok(2);
    };
    // Caller and worker share a CPU, so that yielding is handing the CPU over; and its counters are theirs.
    program().thread().set_affinity(1)?;
    println!("One service three ways, {requests} requests each.");
    let costs = [by_gate(requests)?, by_guest(requests)?, by_thread(requests)?];
    compare(requests, &costs)?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("calls: all as told");
    Ok(0)
}

fn requests_from(arguments: &str) -> Option<u64> {
    let mut words = arguments.split_whitespace();
    let requests = words.next().map_or(Some(REQUESTS), |word| word.parse().ok());
    requests.filter(|requests| (1..=1_000_000).contains(requests) && words.next().is_none())
}

/// What the service answers.
pub(crate) fn answer_to(number: u64) -> u64 {
    number.wrapping_mul(3).wrapping_add(1)
}

fn by_gate(requests: u64) -> Result<Cost, Failure> {
    chapter("Behind a gate");
    println!("   the caller's own thread goes into the service's space, and comes back with the answer:");
    println!("   a gate_call and a gate_return, neither of which takes the kernel's common path");
    let service = Gated::new()?;
    cost("gate", requests, |number| service.ask(number))
}

fn by_guest(requests: u64) -> Result<Cost, Failure> {
    chapter("As a guest");
    println!("   the caller's thread has the registers of the service's code, until that makes a system call:");
    println!("   a guest_run, and the call by which the guest comes out");
    let service = Computing::new()?;
    cost("guest", requests, |number| service.ask(number))
}

fn by_thread(requests: u64) -> Result<Cost, Failure> {
    chapter("In a thread");
    println!("   the caller writes the number where both see it, and yields until the answer is there:");
    println!("   a yield_now on either side");
    let worker = Worker::start()?;
    let cost = cost("thread", requests, |number| Ok(worker.ask(number)))?;
    worker.end()?;
    Ok(cost)
}

/// Prints the costs side by side, and checks what must be so.
fn compare(requests: u64, costs: &[Cost; 3]) -> Result<(), Failure> {
    chapter("Side by side, for each request");
    println!("   {:<8} {:>10} {:>8} {:>10} {:>12}", "way", "of space", "of thread", "calls", "nanoseconds");
    for cost in costs {
        println!("   {cost}");
    }
    println!("   (changes of space and of thread, and calls that took the common path; instructions under --icount)");
    let [gate, guest, thread] = costs;
    check(gate.sum == guest.sum && guest.sum == thread.sum, "all three give the same answers")?;
    check(gate.spaces >= 2 * requests, "a gate call changes the space there and back")?;
    check(guest.spaces >= 2 * requests, "so does a run of a guest")?;
    check(gate.threads < requests && guest.threads < requests, "neither changes the thread")?;
    check(thread.threads >= 2 * requests, "a thread is switched to, and one back")
}
