//! Text output by whole lines.

#[cfg(target_os = "none")]
mod bare {
    use core::fmt::{self, Write};
    use libvas::console::{self, LineBuffer};
    use libvas::sync::Mutex;

    /// Lines up to this length, in bytes, come out whole.
    const LINE_BYTES: usize = 512;

    type Sink = fn(&str);

    static OUTPUT: Mutex<LineBuffer<LINE_BYTES, Sink>> = Mutex::new(LineBuffer::new(to_console));

    fn to_console(text: &str) {
        // The console refuses no valid text.
        let _ = console::write(text);
    }

    /// Prints; what [`crate::print!`] and [`crate::println!`] call.
    pub fn print_formatted(arguments: fmt::Arguments<'_>) {
        // An error can only come from a `Display` of the caller's; what it wrote before is kept.
        let _ = OUTPUT.lock().write_fmt(arguments);
    }

    /// Ends a line that was begun, so that whatever is printed next does not stand behind it.
    pub(crate) fn end_line() {
        let mut output = OUTPUT.lock();
        if !output.is_empty() {
            let _ = output.write_str("\n");
        }
    }

    /// Prints without the lock, which a panicking thread may hold itself.
    pub(crate) fn print_from_panic(arguments: fmt::Arguments<'_>) {
        let _ = LineBuffer::<LINE_BYTES, _>::new(to_console).write_fmt(arguments);
    }
}

#[cfg(target_os = "none")]
pub use bare::print_formatted;
#[cfg(target_os = "none")]
pub(crate) use bare::{end_line, print_from_panic};

/// Prints; what [`crate::print!`] and [`crate::println!`] call.
#[cfg(not(target_os = "none"))]
pub fn print_formatted(arguments: core::fmt::Arguments<'_>) {
    std::print!("{arguments}");
}
