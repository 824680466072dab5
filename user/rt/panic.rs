//! What happens when a program panics.

use crate::PANIC_CODE;
use crate::print::print_from_panic;
use core::panic::PanicInfo;
use libvas::{program, thread};

/// Prints program, place and message, and ends the thread with [`PANIC_CODE`]; the first thread's code is the
/// program's.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let name = program().table().name().unwrap_or_default();
    match info.location() {
        Some(place) => print_from_panic(format_args!("{} panicked at {place}: {}\n", name.as_str(), info.message())),
        None => print_from_panic(format_args!("{} panicked: {}\n", name.as_str(), info.message())),
    }
    thread::exit(u64::from(PANIC_CODE))
}
