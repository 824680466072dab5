//! A guest's registers: from its page of state and back.

use super::context::ThreadContext;
use super::floating;
use super::registers::USER_PSTATE;
use crate::guest::{self, Common, GuestPage};

/// What a program can change in PSTATE: N, Z, C, V, TCO, DIT, SSBS, BTYPE (DDI 0487, C5.2.18 "SPSR_EL1").
const USER_FLAGS: u64 = 0xf300_1c00;

/// PSTATE.SS: the instruction to be executed is the one that is asked for.
const STEP_FLAG: u64 = 1 << 21;

impl ThreadContext {
    /// Takes a guest's registers from its page, and whether it executes one instruction only; gives whether they are fit to be
    /// used, and changes nothing that lasts if they are not. The context is a guest's, and not current.
    pub fn load_guest(&mut self, page: &GuestPage, steps: bool) -> bool {
        let Some(common) = Common::read(page) else { return false };
        let state = self.state_mut();
        let registers = &mut state.registers;
        guest::read_words(page, guest::GENERAL, &mut registers.general);
        registers.stack_pointer = common.stack_pointer;
        registers.instruction_pointer = common.instruction_pointer;
        registers.flags = common.flags & USER_FLAGS | USER_PSTATE | if steps { STEP_FLAG } else { 0 };
        registers.thread_pointer = common.thread_pointer;
        (registers.is_floating_new, registers.steps) = (false, steps);
        let mut words = [0; floating::WORDS];
        guest::read_words(page, guest::FLOATING, &mut words);
        state.floating.write(floating::State::from_words(&words));
        true
    }

    /// Puts them there. The context is not current, and was.
    pub fn store_guest(&self, page: &GuestPage) {
        let state = self.state();
        let registers = &state.registers;
        Common {
            stack_pointer: registers.stack_pointer,
            instruction_pointer: registers.instruction_pointer,
            flags: registers.flags & USER_FLAGS,
            thread_pointer: registers.thread_pointer,
            second_pointer: 0,
        }
        .write(page);
        guest::write_words(page, guest::GENERAL, &registers.general);
        // SAFETY: `load_guest` has filled it, before the guest ran.
        let floating = unsafe { state.floating.assume_init_ref() };
        guest::write_words(page, guest::FLOATING, &floating.words());
    }
}
