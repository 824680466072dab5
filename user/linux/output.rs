//! Where the output of Linux programs goes: to the console, or to who compares it.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use rt::print;

/// See above. A copy is the same: all programs that one starts write to one.
#[derive(Clone)]
pub struct Output(Rc<RefCell<Goal>>);

enum Goal {
    /// The console, which takes text: what is kept are the first bytes of a character.
    Console(Vec<u8>),
    /// All that was written.
    Kept(Vec<u8>),
}

impl Output {
    /// What comes goes to the console.
    pub fn console() -> Output {
        Output(Rc::new(RefCell::new(Goal::Console(Vec::new()))))
    }

    /// What comes is kept.
    pub fn kept() -> Output {
        Output(Rc::new(RefCell::new(Goal::Kept(Vec::new()))))
    }

    /// Takes bytes that a program wrote.
    pub fn write(&self, bytes: &[u8]) {
        match &mut *self.0.borrow_mut() {
            Goal::Kept(all) => all.extend(bytes),
            Goal::Console(begun) => {
                begun.extend(bytes);
                let printed = print_whole(begun);
                begun.drain(..printed);
            }
        }
    }

    /// Takes out all that was kept since the last time; of what is begun on the console it prints a mark.
    pub fn finish(&self) -> Vec<u8> {
        match &mut *self.0.borrow_mut() {
            Goal::Kept(all) => core::mem::take(all),
            Goal::Console(begun) => {
                if !core::mem::take(begun).is_empty() {
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
