//! Text output, each piece formatted by who prints it, on its own stack.

#[cfg(target_os = "none")]
mod bare {
    use core::fmt::{self, Write};
    use core::sync::atomic::{AtomicBool, Ordering};
    use libvas::console::{self, LineBuffer};

    /// Texts up to this length, in bytes, come out whole.
    const TEXT_BYTES: usize = 512;

    /// Whether what was printed last ended within a line.
    static LINE_IS_OPEN: AtomicBool = AtomicBool::new(false);

    fn to_console(text: &str) {
        LINE_IS_OPEN.store(!text.ends_with('\n'), Ordering::Relaxed);
        // The console refuses no valid text.
        let _ = console::write(text);
    }

    /// Prints; what [`crate::print!`] and [`crate::println!`] call.
    pub fn print_formatted(arguments: fmt::Arguments<'_>) {
        // An error can only come from a `Display` of the caller's; what it wrote before is kept.
        let _ = LineBuffer::<TEXT_BYTES, _>::new(to_console).write_fmt(arguments);
    }

    /// Ends a line that was begun, so that whatever is printed next does not stand behind it.
    pub(crate) fn end_line() {
        if LINE_IS_OPEN.load(Ordering::Relaxed) {
            to_console("\n");
        }
    }
}

#[cfg(target_os = "none")]
pub(crate) use bare::end_line;
#[cfg(target_os = "none")]
pub use bare::print_formatted;

/// Prints; what [`crate::print!`] and [`crate::println!`] call.
#[cfg(not(target_os = "none"))]
pub fn print_formatted(arguments: core::fmt::Arguments<'_>) {
    std::print!("{arguments}");
}
