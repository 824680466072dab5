//! The program of docs/README.md builds, and shows one address with two values.
//! boot: expect-output="in this space, 0x10000000000 holds 1" expect-output="in this space, 0x10000000000 holds 2"
//! boot: expect-output="space switches since boot"

#![no_std]
#![no_main]

use libvas::{Error, Place, Rights, Segment, counters, program};

rt::main!(main);

const HERE: u64 = 0x100_0000_0000;

fn main() -> Result<(), Error> {
    let place = Place::<u64>::new(HERE)?;
    for value in [1, 2] {
        let space = program().new_space()?;
        let memory = Segment::new(program().account(), 0x1000)?;
        space.map(HERE, &memory, 0..0x1000, Rights::READ_WRITE)?;
        space.enter(|| place.set(value))?;
        rt::println!("in this space, {HERE:#x} holds {}", space.enter(|| place.get())?);
    }
    rt::println!("{} space switches since boot", counters::of_cpu(0)?.space_switches);
    Ok(())
}
