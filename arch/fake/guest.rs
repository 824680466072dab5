//! A guest's registers: from its page of state and back. In the place of general registers there are the number of its system call
//! and the arguments.

use super::context::ThreadContext;
use crate::guest::{self, Common, GuestPage};

impl ThreadContext {
    /// Takes a guest's registers from its page; gives whether they are fit to be used.
    pub fn load_guest(&mut self, page: &GuestPage, _steps: bool) -> bool {
        let Some(common) = Common::read(page) else { return false };
        let (mut number, mut arguments, mut floating) = ([0], [0; 6], [0]);
        guest::read_words(page, guest::GENERAL, &mut number);
        guest::read_words(page, guest::GENERAL + 1, &mut arguments);
        guest::read_words(page, guest::FLOATING, &mut floating);
        self.floating_control = floating[0];
        let registers = self.registers_mut();
        (registers.number, registers.arguments) = (number[0], arguments);
        registers.instruction_pointer = common.instruction_pointer;
        registers.stack_pointer = common.stack_pointer;
        registers.thread_pointer = common.thread_pointer;
        registers.flags = common.flags;
        true
    }

    /// Puts them there.
    pub fn store_guest(&self, page: &GuestPage) {
        let registers = self.registers();
        Common {
            stack_pointer: registers.stack_pointer,
            instruction_pointer: registers.instruction_pointer,
            flags: registers.flags,
            thread_pointer: registers.thread_pointer,
            second_pointer: 0,
        }
        .write(page);
        guest::write_words(page, guest::GENERAL, &[registers.number]);
        guest::write_words(page, guest::GENERAL + 1, &registers.arguments);
        guest::write_words(page, guest::FLOATING, &[self.floating_control]);
    }
}
