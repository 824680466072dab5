//! The serial line goes to the test's output.

/// Writes to the test's standard error.
pub fn console_write(bytes: &[u8]) {
    eprint!("{}", String::from_utf8_lossy(bytes));
}
