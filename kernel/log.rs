//! The kernel's own messages: lines on the serial line that begin with `[kernel] `.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;

use crate::sync::{RANK_CONSOLE, Rank};

/// Keeps lines of several CPUs apart.
static LINE: Mutex<()> = Mutex::new(());

/// Whether what was written last has ended its line.
static AT_LINE_START: AtomicBool = AtomicBool::new(true);

/// Writes to the console.
struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text);
        Ok(())
    }
}

/// Writes text as it is, without a lock.
fn write(text: &str) {
    tessera_arch::console_write(text.as_bytes());
    if let Some(last) = text.bytes().last() {
        AT_LINE_START.store(last == b'\n', Ordering::Relaxed);
    }
}

/// Writes a program's text.
pub fn program_text(text: &str) {
    let _rank = Rank::take(RANK_CONSOLE);
    let _guard = LINE.lock();
    write(text);
}

/// Prints one line.
pub fn line(text: fmt::Arguments<'_>) {
    let _rank = Rank::take(RANK_CONSOLE);
    let _guard = LINE.lock();
    line_in_panic(text);
}

/// Prints one line although another CPU, or this one before it panicked, may hold the console.
pub fn line_in_panic(text: fmt::Arguments<'_>) {
    let start = if AT_LINE_START.load(Ordering::Relaxed) { "" } else { "\n" };
    // The console takes everything, so only a `Display` that gives up can fail here: its text is lost.
    let _ = writeln!(Console, "{start}[kernel] {text}");
}

/// Prints a kernel message.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}

pub use log;
