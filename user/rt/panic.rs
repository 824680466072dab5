//! What happens when a program panics.

use crate::{PANIC_CODE, println};
use core::panic::PanicInfo;
use libvas::{program, thread};

/// Prints program, place and message, and ends the thread with [`PANIC_CODE`]; the first thread's code is the
/// program's. If the message panics when it is formatted, its place is printed and the thread ends.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if !thread::unless_nested(|| tell(info)) {
        match info.location() {
            Some(place) => println!("panicked at {place}, telling of a panic"),
            None => println!("panicked, telling of a panic"),
        }
    }
    thread::exit(u64::from(PANIC_CODE))
}

fn tell(info: &PanicInfo<'_>) {
    let name = program().table().name().unwrap_or_default();
    match info.location() {
        Some(place) => println!("{} panicked at {place}: {}", name.as_str(), info.message()),
        None => println!("{} panicked: {}", name.as_str(), info.message()),
    }
}
