//! The registers of a thread that was interrupted, for its handler to see and to change; and threads whose handler is asked of calls.

use super::context::ThreadContext;
use super::percpu::this;
use super::registers::{CALL_BYTES, FIRST_FLAGS, GuestPart, IS_FLOATING_NEW, IS_GUEST};
use super::{call_entry, floating};
use crate::guest::{Common, GuestPage};
use tessera_abi::USER_END;

impl ThreadContext {
    /// Makes the registers those with which a handler begins: at this place, with an argument, and with words. All others are those of a
    /// new thread, floating point and bases included. The context is not current.
    ///
    /// # Panics
    /// As [`Registers::set_entry`](super::registers::Registers::set_entry).
    #[inline(always)]
    pub fn begin_handler(&mut self, (ip, sp): (u64, u64), argument: u64, words: [u64; 6]) {
        assert!(ip < USER_END, "a handler begins at a user address");
        debug_assert!(!core::ptr::addr_eq(this().current.get(), self.state()), "the CPU would keep its own registers");
        let state = self.state_mut();
        state.marks = IS_FLOATING_NEW;
        state.registers.bases = [0; 2];
        state.registers.forget_scratch();
        state.registers.set_words(words);
        let frame = &mut state.registers.frame;
        (frame.rdi, frame.rsi, frame.vector) = (argument, 0, 0);
        (frame.rip, frame.rsp, frame.rflags) = (ip, sp, FIRST_FLAGS);
    }

    /// Puts registers into the words of a guest's state. The context is not current.
    pub fn store_interrupted(&mut self, page: &GuestPage) {
        let state = self.state_mut();
        if state.marks & IS_FLOATING_NEW != 0 {
            state.floating.write(floating::FIRST.clone());
            state.marks &= !IS_FLOATING_NEW;
        }
        self.store_guest(page);
    }

    /// Takes registers from there; gives whether they are fit to be used, and changes nothing if they are not. The context is not
    /// current; what it is, and how it came into the kernel, stays.
    pub fn load_interrupted(&mut self, page: &GuestPage) -> bool {
        // A call may have to be made again, from its instruction on.
        if Common::read(page).is_none_or(|common| common.instruction_pointer < CALL_BYTES) {
            return false;
        }
        let state = self.state();
        let (marks, steps, vector) = (state.marks, state.steps, state.registers.frame.vector);
        self.load_registers(page, steps);
        let state = self.state_mut();
        (state.marks, state.registers.frame.vector) = (marks & !IS_FLOATING_NEW, vector);
        true
    }

    /// Has system calls come in by the way of a guest's, or not any more. The context is current on the calling CPU or on none.
    pub fn set_traced(&mut self, is_traced: bool) {
        let is_current = core::ptr::addr_eq(this().current.get(), self.state());
        let state = self.state_mut();
        state.guest.write(GuestPart::NONE);
        state.marks = state.marks & !IS_GUEST | if is_traced { IS_GUEST } else { 0 };
        if is_current {
            call_entry::choose(is_traced);
        }
    }

    /// Whether they do so, of a thread.
    pub fn is_traced(&self) -> bool {
        self.state().marks & IS_GUEST != 0
    }
}
