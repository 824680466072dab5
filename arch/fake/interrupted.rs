//! The registers of a thread that was interrupted, for its handler to see and to change; and threads whose handler is asked of calls.

use super::context::ThreadContext;
use crate::guest::GuestPage;

impl ThreadContext {
    /// Makes the registers those with which a handler begins: at this place, with an argument, and with words.
    pub fn begin_handler(&mut self, (ip, sp): (u64, u64), argument: u64, words: [u64; 6]) {
        self.reset_floating_point();
        let registers = self.registers_mut();
        registers.clear();
        registers.set_entry(ip, sp, [argument, 0]);
        registers.set_words(words);
    }

    /// Puts registers into the words of a guest's state.
    pub fn store_interrupted(&mut self, page: &GuestPage) {
        self.store_guest(page);
    }

    /// Takes registers from there; gives whether they are fit to be used.
    pub fn load_interrupted(&mut self, page: &GuestPage) -> bool {
        self.load_guest(page, false)
    }

    /// Has system calls come in by the way of a guest's, or not any more.
    pub fn set_traced(&mut self, is_traced: bool) {
        self.is_traced = is_traced;
    }

    /// Whether they do so.
    pub fn is_traced(&self) -> bool {
        self.is_traced
    }
}
