//! The kernel's own messages: lines on the serial line that begin with `[kernel] `.

use core::fmt::{self, Write};

use spin::Mutex;

/// Keeps lines of several CPUs apart. Taken last of all locks, never held while another is taken.
static LINE: Mutex<()> = Mutex::new(());

/// Writes to the console.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        tessera_arch::console_write(text.as_bytes());
        Ok(())
    }
}

/// Prints one line.
pub fn line(text: fmt::Arguments<'_>) {
    let _guard = LINE.lock();
    // The console takes everything, so formatting can only fail by a `Display` that gives up: lose that.
    let _ = writeln!(Console, "[kernel] {text}");
}

/// Prints one line although another CPU, or this one before it panicked, may hold the console.
pub fn line_in_panic(text: fmt::Arguments<'_>) {
    let _ = writeln!(Console, "[kernel] {text}");
}

/// Prints a kernel message.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}

pub use log;
