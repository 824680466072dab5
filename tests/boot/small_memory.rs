//! 64 MiB of memory are enough for programs with several spaces.
//! boot: memory=64 expect-output="memory is enough"

#![no_std]
#![no_main]

use libvas::{Error, PAGE_BYTES, Place, Rights, Segment, program};

rt::main!(main);

fn main() -> Result<(), Error> {
    let place = Place::<u64>::new(0x100_0000_0000)?;
    let mut spaces = [const { None }; 50];
    for (number, space) in spaces.iter_mut().enumerate() {
        let memory = Segment::new(program().account(), 32 * PAGE_BYTES)?;
        let made = space.insert(program().new_space()?);
        made.map(place.address(), &memory, 0..32 * PAGE_BYTES, Rights::READ_WRITE)?;
        made.enter(|| place.set(number as u64))?;
    }
    for (number, space) in spaces.iter().flatten().enumerate() {
        if space.enter(|| place.get())? != number as u64 {
            return Err(Error::BadState);
        }
    }
    let free_bytes = program().machine().ok_or(Error::MissingRight)?.info()?.free_bytes;
    rt::println!("memory is enough: {} KiB are free still", free_bytes >> 10);
    Ok(())
}
