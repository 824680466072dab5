//! When the first program faults, the machine says so, and that nothing is left to run, and ends as failed.
//! boot: options=first=first_faults expect-exit=121 expect-output="fault: program=first_faults thread=main"
//! boot: expect-output="[kernel] nothing is left to run"

#![no_std]
#![no_main]

use libvas::{Error, Place};

rt::main!(main);

fn main() -> Result<(), Error> {
    Place::<u64>::new(0x6000_0000_0000)?.get();
    Ok(())
}
