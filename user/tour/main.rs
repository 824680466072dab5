//! The tour: what Tessera is about, shown in words and figures to somebody who sees it for the first time.
//!
//! It runs by itself, checks everything it says, and ends with exit code 0 if all was as told. Each chapter is one
//! function; read them in this order.

#![no_std]
#![no_main]

extern crate alloc;

mod figures;
mod refusals;
mod remote;
mod worlds;

use demonstration::Failure;
use rt::println;
use worlds::Worlds;

rt::main!(main);

fn main() -> Result<(), Failure> {
    println!("A tour of Tessera, where an address space is an object that a program holds.");
    let worlds = Worlds::new()?;
    worlds.visit_one_after_another()?;
    worlds.visit_at_the_same_time()?;
    refusals::show(&worlds)?;
    remote::show(&worlds)?;
    figures::show(&worlds)?;
    println!();
    println!("That was the tour: all was as told. Next: user/hello is the shortest program, libvas the library.");
    Ok(())
}
