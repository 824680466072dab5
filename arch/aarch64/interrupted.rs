//! The registers of a thread that was interrupted, for its handler to see and to change; and threads whose handler is asked of calls.

use super::context::ThreadContext;
use super::registers::{CALL_BYTES, GuestPart};
use super::{call_entry, floating};
use crate::guest::{Common, GuestPage};

impl ThreadContext {
    /// Makes the registers those with which a handler begins: at this place, with an argument, and with words. All others are those of a
    /// new thread, vector registers and thread pointer included. The context is not current.
    #[inline(always)]
    pub fn begin_handler(&mut self, place: (u64, u64), argument: u64, words: [u64; 6]) {
        debug_assert!(!self.is_current_here(), "the CPU would keep its own registers");
        let registers = self.registers_mut();
        registers.begin(place, argument, words);
        (registers.thread_pointer, registers.is_floating_new) = (0, true);
    }

    /// Puts registers into the words of a guest's state. The context is not current.
    pub fn store_interrupted(&mut self, page: &GuestPage) {
        self.use_floating_point();
        self.store_guest(page);
    }

    /// Takes registers from there; gives whether they are fit to be used, and changes nothing if they are not. The context is not
    /// current; what it is stays.
    pub fn load_interrupted(&mut self, page: &GuestPage) -> bool {
        // A call may have to be made again, from its instruction on.
        if Common::read(page).is_none_or(|common| common.instruction_pointer < CALL_BYTES) {
            return false;
        }
        let steps = self.registers().steps;
        self.load_registers(page, steps)
    }

    /// Has system calls come in by the way of a guest's, or not any more. The context is current on the calling CPU or on none.
    pub fn set_traced(&mut self, is_traced: bool) {
        // Whose vector registers are new may be resumed without a look at the way.
        if is_traced {
            self.use_floating_point();
        }
        self.state_mut().guest.write(GuestPart::NONE);
        self.registers_mut().is_guest = is_traced;
        if self.is_current_here() {
            call_entry::choose(is_traced, false);
        }
    }

    /// Whether they do so, of a thread.
    pub fn is_traced(&self) -> bool {
        self.registers().is_guest
    }

    /// The vector registers mean something from here on: what a new thread finds, if they meant nothing so far.
    fn use_floating_point(&mut self) {
        if !self.registers().is_floating_new {
            return;
        }
        if self.is_current_here() {
            // The CPU's are those already.
            super::context::begin_floating_point();
        } else {
            let state = self.state_mut();
            state.floating.write(floating::FIRST.clone());
            state.registers.is_floating_new = false;
        }
    }
}
