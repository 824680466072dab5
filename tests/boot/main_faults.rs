//! A program whose first thread faults ends with exit code 139, and the fault line tells all of it.
//! boot: expect-exit=139
//! boot: expect-output="[kernel] fault: program=main_faults thread=main space=home address=0x600000000000 access=read"
//! boot: expect-output=": nothing is mapped there [" expect-output="main_faults ended with exit code 139"

#![no_std]
#![no_main]

use libvas::{Error, Place};

rt::main!(main);

fn main() -> Result<(), Error> {
    let nowhere = Place::<u64>::new(0x6000_0000_0000)?;
    rt::println!("read {}", nowhere.get());
    Ok(())
}
