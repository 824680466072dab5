//! A thread's saved state: nothing runs on the fake machine, so no context is current.

use super::registers::Registers;

/// A thread's saved state.
#[derive(Clone, Debug, Default)]
pub struct ThreadContext {
    registers: Registers,
    /// What the program made of its floating-point control word; 0 is what a new thread has.
    pub floating_control: u64,
}

impl ThreadContext {
    /// It takes no block of the heap.
    pub const LAYOUT: core::alloc::Layout = core::alloc::Layout::new::<()>();

    /// A fresh user-mode state.
    pub fn new() -> ThreadContext {
        ThreadContext::default()
    }

    /// The general registers.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Makes the floating-point registers what a new thread finds in them.
    pub fn reset_floating_point(&mut self) {
        self.floating_control = 0;
    }

    /// The general registers, to change.
    pub fn registers_mut(&mut self) -> &mut Registers {
        &mut self.registers
    }
}

/// Names the context to return to: tests look at the scheduler instead.
pub fn resume_context(_context: &ThreadContext) {}

/// Leaves the current context.
pub fn leave_context() {}

/// Takes the current call back: tests see it in the scheduler's state instead.
pub fn restart_call() {}
