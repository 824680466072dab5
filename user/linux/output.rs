//! Where the output of a Linux program goes: to the console, or to who compares it.

use alloc::vec::Vec;
use rt::print;

/// See above.
pub(crate) enum Output {
    /// The console, which takes text: what is kept are the first bytes of a character.
    Console(Vec<u8>),
    /// All that was written.
    Kept(Vec<u8>),
}

impl Output {
    /// Takes bytes that the program wrote.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        match self {
            Output::Kept(all) => all.extend(bytes),
            Output::Console(begun) => {
                begun.extend(bytes);
                let printed = print_whole(begun);
                begun.drain(..printed);
            }
        }
    }

    /// All that was kept, when the program has ended.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Output::Kept(all) => all,
            Output::Console(begun) => {
                if !begun.is_empty() {
                    print!("\u{fffd}");
                }
                Vec::new()
            }
        }
    }
}

/// Prints characters, with a mark for each byte that is none; returns how many bytes these were, all but those of a character
/// that is not whole yet.
fn print_whole(bytes: &[u8]) -> usize {
    let mut done = 0;
    loop {
        let rest = &bytes[done..];
        match core::str::from_utf8(rest) {
            Ok(text) => {
                print!("{text}");
                return bytes.len();
            }
            Err(error) => {
                let (text, behind) = rest.split_at(error.valid_up_to());
                // It has been found to be text just now.
                print!("{}", core::str::from_utf8(text).unwrap_or_default());
                done += text.len();
                let Some(wrong) = error.error_len() else { return done };
                print!("\u{fffd}");
                done += wrong.min(behind.len());
            }
        }
    }
}
