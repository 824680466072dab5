//! Other CPUs of the fake machine: they exist when a test plays them.

use core::cell::{Cell, RefCell};

use crate::Interrupt;

type Handler = Box<dyn FnMut(usize, Interrupt)>;

thread_local! {
    static HANDLER: RefCell<Option<Handler>> = const { RefCell::new(None) };
    static BROADCASTS: Cell<bool> = const { Cell::new(false) };
    static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn reset() {
    HANDLER.take();
    BROADCASTS.set(false);
    INTERRUPTED.set(false);
}

/// Whether a CPU is being interrupted, so that what another does is not complete.
pub(super) fn is_interrupting() -> bool {
    INTERRUPTED.get()
}

/// Whether invalidation reaches other CPUs without an interrupt: not unless [`set_broadcasts`] says so.
pub fn broadcasts_invalidation() -> bool {
    BROADCASTS.get()
}

/// Makes invalidation reach other CPUs as on Arm, or not as on x86.
pub fn set_broadcasts(broadcasts: bool) {
    BROADCASTS.set(broadcasts);
}

/// Sets what happens when a CPU is interrupted by another. It is called with the interrupted CPU's number, at
/// once, while that CPU is the one the test plays.
pub fn on_interrupt(handler: impl FnMut(usize, Interrupt) + 'static) {
    HANDLER.replace(Some(Box::new(handler)));
}

/// Interrupts another CPU, which sees to it at once.
pub fn send_interrupt(cpu: usize, interrupt: Interrupt) {
    super::oracle::observe();
    let mut handler = HANDLER.take();
    if let Some(handler) = &mut handler {
        let sender = super::cpu::cpu_index();
        super::cpu::set_cpu_index(cpu);
        INTERRUPTED.set(true);
        handler(cpu, interrupt);
        INTERRUPTED.set(false);
        super::cpu::set_cpu_index(sender);
    }
    HANDLER.replace(handler);
    super::oracle::observe();
}

/// The fake machine's other CPUs do nothing by themselves.
pub fn stop_other_cpus() {}
