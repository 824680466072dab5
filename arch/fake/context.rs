//! A thread's saved state. Nothing runs on the fake machine; which context would be current on a CPU is noted all the same,
//! to see that none is changed or freed while a CPU would save into it.

use core::cell::Cell;

use super::cpu::cpu_index;
use super::registers::Registers;
use crate::{CPUS_MAX, Table};

thread_local! {
    /// The current context of each CPU, by where it lies; 0 for none.
    static CURRENT: [Cell<usize>; CPUS_MAX] = const { [const { Cell::new(0) }; CPUS_MAX] };
}

/// Forgets which contexts are current: the machine goes, with all its threads.
pub fn forget_all() {
    CURRENT.with(|cpus| cpus.iter().for_each(|current| current.set(0)));
}

/// A thread's saved state.
#[derive(Clone, Debug, Default)]
pub struct ThreadContext {
    registers: Registers,
    /// Its place in memory, which stays as it is when contexts are exchanged.
    place: Box<u8>,
    /// Of a guest that runs: the place of whose registers it has taken.
    pub(super) runner: usize,
    /// A guest's: its page of state.
    pub(super) page: Option<&'static Table>,
    /// What the program made of its floating-point control word; 0 is what a new thread has.
    pub floating_control: u64,
    /// Whether system calls come in by the way of a guest's.
    pub is_traced: bool,
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
    ///
    /// # Panics
    /// If the context is current: else the CPU would keep its own.
    pub fn reset_floating_point(&mut self) {
        assert!(!self.is_current_anywhere(), "a current context's registers are the CPU's");
        self.floating_control = 0;
    }

    pub(super) fn place(&self) -> usize {
        core::ptr::from_ref(&*self.place).addr()
    }

    fn is_current_anywhere(&self) -> bool {
        let place = self.place();
        CURRENT.with(|cpus| cpus.iter().any(|current| current.get() == place))
    }

    /// The general registers, to change.
    pub fn registers_mut(&mut self) -> &mut Registers {
        &mut self.registers
    }
}

impl Drop for ThreadContext {
    /// # Panics
    /// If the context is current on a CPU.
    fn drop(&mut self) {
        assert!(std::thread::panicking() || !self.is_current_anywhere(), "a current context was dropped");
    }
}

/// Names the context to return to: tests look at the scheduler instead.
pub fn resume_context(context: &ThreadContext) {
    set_current(context.place());
}

/// The same of one whose registers are what a handler begins with, but for those that the caller sets.
pub fn begin_context(context: &mut ThreadContext, _old: &mut ThreadContext) {
    context.reset_floating_point();
    context.registers_mut().clear();
    set_current(context.place());
}

/// The same in the place of one whose registers mean nothing any more.
pub fn resume_over(context: &ThreadContext) {
    set_current(context.place());
}

/// Leaves the current context.
pub fn leave_context() {
    set_current(0);
}

/// The place of the current context; 0 for none.
pub(super) fn current() -> usize {
    CURRENT.with(|cpus| cpus[cpu_index()].get())
}

pub(super) fn set_current(place: usize) {
    CURRENT.with(|cpus| cpus[cpu_index()].set(place));
}

/// Takes the current call back: tests see it in the scheduler's state instead.
pub fn restart_call() {}
