//! compartment: a plugin that a host program lets into a space, and throws out again.
//!
//! A plugin is code that the host did not write. It runs in a compartment: a space that shows it the program's code, its own
//! page to work in, and a page of the host's that it may read. What the plugin has is a capability that was derived for it,
//! and that is how the host gets rid of it: it revokes what it derived. It need not stop the plugin's thread, which would be
//! between any two instructions, nor destroy the compartment, in which other plugins may work: the thread comes home, where the
//! host said that it should land, and can be told what it did wrong.

#![no_std]
#![no_main]

extern crate alloc;

mod compartment;
mod plugin;

use compartment::Compartment;
use demonstration::{Failure, chapter, check, counted, refused};
use libvas::{Error, program};
use rt::println;

rt::main!(main);

fn main() -> Result<(), Failure> {
    let compartment = Compartment::new()?;
    chapter("Two plugins do their work");
    for number in [6, 7] {
        let result = compartment.run(number, plugin::square)??;
        println!("host: the plugin says that {number} times {number} is {result}");
        check(result == number * number, "the plugin computes")?;
    }
    chapter("A plugin loops for ever, beside one that behaves");
    let (good, bad) = (compartment.admit(1, plugin::count)?, compartment.admit(2, plugin::loop_for_ever)?);
    good.works()?;
    bad.works()?;
    println!("host: both are inside: {} threads", compartment.threads()?);
    let (counters, ()) = counted(|| compartment.throw_out(&bad))?;
    println!("host: threw the plugin out that loops; {} threads are inside", compartment.threads()?);
    check(counters.faults == 0, "being thrown out is no fault")?;
    bad.came_home_because_it_was_revoked()?;
    chapter("The host program goes on");
    good.works()?;
    check(compartment.threads()? == 1, "the other plugin works on, in the same compartment")?;
    refused("letting the plugin in again by what it had", bad.enter_again(), Error::BadHandle)?;
    let result = compartment.run(12, plugin::square)??;
    println!("host: the compartment is as good as new: 12 times 12 is {result}");
    check(result == 144, "a new plugin computes")?;
    compartment.throw_out(&good)?;
    good.came_home_because_it_was_revoked()?;
    check(compartment.is_unlent()?, "nothing of the compartment is lent any more")?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("host: the kernel checked {facts} facts about itself");
    println!("compartment: all as told");
    Ok(())
}
