//! An interrupt that cannot be masked and has no known cause is told of, once, and the machine goes on.
//! boot: arch=x86_64 smp=2 options=machine=control
//! boot: expect-output="had an interrupt that cannot be masked, for no known cause" expect-output="goes on: 3 times"

#![no_std]
#![no_main]

use core::time::Duration;
use libvas::layout::Provocation;
use libvas::{Error, clock, program};
use rt::println;

rt::main!(main);

fn main() -> Result<(), Error> {
    let machine = program().machine().ok_or(Error::MissingRight)?;
    for _ in 0..3 {
        machine.provoke(Provocation::NonMaskableInterrupt)?;
        // It is told of with the next interrupt, which is the timer's.
        clock::sleep(Duration::from_millis(20));
    }
    println!("the machine goes on: 3 times");
    Ok(())
}
