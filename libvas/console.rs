//! Text for the machine's console.

use crate::call::perform;
use core::fmt;
use tessera_abi::{Call, Error};

/// The most bytes that one call writes; [`write`] splits longer text.
const CALL_BYTES: usize = 4096;

/// Writes text to the console, at once. Texts of up to 4096 bytes are never torn by other threads' texts.
///
/// ```no_run
/// libvas::console::write("hello\n")?;
/// # Ok::<(), libvas::Error>(())
/// ```
///
/// # Errors
/// None in practice: a `str` is readable UTF-8.
pub fn write(text: &str) -> Result<(), Error> {
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, remaining) = rest.split_at(rest.floor_char_boundary(CALL_BYTES));
        let address = piece.as_ptr().expose_provenance() as u64;
        perform(Call::ConsoleWrite { text: address, length_bytes: piece.len() as u64 })?;
        rest = remaining;
    }
    Ok(())
}

/// Collects formatted text and hands it on by whole lines, so that lines of several threads do not mix.
///
/// A line longer than `BYTES` is handed on in pieces. What is left when it is dropped is handed on then.
///
/// ```
/// use core::fmt::Write;
/// use libvas::console::LineBuffer;
///
/// let mut lines = Vec::new();
/// let mut buffer = LineBuffer::<80, _>::new(|line: &str| lines.push(line.to_string()));
/// write!(buffer, "one {}\ntw", 1)?;
/// drop(buffer);
/// assert_eq!(lines, ["one 1\n", "tw"]);
/// # Ok::<(), core::fmt::Error>(())
/// ```
pub struct LineBuffer<const BYTES: usize, Sink: FnMut(&str)> {
    bytes: [u8; BYTES],
    length_bytes: usize,
    sink: Sink,
}

impl<const BYTES: usize, Sink: FnMut(&str)> LineBuffer<BYTES, Sink> {
    /// An empty buffer that hands lines to `sink`.
    pub const fn new(sink: Sink) -> Self {
        assert!(BYTES >= 4, "any one character must fit");
        LineBuffer { bytes: [0; BYTES], length_bytes: 0, sink }
    }

    /// Whether no line has been begun.
    pub const fn is_empty(&self) -> bool {
        self.length_bytes == 0
    }

    /// Hands on what has been collected, be it a whole line or not.
    pub fn flush(&mut self) {
        // Only whole characters are ever put in, so this is never an error.
        let text = core::str::from_utf8(&self.bytes[..self.length_bytes]).unwrap_or("?");
        if !text.is_empty() {
            (self.sink)(text);
        }
        self.length_bytes = 0;
    }

    /// Takes in a piece without a line end inside, or with one as its end.
    fn push(&mut self, piece: &str) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (fitting, remaining) = rest.split_at(rest.floor_char_boundary(BYTES - self.length_bytes));
            self.bytes[self.length_bytes..][..fitting.len()].copy_from_slice(fitting.as_bytes());
            self.length_bytes += fitting.len();
            rest = remaining;
            if !rest.is_empty() {
                self.flush();
            }
        }
        if piece.ends_with('\n') {
            self.flush();
        }
    }
}

impl<const BYTES: usize, Sink: FnMut(&str)> fmt::Write for LineBuffer<BYTES, Sink> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.split_inclusive('\n').for_each(|piece| self.push(piece));
        Ok(())
    }
}

impl<const BYTES: usize, Sink: FnMut(&str)> Drop for LineBuffer<BYTES, Sink> {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::LineBuffer;
    use core::fmt::Write;

    fn lines_of(texts: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = LineBuffer::<8, _>::new(|line: &str| lines.push(line.to_string()));
        for text in texts {
            buffer.write_str(text).expect("the buffer takes everything");
        }
        drop(buffer);
        lines
    }

    #[test]
    fn pieces_become_whole_lines() {
        assert_eq!(lines_of(&["a", "b\nc", "d\n"]), ["ab\n", "cd\n"]);
        assert_eq!(lines_of(&["\n\n"]), ["\n", "\n"]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        assert_eq!(lines_of(&["1234567ä9\n"]), ["1234567", "ä9\n"]);
        assert_eq!(lines_of(&["12345678"]), ["12345678"]);
    }
}
