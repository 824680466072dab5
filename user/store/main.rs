//! store: a key-value store in a lockable segment, visited in three ways by up to twelve clients.
//!
//! The store is a hash table, with a heap of its own, in a segment that is mapped at one address wherever it is mapped; so the
//! pointers in it mean the same in every space. It is asked by *switching* into its space, where the client's own thread does the
//! work: writers one at a time, readers together, as the segment's lock has it that is taken at the door. It is asked through a
//! *gate*, whose callee goes to the same space on behalf of clients that have no capability to it. And it is asked by *copying*
//! requests to memory that a server thread looks at, which has the lock all the time. This is SpaceJMP's comparison of Redis
//! (ASPLOS 2016): there one server by messages, here clients that come.
//!
//! Clients are programs, each with an account, a capability table and spaces of its own, started anew for each turn: in the spaces in
//! which they visit the store they have attached its segment themselves. All three ways must give the same answers, which are those of
//! a map of the library, and leave the same store behind.
//!
//! What a request takes is told in nanoseconds, which mean something under `--icount` only, where a nanosecond is an instruction, of
//! whichever CPU: `./x.py run store --icount`. What clients do to make a request and to look at the answer is part of it; with several
//! CPUs, what the server and its clients do while they look whether there is a letter is as well.
//!
//! Argument: how many requests each client makes, such as `200`.

#![no_std]
#![no_main]

extern crate alloc;

mod client;
mod counter;
mod crowd;
mod desk;
mod door;
mod heap;
mod mail;
mod premises;
mod refusals;
mod request;
mod table;
mod work;

use client::CLIENT;
use crowd::{Crowd, Outcome, Turn};
use demonstration::{Failure, chapter, check};
use door::{WAYS, Way};
use init::archive::Archive;
use libvas::{Error, program};
use premises::Premises;
use rt::println;
use work::{Model, PHASES};

rt::main!(main);

/// How many requests a client makes unless the arguments say otherwise.
const REQUESTS: u64 = 100;

/// How many clients there are, one time after the other.
const CLIENTS: [u64; 5] = [1, 2, 4, 8, 12];

/// What a phase of so many clients took, each way.
type Costs = [[Outcome; PHASES.len()]; WAYS.len()];

fn main() -> Result<u8, Failure> {
    if let Some(number) = program().arguments().strip_prefix(CLIENT) {
        let number = number.trim().parse().map_err(|_| Failure::NotAsTold("a client has a number"))?;
        return client::work(number).map(|()| 0);
    }
    let Some(each) = requests_from(program().arguments()) else {
        println!("store: usage: store [REQUESTS], from 1 on");
        return Ok(2);
    };
    println!("A store in a lockable segment, three ways to it, {each} requests of each client.");
    let premises = Premises::new()?;
    refusals::show(&premises)?;
    chapter("Clients");
    let archive = Archive::open()?;
    let (crowd, mut all) = (Crowd::new(&archive)?, [Costs::default(); CLIENTS.len()]);
    println!(
        "   each is a program, and refused to go on in a space of this one: NotShared; it attaches the store itself"
    );
    for (clients, costs) in CLIENTS.into_iter().zip(&mut all) {
        let mut used_bytes = None;
        for (way, costs) in WAYS.into_iter().zip(costs.iter_mut()) {
            *costs = visit(&premises, &crowd, way, clients, each)?;
            let now = program().account().info()?.used_bytes;
            check(*used_bytes.get_or_insert(now) == now, "clients that have ended leave nothing to pay for")?;
        }
        agree(clients, costs)?;
    }
    tell(&all);
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("store: all as told");
    Ok(0)
}

fn requests_from(arguments: &str) -> Option<u64> {
    let mut words = arguments.split_whitespace();
    let requests = words.next().map_or(Some(REQUESTS), |word| word.parse().ok());
    requests.filter(|requests| (1..=100_000).contains(requests) && words.next().is_none())
}

/// Lets clients go through all phases, one way, and compares what is in the store with what should be.
fn visit(
    premises: &Premises,
    crowd: &Crowd<'_>,
    way: Way,
    clients: u64,
    each: u64,
) -> Result<[Outcome; PHASES.len()], Failure> {
    let (before, mut model) = (premises.census()?, Model::default());
    let mut outcomes = [Outcome::default(); PHASES.len()];
    for (phase, outcome) in PHASES.into_iter().zip(&mut outcomes) {
        let turn = Turn { way, phase, clients, each };
        *outcome = match way {
            Way::Mail => premises.with_server(|| crowd.visit(premises, turn)),
            _ => crowd.visit(premises, turn),
        }?;
        check(outcome.sum == model.play(phase, clients, each), "the answers are those of a map of the library")?;
        let now = premises.census()?;
        check((now.entries, now.sum) == model.entries_and_sum(), "the store has what was kept in it")?;
    }
    check(premises.census()? == before, "what was deleted leaves a heap that is as it was")?;
    Ok(outcomes)
}

/// All ways give the same answers.
fn agree(clients: u64, [switch, gate, mail]: &Costs) -> Result<(), Failure> {
    for (switch, (gate, mail)) in switch.iter().zip(gate.iter().zip(mail)) {
        check(switch.sum == gate.sum && gate.sum == mail.sum, "all three ways give the same answers")?;
    }
    let [set, get, delete] = switch.map(|outcome| outcome.sum);
    println!(
        "   {clients:>2} clients: the same answers each way; their sums are {set:016x}, {get:016x}, {delete:016x}"
    );
    Ok(())
}

/// Prints the costs side by side.
fn tell(all: &[Costs; CLIENTS.len()]) {
    chapter("Side by side: nanoseconds for each request");
    println!("   clients    switch: GET      SET     gate: GET      SET   server: GET      SET");
    for (clients, costs) in CLIENTS.into_iter().zip(all) {
        let [[set_a, get_a, _], [set_b, get_b, _], [set_c, get_c, _]] =
            costs.map(|costs| costs.map(|outcome| outcome.each));
        println!("   {clients:>7} {get_a:>14} {set_a:>8} {get_b:>13} {set_b:>8} {get_c:>13} {set_c:>8}");
    }
    println!(
        "   (instructions under --icount, of all CPUs together: with several, those that wait for letters are among them)"
    );
}
