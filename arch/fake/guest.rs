//! A guest's registers: from its page of state and back. In the place of general registers there are the number of its system call
//! and the arguments.

use super::context::{self, ThreadContext};
use crate::Table;
use crate::guest::{self, Common, CommonPlaces, GuestPage};
use tessera_abi::guest::GuestEnd;

impl ThreadContext {
    /// The registers of a guest, in their first state, which are put into its page.
    pub fn guest(page: &'static Table) -> ThreadContext {
        let mut context = ThreadContext::default();
        context.page = Some(page);
        context.store_guest(&page[..]);
        context
    }

    /// Takes a guest's registers from its page; gives whether they are fit to be used.
    pub fn load_guest(&mut self, page: &GuestPage, steps: bool) -> bool {
        let Some(common) = Common::read(page) else { return false };
        let (mut number, mut arguments, mut floating) = ([0], [0; 6], [0]);
        guest::read_words(page, guest::GENERAL, &mut number);
        guest::read_words(page, guest::GENERAL + 1, &mut arguments);
        guest::read_words(page, guest::FLOATING, &mut floating);
        self.floating_control = floating[0];
        self.runner = if steps { 0 } else { context::current() };
        let registers = self.registers_mut();
        (registers.number, registers.arguments) = (number[0], arguments);
        registers.instruction_pointer = common.instruction_pointer;
        registers.stack_pointer = common.stack_pointer;
        registers.thread_pointer = common.thread_pointer;
        registers.flags = common.flags;
        true
    }

    /// Has the run that was loaded end by the common path.
    pub fn end_commonly(&mut self) {
        self.runner = 0;
    }

    /// Begins to run a guest in the place of the current thread; gives its place, or 0 if this is for the common path.
    ///
    /// # Panics
    /// If the registers are no guest's.
    pub fn begin_run(&mut self) -> u64 {
        let page = &self.page.expect("a guest has a page")[..];
        let (mut pointers, flags) = ([0; 4], Common::read_flags(page));
        let [instruction_pointer, stack_pointer, thread_pointer, second_pointer] = &mut pointers;
        let to = CommonPlaces { stack_pointer, instruction_pointer, thread_pointer, second_pointer };
        if !Common::read_plain(page, to) || !self.load_guest(page, false) {
            return 0;
        }
        debug_assert_eq!(self.registers().flags, flags, "nobody changes the page meanwhile");
        context::set_current(self.place());
        self.place() as u64
    }

    /// Ends the run of a guest that is current and has made a system call; gives the place of whose registers are current then, or 0
    /// if this is for the common path.
    ///
    /// # Panics
    /// If the registers are no guest's.
    pub fn end_run(&mut self) -> u64 {
        let page = &self.page.expect("a guest has a page")[..];
        if self.runner != 0 {
            self.store_guest(page);
            guest::write_words(page, 0, &[GuestEnd::Call as u64, self.registers().number, 0, 0]);
            context::set_current(self.runner);
        }
        self.runner as u64
    }

    /// Makes the registers of a thread fit to go on with that comes back from running a guest by the common path.
    pub fn come_back(&mut self) {
        self.registers_mut().forget_scratch();
    }

    /// Puts them there.
    pub fn store_guest(&mut self, page: &GuestPage) {
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
