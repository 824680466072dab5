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

/// Collects formatted text and hands it on in as few pieces as will do: when it is full, the lines that are whole, or
/// all if none is; when it is dropped, what is left.
///
/// So a text of up to `BYTES` is handed on in one piece, if the buffer is dropped before the next.
///
/// ```
/// use core::fmt::Write;
/// use libvas::console::LineBuffer;
///
/// let mut pieces = Vec::new();
/// let mut buffer = LineBuffer::<8, _>::new(|piece: &str| pieces.push(piece.to_string()));
/// write!(buffer, "one\n{}\nthree", 2)?;
/// drop(buffer);
/// assert_eq!(pieces, ["one\n2\n", "three"]);
/// # Ok::<(), core::fmt::Error>(())
/// ```
pub struct LineBuffer<const BYTES: usize, Sink: FnMut(&str)> {
    bytes: [u8; BYTES],
    length_bytes: usize,
    sink: Sink,
}

impl<const BYTES: usize, Sink: FnMut(&str)> LineBuffer<BYTES, Sink> {
    /// An empty buffer that hands pieces to `sink`.
    pub const fn new(sink: Sink) -> Self {
        assert!(BYTES >= 4, "any one character must fit");
        LineBuffer { bytes: [0; BYTES], length_bytes: 0, sink }
    }

    /// Hands on what has been collected, be it a whole line or not.
    pub fn flush(&mut self) {
        self.hand_on(self.length_bytes);
    }

    fn hand_on(&mut self, length_bytes: usize) {
        // Only whole characters are ever put in, so this is never an error.
        let text = core::str::from_utf8(&self.bytes[..length_bytes]).unwrap_or("?");
        if !text.is_empty() {
            (self.sink)(text);
        }
        self.bytes.copy_within(length_bytes..self.length_bytes, 0);
        self.length_bytes -= length_bytes;
    }

    /// Makes room.
    fn hand_on_lines(&mut self) {
        let end_of_lines = self.bytes[..self.length_bytes].iter().rposition(|byte| *byte == b'\n');
        self.hand_on(end_of_lines.map_or(self.length_bytes, |end| end + 1));
    }
}

impl<const BYTES: usize, Sink: FnMut(&str)> fmt::Write for LineBuffer<BYTES, Sink> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        loop {
            let (fitting, remaining) = rest.split_at(rest.floor_char_boundary(BYTES - self.length_bytes));
            self.bytes[self.length_bytes..][..fitting.len()].copy_from_slice(fitting.as_bytes());
            self.length_bytes += fitting.len();
            rest = remaining;
            if rest.is_empty() {
                return Ok(());
            }
            self.hand_on_lines();
        }
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

    fn pieces_of(texts: &[&str]) -> Vec<String> {
        let mut pieces = Vec::new();
        let mut buffer = LineBuffer::<8, _>::new(|piece: &str| pieces.push(piece.to_string()));
        for text in texts {
            buffer.write_str(text).expect("the buffer takes everything");
        }
        drop(buffer);
        pieces
    }

    #[test]
    fn what_fits_is_one_piece() {
        assert_eq!(pieces_of(&["a", "b\nc", "d\n"]), ["ab\ncd\n"]);
        assert_eq!(pieces_of(&["1234567", "\n"]), ["1234567\n"]);
        assert_eq!(pieces_of(&["", ""]), [""; 0]);
    }

    #[test]
    fn longer_texts_are_cut_behind_lines_or_else_between_characters() {
        assert_eq!(pieces_of(&["a\nbc\ndefgh\n"]), ["a\nbc\n", "defgh\n"]);
        assert_eq!(pieces_of(&["1234567ä9\n"]), ["1234567", "ä9\n"]);
        assert_eq!(pieces_of(&["12345678"]), ["12345678"]);
        assert_eq!(pieces_of(&["\n", "12345678", "9"]), ["\n", "12345678", "9"]);
    }
}
