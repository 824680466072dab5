//! What was written before the machine ends is on the line when it ends, however much it is.
//! boot: expect-exit=9 expect-output="line 1999 of the last words" expect-output="and no end of the line"

#![no_std]
#![no_main]

extern crate alloc;

use libvas::{Error, console};

rt::main!(main);

fn main() -> Result<u8, Error> {
    for number in 0..2000 {
        rt::println!("line {number} of the last words");
    }
    let text = ["0123456789abcde\n"; 256].concat();
    for _ in 0..16 {
        console::write(&text)?;
    }
    console::write("and no end of the line")?;
    Ok(9)
}
