//! 2 GiB of memory are found and can be used, 1.5 GiB of them by one segment with pages of 1 GiB.
//! boot: memory=2048 timeout=120

#![no_std]
#![no_main]

use libvas::{Error, Place, Rights, Segment, Space, program};

rt::main!(main);

const MIB: u64 = 1 << 20;

/// Where the memory is mapped: a multiple of 1 GiB.
const HERE: u64 = 0x100_0000_0000;

fn main() -> Result<(), Error> {
    let memory_bytes = program().machine().ok_or(Error::MissingRight)?.info()?.memory_bytes;
    rt::println!("the kernel manages {} MiB", memory_bytes / MIB);
    if memory_bytes < 1800 * MIB {
        return Err(Error::OutOfMemory);
    }
    let (space, segment) = (program().new_space()?, Segment::new(program().account(), 1536 * MIB)?);
    let bare_bytes = Space::new(program().account())?.info()?.table_bytes;
    space.map(HERE, &segment, 0..1536 * MIB, Rights::READ_WRITE)?;
    // Every 8 MiB one word, all of them different.
    let place = |number: u64| Place::<u64>::new(HERE + number * 8 * MIB);
    space.enter(|| (0..192).try_for_each(|number| place(number).map(|place| place.set(number + 1))))??;
    let kept = space.enter(|| (0..192).all(|number| place(number).is_ok_and(|place| place.get() == number + 1)))?;
    let table_bytes = space.info()?.table_bytes - bare_bytes;
    rt::println!("1536 MiB are mapped by {table_bytes} bytes of tables; all words kept: {kept}");
    if kept && table_bytes <= 3 * 4096 { Ok(()) } else { Err(Error::BadState) }
}
