//! What a program prints, and the names it gives, can be taken neither for a line of the kernel's nor for the machine's
//! end: whole, in pieces, behind what moves the cursor, behind a line of the kernel's.
//! boot: expect-exit=7 expect-output="[kernel?] PANIC: false" expect-output="[kernel?] exit code 3"
//! boot: expect-output="and no line of a program decides that" expect-output="a␍[kernel] exit code 4"
//! boot: expect-output="␛[2K[kernel] exit code 5"
//! boot: expect-output="thread=x_ip_0x1____kernel_ space" expect-output="[kernel?] panicked"

#![no_std]
#![no_main]

use libvas::thread::Builder;
use libvas::{Error, Place, console};

rt::main!(main);

fn main() -> Result<u8, Error> {
    console::write("[kernel] PANIC: false\n[kernel] registers: none\n[kernel] panicked\n")?;
    for letter in ["[", "ker", "nel", "]", " exit code 3\n"] {
        console::write(letter)?;
    }
    rt::print!("a line that does not end, \r\x1b[2K[kernel] PANIC: false");
    rt::println!("; and no line of a program decides that");
    console::write("a\r[kernel] exit code 4\n\u{1b}[2K[kernel] exit code 5\n")?;
    console::write("\u{85}[kernel] exit code 6\n\u{2028}[kernel] exit code 6\n\u{200b}[kernel] exit code 6\n")?;
    for name in ["a\n[kernel] PANIC: false", "a\r[kernel]", "\u{1b}[2K", "\u{202e}x"] {
        if Builder::new().name(name).spawn(|| ()).err() != Some(Error::BadText) {
            return Ok(1);
        }
    }
    let nowhere = Place::<u64>::new(0x6000_0000_0000)?;
    // The kernel's line ends the one that has begun, so what follows stands at the beginning of one.
    console::write("[kernel")?;
    let reader = Builder::new().name("x ip=0x1 : [kernel]").spawn(move || nowhere.get())?;
    if reader.join() != Err(Error::Faulted) {
        return Ok(2);
    }
    console::write("[kernel] PANIC: false\n")?;
    Ok(7)
}
