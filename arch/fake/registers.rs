//! A thread's registers, as far as kernel logic can tell them apart.

use core::fmt;

/// The registers that the kernel reads and writes by slot.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    pub(super) number: u64,
    pub(super) arguments: [u64; 6],
    result: (u64, u64),
    pub(super) instruction_pointer: u64,
    pub(super) stack_pointer: u64,
    pub(super) thread_pointer: u64,
    pub(super) flags: u64,
    words: [u64; 6],
}

impl Registers {
    /// Loads a system call, as a user program would before trapping.
    pub fn set_call(&mut self, number: u64, arguments: [u64; 6]) {
        (self.number, self.arguments) = (number, arguments);
    }

    /// Status and value of the last finished call.
    pub fn result(&self) -> (u64, u64) {
        self.result
    }

    /// The number of the system call.
    pub fn call_number(&self) -> u64 {
        self.number
    }

    /// Its arguments.
    pub fn call_arguments(&self) -> [u64; 6] {
        self.arguments
    }

    /// Sets the call's result.
    pub fn set_result(&mut self, status: u64, value: u64) {
        self.result = (status, value);
    }

    /// The same, one by one.
    pub fn call_result(&self) -> [u64; 2] {
        [self.result.0, self.result.1]
    }

    /// Whether it is to make the call again: tests see it in the scheduler's state instead.
    pub fn is_before_call(&self, _behind: u64) -> bool {
        false
    }

    /// The words that go along with a gate call.
    pub fn words(&self) -> [u64; 6] {
        self.words
    }

    /// Sets them, as a user program would.
    pub fn set_words(&mut self, words: [u64; 6]) {
        self.words = words;
    }

    pub(super) fn forget_scratch(&mut self) {
        (self.arguments, self.result) = ([0; 6], (0, 0));
    }

    /// Makes a thread that made a gate call go on in the gate; the words stay.
    pub fn enter_call(&mut self, (ip, sp): (u64, u64), arguments: [u64; 2]) {
        self.arguments = [0; 6];
        self.result = (0, 0);
        self.set_entry(ip, sp, arguments);
    }

    /// Makes a thread go on where it made a gate call; if that failed, words do not stay.
    pub fn leave_call(&mut self, (ip, sp): (u64, u64), result: Result<u64, u64>) {
        self.arguments = [0; 6];
        if result.is_err() {
            self.words = [0; 6];
        }
        self.set_entry(ip, sp, [0; 2]);
        self.set_result(result.err().unwrap_or(0), result.unwrap_or(0));
    }

    /// Makes all zero that a thread had in registers, but not where it goes on.
    pub fn clear(&mut self) {
        (self.arguments, self.words, self.result, self.thread_pointer) = ([0; 6], [0; 6], (0, 0), 0);
    }

    /// Where the thread goes on.
    pub fn instruction_pointer(&self) -> u64 {
        self.instruction_pointer
    }

    /// Its stack pointer.
    pub fn stack_pointer(&self) -> u64 {
        self.stack_pointer
    }

    /// What the program made of its flags; 0 is what a new thread has.
    pub fn flags(&self) -> u64 {
        self.flags
    }

    /// Sets flags, as a user program would.
    pub fn set_flags(&mut self, flags: u64) {
        self.flags = flags;
    }

    /// Makes the thread go on elsewhere, with two function arguments and the flags of a new thread.
    pub fn set_entry(&mut self, instruction_pointer: u64, stack_pointer: u64, arguments: [u64; 2]) {
        (self.instruction_pointer, self.stack_pointer, self.flags) = (instruction_pointer, stack_pointer, 0);
        self.arguments[..2].copy_from_slice(&arguments);
    }

    /// The thread pointer.
    pub fn thread_pointer(&self) -> u64 {
        self.thread_pointer
    }

    /// Sets the thread pointer.
    pub fn set_thread_pointer(&mut self, value: u64) {
        self.thread_pointer = value;
    }
}

impl fmt::Display for Registers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ip {:#x} sp {:#x}", self.instruction_pointer, self.stack_pointer)
    }
}
