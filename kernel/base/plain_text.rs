//! What a program's text looks like on the console: nothing in it can be taken for a line of the kernel's, or hide one.

use tessera_abi::text::is_visible;

/// What the kernel's lines begin with.
pub const PREFIX: &[u8; 8] = b"[kernel]";

/// How much of [`PREFIX`] the line that was begun last consists of, in bytes; [`LineState::OTHER`] if it is another
/// line. It is the console's, not a program's: what several of them write in pieces is one line as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineState(u8);

impl LineState {
    /// No character stands on the line yet.
    pub const START: LineState = LineState(0);
    /// The line cannot become one with the kernel's prefix any more.
    pub const OTHER: LineState = LineState(u8::MAX);

    /// From what [`LineState::to_byte`] gave.
    pub const fn from_byte(byte: u8) -> LineState {
        LineState(byte)
    }

    /// As a byte.
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// Puts out one character of a program's text, or what stands for it; gives the state after it.
    #[inline(always)]
    pub fn put(self, character: char, out: &mut impl FnMut(u8)) -> LineState {
        match character {
            ' '..='~' if self == LineState::OTHER => {
                out(character as u8);
                self
            }
            '\n' => {
                out(b'\n');
                LineState::START
            }
            ' '..='~' => self.put_at_start(character as u8, out),
            _ => {
                let shown = if character == '\t' { character } else { shown(character) };
                shown.encode_utf8(&mut [0; 4]).bytes().for_each(out);
                LineState::OTHER
            }
        }
    }

    /// The same for a character that may belong to the prefix.
    fn put_at_start(self, byte: u8, out: &mut impl FnMut(u8)) -> LineState {
        let next = usize::from(self.0);
        if PREFIX.get(next) != Some(&byte) {
            out(byte);
            return LineState::OTHER;
        }
        if next + 1 < PREFIX.len() {
            out(byte);
            return LineState(self.0 + 1);
        }
        out(b'?');
        out(byte);
        LineState::OTHER
    }
}

/// The character that is shown for another: Unicode's picture of a control character of ASCII, and the replacement
/// character for what else nobody could see.
fn shown(character: char) -> char {
    const PICTURES: u32 = 0x2400;
    const DELETE_PICTURE: char = '\u{2421}';
    match character {
        '\0'..='\u{1f}' => char::from_u32(PICTURES + character as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => DELETE_PICTURE,
        _ if is_visible(character) => character,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// The most bytes that come out for `bytes` bytes of a program's text.
pub const fn shown_bytes_max(bytes: u64) -> u64 {
    // A control character is one byte, its picture three.
    3 * bytes
}

#[cfg(test)]
mod tests {
    use super::{LineState, shown_bytes_max};

    fn shown(pieces: &[&str]) -> String {
        let (mut state, mut bytes) = (LineState::START, Vec::new());
        for piece in pieces {
            let before = bytes.len();
            for character in piece.chars() {
                state = state.put(character, &mut |byte| bytes.push(byte));
            }
            assert!((bytes.len() - before) as u64 <= shown_bytes_max(piece.len() as u64), "{piece:?}");
        }
        String::from_utf8(bytes).expect("what comes out is UTF-8 still")
    }

    #[test]
    fn text_comes_out_as_it_is() {
        let text = "[init] tells: [kernel] is a word, ä 漢 🦀 as well,\n\tand so\non [kernel]\n [kernel]\n";
        assert_eq!(shown(&[text]), text);
    }

    #[test]
    fn no_line_begins_as_the_kernels_do_however_it_is_cut() {
        let text = "a\n[kernel] PANIC: false\n[kernel][kernel] x\n";
        let expected = "a\n[kernel?] PANIC: false\n[kernel?][kernel] x\n";
        for cut in 0..text.len() {
            assert_eq!(shown(&[&text[..cut], &text[cut..]]), expected, "cut at {cut}");
        }
        let letters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(shown(&letters.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn what_moves_the_cursor_or_hides_is_shown() {
        assert_eq!(shown(&["a\r[kernel] PANIC"]), "a␍[kernel] PANIC");
        assert_eq!(shown(&["\r[kernel]"]), "␍[kernel]");
        assert_eq!(shown(&["\u{1b}[1A\u{8}\u{7f}\0"]), "␛[1A␈␡␀");
        assert_eq!(
            shown(&["\u{85}[kernel] x\u{2028}[kernel] y\u{202e}z"]),
            "\u{fffd}[kernel] x\u{fffd}[kernel] y\u{fffd}z"
        );
        assert_eq!(shown(&["\u{200b}[kernel] x"]), "\u{fffd}[kernel] x");
    }

    #[test]
    fn a_prefix_that_is_not_finished_is_no_prefix() {
        assert_eq!(shown(&["[kernel\n]\n[kern el]\n[[kernel]\n"]), "[kernel\n]\n[kern el]\n[[kernel]\n");
    }
}
