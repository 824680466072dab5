//! vas: address spaces with names, as two documents have them.
//!
//! Till Smejkal's series for Linux of March 2017 gives processes more than one address space: made, found, attached and switched to by
//! system calls. The paper on SpaceJMP of 2016, from which that comes, has one process make a space and a segment and put the one
//! into the other; another process finds the space by its name, switches into it, and uses it. Here is that in its words, with two
//! programs: this one starts itself a second time. And what the series has its kernel refuse.

#![no_std]
#![no_main]

mod listing;
mod rules;

use demonstration::Failure;
use libvas::{Error, names, program, vas};
use rt::println;

rt::main!(main);

/// Where segments lie.
const HERE: u64 = vas::START + 0xC0D_E000;

fn main() -> Result<(), Failure> {
    let names = names::service()?;
    if program().arguments() == listing::MAKER {
        return listing::make(names);
    }
    listing::of_two_programs(names)?;
    rules::of_spaces(names)?;
    rules::of_segments(names)?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("vas: all as told");
    Ok(())
}
